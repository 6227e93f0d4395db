//! [`LoopingCall`] and [`PeriodicCallback`].

use futures::{
    Exception, FirstCall, Instant, LateCalls, LoopingCall, OnFailure, PeriodicCallback, Scheduler,
    SchedulerExt, sleep,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use tulipa_tests::{Host, MiniHost, Trace, on_drop};

const SECOND: Duration = Duration::from_secs(1);

/// Seconds since `start`, with a fraction where there is one.
fn since(start: Instant, scheduler: &dyn Scheduler) -> f64 {
    (scheduler.time() - start).as_secs_f64()
}

fn fail() {
    std::panic::panic_any("of no importance");
}

/// A looping call that notes the time of each call, and stops at the call number `most`.
fn noting(host: &dyn Host, most: u32) -> (LoopingCall, Trace) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (start, notes, mut calls) = (scheduler.time(), trace.clone(), 0);
    let call = LoopingCall::new(&*scheduler.clone(), OnFailure::Stop, move |call| {
        notes.note(since(start, &*scheduler));
        calls += 1;
        if calls == most {
            call.stop().unwrap();
        }
    });
    (call, trace)
}

pub(crate) fn w18_it_calls_at_once_and_then_at_each_interval(host: &dyn Host) {
    let (call, trace) = noting(host, 4);
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    assert_eq!(trace.take(), ["0"], "before start returned");
    assert!(call.running() && !over.done());
    assert_eq!(call.interval(), Some(SECOND));
    host.run_until_idle();
    assert_eq!(trace.take(), ["1", "2", "3"]);
    assert!(over.result().is_ok() && !call.running());
    assert!(format!("{call:?}").contains("not running, created at tests/"));
}

pub(crate) fn w18_it_may_wait_for_the_first_interval(host: &dyn Host) {
    let (call, trace) = noting(host, 2);
    call.start(SECOND * 5, FirstCall::AfterInterval).unwrap();
    assert!(trace.take().is_empty());
    host.run_until_idle();
    assert_eq!(trace.take(), ["5", "10"]);
}

pub(crate) fn w18_its_future_is_done_when_it_stopped_or_failed(host: &dyn Host) {
    let scheduler = host.scheduler();
    let left = Cell::new(3);
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |_| {
        left.set(left.get() - 1);
        match left.get() {
            0 => Err(Exception::msg("out of ticks")),
            _ => Ok(()),
        }
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert_eq!(over.result().unwrap_err().to_string(), "out of ticks");
    assert!(!call.running());
}

pub(crate) fn w18_a_panic_is_a_failure(host: &dyn Host) {
    let scheduler = host.scheduler();
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, |_| fail());
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    assert!(over.exception().unwrap().unwrap().panicked().is_some());
    host.run_until_idle();
    // A coroutine's as well.
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, |_| async { fail() });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert!(over.exception().unwrap().unwrap().panicked().is_some());
}

pub(crate) fn w18_without_an_interval_it_calls_in_each_turn(host: &dyn Host) {
    let (call, trace) = noting(host, 3);
    let over = call.start(Duration::ZERO, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "0", "0"]);
    assert!(over.done());
}

/// Calls that take so many milliseconds each, for an interval of a second; when each began.
fn beginnings(host: &dyn Host, late: LateCalls, lengths: &'static [u64]) -> Vec<String> {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (start, notes) = (scheduler.time(), trace.clone());
    let mut lengths = lengths.iter();
    let call = LoopingCall::new(&*scheduler.clone(), OnFailure::Stop, move |call| {
        notes.note(since(start, &*scheduler));
        let length = lengths.next().copied();
        if length.is_none() {
            call.stop().unwrap();
        }
        async move { sleep(Duration::from_millis(length.unwrap_or(0))).await }
    });
    let over = call.late_calls(late).start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    over.result().unwrap();
    trace.take()
}

pub(crate) fn w19_a_call_that_overran_skips_what_it_missed(host: &dyn Host) {
    let begun = beginnings(host, LateCalls::KeepGrid, &[2500, 100, 1000, 999]);
    // After the one of exactly a second the next line is a second away, not at once.
    assert_eq!(begun, ["0", "3", "4", "6", "7"]);
}

