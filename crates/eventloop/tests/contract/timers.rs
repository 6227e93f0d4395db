//! Handles and timers on a loop (H-1 to H-18). The queue of deadlines itself has its own tests.

use crate::common::fake::fake_builder;
use crate::common::{Captured, SECOND, Trace, for_each_builder, for_each_loop};
use futures::{Handle, HandleState, Instant, TimerHandle};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{CancelAnswer, Clock, EventLoop, LoopHandle, RunError, TestClock, TestLoop};

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn h1_dropping_a_handle_changes_nothing() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        drop(event_loop.call_soon(trace.mark("soon")));
        drop(event_loop.call_later(Duration::ZERO, trace.mark("later")));
        drop(event_loop.call_at(event_loop.time(), trace.mark("at")));
        drop(event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap());
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["soon", "later", "at"]);
        assert_eq!(event_loop.stats().posted, 1);
    });
}

#[test]
fn h2_h3_cancel_drops_the_captures_right_then_and_may_be_repeated() {
    for_each_loop(|event_loop| {
        let captured = Captured::new();
        let soon = event_loop.call_soon(captured.hold());
        let timer = event_loop.call_later(3600 * SECOND, captured.hold());
        assert_eq!((soon.state(), timer.state()), (HandleState::Pending, HandleState::Pending));
        assert_eq!(captured.copies(), 2);
        assert!(soon.cancel() && timer.cancel());
        assert_eq!(captured.copies(), 0);
        assert!(!soon.cancel() && !timer.cancel());
        assert!(soon.cancelled() && timer.cancelled());
        assert_eq!(event_loop.stats().cancelled, 2);

        let ran = event_loop.call_soon(captured.hold());
        let fired = event_loop.call_later(Duration::ZERO, captured.hold());
        event_loop.run_ready().unwrap();
        assert!(!ran.cancel() && !fired.cancel());
        assert!(!ran.cancelled() && !fired.cancelled(), "too late is not cancelled");
        assert_eq!((ran.state(), fired.state()), (HandleState::Done, HandleState::Done));
        assert_eq!(captured.copies(), 0);
    });
}

#[test]
fn h2_captures_that_panic_or_use_the_loop_when_they_are_cancelled_harm_nobody() {
    for_each_loop(|event_loop| {
        let reports = crate::common::record_reports(&**event_loop);
        let bad = crate::common::OnDrop::new(|| panic!("expected"));
        assert!(event_loop.call_soon(move || bad.keep()).cancel());
        let bad = crate::common::OnDrop::new(|| panic!("expected"));
        assert!(event_loop.call_later(SECOND, move || bad.keep()).cancel());
        assert_eq!(reports.count(), 2);
        let own = Rc::new(OnceCell::<TimerHandle>::new());
        let (handle, inside) = (event_loop.handle(), own.clone());
        let meddler = crate::common::OnDrop::new(move || {
            let own = inside.get().unwrap();
            assert!(!own.cancel() && own.state() == HandleState::Done);
            handle.call_soon(|| {});
            handle.call_later(SECOND, || {}).cancel();
            handle.stats();
        });
        own.set(event_loop.call_later(SECOND, move || meddler.keep())).unwrap();
        assert!(own.get().unwrap().cancel());
        event_loop.run_ready().unwrap();
    });
}

#[test]
fn h4_a_callback_that_cancels_itself_goes_on_to_its_end() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (soon, timer) =
            (Rc::new(OnceCell::<Handle>::new()), Rc::new(OnceCell::<TimerHandle>::new()));
        let (own, seen) = (soon.clone(), trace.clone());
        let cancelling = move || {
            let own = own.get().unwrap();
            seen.note(format!("soon: {} {:?}", own.cancel(), own.state()));
        };
        soon.set(event_loop.call_soon(cancelling)).unwrap();
        let (own, seen) = (timer.clone(), trace.clone());
        let cancelling = move || {
            let own = own.get().unwrap();
            seen.note(format!("timer: {} {:?}", own.cancel(), own.state()));
        };
        timer.set(event_loop.call_later(Duration::ZERO, cancelling)).unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["soon: false Done", "timer: false Done"]);
        assert!(!soon.get().unwrap().cancelled() && !timer.get().unwrap().cancelled());
    });
}

