//! [`yield_now`]: one turn for the others.

use crate::Exception;
use crate::task::wait_set::WaitSetId;
use crate::task::{running, wake_by_ref};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets everything that is ready run once before the task goes on: asyncio's `sleep(0)` (T-3).
///
/// # Errors
/// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile.
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
    /// The turn is queued, and noted in this wait set, if there is one.
    Queued(WaitSetId),
    Ended,
}

impl std::future::Future for YieldNow {
    type Output = Result<(), Exception>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Queued(running::with_wait_set(|wait_set| {
                    wait_set.map_or(WaitSetId::NONE, |wait_set| {
                        wait_set.begin_turn();
                        wait_set.id()
                    })
                }));
                wake_by_ref(context.waker());
                Poll::Pending
            }
            Stage::Queued(_) => {
                self.leave();
                match running::with_wait_set(|wait_set| wait_set?.take_request()) {
                    None => Poll::Ready(Ok(())),
                    Some(request) => Poll::Ready(Err(request.into_exception())),
                }
            }
            Stage::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl YieldNow {
    #[inline]
    fn leave(&mut self) {
        let Stage::Queued(noted) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        running::with_wait_set(|wait_set| match wait_set {
            Some(wait_set) if noted == wait_set.id() => wait_set.end_turn(),
            _ => {} // it was moved to another coroutine
        });
    }
}

impl Drop for YieldNow {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t3_a_coroutine_that_yields_may_be_one_for_other_threads() {
        fn assert_send<F: Send + Sync + Unpin + std::panic::UnwindSafe>(_: F) {}
        assert_send(yield_now());
    }
}
