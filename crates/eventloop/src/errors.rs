//! Why a loop could not be run, closed, or given a signal handler.

use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;

/// A run that was refused, failed, or ended too early.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// This loop is running already (L-12).
    AlreadyRunning,
    /// Another loop is running on this thread (L-12).
    AnotherIsRunning,
    /// The loop is closed (L-26).
    Closed,
    /// The future belongs to another loop (L-13).
    OtherLoop,
    /// `stop` ended the run before the future was done (L-14).
    Stopped,
    /// On a stepping clock: nothing is scheduled, and nothing came from outside.
    WouldSleepForEver,
    /// The poller failed.
    Poll(io::Error),
    /// A future or task failed and nobody could ask for it any more, which was to end the run
    /// ([`UnretrievedFailure::Stop`](crate::UnretrievedFailure::Stop)).
    UnretrievedFailure(Exception),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunError::AlreadyRunning => "this event loop is already running",
            RunError::AnotherIsRunning => "another event loop is running on this thread",
            RunError::Closed => "the event loop is closed",
            RunError::OtherLoop => "the future belongs to another event loop",
            RunError::Stopped => "the event loop was stopped before the future was done",
            RunError::WouldSleepForEver => {
                "nothing is scheduled and nothing came from outside: the loop would sleep for ever"
            }
            RunError::Poll(_) => "polling for I/O failed",
            RunError::UnretrievedFailure(_) => "a failure was never retrieved",
        })
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Poll(error) => Some(error),
            RunError::UnretrievedFailure(exception) => Some(exception.as_error()),
            RunError::AlreadyRunning
            | RunError::AnotherIsRunning
            | RunError::Closed
            | RunError::OtherLoop
            | RunError::Stopped
            | RunError::WouldSleepForEver => None,
        }
    }
}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Poll(error) => error,
            other => io::Error::other(other),
        }
    }
}

/// SIGINT ended the main coroutine of a [`run`](crate::run()): Python's `KeyboardInterrupt`, as a value
/// (T-85).
///
/// # Examples
/// A program that leaves when it is interrupted, so that the shell that started it knows why:
/// ```
/// use tulipa_eventloop::{Interrupted, run};
/// let outcome = run(async { Ok("served") });
/// if let Err(error) = &outcome
///     && let Some(interrupted) = error.downcast_ref::<Interrupted>()
/// {
///     eprintln!("{error}");
///     interrupted.kill_process();
/// }
/// # Ok::<(), futures::Exception>(())
/// ```
#[doc(alias = "KeyboardInterrupt")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interrupted {}

impl Interrupted {
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Ends this process as SIGINT does by default, without another destructor being run: whoever
    /// started it sees that it died of the signal, and a shell ends its script. If the system does not
    /// let it, the exit status is 130, which is how shells write that.
    pub fn kill_process(&self) -> ! {
        // It only returns if it failed.
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
        std::process::exit(130)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted by SIGINT")
    }
}

impl Error for Interrupted {}

/// A loop cannot be closed while it is running (L-24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseError;

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a running event loop cannot be closed")
    }
}

impl Error for CloseError {}

/// A signal handler that could not be set (G-2).
#[derive(Debug)]
#[non_exhaustive]
pub enum SignalError {
    /// There is no such signal.
    Unknown(i32),
    /// The signal cannot be caught (SIGKILL, SIGSTOP), or must not be (SIGSEGV and the like).
    Uncatchable(i32),
    /// The loop is closed (L-26).
    Closed,
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignalError::Unknown(signal) => write!(f, "{signal} is not a signal"),
            SignalError::Uncatchable(signal) => write!(f, "signal {signal} cannot be caught"),
            SignalError::Closed => f.write_str("the event loop is closed"),
            SignalError::System(_) => f.write_str("the signal handler could not be installed"),
        }
    }
}

impl Error for SignalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SignalError::System(error) => Some(error),
            SignalError::Unknown(_) | SignalError::Uncatchable(_) | SignalError::Closed => None,
        }
    }
}
