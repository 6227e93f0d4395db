//! Which task a turn of the loop was a step of: for reports of slow turns.

use super::TaskHeader;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    /// Whether somebody wants to know. Looked at by every step, so it is no more than a load.
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static STEPPED: RefCell<Option<Rc<str>>> = const { RefCell::new(None) };
}

/// Runs one turn of a loop, and says the name of the task whose step it was, if it was one. `turn`
/// must not panic.
pub fn task_of_turn<R>(turn: impl FnOnce() -> R) -> (R, Option<Rc<str>>) {
    let outer = WANTED.replace(true);
    let answer = turn();
    WANTED.set(outer);
    // A name is no user's value: dropping it calls nothing.
    (answer, STEPPED.try_with(RefCell::take).ok().flatten())
}

/// The turn that is running is a step of this task.
#[inline]
pub(super) fn note(task: &TaskHeader) {
    if WANTED.get() {
        note_name(task);
    }
}

#[cold]
fn note_name(task: &TaskHeader) {
    let name = task.name();
    // On a thread that is ending it stays unknown.
    let _ = STEPPED.try_with(|stepped| stepped.replace(Some(name)));
}