#[test]
fn h5_h13_a_callback_cancels_what_stands_behind_it_also_a_due_timer() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let behind = Rc::new(OnceCell::<(Handle, TimerHandle)>::new());
        let (known, handle) = (behind.clone(), event_loop.handle());
        event_loop.call_soon(move || {
            let (soon, timer) = known.get().unwrap();
            assert!(soon.cancel() && timer.cancel());
            assert!(!timer.cancel(), "twice");
            assert_eq!(handle.stats().timers, 1);
        });
        let soon = event_loop.call_soon(trace.mark("soon"));
        let timer = event_loop.call_later(Duration::ZERO, trace.mark("timer"));
        behind.set((soon, timer)).unwrap();
        event_loop.call_later(Duration::ZERO, trace.mark("another"));
        event_loop.run_ready().unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["another"]);
        assert_eq!(event_loop.stats().timers, 0);
    });
}

#[test]
fn h6_what_is_due_at_once_goes_by_deadline() {
    let event_loop = TestLoop::new();
    event_loop.advance(10 * SECOND);
    let (now, trace) = (event_loop.time(), Trace::new());
    let later = event_loop.call_later(SECOND, trace.mark("in a second"));
    assert_eq!(later.when(), now + SECOND);
    event_loop.call_later(Duration::ZERO, trace.mark("now"));
    event_loop.call_at(now - SECOND, trace.mark("a second ago"));
    event_loop.call_at(now - 2 * SECOND, trace.mark("two seconds ago"));
    event_loop.call_at(Instant::ZERO, trace.mark("at the beginning"));
    event_loop.run_ready_now();
    assert_eq!(trace.take(), ["at the beginning", "two seconds ago", "a second ago", "now"]);
    event_loop.run_until_idle();
    assert_eq!(trace.take(), ["in a second"]);
}

#[test]
fn h6_what_is_due_does_not_wait_for_news_from_outside_on_a_clock_that_steps() {
    let event_loop = TestLoop::new();
    let (reader, _writer) = std::io::pipe().unwrap();
    let reader = Rc::new(reader);
    event_loop.add_reader(reader.clone(), || panic!("nothing was written")).unwrap();
    let (done, begin) = (event_loop.create_future(), std::time::Instant::now());
    let set = done.clone();
    event_loop.call_later(Duration::ZERO, move || set.set_result(1).unwrap());
    assert_eq!(event_loop.run_until_complete(&done).unwrap(), 1);
    assert!(begin.elapsed() < 10 * SECOND);
    assert!(event_loop.remove_reader(&reader).unwrap());
}

#[test]
fn h7_l5_no_delay_is_too_long_and_the_clocks_end_never_comes() {
    for_each_loop(|event_loop| {
        let longest = event_loop.call_later(Duration::MAX, || panic!("it came"));
        let long = event_loop.call_later(Duration::from_secs(u64::MAX / 2), || panic!("it came"));
        let years =
            event_loop.call_later(Duration::from_secs(500 * 31_000_000), || panic!("it came"));
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
        event_loop.run_once(Some(Duration::from_micros(1))).unwrap();
        assert_eq!((longest.when(), long.when()), (Instant::NEVER, Instant::NEVER));
        assert!(longest.reschedule(event_loop.time() + Duration::MAX));
        assert_eq!(event_loop.next_deadline(), Some(years.when()), "never is no deadline");
        years.cancel();
        assert_eq!(event_loop.next_deadline(), None);
        assert!(longest.cancel() && long.cancel());
    });
    let event_loop = TestLoop::new();
    let never = event_loop.call_at(Instant::NEVER, || panic!("it came"));
    event_loop.advance(Duration::MAX);
    event_loop.run_until_idle();
    assert_eq!(event_loop.time(), Instant::NEVER);
    assert!(matches!(event_loop.run_forever(), Err(RunError::WouldSleepForEver)));
    let last = event_loop.call_later(Duration::from_secs(1), || panic!("it came"));
    event_loop.run_ready_now();
    assert!(never.cancel() && last.cancel());
}

