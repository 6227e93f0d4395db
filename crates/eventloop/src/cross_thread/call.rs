//! One call for a loop from another thread, and the right to call it off.
//!
//! A call is one allocation, shared by the inbox and the handle: its stage and, while it is
//! pending, the closure. Run, cancel and abandon each try to move it on from `Pending`; exactly one
//! succeeds and takes the closure out with it, so the closure is run or dropped once, always with
//! the lock released. Nobody waits for anybody: the lock covers the move of the stage only.

use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::sync::Arc;

use super::inbox::Inbox;
use super::sync::{Mutex, lock};

/// The handle of a call that was given to a loop from any thread (H-8).
///
/// Dropping it does not cancel; clones speak of the same call. All methods can be used from any
/// thread, from inside the callback too, and never wait.
#[derive(Clone)]
pub struct ThreadsafeCall {
    slot: Arc<dyn Cancel>,
}

/// Where a call is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallState {
    /// The loop has yet to come to it.
    Pending,
    /// It runs now, on the loop's thread.
    Running,
    /// It ran; if it panicked, that counts too.
    Done,
    /// It was cancelled before it ran, and never will run.
    Cancelled,
    /// The loop was closed before it ran, and it never will run.
    Dropped,
}

/// What [`ThreadsafeCall::cancel`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelAnswer {
    /// It never runs: this cancel, or an earlier one, came in time.
    Cancelled,
    /// Too late: it runs at this moment, perhaps further up on this very stack. It is not stopped.
    Running,
    /// Too late: it has run.
    Done,
    /// It never runs: the loop was closed first.
    Dropped,
}

/// A call that a closed loop refused. It holds the callback, which was neither run nor dropped.
pub struct CallRefused<F> {
    callback: F,
}

/// What can be put into a loop's inbox, to be run there once.
pub(crate) trait Posted: Send + Sync {
    /// Does the work, on the loop's thread. A panic of user code passes through.
    fn run(&self);
    /// The loop closed first, and `run` will not be called. Frees what the work would have used.
    fn abandon(&self);
    /// Where it was posted.
    fn location(&self) -> &'static Location<'static>;
}

/// Something posted on its way through the loop: run, or else abandoned when dropped.
pub(crate) struct Delivery {
    posted: Option<Arc<dyn Posted>>, // None once it ran
}

trait Cancel: Send + Sync {
    fn cancel(&self) -> CancelAnswer;
    fn state(&self) -> CallState;
    fn location(&self) -> &'static Location<'static>;
}

struct Slot<F> {
    stage: Mutex<Stage<F>>,
    location: &'static Location<'static>,
}

enum Stage<F> {
    Pending(F),
    Running,
    Done,
    Cancelled,
    Dropped,
}

impl ThreadsafeCall {
    /// Gives `callback` to the loop that owns `inbox`.
    pub(super) fn post<F>(
        inbox: &Inbox<Delivery>,
        callback: F,
        location: &'static Location<'static>,
    ) -> Result<Self, CallRefused<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let slot = Arc::new(Slot { stage: Mutex::new(Stage::Pending(callback)), location });
        match inbox.post(Delivery::new(Arc::clone(&slot) as Arc<dyn Posted>)) {
            Ok(()) => Ok(Self { slot }),
            Err(_refused) => {
                let callback = slot.leave_pending(Stage::Dropped);
                Err(CallRefused { callback: callback.expect("nobody else knows this call yet") })
            }
        }
    }

    /// Calls the callback off, if it has not begun. Never waits and may be repeated.
    ///
    /// If it came in time, the callback and all it captured are dropped at once, on this thread.
    pub fn cancel(&self) -> CancelAnswer {
        self.slot.cancel()
    }

    /// True only if a cancel prevented the run (H-3).
    pub fn cancelled(&self) -> bool {
        self.state() == CallState::Cancelled
    }

    /// Where the call is now. Unless it is settled, that may be old news on arrival.
    pub fn state(&self) -> CallState {
        self.slot.state()
    }

    /// Where the call was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.slot.location()
    }
}

impl fmt::Debug for ThreadsafeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadsafeCall")
            .field("state", &self.state())
            .field("location", &format_args!("{}", self.location()))
            .finish()
    }
}

impl<F> CallRefused<F> {
    /// The callback that the loop would not take.
    pub fn into_callback(self) -> F {
        self.callback
    }
}

impl<F> fmt::Debug for CallRefused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRefused").finish_non_exhaustive()
    }
}

impl<F> fmt::Display for CallRefused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot give a call to the event loop: it is closed")
    }
}

impl<F> Error for CallRefused<F> {}

impl Delivery {
    pub(crate) fn new(posted: Arc<dyn Posted>) -> Self {
        Self { posted: Some(posted) }
    }

    /// Does the work. A panic of user code passes through; the work counts as done then.
    pub(crate) fn run(mut self) {
        if let Some(posted) = self.posted.take() {
            posted.run();
        }
    }

    /// Where it was posted.
    pub(crate) fn location(&self) -> Option<&'static Location<'static>> {
        self.posted.as_ref().map(|posted| posted.location())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(posted) = self.posted.take() {
            posted.abandon();
        }
    }
}

impl<F> Slot<F> {
    /// Moves on from `Pending` and takes the closure out; `None`, and no change, if somebody else
    /// was first.
    fn leave_pending(&self, next: Stage<F>) -> Option<F> {
        let mut stage = lock(&self.stage);
        match mem::replace(&mut *stage, next) {
            Stage::Pending(callback) => Some(callback),
            settled => {
                *stage = settled;
                None
            }
        }
    }
}

impl<F: FnOnce() + Send> Posted for Slot<F> {
    fn run(&self) {
        let Some(callback) = self.leave_pending(Stage::Running) else { return };
        let _also_after_a_panic = DoneOnDrop(self);
        callback();
    }

    fn abandon(&self) {
        drop(self.leave_pending(Stage::Dropped));
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl<F: Send> Cancel for Slot<F> {
    fn cancel(&self) -> CancelAnswer {
        drop(self.leave_pending(Stage::Cancelled));
        match *lock(&self.stage) {
            Stage::Pending(_) => unreachable!("nothing leads back to pending"),
            Stage::Running => CancelAnswer::Running,
            Stage::Done => CancelAnswer::Done,
            Stage::Cancelled => CancelAnswer::Cancelled,
            Stage::Dropped => CancelAnswer::Dropped,
        }
    }

    fn state(&self) -> CallState {
        match *lock(&self.stage) {
            Stage::Pending(_) => CallState::Pending,
            Stage::Running => CallState::Running,
            Stage::Done => CallState::Done,
            Stage::Cancelled => CallState::Cancelled,
            Stage::Dropped => CallState::Dropped,
        }
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

struct DoneOnDrop<'a, F>(&'a Slot<F>);

impl<F> Drop for DoneOnDrop<'_, F> {
    fn drop(&mut self) {
        *lock(&self.0.stage) = Stage::Done;
    }
}
