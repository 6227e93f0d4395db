//! Handles and timers, as far as a scheduler without I/O goes.

use futures::{CallbackId, Handle, HandleState, Instant, Scheduler, SchedulerExt, TimerHandle};
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;
use tulipa_tests::{Host, MiniScheduler, Trace, on_drop};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn h1_dropping_a_handle_changes_nothing(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    drop(scheduler.call_soon(trace.mark("soon")));
    drop(scheduler.call_later(SECOND, trace.mark("timer")));
    host.run_until_idle();
    assert_eq!(trace.take(), ["soon", "timer"]);
}

pub(crate) fn h2_cancelling_frees_the_captures_at_once(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (soon, late) = (on_drop(trace.mark("soon")), on_drop(trace.mark("timer")));
    let soon = scheduler.call_soon(move || panic!("{}", size_of_val(&soon)));
    let timer = scheduler.call_later(SECOND, move || panic!("{}", size_of_val(&late)));
    assert!(soon.cancel() && timer.cancel());
    assert_eq!(trace.take(), ["soon", "timer"]);
    assert!(!soon.cancel() && !timer.cancel());
    assert!(soon.cancelled() && timer.cancelled());
    host.run_until_idle();
    let ran = scheduler.call_soon(trace.mark("ran"));
    host.run_until_idle();
    assert!(!ran.cancel());
    assert_eq!(trace.take(), ["ran"]);
}

pub(crate) fn h3_cancelled_means_that_the_run_was_prevented(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (ran, prevented) = (scheduler.call_soon(|| {}), scheduler.call_soon(|| {}));
    let timer = scheduler.call_later(SECOND, || {});
    assert_eq!((ran.state(), timer.state()), (HandleState::Pending, HandleState::Pending));
    prevented.cancel();
    host.run_until_idle();
    ran.cancel();
    timer.cancel();
    assert_eq!((ran.state(), ran.cancelled()), (HandleState::Done, false));
    assert_eq!((timer.state(), timer.cancelled()), (HandleState::Done, false));
    assert_eq!((prevented.state(), prevented.cancelled()), (HandleState::Cancelled, true));
    assert_eq!(format!("{prevented:?}"), "Handle(Cancelled)");
    assert!(format!("{timer:?}").starts_with("TimerHandle(Done, when "));
}

pub(crate) fn h4_cancelling_from_the_own_callback_changes_nothing(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let own = Rc::new(OnceCell::<TimerHandle>::new());
    let (inside, seen) = (own.clone(), trace.clone());
    let timer = scheduler.call_later(SECOND, move || {
        let handle = inside.get().unwrap();
        seen.note(format!("{:?} {} {}", handle.state(), handle.cancel(), handle.cancelled()));
    });
    own.set(timer).unwrap();
    host.run_until_idle();
    assert_eq!(trace.take(), ["Done false false"]);
}

