//! [`EventLoopBuilder`]: the settings of a loop.

use crate::core::LoopCore;
use crate::driver::{Driver, PortableDriver, default_driver};
use crate::event_loop::EventLoop;
use crate::{Clock, IterationHook, MonotonicClock};
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

/// The settings of a loop, from [`EventLoop::builder`].
///
/// # Examples
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use tulipa_eventloop::EventLoop;
/// let event_loop = EventLoop::builder()
///     .spin(Duration::from_micros(50))
///     .batches_between_polls(NonZeroU32::new(16).unwrap())
///     .build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct EventLoopBuilder {
    clock: Option<Box<dyn Clock>>,
    driver: DriverKind,
    hook: Option<Box<dyn IterationHook>>,
    settings: Settings,
}

/// What a loop waits with.
#[derive(Default)]
#[non_exhaustive]
pub enum DriverKind {
    /// The best that this system offers: on Linux epoll, waited on directly.
    #[default]
    Default,
    /// The `polling` crate alone, on any system.
    Portable,
    /// Another implementation.
    Custom(Box<dyn Driver>),
}

/// What a loop reads of its builder.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) debug: bool,
    pub(crate) slow_callback_duration: Duration,
    pub(crate) batches_between_polls: NonZeroU32,
    pub(crate) time_between_polls: Duration,
    pub(crate) spin: Duration,
    pub(crate) timer_slack: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) keep_first_panic: bool,
    pub(crate) unretrieved_failure: UnretrievedFailure,
}

/// What is done, besides the report, about a failure of a future or a task that nobody can ask for
/// any more (F-18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnretrievedFailure {
    /// Nothing: the exception handler is told, which logs it unless one is set.
    #[default]
    Log,
    /// The run ends after its batch, and `run_forever` and company return the failure.
    Stop,
    /// The run ends after its batch, and `run_forever` and company panic: with the failure's own
    /// payload if it was a panic.
    Panic,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            debug: std::env::var_os("TULIPA_DEBUG").is_some_and(|value| value == "1"),
            slow_callback_duration: Duration::from_millis(100),
            batches_between_polls: NonZeroU32::new(64).expect("64 is not zero"),
            time_between_polls: Duration::from_millis(5),
            spin: Duration::ZERO,
            timer_slack: Duration::from_micros(50),
            seed: None,
            keep_first_panic: false,
            unretrieved_failure: UnretrievedFailure::default(),
        }
    }
}

impl EventLoopBuilder {
    pub(crate) fn new() -> Self {
        Self { clock: None, driver: DriverKind::Default, hook: None, settings: Settings::default() }
    }

    /// Where the loop gets its time. Default: [`MonotonicClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// What it waits with.
    pub fn driver(mut self, driver: DriverKind) -> Self {
        self.driver = driver;
        self
    }

    /// Whether it begins in debug mode. Default: whether the environment says `TULIPA_DEBUG=1` (D-1).
    pub fn debug(mut self, enabled: bool) -> Self {
        self.settings.debug = enabled;
        self
    }

    /// From which duration on a callback is slow, in debug mode. Default: 100 ms (D-3).
    pub fn slow_callback_duration(mut self, duration: Duration) -> Self {
        self.settings.slow_callback_duration = duration;
        self
    }

    /// How many batches of callbacks may run between two polls while callbacks are ready. Default:
    /// 64. With 1 there is a poll before every batch, as in asyncio.
    ///
    /// The order among callbacks is the same with any number; I/O and timers come later by this
    /// bound, or by [`time_between_polls`](EventLoopBuilder::time_between_polls), at most.
    pub fn batches_between_polls(mut self, batches: NonZeroU32) -> Self {
        self.settings.batches_between_polls = batches;
        self
    }

    /// After which time, by the coarse clock, no further batch is begun before a poll. Default: 5 ms.
    ///
    /// As long as batches take no time that this clock shows, it is read after up to eight of them; so
    /// the first long ones after many short ones may be that many.
    pub fn time_between_polls(mut self, time: Duration) -> Self {
        self.settings.time_between_polls = time;
        self
    }

