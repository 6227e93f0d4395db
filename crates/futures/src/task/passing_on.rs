//! Giving the cancellation of a task to what it waits for, which may be tasks again.
//!
//! Tasks may wait for each other in a long chain, where going from one into the next would use up the
//! stack, or in a circle, where that would never end. So a task into which a request has gone already
//! does not accept the same one again: whoever waits for it is told himself, which opens the circle.
//! And from a certain depth on the request is left to the outermost call.
//!
//! Invariant: a task is marked as passing on only during a call of [`pass_on`], and nothing here is
//! borrowed while what is waited for is told.

use super::cell::AnyTask;
use super::wait_set::CancelRequest;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// So many calls may be inside of each other.
const DEEPEST: usize = 64;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How many requests were ever left to the outermost call.
    static EVER_LEFT: Cell<u64> = const { Cell::new(0) };
    static LEFT: RefCell<VecDeque<(Rc<dyn AnyTask>, CancelRequest)>> =
        const { RefCell::new(VecDeque::new()) };
    /// The tasks that stay marked until the outermost call ends: the way to a request that was left
    /// goes through them.
    static MARKED: RefCell<Vec<Rc<dyn AnyTask>>> = const { RefCell::new(Vec::new()) };
}

/// Gives `request` to all that `task` waits for; if nothing of that accepts it, to the task itself, at
/// its next step. The task must neither be running nor passing a request on.
pub(super) fn pass_on(task: Rc<dyn AnyTask>, request: CancelRequest) {
    task.header().set_passing_on(true);
    if DEPTH.get() >= DEEPEST {
        EVER_LEFT.set(EVER_LEFT.get() + 1);
        MARKED.with_borrow_mut(|marked| marked.push(task.clone()));
        return LEFT.with_borrow_mut(|left| left.push_back((task, request)));
    }
    let inside = Inside::enter(task);
    // Somebody's waker that panics keeps none of the others from being told.
    let mut outcome = catch_unwind(AssertUnwindSafe(|| give(&inside.task, request)));
    while inside.is_outermost()
        && let Some((task, request)) = LEFT.with_borrow_mut(VecDeque::pop_front)
    {
        outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| give(&task, request))));
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn give(task: &Rc<dyn AnyTask>, request: CancelRequest) {
    if task.is_done() {
        return; // a waker has ended it meanwhile
    }
    let wait_set = task.header().wait_set();
    if !wait_set.cancel(&request) {
        wait_set.set_declined_request(request);
        task.clone().schedule_step();
    }
}

/// A call of [`pass_on`], until this is dropped, by a waker's panic too.
struct Inside {
    task: Rc<dyn AnyTask>,
    left_before: u64,
}

impl Inside {
    fn enter(task: Rc<dyn AnyTask>) -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self { task, left_before: EVER_LEFT.get() }
    }

    fn is_outermost(&self) -> bool {
        DEPTH.get() == 1
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            self.task.header().set_passing_on(false);
            if EVER_LEFT.get() != self.left_before {
                let (marked, left) = (MARKED.take(), LEFT.take());
                marked.iter().for_each(|task| task.header().set_passing_on(false));
                drop((marked, left));
            }
        } else if EVER_LEFT.get() == self.left_before {
            self.task.header().set_passing_on(false);
        } else {
            MARKED.with_borrow_mut(|marked| marked.push(self.task.clone()));
        }
    }
}
