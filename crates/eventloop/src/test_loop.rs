//! [`TestLoop`]: an [`EventLoop`] for tests, on a clock that steps from deadline to deadline.

use crate::{Completion, EventLoop, EventLoopBuilder, RunError, TestClock};
use futures::{Exception, Instant};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::time::Duration;

/// A loop whose time passes only when nothing else can happen.
///
/// Whenever nothing is ready, and nothing outside (a watched descriptor, a job of an executor, a
/// signal handler) may still have news, the clock steps to the next deadline: hours pass at once, in
/// order, and every callback sees its own time. [`advance`](TestLoop::advance) does the rest.
///
/// At its end ([`finish`](TestLoop::finish), or the drop) it resumes the first panic that nobody
/// handled, so that an `assert!` inside a callback or a task fails its test, and panics if something is
/// left: tasks, callbacks, timers, descriptors, transports.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use tulipa_eventloop::{TestLoop, prelude::*};
/// let event_loop = TestLoop::new();
/// let rang = Rc::new(Cell::new(false));
/// let bell = rang.clone();
/// event_loop.call_later(Duration::from_secs(3600), move || bell.set(true));
/// event_loop.advance(Duration::from_secs(3599));
/// assert!(!rang.get());
/// event_loop.run_until_idle();
/// assert!(rang.get());
/// ```
pub struct TestLoop {
    event_loop: EventLoop,
    clock: TestClock,
    check_leftovers: bool,
}

/// Something that is still there at the end of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leftover {
    /// A task that has not ended.
    Task(String),
    /// A callback that has yet to run.
    Callback(String),
    /// A timer that has yet to fire.
    Timer(String),
    /// A descriptor that is still watched, or owned: a transport, a listener, a callback's.
    Source(String),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Task(text) => write!(f, "task {text}"),
            Leftover::Callback(text) => write!(f, "callback {text}"),
            Leftover::Timer(text) => write!(f, "timer {text}"),
            Leftover::Source(text) => f.write_str(text),
        }
    }
}

impl TestLoop {
    /// A loop at time zero.
    ///
    /// # Panics
    /// If the system has no descriptors left for it.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// As [`new`](TestLoop::new), with another order of whatever the contract leaves open, the same
    /// for the same seed.
    ///
    /// # Panics
    /// As [`new`](TestLoop::new).
    #[track_caller]
    pub fn seeded(seed: u64) -> Self {
        Self::with(|builder| builder.seed(seed))
    }

    /// As [`new`](TestLoop::new), with other settings. A clock set here is replaced.
    ///
    /// # Panics
    /// As [`new`](TestLoop::new).
    #[track_caller]
    pub fn with(settings: impl FnOnce(EventLoopBuilder) -> EventLoopBuilder) -> Self {
        let clock = TestClock::new();
        let built: io::Result<EventLoop> =
            settings(EventLoop::builder()).clock(clock.clone()).keep_first_panic().build();
        let event_loop = built.expect("a poller for the test loop");
        Self { event_loop, clock, check_leftovers: true }
    }

    /// Lets `time` pass: every timer that falls due on the way runs at its own time, then whatever it
    /// caused, before the next.
    ///
    /// # Panics
    /// If the loop cannot run (it is running, or closed).
    #[track_caller]
    pub fn advance(&self, time: Duration) {
        use crate::Clock;
        let end = self.clock.now() + time;
        self.run_ready_now();
        while let Some(due) = self.next_timer().filter(|due| *due <= end) {
            self.clock.set(due);
            self.run_ready_now();
        }
        self.clock.set(end);
        self.run_ready_now();
    }

    /// Runs until nothing is scheduled and nothing that is ready is left. Time steps as far as it
    /// takes, unless something outside may still have news: then this returns with what is ready
    /// done, and timers wait for [`advance`](TestLoop::advance).
    ///
    /// # Panics
    /// As [`advance`](TestLoop::advance).
    #[track_caller]
    pub fn run_until_idle(&self) {
        loop {
            self.run_ready_now();
            if self.event_loop.core().outside_source_count() > 0 {
                return;
            }
            let Some(due) = self.next_timer() else { return };
            self.clock.set(due);
        }
    }