pub(crate) fn w19_or_moves_the_grid_if_that_is_wanted(host: &dyn Host) {
    let begun = beginnings(host, LateCalls::MoveGrid, &[2500, 100, 1250, 0]);
    assert_eq!(begun, ["0", "3.5", "4.5", "6.75", "7.75"]);
}

pub(crate) fn w20_the_next_call_waits_for_the_future_of_the_last(host: &dyn Host) {
    let (scheduler, calls) = (host.scheduler(), Rc::new(Cell::new(0)));
    let (count, answer) = (calls.clone(), scheduler.create_future::<&str>());
    let awaited = answer.clone();
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |_| {
        count.set(count.get() + 1);
        awaited.clone()
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle(); // no timer: it waits for the answer
    assert_eq!(calls.get(), 1);
    answer.set_exception(Exception::msg("no answer")).unwrap();
    host.run_until_idle();
    assert_eq!((calls.get(), over.result().unwrap_err().to_string()), (1, "no answer".into()));
}

pub(crate) fn w20_a_shared_future_keeps_its_value(host: &dyn Host) {
    let scheduler = host.scheduler();
    let shared = scheduler.create_future::<String>();
    let given = shared.clone();
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |call| {
        call.stop().unwrap();
        given.clone()
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    shared.set_result("kept".into()).unwrap();
    host.run_until_idle();
    assert!(over.result().is_ok());
    assert_eq!(shared.take().unwrap(), "kept");
}

pub(crate) fn w20_a_future_of_another_loop_is_a_failure(host: &dyn Host) {
    let other = MiniHost::new();
    let foreign = other.scheduler().create_future::<()>();
    let scheduler = host.scheduler();
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |_| foreign.clone());
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    let error = over.result().unwrap_err().to_string();
    assert_eq!(error, "the future that was returned belongs to another event loop");
    drop(call);
    other.close();
}

pub(crate) fn w20_a_coroutine_counts_as_made_where_its_looping_call_was(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let notes = trace.clone();
    let line = line!() + 1;
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |call| {
        let (notes, call) = (notes.clone(), call.clone());
        async move {
            let place = futures::current_task().unwrap().created_at();
            notes.note(format!("{}:{}", place.file().rsplit('/').next().unwrap(), place.line()));
            Ok(call.stop()?)
        }
    });
    call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), [format!("looping_call.rs:{line}")]);
}

