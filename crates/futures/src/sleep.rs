//! [`sleep`] and [`sleep_until`]: waiting for the clock.

use crate::current::current;
use crate::yield_now::{YieldNow, yield_now};
use crate::{Exception, Future, Instant, SchedulerExt, TimerHandle};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Waits for `duration`, counted from the first poll; zero yields once (T-31).
///
/// It may take longer, never shorter (H-9). Dropping it, or cancelling the task, cancels the timer.
///
/// # Errors
/// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile.
///
/// # Panics
/// If it is polled outside of a loop.
///
/// # Examples
/// ```
/// # async fn example() -> Result<(), tulipa_futures::Exception> {
/// tulipa_futures::sleep(std::time::Duration::from_millis(20)).await?;
/// # Ok(()) }
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { stage: Stage::For(duration) }
}

/// Waits until the loop's clock has reached `when`; a time in the past yields once.
///
/// # Errors
/// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile.
///
/// # Panics
/// If it is polled outside of a loop.
pub fn sleep_until(when: Instant) -> Sleep {
    Sleep { stage: Stage::Until(when) }
}

/// What [`sleep`] and [`sleep_until`] return.
#[must_use = "it sleeps when it is awaited"]
pub struct Sleep {
    stage: Stage,
}

enum Stage {
    For(Duration),
    Until(Instant),
    Yielding(YieldNow),
    Waiting { over: Future<()>, timer: TimerHandle },
}

impl std::future::Future for Sleep {
    type Output = Result<(), Exception>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                Stage::Yielding(turn) => return Pin::new(turn).poll(context),
                Stage::Waiting { over, timer } => {
                    let polled = Pin::new(over).poll(context);
                    if matches!(polled, Poll::Ready(Err(_))) {
                        timer.cancel();
                    }
                    return polled;
                }
                Stage::For(Duration::ZERO) => self.stage = Stage::Yielding(yield_now()),
                Stage::For(duration) => {
                    let duration = *duration;
                    self.stage = Stage::Until(current().time() + duration);
                }
                Stage::Until(when) => {
                    let (scheduler, when) = (current(), *when);
                    if when <= scheduler.time() {
                        self.stage = Stage::Yielding(yield_now());
                        continue;
                    }
                    let over = scheduler.create_future();
                    let alarm = over.clone();
                    let timer = scheduler.call_at(when, move || {
                        // Cancelled with its task: then nobody waits any more.
                        let _ = alarm.try_set_result(());
                    });
                    self.stage = Stage::Waiting { over, timer };
                }
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Stage::Waiting { timer, .. } = &self.stage {
            timer.cancel();
        }
    }
}
