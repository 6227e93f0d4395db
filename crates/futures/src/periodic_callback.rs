//! [`PeriodicCallback`]: a looping call that nothing ends but a stop.

use crate::{CallResult, FirstCall, LoopingCall, OnFailure, Scheduler};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Calls a function at an interval, whatever becomes of the calls: Tornado's `PeriodicCallback` (W-24).
///
/// It is a [`LoopingCall`] with other manners: the first call is made after one interval, a failure is
/// reported to the exception handler and it goes on, and starting or stopping it twice does nothing. The
/// grid is kept, late calls are skipped, and there are never two at a time.
///
/// It is a handle; dropping it changes nothing.
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) -> Result<(), tulipa_futures::Exception> {
/// use {std::time::Duration, tulipa_futures::PeriodicCallback};
/// let beat = PeriodicCallback::new(event_loop, Duration::from_secs(30), || println!("alive"))?;
/// beat.start();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PeriodicCallback {
    call: LoopingCall,
    interval: Duration,
}

impl PeriodicCallback {
    /// Calls of `function` each `interval`. It does nothing before it is
    /// [started](PeriodicCallback::start).
    ///
    /// # Errors
    /// [`InvalidInterval`] if the interval is zero.
    #[track_caller]
    pub fn new<Kind, R: CallResult<Kind>>(
        scheduler: &(impl Scheduler + ?Sized),
        interval: Duration,
        mut function: impl FnMut() -> R + 'static,
    ) -> Result<Self, InvalidInterval> {
        if interval.is_zero() {
            return Err(InvalidInterval);
        }
        let call = LoopingCall::new(scheduler, OnFailure::GoOn, move |_| function());
        Ok(Self { call, interval })
    }

    /// As [`LoopingCall::jitter`].
    #[must_use]
    pub fn jitter(self, fraction: f64, chance: impl FnMut() -> f64 + 'static) -> Self {
        Self { call: self.call.jitter(fraction, chance), ..self }
    }

    /// Begins: the first call is one interval from now. Nothing happens if it is running, or if the
    /// scheduler is closed.
    #[track_caller]
    pub fn start(&self) {
        // The future is for those who want to know how it ends, which it does only by `stop`.
        let _ = self.call.start(self.interval, FirstCall::AfterInterval);
    }

    /// Ends it: no more calls. One that is under way ends in its own time. Nothing happens if it is not
    /// running.
    pub fn stop(&self) {
        let _ = self.call.stop(); // harmless if it was stopped
    }

    /// Whether it was started, and not stopped since.
    pub fn is_running(&self) -> bool {
        self.call.running()
    }
}

/// An interval of zero, which a [`PeriodicCallback`] cannot keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidInterval;

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a periodic callback needs an interval above zero")
    }
}

impl Error for InvalidInterval {}
