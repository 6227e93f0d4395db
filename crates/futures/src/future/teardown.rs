//! Dropping what is linked in long chains, without using the stack for it.
//!
//! A pending future owns its listeners, a listener may own the next future, and so on: dropping the
//! first of ten thousand links would nest ten thousand destructors. Instead the outermost drop on the
//! thread does the work, and those inside of it only leave their part for it.

use std::any::Any;
use std::cell::{Cell, RefCell};

thread_local! {
    /// Whether a `drop_flat` is at work on this thread.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
    /// What was left to the one that is at work.
    static LEFT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Drops `value` and all that its destructors hand to this function.
pub(super) fn drop_flat<V: 'static>(value: V) {
    if AT_WORK.try_with(Cell::get).unwrap_or(false) {
        let mut value = Some(Box::new(value) as Box<dyn Any>);
        // On a thread that is ending it is dropped here.
        let left = LEFT.try_with(|left| left.borrow_mut().extend(value.take()));
        drop((left, value));
        return;
    }
    let at_work = AtWork::new();
    drop(value);
    while let Some(next) = LEFT.try_with(|left| left.borrow_mut().pop()).ok().flatten() {
        drop(next);
    }
    drop(at_work);
}

/// Marks this thread as being at work until dropped, also when a destructor panics; what is left then
/// is taken care of by the next one.
struct AtWork;

impl AtWork {
    fn new() -> Self {
        // An ending thread has no mark, and nests.
        let _ = AT_WORK.try_with(|at_work| at_work.set(true));
        Self
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = AT_WORK.try_with(|at_work| at_work.set(false));
    }
}
