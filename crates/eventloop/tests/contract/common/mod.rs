//! What the tests share: loops to run on, a trace of what happened, drivers and clocks made for a
//! test, a log that can be read, and a process of one's own.

pub(crate) mod child;
pub(crate) mod fake;
pub(crate) mod logged;
pub(crate) mod raw;

use futures::ExceptionContext;
use std::cell::RefCell;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{DriverKind, EventLoop, EventLoopBuilder};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Runs `test` on a new loop of every kind: both drivers, one batch between two polls and many.
pub(crate) fn for_each_loop(test: impl Fn(EventLoop)) {
    for_each_builder(|builder| test(builder.build().unwrap()));
}

/// As [`for_each_loop`], with more settings to be made.
pub(crate) fn for_each_builder(test: impl Fn(EventLoopBuilder)) {
    for batches in [64, 1] {
        for portable in [false, true] {
            println!("on a portable driver: {portable}, batches between polls: {batches}");
            let driver = if portable { DriverKind::Portable } else { DriverKind::Default };
            let batches = NonZeroU32::new(batches).unwrap();
            test(EventLoop::builder().driver(driver).batches_between_polls(batches));
        }
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// A callback, for once or for many times, that notes `what`.
    pub(crate) fn mark(&self, what: &str) -> impl FnMut() + Clone + 'static {
        let (trace, what) = (self.clone(), what.to_owned());
        move || trace.note(&what)
    }

    /// A value that notes `what` when it is dropped.
    pub(crate) fn on_drop(&self, what: &str) -> OnDrop {
        OnDrop(Box::new(self.mark(what)))
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Calls something when it is dropped.
pub(crate) struct OnDrop(Box<dyn FnMut()>);

impl OnDrop {
    pub(crate) fn new(call: impl FnMut() + 'static) -> Self {
        Self(Box::new(call))
    }

    /// Does nothing; a closure that says this captures it.
    pub(crate) fn keep(&self) {}
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A value for callbacks to capture, and how many copies of it are still there.
#[derive(Clone, Default)]
pub(crate) struct Captured(Rc<()>);

impl Captured {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn copies(&self) -> usize {
        Rc::strong_count(&self.0) - 1
    }

    /// A callback that does nothing but hold a copy.
    pub(crate) fn hold(&self) -> impl FnMut() + 'static {
        let copy = self.clone();
        move || assert!(copy.copies() > 0)
    }
}

/// Has the reports of `event_loop` recorded instead of logged.
pub(crate) fn record_reports(event_loop: &dyn AbstractEventLoop) -> Reports {
    let reports = Reports::default();
    let recorder = reports.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context: &ExceptionContext| {
        recorder.0.borrow_mut().push(context.clone());
    })));
    reports
}

#[derive(Clone, Default)]
pub(crate) struct Reports(Rc<RefCell<Vec<ExceptionContext>>>);

impl Reports {
    pub(crate) fn take(&self) -> Vec<ExceptionContext> {
        self.0.take()
    }

    pub(crate) fn add(&self, context: ExceptionContext) {
        self.0.borrow_mut().push(context);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Two connected sockets; the first is for the loop to watch, and can be shared.
pub(crate) fn socket_pair() -> (Rc<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Rc::new(ours), theirs)
}

/// Whether a value may be sent to other threads: the compiler's answer, as a value.
macro_rules! is_send {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::common::{AnyValue, SendValue};
        let probe = $crate::common::Probe(&$value);
        (&probe).is_send()
    }};
}
pub(crate) use is_send;

/// Answers by which of two methods the compiler chooses: that of `SendValue` if it applies.
pub(crate) struct Probe<'a, T>(#[expect(dead_code, reason = "its type is asked")] pub(crate) &'a T);

pub(crate) trait SendValue {
    fn is_send(&self) -> bool {
        true
    }
}
impl<T: Send> SendValue for Probe<'_, T> {}

pub(crate) trait AnyValue {
    fn is_send(&self) -> bool {
        false
    }
}
impl<T> AnyValue for &Probe<'_, T> {}
