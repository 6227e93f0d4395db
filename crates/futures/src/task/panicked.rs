//! The tasks that ended by a panic, so that a test's loop can find those nobody has asked.

use super::cell::AnyTask;
use crate::{Exception, Scheduler, SchedulerId};
use std::cell::RefCell;
use std::rc::{Rc, Weak};

thread_local! {
    /// In the order of their ends. Those that are gone are forgotten when others come.
    static PANICKED: RefCell<Vec<(SchedulerId, Weak<dyn AnyTask>)>> =
        const { RefCell::new(Vec::new()) };
}

/// Notes that `task` has ended by a panic, its own or one that was passed on to it.
#[cold]
pub(super) fn note(scheduler: SchedulerId, task: &Rc<dyn AnyTask>) {
    let task = Rc::downgrade(task);
    // On a thread that is ending nobody will ask.
    let _ = PANICKED.try_with(|panicked| {
        let mut panicked = panicked.borrow_mut();
        if panicked.len() == panicked.capacity() {
            panicked.retain(|(_, task)| task.strong_count() > 0);
            // Room for as many again, so that looking costs little however many are kept.
            let kept = panicked.len();
            panicked.reserve(kept.max(4));
        }
        panicked.push((scheduler, task));
    });
}

/// The panics of tasks of `scheduler` that somebody could still ask for and nobody has, in the order
/// in which the tasks ended. They count as asked for from now on.
pub fn take_unretrieved_panics(scheduler: &dyn Scheduler) -> Vec<Exception> {
    let id = scheduler.id();
    let tasks: Vec<_> = PANICKED
        .try_with(|panicked| {
            let mut panicked = panicked.borrow_mut();
            panicked.extract_if(.., |(owner, _)| *owner == id).map(|(_, task)| task).collect()
        })
        .unwrap_or_default();
    let alive = tasks.iter().filter_map(Weak::upgrade);
    alive.filter_map(|task| task.take_unretrieved()).collect()
}
