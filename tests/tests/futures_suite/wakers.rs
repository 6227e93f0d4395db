//! Awaiting a future, polled by hand.

use futures::{Exception, Future, InvalidStateError, SchedulerExt};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tulipa_tests::{Host, MiniScheduler, Trace, WakeCounter, local_waker};

fn poll<T: Clone + 'static>(future: &mut Future<T>, waker: &Waker) -> Poll<Result<T, Exception>> {
    std::future::Future::poll(Pin::new(future), &mut Context::from_waker(waker))
}

pub(crate) fn f22_a_done_future_is_ready_at_once(host: &dyn Host) {
    let (counter, waker) = WakeCounter::new();
    let [mut finished, mut failed, mut cancelled] =
        [(); 3].map(|()| host.scheduler().create_future::<u32>());
    finished.set_result(1).unwrap();
    failed.set_exception(Exception::msg("failed")).unwrap();
    cancelled.cancel_with("why");
    for _ in 0..2 {
        assert!(matches!(poll(&mut finished, &waker), Poll::Ready(Ok(1))));
    }
    let Poll::Ready(Err(exception)) = poll(&mut failed, &waker) else { panic!("it is done") };
    assert_eq!(exception.to_string(), "failed");
    let Poll::Ready(Err(exception)) = poll(&mut cancelled, &waker) else { panic!("it is done") };
    assert_eq!(exception.cancelled().unwrap().message(), Some("why"));
    assert_eq!(counter.count(), 0);
}

pub(crate) fn f22_a_pending_one_wakes_and_is_ready_then(host: &dyn Host) {
    let (counter, waker) = WakeCounter::new();
    let mut future = host.scheduler().create_future::<u32>();
    let producer = future.clone();
    assert!(poll(&mut future, &waker).is_pending());
    assert!(poll(&mut future, &waker).is_pending());
    assert_eq!(counter.count(), 0);
    producer.set_result(1).unwrap();
    assert_eq!(counter.count(), 1, "at once, and once");
    assert!(matches!(poll(&mut future, &waker), Poll::Ready(Ok(1))));
    host.run_until_idle();
    assert_eq!(counter.count(), 1);
}

pub(crate) fn f23_all_who_wait_are_woken_in_the_order_in_which_they_began(host: &dyn Host) {
    for count in [1, 2, 20] {
        let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
        let mut waiting: Vec<_> = (0..count).map(|_| future.clone()).collect();
        for (number, handle) in waiting.iter_mut().enumerate() {
            assert!(poll(handle, &local_waker(trace.mark(number))).is_pending());
        }
        future.set_result(1).unwrap();
        let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        assert_eq!(trace.take(), expected);
        for handle in &mut waiting {
            assert!(poll(handle, Waker::noop()).is_ready());
        }
    }
}

pub(crate) fn f23_wakers_and_callbacks_share_one_order(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let future = scheduler.create_future::<u32>();
    let mut waiting = [(); 2].map(|()| future.clone());
    for (number, handle) in waiting.iter_mut().enumerate() {
        future.add_done_callback(trace.mark_done(format!("callback {number}")));
        // As an executor would: a wake queues a step.
        let (inner, step) = (scheduler.clone(), trace.mark(format!("step {number}")));
        let waker = local_waker(move || {
            inner.call_soon(step);
        });
        assert!(poll(handle, &waker).is_pending());
    }
    future.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["callback 0", "step 0", "callback 1", "step 1"]);
}

pub(crate) fn f23_polling_again_replaces_the_waker_in_its_place(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let (stale, unused) = WakeCounter::new();
    let mut waiting = [(); 2].map(|()| future.clone());
    assert!(poll(&mut waiting[0], &unused).is_pending());
    assert_eq!(Arc::strong_count(&stale), 3);
    let first = local_waker(trace.mark("first"));
    assert!(poll(&mut waiting[1], &local_waker(trace.mark("second"))).is_pending());
    assert!(poll(&mut waiting[0], &first).is_pending());
    assert_eq!(Arc::strong_count(&stale), 2, "the old waker is kept");
    future.set_result(1).unwrap();
    assert_eq!(trace.take(), ["first", "second"]);
    assert_eq!(stale.count(), 0);
}

