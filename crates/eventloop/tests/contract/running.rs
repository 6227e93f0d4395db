//! Running a loop, and what a run gives back (L-10 to L-17, L-22, L-23).

use crate::common::fake::fake_loop;
use crate::common::{Captured, SECOND, Trace, for_each_loop, record_reports};
use futures::{Exception, InvalidStateError};
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, RunError, TestLoop, try_current};

fn run_error(exception: &Exception) -> &RunError {
    exception.downcast_ref().expect("a RunError")
}

#[test]
fn l10_a_panic_that_finished_the_future_leaves_a_loop_that_can_be_run_again() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let future = event_loop.create_future::<()>();
        let (producer, handle, seen) = (future.clone(), event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            let payload = Box::new("the main task's words");
            producer.set_exception(Exception::from_panic(payload)).unwrap();
            handle.call_soon(seen.mark("with the done-callback"));
            let (again, seen) = (handle.clone(), seen.clone());
            handle.call_soon(move || drop(again.call_soon(seen.mark("queued"))));
        });
        let run = AssertUnwindSafe(|| event_loop.run_until_complete(&future));
        let panic = catch_unwind(run).unwrap_err();
        assert_eq!(*panic.downcast::<&str>().unwrap(), "the main task's words");
        assert_eq!(trace.take(), ["with the done-callback"]);
        assert!(!event_loop.is_running() && try_current().is_none());
        // No stop request is left: this run goes on until it is told.
        let handle = event_loop.handle();
        event_loop.call_later(Duration::from_micros(10), move || handle.stop());
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["queued"]);
        event_loop.close().unwrap();
    });
}

#[test]
fn l10_the_test_loop_resumes_the_first_panic_that_nobody_handled_at_its_end() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    event_loop.call_soon(|| panic!("first"));
    event_loop.call_soon(|| panic!("second"));
    event_loop.call_soon(trace.mark("goes on"));
    event_loop.run_until_idle();
    assert_eq!(trace.take(), ["goes on"]);
    let panic = catch_unwind(AssertUnwindSafe(|| event_loop.finish())).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "first");

    let event_loop = TestLoop::new();
    event_loop.call_soon(|| panic!("handled"));
    let reports = record_reports(&***event_loop);
    event_loop.run_until_idle();
    assert_eq!(reports.count(), 1);
    event_loop.finish();

    let event_loop = TestLoop::new();
    event_loop.call_soon(|| panic!("taken"));
    event_loop.run_until_idle();
    assert!(event_loop.take_first_panic().unwrap().to_string().contains("taken"));
    event_loop.finish();
}

#[test]
fn l10_a_poller_that_fails_ends_the_run_and_leaves_everything_in_place() {
    let (event_loop, script) = fake_loop();
    let trace = Trace::new();
    event_loop.call_soon(trace.mark("queued"));
    script.errors.borrow_mut().push(io::Error::from(io::ErrorKind::OutOfMemory));
    match event_loop.run_forever() {
        Err(RunError::Poll(error)) => assert_eq!(error.kind(), io::ErrorKind::OutOfMemory),
        other => panic!("{other:?}"),
    }
    assert!(!event_loop.is_running());
    assert!(trace.take().is_empty());
    event_loop.run_once(None).unwrap();
    assert_eq!(trace.take(), ["queued"]);
}

#[test]
fn l11_run_forever_runs_until_stop_and_run_until_complete_gives_the_outcome() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_later(Duration::from_micros(50), move || {
            seen.note("timer");
            handle.stop();
        });
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["timer"]);

        let (good, bad) = (event_loop.create_future(), event_loop.create_future::<u32>());
        let cancelled = event_loop.create_future::<u32>();
        let (g, b, c) = (good.clone(), bad.clone(), cancelled.clone());
        event_loop.call_later(Duration::from_micros(50), move || g.set_result(7).unwrap());
        assert_eq!(event_loop.run_until_complete(&good).unwrap(), 7);
        event_loop.call_soon(move || b.set_exception(InvalidStateError::new("why")).unwrap());
        let error = event_loop.run_until_complete(&bad).unwrap_err();
        assert!(error.is::<InvalidStateError>(), "{error}");
        event_loop.call_soon(move || assert!(c.cancel()));
        assert!(event_loop.run_until_complete(&cancelled).unwrap_err().is_cancelled());
    });
}