#[test]
fn h8_l36_cancelling_from_another_thread_says_what_became_of_it() {
    for_each_loop(|event_loop| {
        let poster = event_loop.threadsafe_handle();
        let early = poster.call_soon_threadsafe(|| panic!("it ran")).unwrap();
        let answers = std::thread::spawn(move || (early.cancel(), early.cancel())).join().unwrap();
        assert_eq!(answers, (CancelAnswer::Cancelled, CancelAnswer::Cancelled));

        let (sender, receiver) = std::sync::mpsc::channel::<tulipa_eventloop::ThreadsafeCall>();
        let call = poster
            .call_soon_threadsafe(move || {
                // Its own handle comes back from a thread that has tried to cancel it meanwhile.
                let own = receiver.recv().unwrap();
                let thread = std::thread::spawn(move || (own.cancel(), own));
                let (answer, own) = thread.join().unwrap();
                assert_eq!(answer, CancelAnswer::Running);
                assert_eq!(own.cancel(), CancelAnswer::Running, "from inside: no deadlock");
                assert!(!own.cancelled());
            })
            .unwrap();
        sender.send(call).unwrap();
        let late = poster.call_soon_threadsafe(|| {}).unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(event_loop.stats().panics, 0);
        assert_eq!(late.cancel(), CancelAnswer::Done);
        let dropped = poster.call_soon_threadsafe(|| panic!("it ran")).unwrap();
        event_loop.close().unwrap();
        assert_eq!(dropped.cancel(), CancelAnswer::Dropped);
    });
}

#[test]
fn h9_no_timer_fires_early() {
    for_each_loop(|event_loop| {
        let left = Rc::new(Cell::new(40u32));
        for index in 0..left.get() {
            let (handle, left) = (event_loop.handle(), left.clone());
            let due = event_loop.time() + Duration::from_micros(u64::from(index) * 37);
            event_loop.call_at(due, move || {
                assert!(handle.time() >= due, "early by {:?}", due - handle.time());
                left.set(left.get() - 1);
                if left.get() == 0 {
                    handle.stop();
                }
            });
        }
        let reports = crate::common::record_reports(&**event_loop);
        event_loop.run_forever().unwrap();
        assert_eq!(reports.count(), 0);
    });
}

#[test]
fn h9_l5_timers_within_the_slack_share_a_wake_up_and_none_is_early() {
    let micros = Duration::from_micros;
    let fired = |slack: Option<Duration>| {
        let (builder, script) = fake_builder();
        let builder = match slack {
            Some(slack) => builder.timer_slack(slack),
            None => builder,
        };
        let event_loop = builder.build().unwrap();
        let trace = Trace::new();
        for due in [60, 40, 50, 10] {
            let (seen, clock) = (trace.clone(), script.clock.clone());
            let rings = move || seen.note(format!("{due} at {}", clock.now().as_nanos() / 1000));
            event_loop.call_later(micros(due), rings);
        }
        let handle = event_loop.handle();
        event_loop.call_later(micros(60), move || handle.stop());
        event_loop.run_forever().unwrap();
        (trace.take(), script.waits.take().into_iter().map(Option::unwrap).collect::<Vec<_>>())
    };
    let (trace, waits) = fired(None);
    assert_eq!(trace, ["10 at 50", "40 at 50", "50 at 50", "60 at 100"]);
    assert_eq!(waits, [micros(50), micros(50)]);
    let (trace, waits) = fired(Some(Duration::ZERO));
    assert_eq!(trace, ["10 at 10", "40 at 40", "50 at 50", "60 at 60"]);
    assert_eq!(waits, [micros(10), micros(30), micros(10), micros(10)]);
    let (trace, waits) = fired(Some(MILLI));
    assert_eq!(trace, ["10 at 1000", "40 at 1000", "50 at 1000", "60 at 1000"]);
    assert_eq!(waits, [MILLI]);
    let (_, waits) = fired(Some(Duration::MAX));
    assert_eq!(waits, [Duration::from_secs(24 * 3600)], "at most a day at a time all the same");
}

#[test]
fn h9_l5_a_limit_of_the_callers_and_what_the_loop_spins_for_know_no_slack() {
    let (builder, script) = fake_builder();
    let event_loop = builder.timer_slack(MILLI).build().unwrap();
    event_loop.call_later(Duration::from_micros(700), || {});
    event_loop.run_once(Some(Duration::from_micros(300))).unwrap();
    assert_eq!(script.waits.take(), [Some(Duration::from_micros(300))]);
    // Something else wakes it after the deadline: the timer waits no longer.
    script.wait_takes.set(Some(Duration::from_micros(450)));
    event_loop.run_once(None).unwrap();
    assert_eq!(script.waits.take(), [Some(Duration::from_micros(700))]);
    assert_eq!((event_loop.stats().timers_fired, event_loop.stats().timers), (1, 0));

    let (builder, script) = fake_builder();
    let event_loop = builder.timer_slack(MILLI).spin(MILLI).build().unwrap();
    script.wait_takes.set(Some(Duration::from_micros(10)));
    event_loop.call_later(Duration::from_micros(30), || {});
    event_loop.run_once(None).unwrap();
    assert_eq!(script.waits.take(), [Some(Duration::ZERO); 3]);
    assert_eq!((event_loop.stats().timers_fired, event_loop.stats().sleeps), (1, 0));
}