pub(crate) fn f23_one_who_left_is_not_woken(host: &dyn Host) {
    let future = host.scheduler().create_future::<u32>();
    let counters: Vec<_> = (0..3)
        .map(|number| {
            let (counter, waker) = WakeCounter::new();
            let mut waiting = Box::new(future.clone());
            assert!(poll(&mut waiting, &waker).is_pending());
            drop(waker);
            let stays = number != 1;
            let waiting = stays.then_some(waiting);
            assert_eq!(Arc::strong_count(&counter), 1 + usize::from(stays));
            (counter, waiting)
        })
        .collect();
    future.cancel();
    assert_eq!(counters.iter().map(|(c, _)| c.count()).collect::<Vec<_>>(), [1, 0, 1]);
}

pub(crate) fn f23_many_come_and_go(host: &dyn Host) {
    // With a cost for each leaver that grew with the crowd this would take long.
    let future = host.scheduler().create_future::<u32>();
    let (counter, waker) = WakeCounter::new();
    let mut waiting: Vec<_> = (0..30_000).map(|_| future.clone()).collect();
    for handle in &mut waiting {
        assert!(poll(handle, &waker).is_pending());
    }
    waiting.drain(..29_990);
    assert_eq!(Arc::strong_count(&counter), 12);
    future.set_result(1).unwrap();
    assert_eq!(counter.count(), 10);
}

pub(crate) fn awaiting_from_inside_another_loop_is_an_error(host: &dyn Host) {
    let (trace, other) = (Trace::new(), MiniScheduler::new());
    let (mut future, seen) = (host.scheduler().create_future::<u32>(), trace.clone());
    let mut own = future.clone();
    let foreign = futures::Scheduler::to_rc(&*other);
    foreign.call_soon(move || match poll(&mut future, Waker::noop()) {
        Poll::Ready(Err(exception)) => seen.note(exception.is::<InvalidStateError>()),
        other => panic!("{other:?}"),
    });
    other.run_until_idle();
    assert_eq!(trace.take(), ["true"]);
    host.scheduler().call_soon(move || assert!(poll(&mut own, Waker::noop()).is_pending()));
    host.run_until_idle();
}

pub(crate) fn f12_f15_what_a_waker_adds_comes_last(host: &dyn Host) {
    for crowd in [0, 2] {
        let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
        let (target, seen) = (future.clone(), trace.clone());
        let mut waiting = future.clone();
        let waker = local_waker(move || {
            let token = target.add_done_callback(seen.mark_done("added"));
            target.add_done_callback(seen.mark_done("added too"));
            assert!(!target.remove_done_callback(token));
            assert!(!target.cancel() && target.set_result(2).is_err());
        });
        assert!(poll(&mut waiting, &waker).is_pending());
        for number in 0..crowd {
            future.add_done_callback(trace.mark_done(number));
        }
        future.set_result(1).unwrap();
        host.run_until_idle();
        let numbers = (0..crowd).map(|number| number.to_string());
        let expected: Vec<_> = numbers.chain(["added".into(), "added too".into()]).collect();
        assert_eq!(trace.take(), expected);
    }
}

pub(crate) fn f15_f16_a_waker_that_panics_is_reported_and_the_others_are_told(host: &dyn Host) {
    let (trace, future) = (Trace::new(), host.scheduler().create_future::<u32>());
    let mut waiting = [(); 2].map(|()| future.clone());
    assert!(poll(&mut waiting[0], &local_waker(|| panic!("expected"))).is_pending());
    assert!(poll(&mut waiting[1], &local_waker(trace.mark("woken"))).is_pending());
    future.add_done_callback(trace.mark_done("callback"));
    future.set_result(1).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["woken", "callback"]);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "panicked: expected");
    assert_eq!(reports[0].created_at, Some(future.created_at()));
    assert!(reports[0].future.as_ref().unwrap().contains("finished"));
}

pub(crate) fn f15_a_waker_that_runs_the_loop_disturbs_nobody(host: &dyn Host) {
    // Nobody should, but the loop is not running when a future is set from outside.
    let other = MiniScheduler::new();
    let trace = Trace::new();
    let future = futures::Scheduler::to_rc(&*other).create_future::<u32>();
    future.add_done_callback(trace.mark_done("before"));
    let mut waiting = future.clone();
    let runner = Rc::downgrade(&other);
    let waker = local_waker(move || runner.upgrade().unwrap().run_until_idle());
    assert!(poll(&mut waiting, &waker).is_pending());
    future.add_done_callback(trace.mark_done("after"));
    future.set_result(1).unwrap();
    assert_eq!(trace.take(), ["before"]);
    other.run_until_idle();
    assert_eq!(trace.take(), ["after"]);
    host.run_until_idle();
}
