//! [`yield_now`]: one turn for the others.

use crate::task::wait_set::{CancelRequest, WaitSet};
use crate::task::{running, wake_by_ref};
use crate::{CancelledError, Exception};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets everything that is ready run once before the task goes on: asyncio's `sleep(0)` (T-3).
///
/// # Errors
/// [`CancelledError`] if the task was cancelled meanwhile.
///
/// # Examples
/// ```
/// # async fn example() -> Result<(), tulipa_futures::Exception> {
/// for _ in 0..1000 {
///     // a piece of a long computation
///     tulipa_futures::yield_now().await?;
/// }
/// # Ok(()) }
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { stage: Stage::New }
}

/// What [`yield_now`] returns.
#[derive(Debug)]
#[must_use = "it yields when it is awaited"]
pub struct YieldNow {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    New,
    /// The turn is queued, and noted with the coroutine that waits for it.
    Queued,
    Ended,
}

impl std::future::Future for YieldNow {
    type Output = Result<(), Exception>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Queued;
                running::with_wait_set(|wait_set| {
                    if let Some(wait_set) = wait_set {
                        wait_set.begin_turn();
                    }
                });
                wake_by_ref(context.waker());
                Poll::Pending
            }
            Stage::Queued => {
                let request = self.leave();
                Poll::Ready(match request {
                    Some(CancelRequest(message)) => Err(CancelledError::from(message).into()),
                    None => Ok(()),
                })
            }
            Stage::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl YieldNow {
    /// Ends the wait, and takes the cancellation that came meanwhile.
    #[inline]
    fn leave(&mut self) -> Option<CancelRequest> {
        self.stage = Stage::Ended;
        running::with_wait_set(|wait_set| {
            let wait_set = wait_set?;
            wait_set.end_turn();
            wait_set.take_request()
        })
    }
}

impl Drop for YieldNow {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Queued = self.stage {
            running::with_wait_set(|wait_set| wait_set.map(WaitSet::end_turn));
        }
    }
}
