//! The loop as an interface: another implementation in its place (I-1, I-4, I-5, I-8, I-17).

use crate::common::{SECOND, Trace, for_each_loop, socket_pair};
use futures::concurrent::Executor;
use futures::{
    Callback, CallbackId, Closed, ExceptionContext, Future, Handle, Instant, InvalidStateError,
    SchedulerId, ThreadsafeScheduler, TimerHandle,
};
use std::any::{Any, TypeId};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{
    CloseError, Direction, ExceptionHandler, Interest, LoopHandle, RunError, SignalError, Source,
    SourceKey, Stats, ThreadsafeHandle,
};

/// Somebody else's loop: it has another behind it, which nobody sees, and refuses what an
/// implementation may refuse.
struct Foreign(LoopHandle);

fn unsupported() -> io::Error {
    io::Error::from(ErrorKind::Unsupported)
}

impl Scheduler for Foreign {
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        self.0.schedule(callback)
    }
    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        self.0.schedule_at(when, callback)
    }
    fn time(&self) -> Instant {
        self.0.time()
    }
    fn cancel(&self, id: CallbackId) -> bool {
        self.0.cancel(id)
    }
    fn is_pending(&self, id: CallbackId) -> bool {
        self.0.is_pending(id)
    }
    fn reschedule(&self, id: CallbackId, when: Instant) -> bool {
        self.0.reschedule(id, when)
    }
    fn call_exception_handler(&self, context: ExceptionContext) {
        self.0.call_exception_handler(context);
    }
    fn id(&self) -> SchedulerId {
        self.0.id()
    }
    fn to_rc(&self) -> Rc<dyn Scheduler> {
        self.0.to_rc()
    }
    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler> {
        self.0.threadsafe()
    }
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl AbstractEventLoop for Foreign {
    fn run_forever(&self) -> Result<(), RunError> {
        self.0.run_forever()
    }
    fn run_once(&self, timeout: Option<Duration>) -> Result<(), RunError> {
        self.0.run_once(timeout)
    }
    fn stop(&self) {
        self.0.stop();
    }
    fn is_running(&self) -> bool {
        self.0.is_running()
    }
    fn close(&self) -> Result<(), CloseError> {
        self.0.close()
    }
    fn to_event_loop(&self) -> Rc<dyn AbstractEventLoop> {
        Rc::new(Foreign(self.0.clone()))
    }
    fn threadsafe_handle(&self) -> ThreadsafeHandle {
        self.0.threadsafe_handle()
    }
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }
    fn watch(&self, _: Rc<dyn Source>, _: Interest) -> io::Result<SourceKey> {
        Err(unsupported())
    }
    fn set_interest(&self, _: SourceKey, _: Interest) -> io::Result<()> {
        Err(unsupported())
    }
    fn unwatch(&self, _: SourceKey) -> Option<Rc<dyn Source>> {
        None
    }
    fn flush_later(&self, _: SourceKey) {}
    fn add_io_callback(
        &self,
        _: Box<dyn AsFd>,
        _: Direction,
        _: Box<dyn FnMut()>,
        _: &'static Location<'static>,
    ) -> io::Result<()> {
        Err(unsupported())
    }
    fn remove_io_callback(&self, _: BorrowedFd<'_>, _: Direction) -> io::Result<bool> {
        Ok(false)
    }
    fn set_signal_handler(
        &self,
        _: i32,
        _: Box<dyn FnMut()>,
        _: &'static Location<'static>,
    ) -> Result<(), SignalError> {
        Err(SignalError::System(unsupported()))
    }
    fn remove_signal_handler(&self, _: i32) -> bool {
        false
    }
    fn default_executor(&self) -> Result<Arc<dyn Executor>, InvalidStateError> {
        Err(InvalidStateError::new("this loop has no executor"))
    }
    fn set_default_executor(&self, _: Arc<dyn Executor>) {}
    fn shutdown_default_executor(&self, _: Duration) -> Future<()> {
        let done = self.create_future();
        done.set_result(()).unwrap();
        done
    }
    fn set_exception_handler(&self, handler: Option<ExceptionHandler>) {
        self.0.set_exception_handler(handler);
    }
    fn get_exception_handler(&self) -> Option<ExceptionHandler> {
        self.0.get_exception_handler()
    }
    fn default_exception_handler(&self, context: &ExceptionContext) {
        self.0.default_exception_handler(context);
    }
    fn set_debug(&self, enabled: bool) {
        self.0.set_debug(enabled);
    }
    fn slow_callback_duration(&self) -> Duration {
        self.0.slow_callback_duration()
    }
    fn set_slow_callback_duration(&self, duration: Duration) {
        self.0.set_slow_callback_duration(duration);
    }
    fn stats(&self) -> Stats {
        self.0.stats()
    }
    fn dump(&self) -> String {
        self.0.dump()
    }
    fn get_local(&self, key: TypeId) -> Option<Rc<dyn Any>> {
        self.0.get_local(key)
    }
    fn set_local(&self, key: TypeId, value: Rc<dyn Any>) {
        self.0.set_local(key, value);
    }
}

