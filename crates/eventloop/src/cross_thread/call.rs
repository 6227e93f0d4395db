//! [`ThreadsafeCall`]: the handle of a call from another thread, and what it can answer.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::calls::Calls;
use super::sync::AtomicBool;

/// The handle of a call that was given to a loop from any thread (H-8).
///
/// Dropping it does not cancel. All methods can be used from any thread, from inside the callback
/// too, and never wait for it. To cancel from several places, share it in an `Arc`.
pub struct ThreadsafeCall {
    calls: Arc<Calls>,
    number: u64,
    location: &'static Location<'static>,
    cancelled: AtomicBool,
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

impl ThreadsafeCall {
    /// Gives `callback` to the loop that owns `calls`.
    #[inline]
    pub(super) fn post<F>(
        calls: &Arc<Calls>,
        location: &'static Location<'static>,
        callback: F,
    ) -> Result<Self, CallRefused<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        match calls.post(location, callback) {
            Ok(number) => {
                let cancelled = AtomicBool::new(false);
                Ok(Self { calls: Arc::clone(calls), number, location, cancelled })
            }
            Err(callback) => Err(CallRefused { callback }),
        }
    }

    /// Calls the callback off, if it has not begun. Never waits and may be repeated.
    ///
    /// If it came in time, the callback and all it captured are dropped at once, on this thread.
    pub fn cancel(&self) -> CancelAnswer {
        self.calls.cancel(self.number, &self.cancelled)
    }

    /// True only if a cancel prevented the run (H-3).
    pub fn cancelled(&self) -> bool {
        self.state() == CallState::Cancelled
    }

    /// Where the call is now. Unless it is settled, that may be old news on arrival.
    pub fn state(&self) -> CallState {
        self.calls.state(self.number, &self.cancelled)
    }

    /// Where the call was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
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
