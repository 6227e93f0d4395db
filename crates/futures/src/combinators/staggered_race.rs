//! [`staggered_race`]: attempts that begin one after the other, until one succeeds.

use super::race::contest::{Contest, FirstToSucceed, Stage, asked_from_outside};
use super::race::{Arm, Contestant};
use crate::{Exception, sleep};
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::Duration;

/// Starts the attempts one after the other, until one succeeds: the next begins when the last one has
/// failed or when `delay` has passed since it began; with `None`, only when it has failed (T-88).
///
/// The first success wins, in doubt that of the earlier attempt. The others are cancelled, and waited
/// for until they have ended. All run in place, as parts of the calling task, and may borrow; an
/// attempt is called when it begins, and those that are not needed are never asked for. Connecting to
/// a host with many addresses is done so ("happy eyeballs").
///
/// Cancelling the calling task cancels all attempts, and no other begins.
///
/// # Errors
/// [`CancelledError`](crate::CancelledError) if the calling task was cancelled, and no attempt
/// succeeded in spite of that. Failures are no error of the race: see
/// [`StaggeredRace::exceptions`].
///
/// # Panics
/// If it is polled outside of a loop, with a delay.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, staggered_race};
/// # use std::time::Duration;
/// # async fn connect(address: &str) -> Result<u32, Exception> { Ok(0) }
/// # async fn example() -> Result<(), Exception> {
/// let addresses = ["::1", "127.0.0.1"];
/// let attempts = addresses.iter().map(|address| move || connect(address));
/// let race = staggered_race(attempts, Duration::from_millis(250)).await?;
/// match race.winner {
///     Some((index, _connection)) => println!("connected to {}", addresses[index]),
///     None => println!("no luck: {:?}", race.exceptions),
/// }
/// # Ok(()) }
/// ```
pub async fn staggered_race<T, A, F>(
    attempts: impl IntoIterator<Item = A>,
    delay: impl Into<Option<Duration>>,
) -> Result<StaggeredRace<T>, Exception>
where
    A: FnOnce() -> F,
    F: Future<Output = Result<T, Exception>>,
{
    let mut attempts = attempts.into_iter().fuse();
    let delay = delay.into();
    let mut contest = Contest::new(FirstToSucceed);
    let mut arms = Vec::new();
    // In a branch of its own, so that it takes no cancellation that is meant for the attempts.
    let mut pause = None;
    poll_fn(|context| {
        loop {
            let all_ended = contest.poll(&mut arms, context).is_ready();
            if contest.winner().is_some() || asked_from_outside(&arms) > 0 {
                pause = None;
                return if all_ended { Poll::Ready(()) } else { Poll::Pending };
            }
            let last_failed = arms.last().is_none_or(|arm: &Arm<_, _>| {
                matches!(arm.stage(), Stage::Failed | Stage::Cancelled)
            });
            if !last_failed && !is_over(pause.as_mut(), context) {
                return Poll::Pending;
            }
            match attempts.next() {
                Some(attempt) => {
                    arms.push(Arm::new(Box::pin(Some(attempt()))));
                    pause = delay.map(|delay| Arm::new(Box::pin(Some(sleep(delay)))));
                }
                None => {
                    pause = None;
                    return if all_ended { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        }
    })
    .await;
    if contest.winner().is_some() || asked_from_outside(&arms) > 0 {
        contest.conclude(&mut arms)?;
    }
    let mut race = StaggeredRace { winner: None, late: Vec::new(), exceptions: Vec::new() };
    // The last one may have come too late to begin.
    let began = arms.into_iter().filter(|arm| arm.stage() != Stage::New);
    for (index, arm) in began.enumerate() {
        let cancelled = arm.cancellation();
        let outcomes = arm.into_outcomes();
        let exception = match (outcomes.won, outcomes.late) {
            (Some(Ok(value)), _) => {
                race.winner = Some((index, value));
                None
            }
            (_, Some(Ok(value))) => {
                race.late.push((index, value));
                None
            }
            (Some(Err(exception)), _) | (_, Some(Err(exception))) => Some(exception),
            (None, None) => cancelled,
        };
        race.exceptions.push(exception);
    }
    Ok(race)
}

/// Whether the pause is over; one that was not asked for never is.
fn is_over(pause: Option<&mut impl Contestant>, context: &mut Context<'_>) -> bool {
    pause.is_some_and(|pause| {
        pause.poll(context);
        pause.stage() != Stage::Running
    })
}

/// How a [`staggered_race`] ended.
#[derive(Debug)]
pub struct StaggeredRace<T> {
    /// Which attempt succeeded first, and its value.
    pub winner: Option<(usize, T)>,
    /// The values of attempts that succeeded although they were cancelled.
    pub late: Vec<(usize, T)>,
    /// For each attempt that began, how it failed: a [`CancelledError`](crate::CancelledError) for one
    /// that lost, `None` for one that succeeded.
    pub exceptions: Vec<Option<Exception>>,
}
