//! [`Host`]: a loop under test, and the macro that runs a suite on each of them.

use crate::MiniScheduler;
use crate::local_set_scheduler::ScheduledLocalSet;
use crate::reports::{ExceptionHandler, Reports};
use eventloop::{DriverKind, EventLoopBuilder, TestLoop};
use futures::{ExceptionContext, Scheduler};
use std::num::NonZeroU32;
use std::rc::Rc;

/// A loop under test. Its clock jumps to the next deadline when nothing else is to do.
pub trait Host {
    /// The scheduler that is tested.
    fn scheduler(&self) -> Rc<dyn Scheduler>;

    /// Runs until nothing is queued, posted or timed (a timer for `Instant::NEVER` counts for nothing).
    fn run_until_idle(&self);

    /// The errors that were reported since the last call. Panics of callbacks are among them and go
    /// no further.
    fn take_reports(&self) -> Vec<ExceptionContext>;

    /// Has `handler` called with each report, which is recorded all the same.
    fn set_exception_handler(&self, handler: ExceptionHandler);

    /// Closes the loop: drops all that is queued, and refuses what comes.
    fn close(&self);
}

/// Runs `body` on a new host, then checks that nothing is left: no report that the body did not
/// expect, no reference that keeps the loop alive.
pub fn check<H: Host>(make: fn() -> H, body: fn(&dyn Host)) {
    let host = make();
    body(&host);
    host.run_until_idle();
    let reports: Vec<String> = host.take_reports().iter().map(ToString::to_string).collect();
    assert!(reports.is_empty(), "nobody expected {reports:?}");
    let scheduler = Rc::downgrade(&host.scheduler());
    host.close();
    drop(host);
    assert!(scheduler.upgrade().is_none(), "something keeps the closed loop alive");
}

/// Makes a test of each check on each host: `on_every_host! { module: check, check; … }`, where
/// `module::check` is a `fn(&dyn Host)`. The names of the tests are those of the checks.
#[macro_export]
macro_rules! on_every_host {
    ($($module:ident: $($check:ident),+ $(,)?;)+) => {
        mod on_mini {
            $($(#[test] fn $check() {
                $crate::check($crate::MiniHost::new, super::$module::$check)
            })+)+
        }
        mod on_local_set {
            $($(#[test] fn $check() {
                $crate::check($crate::LocalSetHost::new, super::$module::$check)
            })+)+
        }
        mod on_event_loop {
            $($(#[test] fn $check() {
                $crate::check($crate::LoopHost::new, super::$module::$check)
            })+)+
        }
        mod on_event_loop_that_polls_before_each_batch {
            $($(#[test] fn $check() {
                $crate::check($crate::LoopHost::with_single_batches, super::$module::$check)
            })+)+
        }
        mod on_portable_event_loop {
            $($(#[test] fn $check() {
                $crate::check($crate::LoopHost::portable, super::$module::$check)
            })+)+
        }
    };
}

/// The [`MiniScheduler`] as a host.
pub struct MiniHost(Rc<MiniScheduler>);

impl MiniHost {
    /// A host around a new scheduler.
    #[expect(clippy::new_without_default, reason = "made by the suite only")]
    pub fn new() -> Self {
        Self(MiniScheduler::new())
    }
}

impl Host for MiniHost {
    fn scheduler(&self) -> Rc<dyn Scheduler> {
        self.0.clone()
    }

    fn run_until_idle(&self) {
        self.0.run_until_idle();
    }

    fn take_reports(&self) -> Vec<ExceptionContext> {
        self.0.take_reports()
    }

    fn set_exception_handler(&self, handler: ExceptionHandler) {
        self.0.set_exception_handler(handler);
    }

    fn close(&self) {
        self.0.close();
    }
}

/// A task in a tokio `LocalSet` as a host: see [`LocalSetScheduler`](crate::LocalSetScheduler).
pub struct LocalSetHost(ScheduledLocalSet);

impl LocalSetHost {
    /// A host in a new `LocalSet`, on a runtime of its own.
    #[expect(clippy::new_without_default, reason = "made by the suite only")]
    pub fn new() -> Self {
        Self(ScheduledLocalSet::new())
    }
}

impl Host for LocalSetHost {
    fn scheduler(&self) -> Rc<dyn Scheduler> {
        self.0.scheduler().clone()
    }

    fn run_until_idle(&self) {
        self.0.run_until_idle();
    }

    fn take_reports(&self) -> Vec<ExceptionContext> {
        self.0.scheduler().take_reports()
    }

    fn set_exception_handler(&self, handler: ExceptionHandler) {
        self.0.scheduler().set_exception_handler(handler);
    }

    fn close(&self) {
        self.0.scheduler().close();
    }
}

/// The event loop as a host, on the clock of a test loop.
pub struct LoopHost {
    test_loop: TestLoop,
    reports: Reports,
}

impl LoopHost {
    /// With the usual settings.
    #[expect(clippy::new_without_default, reason = "made by the suite only")]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// One that polls before each batch, as asyncio does.
    pub fn with_single_batches() -> Self {
        Self::with(|builder| builder.batches_between_polls(NonZeroU32::MIN))
    }

    /// On the driver for systems without a better one.
    pub fn portable() -> Self {
        Self::with(|builder| builder.driver(DriverKind::Portable))
    }

    fn with(settings: impl FnOnce(EventLoopBuilder) -> EventLoopBuilder) -> Self {
        let host = Self { test_loop: TestLoop::with(settings), reports: Reports::default() };
        host.record();
        host
    }

    fn record(&self) {
        let reports = self.reports.clone();
        self.test_loop.set_exception_handler(Some(Rc::new(move |_, context| {
            reports.record(context);
        })));
    }
}

impl Host for LoopHost {
    fn scheduler(&self) -> Rc<dyn Scheduler> {
        self.test_loop.to_rc()
    }

    fn run_until_idle(&self) {
        if !self.test_loop.is_closed() {
            self.test_loop.run_until_idle();
        }
    }

    fn take_reports(&self) -> Vec<ExceptionContext> {
        self.reports.take()
    }

    fn set_exception_handler(&self, handler: ExceptionHandler) {
        self.reports.set_handler(Some(handler));
    }

    fn close(&self) {
        self.test_loop.close().expect("nobody closes a host that runs");
        // Closing forgot the handler, but what is reported later is wanted too.
        self.record();
    }
}
