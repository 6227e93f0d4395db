//! The futures, tasks among them, that ended by a panic, so that a test's loop can find those nobody
//! has asked.

use crate::future::AnyFuture;
use crate::{Exception, Scheduler, SchedulerId};
use std::cell::RefCell;
use std::rc::{Rc, Weak};

thread_local! {
    /// In the order of their ends. Those that are gone are forgotten when the list would grow.
    static PANICKED: RefCell<Vec<(SchedulerId, Weak<dyn AnyFuture>)>> =
        const { RefCell::new(Vec::new()) };
}

/// Notes that `future` has ended by a panic, that of its own task or one that was passed on to it.
#[cold]
pub(crate) fn note(scheduler: SchedulerId, future: &Rc<dyn AnyFuture>) {
    let future = Rc::downgrade(future);
    // On a thread that is ending nobody will ask.
    let _ = PANICKED.try_with(|panicked| {
        let mut panicked = panicked.borrow_mut();
        if panicked.len() == panicked.capacity() {
            panicked.retain(|(_, future)| future.strong_count() > 0);
            // Room for as many again, so that looking costs little however many are kept.
            let kept = panicked.len();
            panicked.reserve(kept.max(4));
        }
        panicked.push((scheduler, future));
    });
}

/// The panics that futures and tasks of `scheduler` hold, that somebody could still ask for and nobody
/// has, in the order in which they ended. They count as asked for from now on.
pub fn take_unretrieved_panics(scheduler: &dyn Scheduler) -> Vec<Exception> {
    let id = scheduler.id();
    let futures: Vec<_> = PANICKED
        .try_with(|panicked| {
            let mut panicked = panicked.borrow_mut();
            panicked.extract_if(.., |(owner, _)| *owner == id).map(|(_, future)| future).collect()
        })
        .unwrap_or_default();
    let alive = futures.iter().filter_map(Weak::upgrade);
    alive.filter_map(|future| future.common().take_unretrieved()).collect()
}