pub(crate) fn w20_cancelling_stops_it_and_the_call_under_way(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let notes = trace.clone();
    let call = LoopingCall::new(&*scheduler, OnFailure::GoOn, move |_| {
        let notes = notes.clone();
        async move {
            let slept = sleep(SECOND * 3600).await;
            notes.note(slept.as_ref().is_err_and(Exception::is_cancelled));
            slept
        }
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    scheduler.call_later(SECOND, move || assert!(over.cancel()));
    host.run_until_idle();
    assert_eq!(trace.take(), ["true"]);
    assert!(!call.running());
    // Between two calls.
    let over = call.start(SECOND, FirstCall::AfterInterval).unwrap();
    over.cancel();
    host.run_until_idle();
    assert!(trace.take().is_empty() && !call.running());
}

pub(crate) fn w20_cancelled_it_has_no_interval_any_more(host: &dyn Host) {
    let (call, _trace) = noting(host, 1);
    let over = call.start(SECOND, FirstCall::AfterInterval).unwrap();
    over.cancel();
    assert_eq!(call.interval(), None);
    assert!(format!("{call:?}").contains("not running") && !call.running());
}

pub(crate) fn w20_a_call_that_fails_after_a_cancel_is_reported(host: &dyn Host) {
    let scheduler = host.scheduler();
    for on_failure in [OnFailure::Stop, OnFailure::GoOn] {
        let call = LoopingCall::new(&*scheduler, on_failure, |_| async {
            let _ = sleep(SECOND * 3600).await;
            Err::<(), _>(Exception::msg("the clean-up failed"))
        });
        let over = call.start(SECOND, FirstCall::Now).unwrap();
        scheduler.call_later(SECOND, move || assert!(over.cancel()));
        host.run_until_idle();
        let reports = host.take_reports();
        assert_eq!(reports.len(), 1, "{on_failure:?}");
        assert!(reports[0].to_string().contains("the clean-up failed"));
        assert!(!call.running());
    }
}

pub(crate) fn w20_l25_a_call_that_never_ends_is_freed_with_its_loop(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let freed = on_drop(trace.mark("freed"));
    let (never, other) = (scheduler.create_future::<()>(), scheduler.create_future::<u8>());
    let mut given = Some(never.clone());
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |_| {
        let _captured = &freed;
        given.take().unwrap()
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    drop(call);
    let mut other = Some(other);
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |_| other.take().unwrap());
    call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert!(!over.done() && call.running() && trace.take().is_empty());
    host.close();
    drop((over, never));
    assert_eq!(trace.take(), ["freed"]);
}

pub(crate) fn w20_w21_it_ends_when_the_call_under_way_has_ended(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, |_| sleep(SECOND * 3));
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    let (start, stopped, notes) = (scheduler.time(), call.clone(), trace.clone());
    scheduler.call_later(SECOND, move || {
        stopped.stop().unwrap();
        assert!(!stopped.running() && stopped.stop().is_err() && stopped.reset().is_err());
    });
    let clock = scheduler.clone();
    over.add_done_callback(move |_| notes.note(since(start, &*clock)));
    host.run_until_idle();
    assert_eq!(trace.take(), ["3"]);
}

pub(crate) fn w21_starting_twice_or_stopping_twice_is_an_error(host: &dyn Host) {
    let (call, _trace) = noting(host, 1000);
    for error in [call.stop().unwrap_err(), call.reset().unwrap_err()] {
        assert!(error.to_string().ends_with("it is not running"), "{error}");
    }
    call.start(SECOND, FirstCall::Now).unwrap();
    let error = call.start(SECOND, FirstCall::Now).unwrap_err();
    assert_eq!(error.to_string(), "LoopingCall::start: it is running already");
    call.stop().unwrap();
    assert!(call.stop().is_err());
}

pub(crate) fn w21_it_may_be_started_again_even_from_inside(host: &dyn Host) {
    let (call, trace) = noting(host, 1);
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    let again = call.clone();
    over.add_done_callback(move |_| {
        again.start(SECOND, FirstCall::AfterInterval).unwrap();
        let stopped = again.clone();
        futures::current().call_later(SECOND * 5 / 2, move || stopped.stop().unwrap());
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "1", "2"]);
    // From inside, again and again: each begins in a turn of its own, and each future is done.
    let (scheduler, runs) = (host.scheduler(), Rc::new(RefCell::new(Vec::new())));
    let futures = runs.clone();
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |call| {
        call.stop().unwrap();
        assert!(!call.running());
        if futures.borrow().len() < 5000 {
            futures.borrow_mut().push(call.start(SECOND, FirstCall::Now).unwrap());
            assert!(call.running() && call.start(SECOND, FirstCall::Now).is_err());
        }
    });
    let first = call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert!(first.result().is_ok() && runs.borrow().len() == 5000);
    assert!(runs.take().iter().all(|over| over.result().is_ok()));
}

thread_local! {
    static WOKEN: RefCell<Option<(LoopingCall, Trace)>> = const { RefCell::new(None) };
}

/// Starts again what has ended.
struct StartsAgain;

impl Wake for StartsAgain {
    fn wake(self: Arc<Self>) {
        let (call, trace) = WOKEN.take().unwrap();
        let refused = call.start(SECOND * 5, FirstCall::AfterInterval);
        trace.note(refused.map_or_else(|error| error.to_string(), |_| "two at a time".into()));
    }
}

pub(crate) fn w21_who_is_woken_by_the_end_finds_it_begun_anew(host: &dyn Host) {
    let (scheduler, trace, mut calls) = (host.scheduler(), Trace::new(), 0);
    let (start, notes, clock) = (scheduler.time(), trace.clone(), scheduler.clone());
    let call = LoopingCall::new(&*scheduler.clone(), OnFailure::Stop, move |call| {
        notes.note(since(start, &*clock));
        calls += 1;
        call.stop().unwrap();
        if calls == 1 {
            call.start(SECOND, FirstCall::AfterInterval).unwrap();
        }
        sleep(SECOND)
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    WOKEN.set(Some((call, trace.clone())));
    let mut over = std::pin::pin!(over.into_future());
    let waker = Waker::from(Arc::new(StartsAgain));
    assert!(over.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "LoopingCall::start: it is running already", "2"]);
}

pub(crate) fn w21_a_cancelled_run_leaves_no_timer_for_the_next(host: &dyn Host) {
    let (call, trace) = noting(host, 2);
    let over = call.start(SECOND, FirstCall::AfterInterval).unwrap();
    over.cancel();
    assert!(!call.running());
    let over = call.start(SECOND * 10, FirstCall::AfterInterval).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["10", "20"]);
    assert!(over.done());
}

