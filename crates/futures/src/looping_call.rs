//! [`LoopingCall`]: a function that is called again and again, on a grid.

mod grid;
mod state;

use crate::call_result::{CallResult, Outcome};
use crate::{Future, InvalidStateError, Scheduler};
use state::Inner;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Calls a function again and again: Twisted's `LoopingCall` (W-18 to W-24).
///
/// Calls lie on a **grid**: at the start, one interval later, two, and so on. It does not drift, however
/// long calls take. The function may give a future or a coroutine: then the next call waits for it, so that
/// there are never two at a time. What becomes of calls that are late for that, or because the loop was
/// busy, is said by [`LateCalls`]: by default those that were missed are skipped, and never made up for by
/// two in a row. Whether a failure ends it is said by [`OnFailure`], which has no default.
///
/// The function is given this looping call, to [`stop`](LoopingCall::stop) it or
/// [`reset`](LoopingCall::reset) the grid from inside. (One that keeps a clone would keep itself alive.)
///
/// It is a handle: clones name the same looping call. Dropping them changes nothing, as with timers (H-1);
/// the scheduler keeps it while it runs. [`stop_on_drop`](LoopingCall::stop_on_drop) is for those who want
/// it to end with them. Made through a [`Scope`](crate::Scope), it ends with the scope.
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) -> Result<(), tulipa_futures::Exception> {
/// use {std::time::Duration, tulipa_futures::{FirstCall, LoopingCall, OnFailure}};
/// let mut left = 3;
/// let countdown = LoopingCall::new(event_loop, OnFailure::Stop, move |countdown| {
///     println!("{left}");
///     left -= 1;
///     if left == 0 { countdown.stop()?; }
///     Ok(())
/// });
/// let over = countdown.start(Duration::from_secs(1), FirstCall::Now)?;
/// over.add_done_callback(|_| println!("go"));
/// // A coroutine; the next call waits until it has ended.
/// let patrol = LoopingCall::new(event_loop, OnFailure::GoOn, |_| async {
///     tulipa_futures::sleep(Duration::from_secs(90)).await
/// });
/// patrol.start(Duration::from_secs(60), FirstCall::AfterInterval)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct LoopingCall(Rc<Inner>);

/// When the first call of a [`LoopingCall`] is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstCall {
    /// At once, before `start` returns.
    Now,
    /// After one interval.
    AfterInterval,
}

/// What a [`LoopingCall`] does when a call failed: returned an error, panicked, or gave a future that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It stops, and its future fails with the error: Twisted's way.
    Stop,
    /// The failure is reported to the exception handler, and the next call is made: Tornado's way. A call
    /// that was cancelled is not reported.
    GoOn,
}

/// What a [`LoopingCall`] does about calls that could not be made in time, because the one before took too
/// long or the loop was busy. In no case are they made up for by several in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LateCalls {
    /// They are skipped; the next call is on the grid, which stays where it was (W-19). Functions made by
    /// [`LoopingCall::with_count`] are told how many there were.
    #[default]
    KeepGrid,
    /// The grid moves: the next call is one whole interval after the end of the one that took too long, so
    /// that there is always that much rest.
    MoveGrid,
}

/// What draws numbers from 0 to 1.
type Chance = Box<dyn FnMut() -> f64>;

impl LoopingCall {
    /// A looping call of `function` on `scheduler`. It does nothing before it is
    /// [started](LoopingCall::start).
    #[track_caller]
    pub fn new<Kind, R: CallResult<Kind>>(
        scheduler: &(impl Scheduler + ?Sized),
        on_failure: OnFailure,
        mut function: impl FnMut(&LoopingCall) -> R + 'static,
    ) -> Self {
        Self::with_count(scheduler, on_failure, move |this, _| function(this))
    }

    /// As [`new`](LoopingCall::new); the function is also told how many intervals have passed since the last
    /// call (W-23): one, or more if calls were missed. Also the first call is told one.
    #[doc(alias = "withCount")]
    #[track_caller]
    pub fn with_count<Kind, R: CallResult<Kind>>(
        scheduler: &(impl Scheduler + ?Sized),
        on_failure: OnFailure,
        mut function: impl FnMut(&LoopingCall, u64) -> R + 'static,
    ) -> Self {
        let (scheduler, location) = (scheduler.to_rc(), Location::caller());
        let function = move |this: &LoopingCall, count: u64| {
            Outcome::of(&*this.0.scheduler, location, || function(this, count))
        };
        Self(Rc::new(Inner::new(scheduler, location, on_failure, Box::new(function))))
    }

    /// What becomes of calls that could not be made in time.
    #[must_use]
    pub fn late_calls(self, late: LateCalls) -> Self {
        self.0.late.set(late);
        self
    }

    /// Moves each call at random, by up to half of `fraction` of an interval in either direction (W-24): so
    /// many programs that began together do not call together for ever. The grid stays where it is, so
    /// chance does not add up. `fraction` is from 0 to 1; `chance` draws numbers from 0 to 1, as
    /// `fastrand::f64` does.
    #[must_use]
    pub fn jitter(self, fraction: f64, chance: impl FnMut() -> f64 + 'static) -> Self {
        let previous = self.0.set_jitter(fraction.clamp(0.0, 1.0), Box::new(chance));
        drop(previous); // a user value
        self
    }

    /// Begins to call, each `interval`. Zero is as often as the loop turns.
    ///
    /// The future is done when it has stopped: with a value after [`stop`](LoopingCall::stop), with the
    /// error if a call failed and that stops it. Cancelling it stops, and cancels the future or coroutine
    /// of the call that is under way. It may be dropped.
    ///
    /// A call that is stopping may be started again, also from inside the function: it begins anew when the
    /// call that is under way has ended.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is running (W-21), or if the scheduler is closed.
    #[track_caller]
    pub fn start(
        &self,
        interval: Duration,
        first: FirstCall,
    ) -> Result<Future<()>, InvalidStateError> {
        self.0.start(interval, first)
    }

    /// Ends it: no more calls. From inside the function, or while its future is pending, that call still
    /// ends in its own time, and then the future of [`start`](LoopingCall::start) is done.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is not running (W-21).
    pub fn stop(&self) -> Result<(), InvalidStateError> {
        self.0.stop()
    }

    /// Begins the grid anew: the next call is one interval from now (W-22), or if one is under way, at the
    /// first line of the new grid after its end.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is not running.
    pub fn reset(&self) -> Result<(), InvalidStateError> {
        self.0.reset()
    }

    /// Whether it was started, and not stopped since.
    #[doc(alias = "is_running")]
    pub fn running(&self) -> bool {
        self.0.running()
    }

    /// The interval that it was started with, `None` if it is not running.
    pub fn interval(&self) -> Option<Duration> {
        self.0.interval()
    }

    /// A handle that stops it when it is dropped: for a protocol that pings as long as it is there.
    pub fn stop_on_drop(self) -> StopOnDrop {
        StopOnDrop(self)
    }
}

impl fmt::Debug for LoopingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interval() {
            Some(interval) => write!(f, "LoopingCall(each {interval:?}"),
            None => f.write_str("LoopingCall(not running"),
        }?;
        write!(f, ", created at {})", self.0.location)
    }
}

/// A [`LoopingCall`] that stops when this is dropped. See [`LoopingCall::stop_on_drop`].
#[derive(Debug)]
#[must_use = "dropping it stops the looping call"]
pub struct StopOnDrop(LoopingCall);

impl Deref for StopOnDrop {
    type Target = LoopingCall;

    fn deref(&self) -> &LoopingCall {
        &self.0
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.0.stop();
    }
}