#[test]
fn l12_i7_a_running_loop_cannot_be_run_nor_another_on_its_thread() {
    for_each_loop(|event_loop| {
        let other = EventLoop::new().unwrap();
        let trace = Trace::new();
        let (handle, elsewhere, seen) = (event_loop.handle(), other.handle(), trace.clone());
        let outer = event_loop.create_future::<()>();
        let outer_done = outer.clone();
        event_loop.call_soon(move || {
            assert!(matches!(handle.run_forever(), Err(RunError::AlreadyRunning)));
            assert!(matches!(handle.run_once(None), Err(RunError::AlreadyRunning)));
            // A refused run must leave nothing on the future that would stop the one that goes on.
            for done in [true, false] {
                let inner = handle.create_future::<()>();
                if done {
                    inner.set_result(()).unwrap();
                }
                let refused = handle.run_until_complete(&inner).unwrap_err();
                assert!(matches!(run_error(&refused), RunError::AlreadyRunning));
                inner.cancel();
            }
            let foreign = elsewhere.create_future::<()>();
            let refused = elsewhere.run_until_complete(&foreign).unwrap_err();
            assert!(matches!(run_error(&refused), RunError::AnotherIsRunning));
            assert!(matches!(elsewhere.run_forever(), Err(RunError::AnotherIsRunning)));
            assert!(try_current().unwrap().id() == handle.id());
            seen.note("refused");
            let outer = outer_done.clone();
            handle.call_later(Duration::from_micros(100), move || outer.set_result(()).unwrap());
        });
        event_loop.run_until_complete(&outer).unwrap();
        assert_eq!(trace.take(), ["refused"]);
        // Another thread is free to run one meanwhile.
        let handle = event_loop.handle();
        event_loop.call_soon(move || {
            let ran = std::thread::spawn(|| {
                let event_loop = EventLoop::new().unwrap();
                event_loop.stop();
                event_loop.run_forever().is_ok()
            });
            assert!(ran.join().unwrap());
            handle.stop();
        });
        event_loop.run_forever().unwrap();
        other.stop();
        other.run_forever().unwrap();
    });
}

#[test]
fn l12_l26_a_closed_loop_cannot_be_run_and_nothing_leaks() {
    for_each_loop(|event_loop| {
        let captured = Captured::new();
        let future = event_loop.create_future::<()>();
        let mut hold = captured.hold();
        future.add_done_callback(move |_| hold());
        event_loop.close().unwrap();
        assert!(matches!(event_loop.run_forever(), Err(RunError::Closed)));
        assert!(matches!(event_loop.run_once(None), Err(RunError::Closed)));
        assert!(matches!(event_loop.run_ready(), Err(RunError::Closed)));
        let error = event_loop.run_until_complete(&future).unwrap_err();
        assert!(matches!(run_error(&error), RunError::Closed));
        assert_eq!(error.to_string(), "the event loop is closed");
        drop(future);
        assert_eq!(captured.copies(), 0);
    });
}

#[test]
fn l13_a_future_of_another_loop_is_refused() {
    for_each_loop(|event_loop| {
        let other = EventLoop::new().unwrap();
        let future = other.create_future::<()>();
        future.set_result(()).unwrap();
        let error = event_loop.run_until_complete(&future).unwrap_err();
        assert!(matches!(run_error(&error), RunError::OtherLoop));
        assert_eq!(other.stats().ready, 0, "nothing was added to it");
    });
}

#[test]
fn l14_stopped_before_the_future_is_done_is_an_error_and_a_later_run_may_complete_it() {
    for_each_loop(|event_loop| {
        let future = event_loop.create_future();
        let handle = event_loop.handle();
        event_loop.call_soon(move || handle.stop());
        let error = event_loop.run_until_complete(&future).unwrap_err();
        assert!(matches!(run_error(&error), RunError::Stopped));
        assert!(!future.done());
        let producer = future.clone();
        event_loop.call_soon(move || producer.set_result(1).unwrap());
        assert_eq!(event_loop.run_until_complete(&future).unwrap(), 1);
    });
}

/// A run that is ended by a timer, and how often anything else ended it before.
fn runs_until_the_timer(event_loop: &EventLoop) -> bool {
    let rang = Rc::new(Cell::new(false));
    let (bell, handle) = (rang.clone(), event_loop.handle());
    event_loop.call_later(Duration::from_millis(1), move || {
        bell.set(true);
        handle.stop();
    });
    event_loop.run_forever().unwrap();
    rang.get()
}

#[test]
fn l15_a_late_completion_does_not_stop_a_later_run() {
    for_each_loop(|event_loop| {
        // Stopped first, completed during a later run.
        let future = event_loop.create_future::<()>();
        event_loop.stop();
        assert!(event_loop.run_until_complete(&future).is_err());
        let late = future.clone();
        event_loop.call_soon(move || late.set_result(()).unwrap());
        assert!(runs_until_the_timer(&event_loop));

        // Completed and stopped in the same batch: its done-callback was queued by then.
        let future = event_loop.create_future::<()>();
        let (producer, handle) = (future.clone(), event_loop.handle());
        event_loop.call_soon(move || {
            producer.set_result(()).unwrap();
            handle.stop();
        });
        event_loop.run_until_complete(&future).unwrap();
        assert!(runs_until_the_timer(&event_loop));

        // Done before a run that was stopped before it began.
        let future = event_loop.create_future::<()>();
        future.set_result(()).unwrap();
        event_loop.stop();
        event_loop.run_until_complete(&future).unwrap();
        assert!(runs_until_the_timer(&event_loop));
    });
}

