//! What other threads may do to a loop: give it calls, stop it, wake it (L-31).
//!
//! ```text
//! other threads                    the loop's thread
//! ThreadsafeHandle ── post ──┐
//! wakers of tasks ─── post ──┼──►  Inbox ── collect ──►  Batch ── run_next ──►  the callback
//! signal handlers, stop ─────┘       └── Wake: at most one a sleep
//! ThreadsafeCall ── cancel ──────►  the entry, wherever it waits, by its number
//! ```
//!
//! [`inbox`] holds the protocol of sleeping and waking, [`calls`] the life of a call. Both are
//! written over [`sync`], so that loom explores the very code that ships.
//!
//! Invariant: what was accepted is run once by the loop, or dropped with it, or was cancelled; and
//! the caller can ask which. User code, destructors included, never runs under a lock.

mod call;
mod calls;
mod inbox;
mod sent_callback;
mod sync;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

pub use call::{CallRefused, CallState, CancelAnswer, ThreadsafeCall};
pub(crate) use calls::Calls;
pub(crate) use inbox::Signaller;
pub use inbox::Wake;

/// The right to reach a loop from any thread: it can be sent, shared and cloned.
///
/// It does not keep the loop alive. Once the loop is closed it is inert: calls are refused, a stop
/// does nothing.
///
/// # Examples
///
/// ```no_run
/// # fn example(loop_handle: tulipa_eventloop::ThreadsafeHandle) {
/// std::thread::spawn(move || {
///     let answer = 6 * 7; // something that takes long
///     let posted = loop_handle.call_soon_threadsafe(move || println!("{answer}"));
///     if let Err(refused) = posted {
///         eprintln!("nobody is left to tell: {refused}");
///     }
/// });
/// # }
/// ```
#[derive(Clone)]
pub struct ThreadsafeHandle {
    calls: Arc<Calls>,
}

impl ThreadsafeHandle {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Self { calls }
    }

    /// Runs `callback` once, soon, on the loop's thread, and wakes the loop if it sleeps.
    ///
    /// Calls from one thread run in the order they were made (L-31). It may be used from any
    /// thread, the loop's own included, and never waits for the loop. Dropping the
    /// [`ThreadsafeCall`] does not cancel. A callback that the loop accepted but never came to,
    /// because it was closed, is dropped on the loop's thread; [`ThreadsafeCall::state`] tells.
    ///
    /// # Errors
    ///
    /// The loop is closed (L-34). The callback comes back inside the error, neither run nor dropped.
    #[track_caller]
    #[inline]
    pub fn call_soon_threadsafe<F>(&self, callback: F) -> Result<ThreadsafeCall, CallRefused<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        ThreadsafeCall::post(&self.calls, Location::caller(), callback)
    }

    /// Asks the loop to stop, as its own `stop` would; calls that this thread gave it before still
    /// run first. On a closed loop, nothing happens.
    pub fn stop(&self) {
        self.calls.inbox().request_stop();
    }

    /// Whether the loop has been closed. Once true, it stays so.
    pub fn is_closed(&self) -> bool {
        self.calls.inbox().is_closed()
    }
}

impl fmt::Debug for ThreadsafeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadsafeHandle").field("is_closed", &self.is_closed()).finish()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
