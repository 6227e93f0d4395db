//! [`race`]: the first of many, without losing what the others have.

pub(super) mod contest;

pub use contest::{Arm, Contestant, Outcomes, contest};

use crate::Exception;
use std::future::Future;

/// Runs `alternatives` side by side until the first one ends, then cancels the others.
///
/// They run in place, as parts of the calling task, and may borrow. In each turn they are polled in
/// their order, so of two that end in the same turn the first wins, and those behind a winner that
/// does not wait at all are never started. Put what must not be missed, such as the end of it all,
/// first.
///
/// The losers are cancelled and *waited for*: each may clean up, awaiting what it needs. What they
/// wait for gives its items back (S-32), so nothing is lost by losing. A loser that ends with a value
/// or a failure all the same finds it in [`Race::late`]. So does a task or future that was done too;
/// give `&mut task` to keep a handle. Foreign futures cannot be told and are dropped.
///
/// Cancelling the calling task cancels all alternatives, and the race ends when all have. If one ends
/// with a value in spite of that, it has won.
///
/// # Errors
/// [`CancelledError`](crate::CancelledError) if the calling task was cancelled, and all alternatives
/// with it; an [`Exception`] if there are no alternatives. A winner that fails is no error of the
/// race: see [`Race::outcome`].
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, race, sleep};
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Exception> {
/// let race = race([30, 10, 20].map(|milliseconds| async move {
///     sleep(Duration::from_millis(milliseconds)).await?;
///     Ok(milliseconds)
/// }));
/// let race = race.await?;
/// assert_eq!((race.winner, race.outcome?), (1, 10));
/// assert!(race.late.is_empty());
/// # Ok(()) }
/// ```
pub async fn race<T, F: Future<Output = Result<T, Exception>>>(
    alternatives: impl IntoIterator<Item = F>,
) -> Result<Race<T>, Exception> {
    let arms = alternatives.into_iter().map(|future| Arm::new(Box::pin(Some(future))));
    let mut arms: Vec<_> = arms.collect();
    contest(&mut arms).await?;
    let mut won = None;
    let mut late = Vec::new();
    for (index, arm) in arms.into_iter().enumerate() {
        let outcomes = arm.into_outcomes();
        won = won.or(outcomes.won.map(|outcome| (index, outcome)));
        late.extend(outcomes.late.map(|outcome| (index, outcome)));
    }
    let (winner, outcome) = won.ok_or_else(|| Exception::msg("a race without a winner"))?;
    Ok(Race { winner, outcome, late })
}

/// How a [`race`] ended.
#[derive(Debug)]
pub struct Race<T> {
    /// Which alternative ended first.
    pub winner: usize,
    /// How it ended.
    pub outcome: Result<T, Exception>,
    /// The losers that did not end cancelled, with what they ended with.
    pub late: Vec<(usize, Result<T, Exception>)>,
}
