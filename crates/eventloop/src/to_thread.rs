//! [`to_thread`]: a call that blocks, as something to await.

use crate::{AbstractEventLoopExt, current};
use futures::{Exception, Future};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs `function` in a thread of the current loop's default executor, and waits for its value (T-32,
/// E-12). The value is moved, so it need not be `Clone`.
///
/// Nothing happens before it is awaited. Cancelling the task that waits, or dropping this, removes a
/// job that has not started; one that runs is not interrupted, and its outcome is dropped (E-4).
///
/// Task-local values do not go along, unlike in asyncio: they may be of types that must not leave
/// their thread. What `function` needs of them it takes by capture.
///
/// # Errors
/// A panic of `function`, as a [`PanicError`](futures::PanicError); refusals of the executor (its queue
/// is full, it was shut down); [`CancelledError`](futures::CancelledError).
///
/// # Panics
/// If it is polled outside of a loop.
///
/// # Examples
/// ```
/// use tulipa_eventloop::{run, to_thread};
/// let sum = run(async {
///     let numbers = vec![1, 2, 3];
///     to_thread(move || numbers.iter().sum::<u32>()).await
/// })?;
/// assert_eq!(sum, 6);
/// # Ok::<(), futures::Exception>(())
/// ```
pub async fn to_thread<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Exception> {
    // The loop's future gives copies to who awaits it: of the place, where the value is moved out.
    let place = Arc::new(Mutex::new(None));
    let filled = place.clone();
    let job = current().run_in_executor(None, move || {
        let value = function();
        *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    });
    let job = CancelOnDrop(job);
    job.0.clone().await?;
    let value = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(value.expect("a job that is done has left its value"))
}

/// Nobody waits any more: a job that has not started is not wanted.
struct CancelOnDrop(Future<()>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
