//! [`Handle`] and [`TimerHandle`]: the right to call off something that was scheduled.

use crate::{CallbackId, Instant, Scheduler};
use std::cell::Cell;
use std::fmt;
use std::rc::Weak;

/// The right to call off a callback that [`call_soon`](crate::SchedulerExt::call_soon) queued.
///
/// Dropping it changes nothing: the callback still runs (H-1). It holds the loop only weakly, so a
/// handle that is kept is no reason for anything to stay alive.
pub struct Handle {
    target: Option<(Weak<dyn Scheduler>, CallbackId)>,
    cancelled: Cell<bool>,
}

/// Where a scheduled callback stands (H-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleState {
    /// It has yet to run.
    Pending,
    /// It ran, is running, or was dropped together with its loop.
    Done,
    /// This handle called it off before it ran.
    Cancelled,
}

impl Handle {
    /// A handle for the callback `id` of `scheduler`. For implementers of [`Scheduler`].
    #[inline]
    pub fn new(scheduler: Weak<dyn Scheduler>, id: CallbackId) -> Self {
        Self { target: Some((scheduler, id)), cancelled: Cell::new(false) }
    }

    /// The handle of a callback that was never scheduled.
    pub(crate) fn dead() -> Self {
        Self { target: None, cancelled: Cell::new(false) }
    }

    /// Calls it off, and at once drops the closure with all it captured (H-2).
    ///
    /// True if that kept it from running. Idempotent; harmless after it ran, and from inside the
    /// callback itself (H-4).
    pub fn cancel(&self) -> bool {
        let prevented = match &self.target {
            Some((scheduler, id)) => scheduler.upgrade().is_some_and(|s| s.cancel(*id)),
            None => false,
        };
        if prevented {
            self.cancelled.set(true);
        }
        prevented
    }

    /// Whether [`cancel`](Handle::cancel) kept it from running. Cancelling after the run does not
    /// count (H-3).
    pub fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Where the callback stands.
    pub fn state(&self) -> HandleState {
        if self.cancelled.get() {
            return HandleState::Cancelled;
        }
        let pending = match &self.target {
            Some((scheduler, id)) => scheduler.upgrade().is_some_and(|s| s.is_pending(*id)),
            None => false,
        };
        if pending { HandleState::Pending } else { HandleState::Done }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.state())
    }
}

/// The right to call off or move a timer. As [`Handle`], with the deadline.
pub struct TimerHandle {
    handle: Handle,
    when: Cell<Instant>,
}

impl TimerHandle {
    /// A handle for the timer `id` of `scheduler`. For implementers of [`Scheduler`].
    #[inline]
    pub fn new(scheduler: Weak<dyn Scheduler>, id: CallbackId, when: Instant) -> Self {
        Self { handle: Handle::new(scheduler, id), when: Cell::new(when) }
    }

    /// The handle of a timer that was never armed.
    pub(crate) fn dead(when: Instant) -> Self {
        Self { handle: Handle::dead(), when: Cell::new(when) }
    }

    /// As [`Handle::cancel`].
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// As [`Handle::cancelled`].
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// As [`Handle::state`].
    pub fn state(&self) -> HandleState {
        self.handle.state()
    }

    /// The deadline; it stays readable after the timer fired or was cancelled (H-14).
    pub fn when(&self) -> Instant {
        self.when.get()
    }

    /// Moves the deadline to `when`, and says whether that was possible: false once the callback
    /// ran or was cancelled (H-17). Cheaper than cancelling and arming anew.
    pub fn reschedule(&self, when: Instant) -> bool {
        let Some((scheduler, id)) = &self.handle.target else { return false };
        let moved = scheduler.upgrade().is_some_and(|s| s.reschedule(*id, when));
        if moved {
            self.when.set(when);
        }
        moved
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerHandle({:?}, when {})", self.state(), self.when())
    }
}