pub(crate) fn w22_a_reset_starts_the_grid_afresh(host: &dyn Host) {
    let (call, trace) = noting(host, 3);
    call.start(SECOND * 2, FirstCall::Now).unwrap();
    let reset = call.clone();
    host.scheduler().call_later(SECOND, move || reset.reset().unwrap());
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "3", "5"]);
    // From inside a call, which takes longer than an interval.
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (start, notes, mut calls) = (scheduler.time(), trace.clone(), 0);
    let call = LoopingCall::new(&*scheduler.clone(), OnFailure::Stop, move |call| {
        notes.note(since(start, &*scheduler));
        calls += 1;
        let (call, calls) = (call.clone(), calls);
        async move {
            match calls {
                1 => {
                    sleep(SECOND / 2).await?;
                    call.reset()?;
                    sleep(SECOND * 2).await
                }
                2 => Ok(()),
                _ => Ok(call.stop()?),
            }
        }
    });
    call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    // The new grid is at 0.5, 1.5, 2.5 (when the call ends), 3.5.
    assert_eq!(trace.take(), ["0", "3.5", "4.5"]);
}

pub(crate) fn w23_it_tells_how_many_intervals_have_passed(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let notes = trace.clone();
    let mut lengths = [0_u64, 0, 350, 0].into_iter();
    let call = LoopingCall::with_count(&*scheduler, OnFailure::Stop, move |call, count| {
        notes.note(count);
        let length = lengths.next();
        if length.is_none() {
            call.stop().unwrap();
        }
        sleep(Duration::from_millis(length.unwrap_or(0)))
    });
    let tenth = Duration::from_secs_f64(0.1);
    for first in [FirstCall::Now, FirstCall::AfterInterval] {
        call.start(tenth, first).unwrap();
        host.run_until_idle();
    }
    assert_eq!(trace.take(), ["1", "1", "1", "4", "1", "1"]);
}

pub(crate) fn w24_it_goes_on_after_a_failure_if_that_was_said(host: &dyn Host) {
    let (scheduler, calls) = (host.scheduler(), Rc::new(Cell::new(0)));
    let count = calls.clone();
    let call = LoopingCall::new(&*scheduler, OnFailure::GoOn, move |call| {
        count.set(count.get() + 1);
        match count.get() {
            1 => Err(Exception::msg("the first")),
            2 => {
                fail();
                Ok(())
            }
            _ => Ok(call.stop()?),
        }
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    host.run_until_idle();
    assert!(over.result().is_ok() && calls.get() == 3);
    let reports = host.take_reports();
    assert_eq!(reports.len(), 2);
    let message = "a call of a looping call failed; it goes on";
    assert!(reports.iter().all(|report| report.message == message));
    assert!(reports.iter().all(|report| report.created_at.is_some()));
    assert_eq!(reports[0].exception.as_ref().unwrap().to_string(), "the first");
}

pub(crate) fn w24_jitter_moves_calls_but_not_the_grid(host: &dyn Host) {
    let (call, trace) = noting(host, 5);
    let mut drawn = [0.0, 1.0, f64::NAN, 0.25, 7.0].into_iter().cycle();
    let call = call.jitter(0.5, move || drawn.next().unwrap());
    call.start(SECOND * 4, FirstCall::AfterInterval).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["3", "9", "12", "15.5", "21"]);
    // Chance that panics moves nothing, and is reported.
    let (call, trace) = noting(host, 2);
    let call = call.jitter(1.0, || {
        fail();
        0.5
    });
    call.start(SECOND, FirstCall::AfterInterval).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["1", "2"]);
    assert!(!host.take_reports().is_empty());
}

