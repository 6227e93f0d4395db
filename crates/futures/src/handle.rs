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
    /// `None` if the callback was never scheduled.
    scheduler: Option<Weak<dyn Scheduler>>,
    number: u64,
    // With `number` instead of a `CallbackId`, so that the handle is four words.
    is_timer: bool,
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
        let (number, is_timer) = match id {
            CallbackId::Soon(number) => (number, false),
            CallbackId::Timer(number) => (number, true),
        };
        Self { scheduler: Some(scheduler), number, is_timer, cancelled: Cell::new(false) }
    }

    /// The handle of a callback that was never scheduled.
    pub(crate) fn dead() -> Self {
        Self { scheduler: None, number: 0, is_timer: false, cancelled: Cell::new(false) }
    }

    /// The name of the callback within its scheduler; `None` if it was never scheduled. Any thread may
    /// hold it.
    pub fn id(&self) -> Option<CallbackId> {
        self.scheduler.as_ref()?;
        Some(match self.is_timer {
            true => CallbackId::Timer(self.number),
            false => CallbackId::Soon(self.number),
        })
    }

    /// Calls it off, and at once drops the closure with all it captured (H-2).
    ///
    /// True if that kept it from running. Idempotent; harmless after it ran, and from inside the
    /// callback itself (H-4).
    pub fn cancel(&self) -> bool {
        let prevented = self.ask(|scheduler, id| scheduler.cancel(id));
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
        match self.ask(|scheduler, id| scheduler.is_pending(id)) {
            true => HandleState::Pending,
            false => HandleState::Done,
        }
    }

    /// Asks the scheduler about the callback; false if either is gone.
    fn ask(&self, question: impl FnOnce(&dyn Scheduler, CallbackId) -> bool) -> bool {
        let Some(scheduler) = self.scheduler.as_ref().and_then(Weak::upgrade) else { return false };
        self.id().is_some_and(|id| question(&*scheduler, id))
    }
}

impl PartialEq for Handle {
    /// Whether both are for the same callback (H-15).
    fn eq(&self, other: &Self) -> bool {
        match (&self.scheduler, &other.scheduler) {
            (Some(own), Some(their)) => {
                let (own_id, their_id) =
                    ((self.number, self.is_timer), (other.number, other.is_timer));
                own_id == their_id && Weak::ptr_eq(own, their)
            }
            // Nothing was scheduled: such a handle equals itself only.
            (None, None) => std::ptr::eq(self, other),
            _ => false,
        }
    }
}

impl Eq for Handle {}

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

    /// As [`Handle::id`].
    pub fn id(&self) -> Option<CallbackId> {
        self.handle.id()
    }

    /// The deadline; it stays readable after the timer fired or was cancelled (H-14).
    pub fn when(&self) -> Instant {
        self.when.get()
    }

    /// Moves the deadline to `when`, and says whether that was possible: false once the callback
    /// ran or was cancelled (H-17). Cheaper than cancelling and arming anew.
    pub fn reschedule(&self, when: Instant) -> bool {
        let moved = self.handle.ask(|scheduler, id| scheduler.reschedule(id, when));
        if moved {
            self.when.set(when);
        }
        moved
    }
}

impl PartialEq for TimerHandle {
    /// Whether both are for the same timer. Compare [`when`](TimerHandle::when) for the order of
    /// their deadlines (H-15).
    fn eq(&self, other: &Self) -> bool {
        self.handle == other.handle
    }
}

impl Eq for TimerHandle {}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerHandle({:?}, when {})", self.state(), self.when())
    }
}
