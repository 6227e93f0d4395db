//! [`wait_for`]: waiting for something, but not for ever.

use super::handles::is_handle;
use crate::timeout::{Patience, Timeout};
use crate::{Exception, TimeoutError};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// Waits for `awaitable` for at most `limit`, counted from the first poll; `None` is no limit (T-39).
///
/// When the time is up, `awaitable` is cancelled, and waited for until it has really ended: a task may
/// clean up for as long as it likes. If it was done by then or returns a value all the same, that is
/// the result, and if it fails in another way, that is the error (T-41, T-43): unlike asyncio's, this
/// function never gives a [`TimeoutError`] for something that is done.
///
/// A coroutine runs in place, as a part of the calling task, and may borrow; a [`Task`](crate::Task)
/// or [`Future`](crate::Future) runs where it runs, and is cancelled by its handle. With a limit of
/// zero, one of these that is done already gives its outcome, and a coroutine is not even started
/// (T-40).
///
/// If the calling task is cancelled, `awaitable` is, and the cancellation goes on once that has ended.
/// A task that ended well in the same iteration keeps its value then: whoever needs it keeps a handle
/// (T-42).
///
/// # Errors
/// What `awaitable` fails with, also [`CancelledError`](crate::CancelledError) if somebody else
/// cancelled it (T-45); [`TimeoutError`], with the cancellation as its source.
///
/// # Panics
/// If it is polled outside of a loop.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, Task, wait_for};
/// # use std::time::Duration;
/// # async fn example(mut download: Task<String>) -> Result<(), Exception> {
/// let page = wait_for(&mut download, Duration::from_secs(10)).await?;
/// # Ok(()) }
/// ```
pub async fn wait_for<T>(
    awaitable: impl Future<Output = Result<T, Exception>>,
    limit: impl Into<Option<Duration>>,
) -> Result<T, Exception> {
    let body = pin!(Some(awaitable));
    let limit = limit.into();
    let patience = match limit {
        Some(Duration::ZERO) if !is_handle_of(&body) => {
            return Err(TimeoutError::new("there was no time to start").into());
        }
        Some(Duration::ZERO) => Patience::FirstTurn,
        _ => Patience::LastTurn,
    };
    Timeout::new(limit).run_pinned(body, patience).await
}

/// [`is_handle`] of the type of a value that has no name.
fn is_handle_of<F: Future>(_body: &Option<F>) -> bool {
    is_handle::<F>()
}