pub(crate) fn h5_l8_cancelling_in_the_same_batch_prevents_the_run(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let victim = Rc::new(OnceCell::<Handle>::new());
    let known = victim.clone();
    scheduler.call_soon(move || assert!(known.get().unwrap().cancel()));
    victim.set(scheduler.call_soon(|| panic!("it was cancelled"))).unwrap();
    scheduler.call_soon(trace.mark("after"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["after"]);
    assert!(victim.get().unwrap().cancelled());
}

pub(crate) fn h5_a_due_timer_is_cancelled_by_an_earlier_one(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let victim = Rc::new(OnceCell::<TimerHandle>::new());
    let (known, when) = (victim.clone(), scheduler.time() + SECOND);
    scheduler.call_at(when, move || assert!(known.get().unwrap().cancel()));
    victim.set(scheduler.call_at(when, || panic!("it was cancelled"))).unwrap();
    scheduler.call_at(when, trace.mark("after"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["after"]);
    assert!(!victim.get().unwrap().cancel());
    assert!(victim.get().unwrap().cancelled());
}

pub(crate) fn h6_deadlines_in_the_past_are_due_at_once_in_their_order(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (inner, seen) = (scheduler.clone(), trace.clone());
    scheduler.call_later(10 * SECOND, move || {
        let now = inner.time();
        inner.call_later(Duration::ZERO, seen.mark("zero"));
        inner.call_at(now - SECOND, seen.mark("one second ago"));
        inner.call_at(now - 2 * SECOND, seen.mark("two seconds ago"));
        inner.call_at(Instant::ZERO, seen.mark("at the beginning"));
        seen.note("set up");
    });
    host.run_until_idle();
    assert_eq!(
        trace.take(),
        ["set up", "at the beginning", "two seconds ago", "one second ago", "zero"]
    );
}

pub(crate) fn h7_an_endless_delay_never_fires(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let longest = scheduler.call_later(Duration::MAX, || panic!("too early"));
    let never = scheduler.call_at(Instant::NEVER, || panic!("too early"));
    scheduler.call_later(SECOND, trace.mark("timer"));
    host.run_until_idle();
    assert_eq!(trace.take(), ["timer"]);
    assert_eq!((longest.when(), never.state()), (Instant::NEVER, HandleState::Pending));
    assert!(longest.cancel() && never.cancel());
}

pub(crate) fn h9_timers_fire_at_their_time_and_never_before(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    for nanos in [0, 1, 999, 300_000, 1_000_000_000] {
        let (inner, seen) = (scheduler.clone(), trace.clone());
        let when = scheduler.time() + Duration::from_nanos(nanos);
        scheduler.call_at(when, move || {
            assert!(inner.time() >= when);
            seen.note(nanos);
        });
    }
    host.run_until_idle();
    assert_eq!(trace.take(), ["0", "1", "999", "300000", "1000000000"]);
}

pub(crate) fn h10_equal_deadlines_run_in_the_order_of_their_creation(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let when = scheduler.time() + 3600 * SECOND;
    for number in 0..50 {
        scheduler.call_at(when, trace.mark(number));
        scheduler.call_at(when - SECOND, trace.mark(format!("earlier {number}")));
    }
    host.run_until_idle();
    let earlier = (0..50).map(|number| format!("earlier {number}"));
    let expected: Vec<_> = earlier.chain((0..50).map(|number| number.to_string())).collect();
    assert_eq!(trace.take(), expected);
}

pub(crate) fn h11_late_timers_are_neither_skipped_nor_merged(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let (inner, seen) = (scheduler.clone(), trace.clone());
    // Seen from second 100 on, each of these is late.
    scheduler.call_later(100 * SECOND, move || {
        for second in (1..6).rev() {
            inner.call_at(Instant::ZERO + second * SECOND, seen.mark(second));
        }
    });
    host.run_until_idle();
    assert_eq!(trace.take(), ["1", "2", "3", "4", "5"]);
}

pub(crate) fn h14_the_deadline_stays_readable(host: &dyn Host) {
    let scheduler = host.scheduler();
    let when = scheduler.time() + SECOND;
    let (fired, cancelled) = (scheduler.call_at(when, || {}), scheduler.call_at(when, || {}));
    cancelled.cancel();
    assert_eq!((fired.when(), cancelled.when()), (when, when));
    host.run_until_idle();
    assert_eq!((fired.when(), cancelled.when()), (when, when));
}

pub(crate) fn h15_handles_are_equal_if_they_are_for_the_same_callback(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (one, other) = (scheduler.call_soon(|| {}), scheduler.call_soon(|| {}));
    let same = &one;
    assert!(one == *same && one != other);
    let when = scheduler.time() + SECOND;
    let (timer, twin) = (scheduler.call_at(when, || {}), scheduler.call_at(when, || {}));
    let same = &timer;
    assert!(timer == *same && timer != twin);
    let elsewhere = MiniScheduler::new();
    let made = |id| Handle::new(Rc::downgrade(&scheduler), id);
    let foreign = |id| Handle::new(Rc::downgrade(&elsewhere.to_rc()), id);
    assert!(made(CallbackId::Soon(7)) == made(CallbackId::Soon(7)));
    assert!(made(CallbackId::Soon(7)) != made(CallbackId::Timer(7)));
    assert!(made(CallbackId::Soon(7)) != foreign(CallbackId::Soon(7)));
    host.close();
    let (dead, other) = (scheduler.call_soon(|| {}), scheduler.call_soon(|| {}));
    let same = &dead;
    assert!(dead == *same && dead != other);
    assert!(dead != one);
    assert!(one != dead);
    assert_eq!(host.take_reports().len(), 2);
}

pub(crate) fn h17_a_timer_can_be_moved_until_it_ran(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let start = scheduler.time();
    let at = |seconds: u32| start + seconds * SECOND;
    let (inner, seen) = (scheduler.clone(), trace.clone());
    let later = scheduler.call_at(at(1), move || {
        seen.note(format!("later at {:?}", inner.time() - start));
    });
    let earlier = scheduler.call_at(at(9), trace.mark("earlier"));
    scheduler.call_at(at(4), trace.mark("between"));
    assert!(later.reschedule(at(5)) && earlier.reschedule(at(2)));
    assert_eq!((later.when(), later.state()), (at(5), HandleState::Pending));
    host.run_until_idle();
    assert_eq!(trace.take(), ["earlier", "between", "later at 5s"]);
    let cancelled = scheduler.call_later(SECOND, || {});
    cancelled.cancel();
    for dead in [later, cancelled] {
        let when = dead.when();
        assert!(!dead.reschedule(at(20)));
        assert_eq!(dead.when(), when);
    }
}

pub(crate) fn h17_a_moved_timer_counts_as_new_among_equals(host: &dyn Host) {
    let (scheduler, trace) = (host.scheduler(), Trace::new());
    let when = scheduler.time() + SECOND;
    let moved = scheduler.call_at(when, trace.mark("moved"));
    scheduler.call_at(when, trace.mark("stayed"));
    assert!(moved.reschedule(when));
    host.run_until_idle();
    assert_eq!(trace.take(), ["stayed", "moved"]);
}

pub(crate) fn h2_l25_handles_outlive_the_loop(host: &dyn Host) {
    let scheduler = host.scheduler();
    let (soon, timer) = (scheduler.call_soon(|| {}), scheduler.call_later(SECOND, || {}));
    host.close();
    assert!(!soon.cancel() && !timer.cancel() && !timer.reschedule(Instant::ZERO));
    assert_eq!((soon.state(), timer.state()), (HandleState::Done, HandleState::Done));
}
