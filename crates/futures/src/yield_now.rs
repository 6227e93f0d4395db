//! [`yield_now`]: one turn for the others.

use crate::future::{CallbackToken, next_token};
use crate::task::coroutines::{self, CancelRequest, CoroutineId, Waited};
use crate::task::{WakeTarget, running};
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
    /// The turn is queued; where the wait is noted, if a coroutine of ours waits.
    Queued(Option<(CoroutineId, CallbackToken)>),
    Ended,
}

impl std::future::Future for YieldNow {
    type Output = Result<(), Exception>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &self.stage {
            Stage::New => {
                let noted = running::coroutine().map(|id| (id, next_token()));
                if let Some((id, token)) = noted {
                    coroutines::begin_wait(id, token, Waited::Turn);
                }
                self.stage = Stage::Queued(noted);
                WakeTarget::of(context.waker()).wake();
                Poll::Pending
            }
            Stage::Queued(noted) => {
                let request = noted.and_then(|(id, _)| coroutines::take_request(id));
                self.leave();
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
    fn leave(&mut self) {
        if let Stage::Queued(Some((id, token))) = std::mem::replace(&mut self.stage, Stage::Ended) {
            drop(coroutines::end_wait(id, token));
        }
    }
}

impl Drop for YieldNow {
    fn drop(&mut self) {
        self.leave();
    }
}
