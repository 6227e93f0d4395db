//! [`Completion`]: what a loop can be run for, and how that is waited for.

use crate::{AbstractEventLoop, RunError, try_current};
use futures::{CallbackToken, Exception, Future, PanicError, Task};
use std::cell::Cell;
use std::rc::Rc;

/// What [`run_until_complete`](crate::AbstractEventLoopExt::run_until_complete) waits for: a future
/// or a task.
pub trait Completion {
    /// What it gives.
    type Output: 'static;

    /// It as a future.
    fn as_future(&self) -> &Future<Self::Output>;

    /// What came of it, once it is done.
    ///
    /// # Errors
    /// Its exception.
    fn take_outcome(&self) -> Result<Self::Output, Exception>;
}

impl<T: Clone + 'static> Completion for Future<T> {
    type Output = T;

    fn as_future(&self) -> &Future<T> {
        self
    }

    /// A copy of the value.
    fn take_outcome(&self) -> Result<T, Exception> {
        self.result()
    }
}

impl<T: 'static> Completion for Task<T> {
    type Output = T;

    fn as_future(&self) -> &Future<T> {
        Task::as_future(self)
    }

    /// The value itself, as awaiting the task gives it.
    fn take_outcome(&self) -> Result<T, Exception> {
        self.take()
    }
}

/// Why `event_loop` cannot be run here and now, if it cannot (L-12).
pub(crate) fn check_runnable<L>(event_loop: &L) -> Result<(), RunError>
where
    L: AbstractEventLoop + ?Sized,
{
    if event_loop.is_closed() {
        Err(RunError::Closed)
    } else if event_loop.is_running() {
        Err(RunError::AlreadyRunning)
    } else if try_current().is_some() {
        Err(RunError::AnotherIsRunning)
    } else {
        Ok(())
    }
}

/// Runs until `future` is done.
pub(crate) fn run_until_done<L, T>(event_loop: &L, future: &Future<T>) -> Result<(), Exception>
where
    L: AbstractEventLoop + ?Sized,
    T: 'static,
{
    if future.scheduler_id() != event_loop.id() {
        return Err(RunError::OtherLoop.into());
    }
    let owned = event_loop.to_event_loop();
    let waiting = Rc::new(Cell::new(true));
    let still_waiting = waiting.clone();
    let token = future.add_done_callback(move |_| {
        if still_waiting.get() {
            owned.stop();
        }
    });
    let waits = Waits { future, token, waiting: &waiting };
    let outcome = event_loop.run_forever();
    drop(waits);
    match outcome {
        Ok(()) if future.done() => Ok(()),
        Ok(()) => Err(RunError::Stopped.into()),
        Err(RunError::UnretrievedFailure(failure)) => Err(failure),
        Err(error) => Err(error.into()),
    }
}

/// Goes on with the panic that `exception` holds, if it is one and nobody has done so.
pub(crate) fn resume_panic(exception: &Exception) {
    if let Some(panic) = exception.downcast_ref::<PanicError>()
        && let Some(payload) = panic.take_payload()
    {
        std::panic::resume_unwind(payload);
    }
}

/// A run waits for a future, until this is dropped, however the run ends (L-15).
struct Waits<'a, T: 'static> {
    future: &'a Future<T>,
    token: CallbackToken,
    waiting: &'a Cell<bool>,
}

impl<T: 'static> Drop for Waits<'_, T> {
    fn drop(&mut self) {
        // What is queued cannot be taken back, but it must not stop another run.
        self.waiting.set(false);
        self.future.remove_done_callback(self.token);
    }
}

/// A task that a run made for itself. However the run ends, what became of the task counts as seen
/// (L-16).
pub(crate) struct MadeHere<'a, T: 'static>(pub(crate) &'a Task<T>);

impl<T: 'static> Drop for MadeHere<'_, T> {
    fn drop(&mut self) {
        if self.0.done() {
            // Asked for, that is all.
            drop(self.0.exception());
        }
    }
}
