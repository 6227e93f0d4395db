//! The scheduler that is running on this thread.

use crate::Scheduler;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Scheduler>>> = const { RefCell::new(None) };
}

/// The scheduler whose callback is running on this thread, or `None` outside of one (L-48).
pub fn try_current() -> Option<Rc<dyn Scheduler>> {
    // The thread may be ending, with destructors that ask.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Whether a scheduler's callback is running on this thread.
pub(crate) fn is_scheduler_running_here() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

/// The scheduler whose callback is running on this thread.
///
/// # Panics
/// If none is running here; [`try_current`] asks without.
#[track_caller]
pub fn current() -> Rc<dyn Scheduler> {
    try_current().expect("no event loop is running on this thread")
}

/// Makes a scheduler the current one of this thread until this is dropped, then restores what was
/// there. For implementers of [`Scheduler`].
#[must_use = "dropping it restores the previous scheduler at once"]
pub struct EnteredScheduler {
    previous: Option<Rc<dyn Scheduler>>,
}

impl EnteredScheduler {
    /// Makes `scheduler` current.
    pub fn new(scheduler: Rc<dyn Scheduler>) -> Self {
        Self { previous: CURRENT.with(|current| current.replace(Some(scheduler))) }
    }
}

impl Drop for EnteredScheduler {
    fn drop(&mut self) {
        // `try_with`: the thread may be ending. The borrow ends before the scheduler is dropped.
        let left = CURRENT.try_with(|current| current.replace(self.previous.take()));
        drop(left);
    }
}
