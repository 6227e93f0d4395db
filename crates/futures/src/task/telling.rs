//! Telling tasks that they are to end. A task passes that on to the tasks that it waits for, these to
//! theirs, and so on: through a chain of any length, with little of the stack.
//!
//! Invariant: what is [`LEFT`] is told before the outermost [`tell`] of the thread returns, by a panic
//! of somebody's waker too.

use super::cell::AnyTask;
use super::wait_set::CancelRequest;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// So many tasks are told one inside of the other.
const DEEPEST: u32 = 32;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Those that stand deeper, in the order in which they were to be told.
    static LEFT: RefCell<VecDeque<(Rc<dyn AnyTask>, CancelRequest)>> =
        const { RefCell::new(VecDeque::new()) };
}

/// Has `task` told: at once, or when those are told that this is called for.
pub(super) fn tell(task: Rc<dyn AnyTask>, request: CancelRequest) {
    match DEPTH.get() {
        0 => tell_all(task, request),
        DEEPEST.. => leave(task, request),
        depth => {
            let _inside = Inside::new(depth + 1);
            task.be_told(request);
        }
    }
}

fn tell_all(task: Rc<dyn AnyTask>, request: CancelRequest) {
    let _inside = Inside::new(1);
    let mut outcome = Ok(());
    let mut next = Some((task, request));
    while let Some((task, request)) = next {
        outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| task.be_told(request))));
        next = LEFT.try_with(|left| left.borrow_mut().pop_front()).ok().flatten();
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

#[cold]
fn leave(task: Rc<dyn AnyTask>, request: CancelRequest) {
    // On a thread that is ending nobody is left to be told.
    let _ = LEFT.try_with(|left| left.borrow_mut().push_back((task, request)));
}

/// Puts the depth back.
struct Inside(u32);

impl Inside {
    fn new(depth: u32) -> Self {
        Self(DEPTH.replace(depth))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}