#[test]
fn h9_i6_a_guests_deadline_and_a_clock_that_steps_know_no_slack() {
    let due = Instant::ZERO + Duration::from_nanos(1_234_567);
    let clock = TestClock::new();
    let builder = EventLoop::builder().timer_slack(SECOND).clock(clock.clone());
    let event_loop = builder.build().unwrap();
    let (rang, stepping, handle) = (Rc::new(Cell::new(None)), clock.clone(), event_loop.handle());
    let bell = rang.clone();
    event_loop.call_at(due, move || {
        bell.set(Some(stepping.now()));
        handle.stop();
    });
    assert_eq!(event_loop.next_deadline(), Some(due));
    event_loop.run_forever().unwrap();
    assert_eq!(rang.get(), Some(due));
}

#[test]
fn h10_timers_fire_by_deadline_and_equal_ones_in_the_order_of_their_creation() {
    for_each_builder(|builder| {
        let clock = TestClock::new();
        let event_loop = builder.clock(clock.clone()).build().unwrap();
        let trace = Trace::new();
        for name in ["b1", "b2", "b3"] {
            event_loop.call_at(Instant::ZERO + 2 * SECOND, trace.mark(name));
        }
        event_loop.call_at(Instant::ZERO + SECOND, trace.mark("a"));
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_at(Instant::ZERO + 3 * SECOND, move || {
            seen.note(format!("end at {}", handle.time()));
            handle.stop();
        });
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["a", "b1", "b2", "b3", "end at 3.000000s"]);
    });
}

#[test]
fn h11_late_timers_come_next_after_the_descriptors_and_none_is_skipped_or_merged() {
    for_each_builder(|builder| {
        let clock = TestClock::new();
        let event_loop = builder.clock(clock.clone()).build().unwrap();
        let trace = Trace::new();
        for name in ["first", "second", "third"] {
            event_loop.call_later(SECOND, trace.mark(name));
        }
        let (ours, mut theirs) = crate::common::socket_pair();
        event_loop.add_reader(ours.clone(), trace.mark("descriptor")).unwrap();
        let seen = trace.clone();
        event_loop.call_soon(move || {
            use std::io::Write;
            clock.set(Instant::ZERO + 10 * SECOND); // it holds the thread
            theirs.write_all(b"x").unwrap();
            seen.note("slow");
            drop(theirs);
        });
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["slow"]);
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["descriptor", "first", "second", "third"]);
    });
}

#[test]
fn h12_h13_h18_the_count_follows_the_live_timers() {
    let event_loop = EventLoop::new().unwrap();
    let captured = Captured::new();
    let mut timers: Vec<_> =
        (0..10_000).map(|_| event_loop.call_later(3600 * SECOND, captured.hold())).collect();
    assert_eq!((event_loop.stats().timers, captured.copies()), (10_000, 10_000));
    for (index, timer) in timers.iter_mut().enumerate() {
        // As a server does for every message of every connection.
        assert!(timer.cancel() && !timer.cancel());
        *timer = event_loop.call_later(3600 * SECOND, captured.hold());
        assert_eq!(event_loop.stats().timers, 10_000, "at {index}");
    }
    assert_eq!(captured.copies(), 10_000);
    timers.iter().for_each(|timer| assert!(timer.cancel()));
    assert_eq!((event_loop.stats().timers, captured.copies()), (0, 0));
    assert_eq!(event_loop.next_deadline(), None);
}

#[test]
fn h14_when_tells_the_deadline_also_afterwards() {
    let event_loop = TestLoop::new();
    let due = event_loop.time() + 5 * SECOND;
    let (fired, cancelled) = (event_loop.call_at(due, || {}), event_loop.call_at(due, || {}));
    cancelled.cancel();
    event_loop.run_until_idle();
    assert_eq!((fired.when(), cancelled.when()), (due, due));
    event_loop.close().unwrap();
    assert_eq!(fired.when(), due);
}

