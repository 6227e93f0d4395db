//! Tasks from other threads (F-30): threads and loop wait for each other by futures and channels.

use crate::common::{Trace, for_each_loop, record_reports};
use futures::{ClosedError, Exception, PanicError, TimeoutError, current_task, sleep};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tulipa_eventloop::{EventLoop, ThreadsafeHandle, run_coroutine_threadsafe};

/// Runs `outside` in another thread and the loop meanwhile; the thread's end ends the run.
fn with_a_thread<R: Send + 'static>(
    event_loop: &EventLoop,
    outside: impl FnOnce(&ThreadsafeHandle) -> R + Send + 'static,
) -> R {
    let handle = event_loop.threadsafe_handle();
    let thread = thread::spawn(move || {
        let answer = outside(&handle);
        handle.stop();
        answer
    });
    event_loop.run_forever().unwrap();
    thread.join().unwrap()
}

#[test]
fn f30_w40_a_coroutine_is_started_from_another_thread() {
    for_each_loop(|event_loop| {
        let place = with_a_thread(&event_loop, |handle| {
            // What it captures is sent; what it makes of that need not be.
            let number = 20;
            let line = line!() + 1;
            let answer = run_coroutine_threadsafe(
                move || {
                    let local = Rc::new(number);
                    async move {
                        futures::yield_now().await?;
                        let place = current_task().unwrap().created_at();
                        Ok((*local + 1, place))
                    }
                },
                handle,
            );
            let (answer, place) = answer.take(None).unwrap();
            assert_eq!(answer, 21);
            let plain = handle.spawn(|| async { "plain" });
            assert_eq!(plain.take(None).unwrap(), "plain");
            place.line() - line
        });
        assert_eq!(place, 0, "the caller's place counts as the one that spawned it");
        assert_eq!(event_loop.stats().errors, 0);
    });
}

#[test]
fn f30_an_exception_and_a_panic_reach_the_thread() {
    for_each_loop(|event_loop| {
        with_a_thread(&event_loop, |handle| {
            let failed = handle.create_task::<(), _>(|| async { Err(Exception::msg("no")) });
            assert_eq!(failed.take(None).unwrap_err().to_string(), "no");
            let panicked = handle.spawn::<(), _>(|| async { panic!("expected: a task") });
            assert!(panicked.take(None).unwrap_err().is::<PanicError>());
        });
        assert_eq!(event_loop.stats().errors, 0, "the thread was told");
    });
}

#[test]
fn f30_cancelling_the_future_cancels_the_task() {
    for_each_loop(|event_loop| {
        let outcome = with_a_thread(&event_loop, |handle| {
            let (began, has_begun) = channel();
            let (ended, has_ended) = channel();
            let future = handle.create_task(move || async move {
                began.send(()).unwrap();
                let waited = sleep(Duration::from_secs(3600)).await;
                ended.send(waited.as_ref().unwrap_err().is_cancelled()).unwrap();
                waited
            });
            has_begun.recv().unwrap();
            assert!(future.cancel());
            assert!(future.take(None).unwrap_err().is_cancelled());
            has_ended.recv().unwrap()
        });
        assert!(outcome);
        assert_eq!(event_loop.stats().tasks, 0);
    });
}

#[test]
fn f30_cancelled_before_its_turn_nothing_is_made() {
    for_each_loop(|event_loop| {
        let future = event_loop.threadsafe_handle().spawn(|| {
            #[allow(unreachable_code)]
            {
                unreachable!("it was cancelled") as std::future::Ready<()>
            }
        });
        assert!(future.cancel());
        event_loop.run_ready().unwrap();
        assert!(future.cancelled());
        assert_eq!((event_loop.stats().tasks, event_loop.stats().errors), (0, 0));
    });
}

#[test]
fn f30_the_tasks_cancellation_cancels_the_future() {
    for_each_loop(|event_loop| {
        let cancelled = with_a_thread(&event_loop, |handle| {
            let future = handle.create_task(|| async {
                current_task().unwrap().cancel();
                sleep(Duration::from_secs(3600)).await
            });
            future.take(None).unwrap_err().is_cancelled() && future.cancelled()
        });
        assert!(cancelled);
    });
}

#[test]
fn f30_a_time_out_of_the_waiting_thread_cancels_nothing() {
    for_each_loop(|event_loop| {
        with_a_thread(&event_loop, |handle| {
            let (go, wait) = channel::<()>();
            let future = handle.create_task(move || async move {
                while wait.try_recv().is_err() {
                    futures::yield_now().await?;
                }
                Ok("in the end")
            });
            let too_early = future.take(Some(Duration::from_nanos(1))).unwrap_err();
            assert!(too_early.is::<TimeoutError>());
            go.send(()).unwrap();
            assert_eq!(future.take(None).unwrap(), "in the end");
        });
    });
}

#[test]
fn f30_a_maker_that_panics_is_reported_and_the_thread_told() {
    for_each_loop(|event_loop| {
        let reports = record_reports(&**event_loop);
        let line = line!() + 2;
        with_a_thread(&event_loop, |handle| {
            let future = handle.spawn(|| {
                if true {
                    panic!("expected: no coroutine");
                }
                async {}
            });
            let error = future.take(None).unwrap_err();
            assert_eq!(error.to_string(), "panicked: expected: no coroutine");
        });
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].exception.as_ref().unwrap().is::<PanicError>());
        assert_eq!(reports[0].created_at.unwrap().line(), line);
    });
}

#[test]
fn f30_a_closed_loop_is_an_error() {
    for_each_loop(|event_loop| {
        let handle = event_loop.threadsafe_handle();
        let trace = Trace::new();
        // Posted, and not begun.
        let posted = handle.spawn(|| async { 1 });
        // Begun, and not ended.
        let begun = handle.create_task(|| async { sleep(Duration::from_secs(3600)).await });
        for _ in 0..5 {
            event_loop.run_ready().unwrap();
        }
        let queued = handle.spawn(|| async { 2 });
        let reports = record_reports(&**event_loop);
        event_loop.close().unwrap();
        assert_eq!(posted.take(None).unwrap(), 1);
        assert!(begun.take(None).unwrap_err().is_cancelled());
        assert!(queued.take(None).unwrap_err().is::<ClosedError>());
        let late = handle.spawn(|| async { 3 });
        assert!(late.take(None).unwrap_err().is::<ClosedError>());
        assert_eq!(reports.take().len(), 1, "the one that was destroyed");
        assert_eq!(trace.len(), 0);
    });
}