/// What every implementation of the interface must do, and what it may refuse.
fn check(event_loop: &Rc<dyn AbstractEventLoop>, refuses: bool) {
    let trace = Trace::new();
    // Required: callbacks in order, timers by deadline, futures, calls from other threads.
    event_loop.call_soon(trace.mark("first"));
    event_loop.call_soon(trace.mark("cancelled")).cancel();
    event_loop.call_later(Duration::ZERO, trace.mark("timer"));
    event_loop.call_later(SECOND, trace.mark("never")).cancel();
    event_loop.call_soon(trace.mark("second"));
    let future = event_loop.create_future();
    let producer = future.clone();
    event_loop.call_later(Duration::from_micros(10), move || producer.set_result(1).unwrap());
    assert_eq!(event_loop.run_until_complete(&future.map(|n| n + 1)).unwrap(), 2);
    assert_eq!(trace.take(), ["first", "second", "timer"]);
    let poster = event_loop.threadsafe_handle();
    let thread = std::thread::spawn(move || {
        let stopping = poster.clone();
        poster.call_soon_threadsafe(move || stopping.stop()).unwrap();
    });
    event_loop.run_forever().unwrap();
    thread.join().unwrap();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    assert!(!event_loop.is_running() && !event_loop.is_closed());
    assert_eq!(*event_loop.local(|| 7u16), 7);

    // Optional: descriptors, signals, executor. A refusal says so, and leaves nothing behind.
    let (ours, mut theirs) = socket_pair();
    theirs.write_all(b"x").unwrap();
    let (fd, mut read) = (ours.clone(), trace.mark("read"));
    let watched = event_loop.add_reader(ours.clone(), move || {
        read();
        assert_eq!((&*fd).read(&mut [0; 8]).unwrap(), 1);
    });
    let signals = event_loop.add_signal_handler(signal_hook::consts::SIGALRM, || {});
    let job = event_loop.run_in_executor(None, || 3);
    if refuses {
        assert_eq!(watched.unwrap_err().kind(), ErrorKind::Unsupported);
        let SignalError::System(error) = signals.unwrap_err() else { panic!("another error") };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(job.exception().unwrap().is_some());
        assert!(!event_loop.remove_reader(&ours).unwrap());
        assert_eq!(Rc::strong_count(&ours), 1);
    } else {
        watched.unwrap();
        signals.unwrap();
        assert_eq!(event_loop.run_until_complete(&job).unwrap(), 3);
        assert_eq!(trace.take(), ["read"]);
        assert!(event_loop.remove_reader(&ours).unwrap());
        assert!(event_loop.remove_signal_handler(signal_hook::consts::SIGALRM));
    }
    event_loop.close().unwrap();
    assert!(matches!(event_loop.run_forever(), Err(RunError::Closed)));
}

#[test]
fn i1_i4_i17_one_suite_runs_on_each_implementation_of_the_interface() {
    for_each_loop(|event_loop| check(&event_loop.handle().into(), false));
    for_each_loop(|event_loop| {
        let foreign: Rc<dyn AbstractEventLoop> = Rc::new(Foreign(event_loop.handle()));
        check(&foreign, true);
    });
}

#[test]
fn i5_code_that_only_schedules_needs_no_more_than_a_scheduler() {
    /// Library code: it cannot run, stop or close what it is given.
    fn twice(
        scheduler: &dyn Scheduler,
        mut callback: impl FnMut() + Clone + 'static,
    ) -> Future<()> {
        let (done, producer) = (scheduler.create_future(), callback.clone());
        scheduler.call_soon(producer);
        let finished = done.clone();
        scheduler.call_later(Duration::ZERO, move || {
            callback();
            finished.set_result(()).unwrap();
        });
        done
    }
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (seen, handle) = (trace.clone(), event_loop.handle());
        // The loop was running before the library came.
        event_loop.call_soon(move || {
            let scheduler = futures::current();
            twice(&*scheduler, seen.mark("ran")).add_done_callback(move |_| handle.stop());
        });
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["ran", "ran"]);
    });
}