#[test]
fn h15_handles_are_equal_if_they_are_for_the_same_callback() {
    let (first, second) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let handles = [first.call_soon(|| {}), first.call_soon(|| {}), second.call_soon(|| {})];
    let due = first.time() + SECOND;
    let timers = [first.call_at(due, || {}), first.call_at(due, || {}), second.call_at(due, || {})];
    for (left, this) in handles.iter().enumerate() {
        for (right, that) in handles.iter().enumerate() {
            assert_eq!(this == that, left == right);
            assert_eq!(timers[left] == timers[right], left == right);
        }
    }
    // Equal deadlines do not make equal timers; their order is that of `when`.
    assert_eq!(timers[0].when().cmp(&timers[1].when()), std::cmp::Ordering::Equal);
    first.close().unwrap();
    let (dead, dead_too) = (first.call_soon(|| {}), first.call_soon(|| {}));
    assert!(dead == dead && dead != dead_too && dead != handles[0]);
}

#[test]
fn h16_every_callback_knows_where_it_was_scheduled_and_a_handle_shows_state_and_deadline() {
    for_each_loop(|event_loop| {
        let line = line!() + 1;
        let soon = event_loop.call_soon(|| {});
        let timer = event_loop.call_at(Instant::ZERO + 3600 * SECOND, || {});
        let posted = event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap();
        assert_eq!(format!("{soon:?}"), "Handle(Pending)");
        assert_eq!(format!("{timer:?}"), "TimerHandle(Pending, when 3600.000000s)");
        let shown = format!("{posted:?}");
        assert!(shown.contains("Pending") && shown.contains(&format!("timers.rs:{}", line + 2)));
        let dump = event_loop.dump();
        for line in [line, line + 1] {
            assert!(dump.contains(&format!("timers.rs:{line}:")), "{dump}");
        }
        timer.cancel();
        assert!(format!("{timer:?}").contains("Cancelled"));
    });
}

#[test]
fn h17_a_timer_can_be_moved_until_it_ran_and_not_afterwards() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (start, moved) = (event_loop.time(), event_loop.call_later(SECOND, trace.mark("moved")));
    event_loop.call_later(2 * SECOND, trace.mark("two"));
    assert!(moved.reschedule(start + 2 * SECOND));
    assert_eq!(moved.when(), start + 2 * SECOND);
    event_loop.advance(SECOND);
    assert!(trace.take().is_empty());
    event_loop.advance(SECOND);
    assert_eq!(trace.take(), ["two", "moved"], "it counts as created when it was moved");
    assert!(!moved.reschedule(start));
    assert_eq!(moved.when(), start + 2 * SECOND);
    assert!(!moved.cancel());

    // Earlier, into the past, and from inside the batch in which it is due.
    let earlier = event_loop.call_later(3600 * SECOND, trace.mark("earlier"));
    assert!(earlier.reschedule(start));
    event_loop.run_ready_now();
    assert_eq!(trace.take(), ["earlier"]);
    let due = Rc::new(OnceCell::<TimerHandle>::new());
    let known = due.clone();
    event_loop.call_soon(move || {
        let timer = known.get().unwrap();
        assert!(timer.reschedule(timer.when() + SECOND));
    });
    due.set(event_loop.call_later(Duration::ZERO, trace.mark("put off"))).unwrap();
    event_loop.run_ready_now();
    assert!(trace.take().is_empty());
    event_loop.advance(SECOND);
    assert_eq!(trace.take(), ["put off"]);

    let cancelled = event_loop.call_later(SECOND, || {});
    cancelled.cancel();
    assert!(!cancelled.reschedule(start));
}