    /// How long to poll without sleeping before a sleep, at most. Default: not at all.
    ///
    /// A sleep costs some 20 µs of CPU and as much latency; spinning a little longer than the usual
    /// pause between requests saves both, and keeps a core busy meanwhile. Calls from other threads
    /// that come while the loop spins are seen at once, and cost the sender no system call.
    ///
    /// Spinning in vain costs `longest` of CPU and saves nothing. A loop with which fewer than one of
    /// five spins meets something gives it up by and by: from eight in vain on (those that paid count
    /// four times against them) only every second, fourth, and finally every 64th sleep is preceded by
    /// one, until they pay again. So with 50 µs a quiet loop pays less than 1 µs a sleep.
    pub fn spin(mut self, longest: Duration) -> Self {
        self.settings.spin = longest;
        self
    }

    /// By how much a wait for a timer may be longer than needed. Default: 50 µs; zero is exact.
    ///
    /// A sleep costs more CPU than some hundred timers do. So it ends at a multiple of this, on the loop's
    /// clock, and what has come due by then fires in one wake-up, in the order of the deadlines. No
    /// timer fires early, and none is late by more than this on account of it (H-9, L-5); one that
    /// finds the loop awake is not late at all.
    ///
    /// What [`spin`](EventLoopBuilder::spin) finds, the limit of
    /// [`run_once`](crate::AbstractEventLoop::run_once) and a clock that steps by itself, as that of a
    /// test does, stay exact. So does [`next_deadline`](crate::AbstractEventLoop::next_deadline): the
    /// host of a guest decides for itself how it rounds.
    ///
    /// # Examples
    /// ```
    /// # use {std::time::Duration, tulipa_eventloop::EventLoop};
    /// // A million time-outs, none of which has to be exact.
    /// let event_loop = EventLoop::builder().timer_slack(Duration::from_millis(1)).build()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn timer_slack(mut self, slack: Duration) -> Self {
        self.settings.timer_slack = slack;
        self
    }

    /// What is done about failures of futures and tasks that nobody can ask for any more, besides
    /// telling the exception handler. Default: nothing.
    ///
    /// One that turns up between two runs ends the next one before it begins.
    ///
    /// # Examples
    /// ```
    /// use futures::{Exception, SchedulerExt};
    /// use tulipa_eventloop::{EventLoop, UnretrievedFailure, prelude::*};
    /// let event_loop = EventLoop::builder().unretrieved_failure(UnretrievedFailure::Stop).build()?;
    /// event_loop.create_task(async { Err::<(), _>(Exception::msg("disk full")) });
    /// let error = event_loop.run_coroutine(futures::sleep_until(futures::Instant::NEVER)).unwrap_err();
    /// assert_eq!(error.to_string(), "disk full");
    /// # Ok::<(), Exception>(())
    /// ```
    pub fn unretrieved_failure(mut self, policy: UnretrievedFailure) -> Self {
        self.settings.unretrieved_failure = policy;
        self
    }

    /// Who sees each iteration.
    pub fn hook(mut self, hook: impl IterationHook + 'static) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Shuffles what the contract leaves open: the order of ready descriptors. For tests.
    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Keeps the first panic that only the default exception handler saw. For tests.
    pub(crate) fn keep_first_panic(mut self) -> Self {
        self.settings.keep_first_panic = true;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// What the system says when the poller cannot be made (out of descriptors, for one).
    pub fn build(self) -> io::Result<EventLoop> {
        let clock = self.clock.unwrap_or_else(|| Box::new(MonotonicClock::new()));
        let driver = match self.driver {
            DriverKind::Default => default_driver()?,
            DriverKind::Portable => Box::new(PortableDriver::new()?),
            DriverKind::Custom(driver) => driver,
        };
        Ok(EventLoop::own(LoopCore::new(clock, driver, self.hook, self.settings)))
    }
}
