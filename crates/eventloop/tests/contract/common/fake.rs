//! A driver and a clock whose every move a test decides and sees.

use futures::Instant;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulipa_eventloop::{
    Clock, Driver, DriverKind, EventLoop, EventLoopBuilder, Interest, ReadyEvent, Trigger, Wake,
};

/// What a [`FakeDriver`] was asked, and what it answers.
#[derive(Default)]
pub(crate) struct Script {
    /// The time-out of every wait.
    pub(crate) waits: RefCell<Vec<Option<Duration>>>,
    /// How far the clock goes on during a wait; `None`: as far as the time-out says.
    pub(crate) wait_takes: Cell<Option<Duration>>,
    /// What the next waits fail with.
    pub(crate) errors: RefCell<Vec<io::Error>>,
    pub(crate) clock: FakeClock,
}

/// A driver that cannot watch anything, and never waits in truth.
struct FakeDriver(Rc<Script>);

/// A clock that stands still unless it is moved; it does not step by itself.
#[derive(Clone, Default)]
pub(crate) struct FakeClock(Rc<Cell<Instant>>);

impl FakeClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

/// A builder over a fake driver and its clock, and the script to read and write.
pub(crate) fn fake_builder() -> (EventLoopBuilder, Rc<Script>) {
    let script = Rc::new(Script::default());
    let driver = DriverKind::Custom(Box::new(FakeDriver(script.clone())));
    (EventLoop::builder().driver(driver).clock(script.clock.clone()), script)
}

/// A loop over a fake driver.
pub(crate) fn fake_loop() -> (EventLoop, Rc<Script>) {
    let (builder, script) = fake_builder();
    (builder.build().unwrap(), script)
}

impl Driver for FakeDriver {
    fn add(&self, _: BorrowedFd<'_>, _: usize, _: Interest, _: Trigger) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this driver watches nothing"))
    }

    fn modify(&self, _: BorrowedFd<'_>, _: usize, _: Interest, _: Trigger) -> io::Result<()> {
        Ok(())
    }

    fn delete(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn wait(&self, timeout: Option<Duration>, _: &mut Vec<ReadyEvent>) -> io::Result<()> {
        self.0.waits.borrow_mut().push(timeout);
        let takes = self.0.wait_takes.get().or(timeout);
        self.0.clock.advance(takes.expect("a test's loop would sleep for ever"));
        match self.0.errors.borrow_mut().pop() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(|| {})
    }

    fn poll_descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn name(&self) -> &'static str {
        "a test's driver"
    }
}