pub(crate) fn w24_a_periodic_callback_goes_on_and_begins_after_an_interval(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (start, notes, clock) = (scheduler.time(), trace.clone(), scheduler.clone());
    let callback = PeriodicCallback::new(&*scheduler, SECOND, move || {
        notes.note(since(start, &*clock));
        Err(Exception::msg("logged"))
    })
    .unwrap();
    callback.start();
    callback.start(); // is started already
    assert!(callback.is_running());
    let stopped = callback.clone();
    scheduler.call_later(Duration::from_millis(2500), move || {
        stopped.stop();
        stopped.stop();
        assert!(!stopped.is_running());
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["1", "2"]);
    assert_eq!(host.take_reports().len(), 2);
    let refused = PeriodicCallback::new(&*scheduler, Duration::ZERO, || {});
    assert_eq!(
        refused.unwrap_err().to_string(),
        "a periodic callback needs an interval above zero"
    );
}

pub(crate) fn w21_the_function_may_do_anything_to_its_looping_call(host: &dyn Host) {
    // Each pair of actions, one call after the other, and at each the counts must agree.
    let actions: [fn(&LoopingCall); 7] = [
        |call| drop(call.stop()),
        |call| drop(call.reset()),
        |call| drop(call.start(SECOND, FirstCall::Now)),
        |call| drop(call.start(SECOND, FirstCall::AfterInterval)),
        |call| drop(call.start(SECOND, FirstCall::Now).map(|over| over.cancel())),
        |call| drop(call.clone().jitter(0.1, || 0.5).late_calls(LateCalls::MoveGrid)),
        |_| fail(),
    ];
    let scheduler = host.scheduler();
    for one in actions {
        for other in actions {
            for then in actions {
                let inside = Rc::new(Cell::new(0_u32));
                let (depth, mut calls) = (inside.clone(), 0);
                let call = LoopingCall::new(&*scheduler, OnFailure::GoOn, move |call| {
                    calls += 1;
                    assert_eq!(depth.replace(1), 0, "two at a time");
                    let leave = depth.clone();
                    let _left = on_drop(move || leave.set(0));
                    if calls > 3 {
                        return drop(call.stop());
                    }
                    one(call);
                    other(call);
                    then(call);
                });
                let over = call.start(SECOND, FirstCall::Now).unwrap();
                host.run_until_idle();
                assert!(over.done() && !call.running() && inside.get() == 0);
            }
        }
    }
    host.take_reports();
}

pub(crate) fn w18_l25_l26_a_closed_loop_ends_it_and_frees_the_function(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let freed = on_drop(trace.mark("freed"));
    let call = LoopingCall::new(&*scheduler, OnFailure::Stop, move |_| {
        let _captured = &freed;
    });
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    drop(call);
    let other = LoopingCall::new(&*scheduler, OnFailure::Stop, |_| {});
    host.close();
    assert_eq!(trace.take(), ["freed"]);
    assert!(!over.done());
    let error = other.start(SECOND, FirstCall::Now).unwrap_err();
    assert_eq!(error.to_string(), "LoopingCall::start: the event loop is closed");
}

pub(crate) fn w18_a_scope_ends_it(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let scope = scheduler.create_scope();
    let notes = trace.clone();
    let call = LoopingCall::new(&**scope, OnFailure::Stop, move |_| notes.note("tick"));
    let over = call.start(SECOND, FirstCall::Now).unwrap();
    scheduler.call_later(Duration::from_millis(1500), move || drop(scope));
    host.run_until_idle();
    assert_eq!(trace.take(), ["tick", "tick"]);
    assert!(over.cancelled() && !call.running());
    assert!(call.start(SECOND, FirstCall::Now).is_err());
}

pub(crate) fn w18_dropping_the_handle_changes_nothing_unless_that_is_wanted(host: &dyn Host) {
    let (call, trace) = noting(host, 3);
    call.start(SECOND, FirstCall::Now).unwrap();
    drop(call);
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "1", "2"]);
    let (call, trace) = noting(host, 3);
    call.start(SECOND, FirstCall::Now).unwrap();
    let call = call.stop_on_drop();
    assert!(call.running());
    drop(call);
    host.run_until_idle();
    assert_eq!(trace.take(), ["0"]);
}