/// A chain of timers on ten thousand others: nothing in it may depend on their number.
#[test]
fn h18_rearming_among_ten_thousand_leaves_every_timer_exact() {
    let event_loop = TestLoop::new();
    let fired = Rc::new(Cell::new(0u32));
    let connections: Vec<TimerHandle> = (0..10_000)
        .map(|_| {
            let fired = fired.clone();
            event_loop.call_later(60 * SECOND, move || fired.set(fired.get() + 1))
        })
        .collect();
    fn message(event_loop: &LoopHandle, connections: &Rc<Vec<TimerHandle>>, left: usize) {
        let timer = &connections[left * 7919 % connections.len()];
        assert!(timer.reschedule(event_loop.time() + 60 * SECOND));
        if left > 0 {
            let (again, connections) = (event_loop.clone(), connections.clone());
            event_loop.call_later(MILLI, move || message(&again, &connections, left - 1));
        }
    }
    message(&event_loop.handle(), &Rc::new(connections), 10_000);
    event_loop.advance(10 * SECOND + MILLI);
    assert_eq!(fired.get(), 0);
    event_loop.advance(50 * SECOND - MILLI);
    assert!(fired.get() <= 2, "all but the last to be moved wait: {}", fired.get());
    event_loop.run_until_idle();
    assert_eq!(fired.get(), 10_000);
    assert_eq!(event_loop.time() - Instant::ZERO, 70 * SECOND);
}

#[test]
fn h6_a_test_clock_steps_from_deadline_to_deadline() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    for seconds in [3600, 1, 60] {
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_later(seconds * SECOND, move || {
            seen.note(handle.time().to_string());
            let (again, seen) = (handle.clone(), seen.clone());
            handle.call_later(SECOND, move || seen.note(format!("then {}", again.time())));
        });
    }
    event_loop.run_until_idle();
    assert_eq!(
        trace.take(),
        [
            "1.000000s",
            "then 2.000000s",
            "60.000000s",
            "then 61.000000s",
            "3600.000000s",
            "then 3601.000000s"
        ]
    );
    let (handle, seen) = (event_loop.handle(), trace.clone());
    event_loop.call_later(SECOND, move || {
        seen.note("rang");
        handle.call_soon(seen.mark("caused"));
        handle.call_later(SECOND, seen.mark("next"));
    });
    event_loop.advance(SECOND - Duration::from_nanos(1));
    assert!(trace.take().is_empty());
    event_loop.advance(Duration::from_nanos(1));
    assert_eq!(trace.take(), ["rang", "caused"]);
    event_loop.advance(5 * SECOND);
    assert_eq!(trace.take(), ["next"]);
    assert_eq!(event_loop.time(), Instant::ZERO + 3607 * SECOND);
}

#[test]
fn l5_a_test_loop_that_would_sleep_for_ever_says_so() {
    let event_loop = TestLoop::new();
    assert!(matches!(event_loop.run_forever(), Err(RunError::WouldSleepForEver)));
    let future = event_loop.create_future::<()>();
    let error = event_loop.run_until_complete(&future).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RunError::WouldSleepForEver)));
}

#[test]
fn l5_a_spinning_loop_polls_without_sleeping_for_so_long_and_then_sleeps() {
    let (builder, script) = fake_builder();
    let event_loop = builder.spin(Duration::from_micros(100)).build().unwrap();
    script.wait_takes.set(Some(Duration::from_micros(30)));
    // Nothing is timed: it spins, then sleeps until something wakes it.
    event_loop.run_once(None).unwrap();
    let zero = Some(Duration::ZERO);
    assert_eq!(script.waits.take(), [zero, zero, zero, zero, None]);
    assert_eq!(event_loop.stats().sleeps, 1);
    // A timer within the spin ends it; one behind it is slept for.
    let (trace, due) = (Trace::new(), event_loop.time() + Duration::from_micros(50));
    event_loop.call_at(due, trace.mark("rang"));
    event_loop.run_once(None).unwrap();
    assert_eq!((script.waits.take(), trace.take()), (vec![zero, zero], vec!["rang".to_owned()]));
    event_loop.call_later(MILLI, trace.mark("rang"));
    event_loop.run_once(None).unwrap();
    assert_eq!(script.waits.take().len(), 5);
    assert_eq!(event_loop.stats().sleeps, 2);
}

