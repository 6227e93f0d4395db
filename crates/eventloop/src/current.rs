//! The loop that is running on this thread.

use crate::AbstractEventLoop;
use futures::EnteredScheduler;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn AbstractEventLoop>>> = const { RefCell::new(None) };
}

/// The loop whose callback is running on this thread, or `None` outside of one (L-48).
pub fn try_current() -> Option<Rc<dyn AbstractEventLoop>> {
    // The thread may be ending, with destructors that ask.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The loop whose callback is running on this thread: `get_running_loop` of the PEP.
///
/// # Panics
/// If none is running here; [`try_current`] asks without.
#[doc(alias = "get_running_loop")]
#[track_caller]
pub fn current() -> Rc<dyn AbstractEventLoop> {
    try_current().expect("no event loop is running on this thread")
}

/// Makes a loop the current one of this thread, until dropped. For implementers of
/// [`AbstractEventLoop`].
#[must_use = "dropping it ends the run at once"]
pub struct EnteredLoop {
    _scheduler: EnteredScheduler,
}

impl EnteredLoop {
    /// Makes `event_loop` current; `None` if another one is (L-12).
    pub fn new(event_loop: Rc<dyn AbstractEventLoop>) -> Option<Self> {
        let free = CURRENT.with(|current| current.borrow().is_none());
        if !free {
            return None;
        }
        let scheduler = EnteredScheduler::new(event_loop.to_rc());
        CURRENT.with(|current| current.replace(Some(event_loop)));
        Some(Self { _scheduler: scheduler })
    }
}

impl Drop for EnteredLoop {
    fn drop(&mut self) {
        // `try_with`: the thread may be ending. The borrow ends before the loop is dropped.
        let left = CURRENT.try_with(|current| current.replace(None));
        drop(left);
    }
}