    /// Runs iterations that do not wait, until one finds nothing to do.
    ///
    /// # Panics
    /// As [`advance`](TestLoop::advance).
    #[track_caller]
    pub fn run_ready_now(&self) {
        loop {
            let before = self.event_loop.core().turns();
            let outcome = self.event_loop.run_ready();
            outcome.expect("a test loop that is neither running nor closed");
            if self.event_loop.core().turns() == before && !self.event_loop.core().is_busy() {
                return;
            }
        }
    }

    /// Runs until a future or task is done, as
    /// [`run_until_complete`](crate::AbstractEventLoopExt::run_until_complete).
    ///
    /// # Errors
    /// As there.
    pub fn run_until_complete<A: Completion>(&self, awaited: &A) -> Result<A::Output, Exception> {
        use crate::AbstractEventLoopExt;
        (**self.event_loop).run_until_complete(awaited)
    }

    /// Runs a coroutine to its end, as
    /// [`run_coroutine`](crate::AbstractEventLoopExt::run_coroutine).
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn run_coroutine<T: 'static>(
        &self,
        coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Result<T, Exception> {
        use crate::AbstractEventLoopExt;
        (**self.event_loop).run_coroutine(coroutine)
    }

    /// Runs until stopped.
    ///
    /// # Errors
    /// As [`run_forever`](crate::AbstractEventLoop::run_forever);
    /// [`RunError::WouldSleepForEver`] if nothing is left to wait for.
    pub fn run_forever(&self) -> Result<(), RunError> {
        self.event_loop.run_forever()
    }

    /// The loop's clock, to be read or set.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// What is still there: tasks, callbacks, timers, descriptors with their owners. A timer for
    /// [`Instant::NEVER`] is nothing that a test has forgotten.
    pub fn leftovers(&self) -> Vec<Leftover> {
        let core = self.event_loop.core();
        let tasks = core.list_tasks(usize::MAX).into_iter().map(Leftover::Task);
        let callbacks = core.list_callbacks(usize::MAX).into_iter().map(Leftover::Callback);
        let timers = core.list_timers_that_fire().into_iter().map(Leftover::Timer);
        let sources = core.list_sources(usize::MAX).into_iter().map(Leftover::Source);
        tasks.chain(callbacks).chain(timers).chain(sources).collect()
    }

    /// The first panic that only the default exception handler saw, or else that of the first task
    /// or future whose result nobody has asked for, as an exception; all of these then count as handled.
    pub fn take_first_panic(&self) -> Option<Exception> {
        let unasked = futures::take_unretrieved_panics(&**self.event_loop);
        self.event_loop.core().take_first_panic().or_else(|| unasked.into_iter().next())
    }

    /// Does not panic if something is left at the end.
    pub fn allow_leftovers(&mut self) {
        self.check_leftovers = false;
    }

    /// Ends the test: what the drop does, at a place of its own.
    ///
    /// # Panics
    /// With the first unhandled panic, or if something is left.
    pub fn finish(self) {
        drop(self);
    }

    fn next_timer(&self) -> Option<Instant> {
        self.event_loop.core().next_timer()
    }
}

impl Default for TestLoop {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for TestLoop {
    type Target = EventLoop;
    fn deref(&self) -> &EventLoop {
        &self.event_loop
    }
}

impl Drop for TestLoop {
    fn drop(&mut self) {
        let leftovers = self.leftovers();
        if self.event_loop.close().is_err() || std::thread::panicking() {
            return;
        }
        let panic = self.take_first_panic();
        if let Some(payload) = panic.as_ref().and_then(|it| it.panicked()?.take_payload()) {
            std::panic::resume_unwind(payload);
        }
        if self.check_leftovers && !leftovers.is_empty() {
            let lines: Vec<String> = leftovers.iter().map(Leftover::to_string).collect();
            panic!("left at the end of the test:\n{}", lines.join("\n"));
        }
    }
}