#[test]
fn l5_spinning_is_given_up_while_nothing_comes_of_it_and_taken_up_again() {
    let (builder, script) = fake_builder();
    let event_loop = builder.spin(Duration::from_micros(50)).build().unwrap();
    script.wait_takes.set(Some(Duration::from_micros(50)));
    let sleeps_preceded_by_a_spin = |sleeps| {
        for _ in 0..sleeps {
            event_loop.run_once(None).unwrap();
        }
        script.waits.take().len() - sleeps
    };
    assert_eq!(sleeps_preceded_by_a_spin(8), 8);
    // Then before one of 2, 4, ... 64 sleeps.
    assert_eq!(sleeps_preceded_by_a_spin(1 + 2 + 4 + 8 + 16 + 32 + 64), 7);
    assert_eq!(sleeps_preceded_by_a_spin(640), 10);
    // Timers that come due within the spin save their sleeps: it pays.
    for _ in 0..3 * 64 {
        event_loop.call_later(Duration::from_micros(50), || {});
        event_loop.run_once(None).unwrap();
    }
    script.waits.take();
    assert_eq!(sleeps_preceded_by_a_spin(8), 8);
}

#[test]
fn l5_h9_a_timer_that_is_not_spun_for_knows_the_slack() {
    let micros = Duration::from_micros;
    let (builder, script) = fake_builder();
    let event_loop = builder.timer_slack(MILLI).spin(micros(100)).build().unwrap();
    script.wait_takes.set(Some(micros(100)));
    for _ in 0..9 {
        event_loop.run_once(None).unwrap(); // in vain: no spin precedes the next sleep
    }
    script.waits.take();
    script.wait_takes.set(None);
    for due in [10, 20, 30] {
        event_loop.call_later(micros(due), || {});
    }
    event_loop.run_once(None).unwrap();
    assert_eq!(script.waits.take(), [Some(micros(200))], "up to the next millisecond");
    assert_eq!(event_loop.stats().timers_fired, 3);
}

#[test]
fn l5_l33_a_loop_that_spins_comes_to_rest_and_is_woken() {
    for_each_builder(|builder| {
        let event_loop = builder.spin(Duration::from_micros(20)).build().unwrap();
        let (poster, handle) = (event_loop.threadsafe_handle(), event_loop.handle());
        let (asleep, may_wake) = std::sync::mpsc::channel();
        event_loop.call_soon(move || asleep.send(handle.stats().polls).unwrap());
        let thread = std::thread::spawn(move || {
            may_wake.recv().unwrap();
            poster.stop();
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn l5_h9_the_time_spent_spinning_is_part_of_the_wait() {
    let (builder, script) = fake_builder();
    let event_loop = builder.spin(Duration::from_micros(30)).build().unwrap();
    script.wait_takes.set(Some(Duration::from_micros(10)));
    event_loop.call_later(Duration::from_millis(1), || {});
    event_loop.run_once(None).unwrap();
    let slept = script.waits.take().pop();
    assert_eq!(slept, Some(Some(Duration::from_micros(970))));
}

#[test]
fn l47_a_clock_may_ask_the_loop() {
    /// Counts the loop's timers whenever it is read.
    #[derive(Clone, Default)]
    struct Counting(Rc<RefCell<Option<LoopHandle>>>);
    impl Clock for Counting {
        fn now(&self) -> Instant {
            let timers = self.0.borrow().as_ref().map_or(0, |handle| handle.stats().timers);
            Instant::from_nanos(timers as u64)
        }
    }
    let clock = Counting::default();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    clock.0.replace(Some(event_loop.handle()));
    let rang = Rc::new(Cell::new(false));
    let bell = rang.clone();
    event_loop.call_at(Instant::from_nanos(1), move || bell.set(true));
    event_loop.run_ready().unwrap();
    assert!(rang.get());
    clock.0.take();
}

#[test]
fn w26_time_advances_step_by_step_and_what_a_call_adds_for_now_runs_at_its_time() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    for seconds in [3_u32, 1, 2] {
        let (handle, notes) = (event_loop.handle(), trace.clone());
        event_loop.call_later(SECOND * seconds, move || {
            notes.note(format!("{seconds} at {}", handle.time()));
            let (later, again) = (handle.clone(), notes.clone());
            handle.call_later(Duration::ZERO, move || {
                again.note(format!("more of {seconds} at {}", later.time()));
            });
        });
    }
    event_loop.advance(SECOND * 2);
    assert_eq!(
        trace.take(),
        ["1 at 1.000000s", "more of 1 at 1.000000s", "2 at 2.000000s", "more of 2 at 2.000000s"]
    );
    event_loop.advance(Duration::from_millis(999));
    assert!(trace.take().is_empty());
    event_loop.advance(Duration::from_millis(1));
    assert_eq!(trace.take(), ["3 at 3.000000s", "more of 3 at 3.000000s"]);
}