#[test]
fn l15_the_poller_fails_and_the_done_callback_is_gone_all_the_same() {
    let (event_loop, script) = fake_loop();
    let future = event_loop.create_future::<()>();
    script.wait_takes.set(Some(Duration::ZERO));
    script.errors.borrow_mut().push(io::Error::from(io::ErrorKind::Other));
    let error = event_loop.run_until_complete(&future).unwrap_err();
    assert!(matches!(run_error(&error), RunError::Poll(_)));
    future.set_result(()).unwrap();
    script.wait_takes.set(None);
    assert!(runs_until_the_timer(&event_loop));
}

#[test]
fn l17_a_future_that_is_done_still_has_its_done_callbacks_run() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let future = event_loop.create_future();
        future.set_result(3).unwrap();
        let seen = trace.clone();
        future.add_done_callback(move |future| seen.note(format!("{:?}", future.result().ok())));
        assert_eq!(event_loop.run_until_complete(&future).unwrap(), 3);
        assert_eq!(trace.take(), ["Some(3)"]);
    });
}

#[test]
fn l22_is_running_from_the_first_callback_of_a_run_to_its_last() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        assert!(!event_loop.is_running() && !event_loop.is_closed());
        for _ in 0..2 {
            let (handle, seen) = (event_loop.handle(), trace.clone());
            event_loop.call_soon(move || {
                seen.note(handle.is_running().to_string());
                let (again, seen) = (handle.clone(), seen.clone());
                handle.call_soon(move || {
                    seen.note(again.is_running().to_string());
                    again.stop();
                });
            });
            event_loop.run_forever().unwrap();
            assert!(!event_loop.is_running());
            assert_eq!(trace.take(), ["true", "true"]);
        }
        // As a guest: false between the calls.
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || seen.note(handle.is_running().to_string()));
        event_loop.run_ready().unwrap();
        assert!(!event_loop.is_running());
        assert_eq!(trace.take(), ["true"]);
        event_loop.close().unwrap();
        assert!(event_loop.is_closed() && !event_loop.is_running());
    });
}

#[test]
fn l23_l48_run_once_runs_a_single_iteration_as_the_current_loop() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        for step in 0..3 {
            let (handle, seen) = (event_loop.handle(), trace.clone());
            event_loop.call_soon(move || {
                assert_eq!(try_current().unwrap().id(), handle.id());
                assert_eq!(futures::current().id(), handle.id());
                seen.note(format!("step {step}"));
            });
            assert!(try_current().is_none());
            event_loop.run_once(Some(SECOND)).unwrap();
            assert!(try_current().is_none() && futures::try_current().is_none());
            assert_eq!(trace.take(), [format!("step {step}")]);
        }
        assert_eq!(event_loop.stats().iterations, 3);
        // It does not wait longer than it is told.
        let far = event_loop.call_later(3600 * SECOND, || panic!("too early"));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        event_loop.run_once(Some(Duration::from_micros(10))).unwrap();
        far.cancel();
    });
}

#[test]
fn l23_what_was_current_before_is_current_again() {
    struct NoLoop(std::rc::Weak<NoLoop>, futures::SchedulerId);
    impl Scheduler for NoLoop {
        fn schedule(
            &self,
            callback: futures::Callback,
        ) -> Result<futures::Handle, futures::Closed> {
            Err(futures::Closed::new(callback))
        }
        fn schedule_at(
            &self,
            _: futures::Instant,
            callback: futures::Callback,
        ) -> Result<futures::TimerHandle, futures::Closed> {
            Err(futures::Closed::new(callback))
        }
        fn time(&self) -> futures::Instant {
            futures::Instant::ZERO
        }
        fn cancel(&self, _: futures::CallbackId) -> bool {
            false
        }
        fn is_pending(&self, _: futures::CallbackId) -> bool {
            false
        }
        fn reschedule(&self, _: futures::CallbackId, _: futures::Instant) -> bool {
            false
        }
        fn call_exception_handler(&self, _: futures::ExceptionContext) {}
        fn id(&self) -> futures::SchedulerId {
            self.1
        }
        fn to_rc(&self) -> Rc<dyn Scheduler> {
            self.0.upgrade().unwrap()
        }
        fn threadsafe(&self) -> std::sync::Arc<dyn futures::ThreadsafeScheduler> {
            unreachable!("nobody asks")
        }
        fn is_closed(&self) -> bool {
            true
        }
    }
    let foreign = Rc::new_cyclic(|this| NoLoop(this.clone(), futures::SchedulerId::unique()));
    let inside = futures::EnteredScheduler::new(foreign.clone());
    for_each_loop(|event_loop| {
        let handle = event_loop.handle();
        event_loop.call_soon(move || assert_eq!(futures::current().id(), handle.id()));
        event_loop.run_ready().unwrap();
        assert_eq!(futures::current().id(), foreign.id());
    });
    drop(inside);
    assert!(futures::try_current().is_none());
}

#[test]
fn l15_a_driver_that_panics_leaves_no_done_callback_behind() {
    let (event_loop, _script) = fake_loop();
    let future = event_loop.create_future::<()>();
    // The fake driver panics when it is to sleep for ever.
    let run = AssertUnwindSafe(|| event_loop.run_until_complete(&future));
    assert!(catch_unwind(run).is_err());
    future.set_result(()).unwrap();
    assert!(runs_until_the_timer(&event_loop));
}
