//! [`timeout`], [`timeout_at`] and [`Timeout`]: limits for a part of a task.
//!
//! The limited part is polled in place, as a [`Branch`] of the running task, so it may borrow. At the
//! deadline it is cancelled, once, and may still clean up. A cancellation of the task itself is never
//! taken for the time-out's: see [`Limited`].

mod limited;

pub(crate) use limited::Patience;

use crate::current::current;
use crate::{Exception, Instant, InvalidStateError, TimeoutError};
use limited::{Alarm, Limited};
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;

/// Runs `future` for at most `limit`, counted from the first poll; `None` is no limit (T-60).
///
/// The future runs in place, as a part of the calling task, and may borrow. When the time is up, what
/// it waits for is cancelled: its `.await` fails with [`CancelledError`](crate::CancelledError), and
/// it may clean up, however long that takes, before it ends. If it ends cancelled, that becomes a
/// [`TimeoutError`]; if it ends with a value or another error all the same, that is the result, so
/// that nothing is lost (T-64). A foreign future cannot be told: it is polled once more, and if it is
/// still not ready it is dropped.
///
/// It takes time itself: a future that never waits is not interrupted (T-65). Dropping it drops the
/// future and the timer. Limits may be nested (T-67). [`Timeout`] is the same with a deadline that
/// can be moved, [`timeout_value`] is for futures that do not return a `Result<T, Exception>`, and
/// [`wait_for`](crate::wait_for) for tasks.
///
/// In a loop but outside of a task, where a foreign executor polls, it works as well; only there is
/// no task that could be cancelled too.
///
/// # Errors
/// What `future` fails with; [`TimeoutError`], with the cancellation as its source; the
/// [`CancelledError`](crate::CancelledError) if somebody else cancelled the task as well (T-63).
///
/// # Panics
/// If it is polled outside of a loop.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, TimeoutError, sleep, timeout};
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Exception> {
/// let slow = async {
///     sleep(Duration::from_secs(3600)).await?;
///     Ok("rested")
/// };
/// match timeout(Duration::from_secs(1), slow).await {
///     Err(error) if error.is::<TimeoutError>() => println!("{error}"),
///     outcome => println!("{}", outcome?),
/// }
/// # Ok(()) }
/// ```
pub async fn timeout<T>(
    limit: impl Into<Option<Duration>>,
    future: impl Future<Output = Result<T, Exception>>,
) -> Result<T, Exception> {
    let body = pin!(Some(future));
    Timeout::new(limit).run_pinned(body, Patience::Strict).await
}

/// As [`timeout`], until the loop's clock has reached `when` (T-60).
///
/// # Errors
/// As [`timeout`].
///
/// # Panics
/// If it is polled outside of a loop.
pub async fn timeout_at<T>(
    when: impl Into<Option<Instant>>,
    future: impl Future<Output = Result<T, Exception>>,
) -> Result<T, Exception> {
    let body = pin!(Some(future));
    Timeout::at(when).run_pinned(body, Patience::Strict).await
}

/// As [`timeout`], for a future with an output of any kind: foreign ones above all.
///
/// Whatever `future` returns is the value, also when it was cancelled before: only a future that had
/// to be dropped has timed out.
///
/// # Errors
/// [`TimeoutError`] if it was dropped at the deadline; [`CancelledError`](crate::CancelledError) if
/// it was dropped because the task was cancelled.
///
/// # Panics
/// If it is polled outside of a loop.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, timeout_value};
/// # async fn example() -> Result<(), Exception> {
/// let foreign = std::future::ready(7);
/// assert_eq!(timeout_value(std::time::Duration::from_secs(1), foreign).await?, 7);
/// # Ok(()) }
/// ```
pub async fn timeout_value<T>(
    limit: impl Into<Option<Duration>>,
    future: impl Future<Output = T>,
) -> Result<T, Exception> {
    let mut body = pin!(Some(future));
    let limit = Timeout::new(limit);
    let mut limited = limit.enter(Patience::Strict)?;
    let end = poll_fn(|context| limited.poll(body.as_mut(), context)).await;
    limited.conclude_value(end)
}

/// A limit that can be asked about, and moved while it runs (T-66).
///
/// [`run`](Timeout::run) puts it around a future, once; everything else may be called at any time,
/// from inside of that future too. [`timeout`] says what happens at the deadline.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, SchedulerExt, Timeout, current, sleep};
/// # use std::time::Duration;
/// # async fn next_chunk() -> Result<Option<u8>, Exception> { Ok(None) }
/// # async fn example() -> Result<(), Exception> {
/// // No longer than a second between two chunks, however many there are.
/// let silence = Timeout::new(Duration::from_secs(1));
/// let outcome = silence
///     .run(async {
///         while let Some(_chunk) = next_chunk().await? {
///             silence.reschedule(current().time() + Duration::from_secs(1))?;
///         }
///         Ok(())
///     })
///     .await;
/// if silence.expired() {
///     println!("nothing came for a second");
/// }
/// # outcome }
/// ```
pub struct Timeout {
    limit: Cell<Limit>,
    state: Cell<State>,
    alarm: Cell<Option<Alarm>>,
}

#[derive(Clone, Copy)]
enum Limit {
    None,
    /// From the moment at which it is entered.
    Within(Duration),
    At(Instant),
}

#[derive(Clone, Copy)]
enum State {
    Created,
    /// The alarm may have rung.
    Entered,
    /// The block was left, in time or not.
    Left {
        expired: bool,
    },
}

impl Timeout {
    /// A limit of this length, counted from when it is entered; `None` is none, for now.
    pub fn new(limit: impl Into<Option<Duration>>) -> Self {
        Self::with(limit.into().map_or(Limit::None, Limit::Within))
    }

    /// A limit that ends when the loop's clock has reached `when`; `None` is none, for now.
    pub fn at(when: impl Into<Option<Instant>>) -> Self {
        Self::with(when.into().map_or(Limit::None, Limit::At))
    }

    fn with(limit: Limit) -> Self {
        Self { limit: Cell::new(limit), state: Cell::new(State::Created), alarm: Cell::new(None) }
    }

    /// Runs `future` under this limit, as [`timeout`] does.
    ///
    /// # Errors
    /// As [`timeout`], and [`InvalidStateError`] if it was entered before (T-61).
    ///
    /// # Panics
    /// If it is polled outside of a loop.
    pub async fn run<T>(
        &self,
        future: impl Future<Output = Result<T, Exception>>,
    ) -> Result<T, Exception> {
        let body = pin!(Some(future));
        self.run_pinned(body, Patience::Strict).await
    }

    /// As [`run`](Timeout::run). The body stays where the caller has it, so that nobody keeps room for
    /// a second one.
    pub(crate) async fn run_pinned<T>(
        &self,
        mut body: Pin<&mut Option<impl Future<Output = Result<T, Exception>>>>,
        patience: Patience,
    ) -> Result<T, Exception> {
        let mut limited = self.enter(patience)?;
        let end = poll_fn(|context| limited.poll(body.as_mut(), context)).await;
        limited.conclude(end)
    }

    /// The deadline: none if there is no limit, or if one that was given as a duration has not begun.
    pub fn when(&self) -> Option<Instant> {
        match self.limit.get() {
            Limit::At(when) => Some(when),
            Limit::None | Limit::Within(_) => None,
        }
    }

    /// Moves the deadline, or takes it away with `None`. One that has passed counts in the next
    /// iteration.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it does not run, or has expired.
    pub fn reschedule(&self, when: impl Into<Option<Instant>>) -> Result<(), InvalidStateError> {
        let (State::Entered, false) = (self.state.get(), self.expired()) else {
            let error = format!("cannot move the deadline of a time-out that {}", self.state());
            return Err(InvalidStateError::new(error));
        };
        self.limit.set(when.into().map_or(Limit::None, Limit::At));
        let Some(mut alarm) = self.alarm.take() else { return Ok(()) };
        alarm.set(self.when());
        self.alarm.set(Some(alarm));
        Ok(())
    }

    /// Whether the time was up before the block was left: also if that made no difference to how it
    /// ended.
    pub fn expired(&self) -> bool {
        match self.state.get() {
            State::Created => false,
            State::Entered => self.has_rung(),
            State::Left { expired } => expired,
        }
    }

    /// What it is doing, in words.
    fn state(&self) -> &'static str {
        match (self.state.get(), self.expired()) {
            (State::Created, _) => "was not entered",
            (State::Entered, false) => "runs",
            (State::Entered, true) => "is expiring",
            (State::Left { .. }, false) => "has ended",
            (State::Left { .. }, true) => "has expired",
        }
    }

    /// Whether the alarm has rung.
    fn has_rung(&self) -> bool {
        let Some(alarm) = self.alarm.take() else { return false };
        let rung = alarm.has_rung();
        self.alarm.set(Some(alarm));
        rung
    }

    /// Begins a block that is polled through what this returns.
    fn enter(&self, patience: Patience) -> Result<Limited<'_>, InvalidStateError> {
        if !matches!(self.state.get(), State::Created) {
            let error = format!("cannot enter a time-out that {}", self.state());
            return Err(InvalidStateError::new(error));
        }
        let scheduler = current();
        if let Limit::Within(limit) = self.limit.get() {
            self.limit.set(Limit::At(scheduler.time() + limit));
        }
        let limited = Limited::new(self);
        self.state.set(State::Entered);
        let mut alarm = limited.alarm(patience, scheduler);
        alarm.set(self.when());
        self.alarm.set(Some(alarm));
        Ok(limited)
    }

    /// The block was left. Says whether the time was up.
    fn leave(&self) -> bool {
        let expired = self.expired();
        self.state.set(State::Left { expired });
        drop(self.alarm.take());
        expired
    }

    /// The error of a block that was cancelled at the deadline.
    fn error(&self) -> TimeoutError {
        match self.when() {
            Some(when) => TimeoutError::new(format!("the deadline was {when}")),
            None => TimeoutError::new("the deadline was taken away too late"),
        }
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeout({}", self.state())?;
        match self.limit.get() {
            Limit::None => f.write_str(", no limit)"),
            Limit::Within(limit) => write!(f, ", limit {limit:?})"),
            Limit::At(when) => write!(f, ", deadline {when})"),
        }
    }
}
