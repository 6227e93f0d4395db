//! The scheduler that is running on this thread.

use crate::{Scheduler, SchedulerId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Scheduler>>> = const { RefCell::new(None) };
    /// The id of the current one, for those who only want to compare.
    static CURRENT_ID: Cell<Option<SchedulerId>> = const { Cell::new(None) };
}

/// The scheduler whose callback is running on this thread, or `None` outside of one (L-48).
pub fn try_current() -> Option<Rc<dyn Scheduler>> {
    // The thread may be ending, with destructors that ask.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The id of the scheduler whose callback is running on this thread.
#[inline]
pub(crate) fn current_id() -> Option<SchedulerId> {
    CURRENT_ID.with(Cell::get)
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
        CURRENT_ID.set(Some(scheduler.id()));
        Self { previous: CURRENT.with(|current| current.replace(Some(scheduler))) }
    }
}

impl Drop for EnteredScheduler {
    fn drop(&mut self) {
        CURRENT_ID.set(self.previous.as_ref().map(|previous| previous.id()));
        // `try_with`: the thread may be ending. The borrow ends before the scheduler is dropped.
        let left = CURRENT.try_with(|current| current.replace(self.previous.take()));
        drop(left);
    }
}
