//! The order of things: batches, and what stands in them (L-1 to L-9).

use crate::common::fake::{fake_builder, fake_loop};
use crate::common::{Captured, Trace, for_each_builder, for_each_loop, socket_pair};
use std::cell::{Cell, OnceCell};
use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, IterationHook, LoopHandle, TestLoop};

/// Runs one iteration.
fn once(event_loop: &EventLoop) {
    event_loop.run_ready().unwrap();
}

#[test]
fn l1_everything_runs_on_one_thread_one_after_another_and_never_nested() {
    for_each_loop(|event_loop| {
        let inside = Rc::new(Cell::new(false));
        let turns = Rc::new(Cell::new(0));
        let home = std::thread::current().id();
        let turn = |handle: &LoopHandle| {
            let (inside, turns, handle) = (inside.clone(), turns.clone(), handle.clone());
            move || {
                assert!(!inside.replace(true), "a turn inside of another");
                assert_eq!(std::thread::current().id(), home);
                // Everything that could run something at once, if it were so inclined.
                let (noted, again) = (inside.clone(), inside.clone());
                handle.call_soon(move || assert!(!noted.get()));
                handle.call_later(Duration::ZERO, move || assert!(!again.get()));
                handle.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap();
                let future = handle.create_future::<()>();
                let noted = inside.clone();
                future.add_done_callback(move |_| assert!(!noted.get()));
                future.set_result(()).unwrap();
                assert!(handle.run_once(Some(Duration::ZERO)).is_err());
                inside.set(false);
                turns.set(turns.get() + 1);
                if turns.get() == 4 {
                    handle.stop();
                }
            }
        };
        let handle = event_loop.handle();
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        event_loop.call_soon(turn(&handle));
        event_loop.call_later(Duration::ZERO, turn(&handle));
        let (reader, removing, fd) = (turn(&handle), handle.clone(), ours.clone());
        let read = move || {
            reader();
            removing.remove_reader(&fd).unwrap();
        };
        event_loop.add_reader(ours, read).unwrap();
        let mut posted = Some(turn(&handle));
        let future = event_loop.run_in_executor(None, || ());
        future.add_done_callback(move |_| posted.take().unwrap()());
        event_loop.run_forever().unwrap();
        assert_eq!(turns.get(), 4);
    });
}

#[test]
fn l2_l4_a_batch_after_a_poll_has_what_was_queued_then_descriptors_then_timers() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        event_loop.call_later(Duration::from_nanos(1), trace.mark("second timer"));
        event_loop.call_later(Duration::ZERO, trace.mark("timer"));
        event_loop.call_later(3600 * crate::common::SECOND, trace.mark("late timer")).cancel();
        event_loop.add_reader(ours, trace.mark("reader")).unwrap();
        event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap();
        event_loop.call_soon(trace.mark("first"));
        event_loop.call_soon(trace.mark("second"));
        event_loop.stop();
        event_loop.run_forever().unwrap();
        let first = ["first", "second", "reader"];
        let ran = trace.take();
        assert_eq!(ran[..3], first);
        // The timers were armed in this order of deadlines, a nanosecond apart at least.
        assert_eq!(ran.len(), 5);
    });
}

#[test]
fn l2_h10_due_timers_are_queued_by_deadline() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let now = event_loop.time();
    for nanos in [5u64, 1, 3, 1, 4] {
        event_loop.call_at(now + Duration::from_nanos(nanos), trace.mark(&nanos.to_string()));
    }
    event_loop.clock().set(now + Duration::from_secs(1));
    event_loop.run_ready_now();
    assert_eq!(trace.take(), ["1", "1", "3", "4", "5"]);
}

struct NotePolls(Trace);

impl IterationHook for NotePolls {
    fn after_poll(&self, _events: usize) {
        self.0.note("poll");
    }
}

fn chain(event_loop: &LoopHandle, trace: &Trace, left: u32) {
    trace.note("batch");
    let (again, seen) = (event_loop.clone(), trace.clone());
    match left {
        0 => event_loop.stop(),
        _ => drop(event_loop.call_soon(move || chain(&again, &seen, left - 1))),
    }
}

#[test]
fn l2_with_a_count_of_one_a_poll_comes_before_every_batch() {
    for_each_builder(|builder| {
        let trace = Trace::new();
        let builder = builder.batches_between_polls(NonZeroU32::MIN).hook(NotePolls(trace.clone()));
        let event_loop = builder.build().unwrap();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || chain(&handle, &seen, 2));
        event_loop.run_forever().unwrap();
        assert_eq!(trace.take(), ["poll", "batch", "poll", "batch", "poll", "batch"]);
    });
}

#[test]
fn l2_l3_the_batches_between_two_polls_are_bounded_by_a_count() {
    let trace = Trace::new();
    let builder = EventLoop::builder().batches_between_polls(NonZeroU32::new(3).unwrap());
    let builder = builder.time_between_polls(Duration::MAX).hook(NotePolls(trace.clone()));
    let event_loop = builder.build().unwrap();
    let (handle, seen) = (event_loop.handle(), trace.clone());
    event_loop.call_soon(move || chain(&handle, &seen, 6));
    event_loop.run_forever().unwrap();
    let three = ["poll", "batch", "batch", "batch"];
    assert_eq!(trace.take(), [&three[..], &three[..], &three[..2]].concat());
}

#[test]
fn l2_l3_the_batches_between_two_polls_are_bounded_by_time() {
    let (builder, script) = fake_builder();
    let trace = Trace::new();
    let builder = builder.batches_between_polls(NonZeroU32::MAX).hook(NotePolls(trace.clone()));
    let builder = builder.time_between_polls(Duration::from_millis(5));
    let event_loop = builder.build().unwrap();
    fn slow(event_loop: &LoopHandle, advance: Rc<dyn Fn()>, trace: Trace, left: u32) {
        advance();
        trace.note("batch");
        let again = event_loop.clone();
        match left {
            0 => event_loop.stop(),
            _ => drop(event_loop.call_soon(move || slow(&again, advance, trace, left - 1))),
        }
    }
    let clock = script.clock.clone();
    let advance: Rc<dyn Fn()> = Rc::new(move || clock.advance(Duration::from_millis(2)));
    let (handle, seen) = (event_loop.handle(), trace.clone());
    event_loop.call_soon(move || slow(&handle, advance, seen, 4));
    event_loop.run_forever().unwrap();
    assert_eq!(trace.take(), ["poll", "batch", "batch", "batch", "poll", "batch", "batch"]);
}

#[test]
fn l3_what_a_callback_schedules_waits_for_the_next_batch_however_it_is_scheduled() {
    for_each_builder(|builder| {
        let event_loop = builder.batches_between_polls(NonZeroU32::MIN).build().unwrap();
        let trace = Trace::new();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            seen.note("first");
            handle.call_soon(seen.mark("soon"));
            handle.call_later(Duration::ZERO, seen.mark("timer"));
            let future = handle.create_future::<()>();
            let done = seen.clone();
            future.add_done_callback(move |_| done.note("done"));
            future.set_result(()).unwrap();
        });
        event_loop.call_soon(trace.mark("second"));
        once(&event_loop);
        assert_eq!(trace.take(), ["first", "second"]);
        once(&event_loop);
        assert_eq!(trace.take(), ["soon", "done", "timer"]);
    });
}

#[test]
fn l3_a_posted_call_from_inside_a_callback_waits_too() {
    for_each_builder(|builder| {
        let event_loop = builder.batches_between_polls(NonZeroU32::MIN).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (poster, first) = (event_loop.threadsafe_handle(), sender.clone());
        event_loop.call_soon(move || {
            first.send("first").unwrap();
            let posted = first.clone();
            poster.call_soon_threadsafe(move || posted.send("posted").unwrap()).unwrap();
        });
        event_loop.call_soon(move || sender.send("second").unwrap());
        once(&event_loop);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["first", "second"]);
        once(&event_loop);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["posted"]);
    });
}

#[test]
fn l3_an_endless_chain_starves_neither_descriptors_nor_timers_nor_other_threads() {
    for_each_loop(|event_loop| {
        fn for_ever(event_loop: &LoopHandle) {
            let again = event_loop.clone();
            event_loop.call_soon(move || for_ever(&again));
        }
        for_ever(&event_loop);
        let left = Rc::new(Cell::new(3));
        let one_less = |handle: LoopHandle| {
            let left = left.clone();
            move || {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    handle.stop();
                }
            }
        };
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let (read, fd) = (one_less(event_loop.handle()), ours.clone());
        event_loop
            .add_reader(ours, move || {
                assert_eq!((&*fd).read(&mut [0; 8]).unwrap(), 1);
                read();
            })
            .unwrap();
        event_loop.call_later(Duration::from_micros(500), one_less(event_loop.handle()));
        let job = event_loop.run_in_executor(None, || ());
        let done = one_less(event_loop.handle());
        job.add_done_callback(move |_| done());
        event_loop.run_forever().unwrap();
        assert_eq!(left.get(), 0);
    });
}

#[test]
fn l4_call_soon_keeps_the_order_of_its_calls_whoever_makes_them() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        for outer in 0..200 {
            let (handle, seen) = (event_loop.handle(), trace.clone());
            event_loop.call_soon(move || {
                seen.note(format!("{outer}"));
                for inner in 0..3 {
                    handle.call_soon(seen.mark(&format!("{outer}.{inner}")));
                }
            });
        }
        let handle = event_loop.handle();
        event_loop.call_soon(move || drop(handle.call_soon(|| {})));
        while event_loop.stats().ready > 0 {
            once(&event_loop);
        }
        let outer = (0..200).map(|outer| outer.to_string());
        let inner = (0..200).flat_map(|o| (0..3).map(move |i| format!("{o}.{i}")));
        assert!(trace.take().into_iter().eq(outer.chain(inner)));
    });
}

#[test]
fn l5_the_wait_is_for_the_earliest_live_timer_and_zero_if_there_is_something_to_do() {
    let (event_loop, script) = fake_loop();
    let waited = || script.waits.borrow_mut().pop().unwrap();
    let day = Duration::from_secs(24 * 3600);

    event_loop.call_soon(|| {});
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), Some(Duration::ZERO), "a callback is ready");
    event_loop.stop();
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), Some(Duration::ZERO), "a stop was asked for");
    event_loop.threadsafe_handle().stop();
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), Some(Duration::ZERO), "another thread asked for a stop");

    let early = event_loop.call_later(Duration::from_millis(3), || {});
    event_loop.call_later(Duration::from_millis(5), || {});
    early.cancel();
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), Some(Duration::from_millis(5)), "the cancelled one does not count");

    let far = event_loop.call_later(3 * day, || {});
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), Some(day), "at most a day at a time");
    event_loop.run_once(Some(Duration::from_secs(7))).unwrap();
    assert_eq!(waited(), Some(Duration::from_secs(7)), "the caller's limit counts too");
    event_loop.run_once(Some(Duration::MAX)).unwrap();
    assert_eq!(waited(), Some(day));
    far.cancel();

    script.wait_takes.set(Some(Duration::ZERO));
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), None, "without a timer until something wakes it");
    let never = event_loop.call_later(Duration::MAX, || {});
    event_loop.run_once(None).unwrap();
    assert_eq!(waited(), None, "a timer that never comes is none");
    never.cancel();
}

#[test]
fn l5_h9_a_wait_that_ends_early_only_begins_another_iteration() {
    let (event_loop, script) = fake_loop();
    script.wait_takes.set(Some(Duration::from_millis(1)));
    let (handle, clock) = (event_loop.handle(), script.clock.clone());
    let due = event_loop.time() + Duration::from_millis(10);
    event_loop.call_at(due, move || {
        use tulipa_eventloop::Clock;
        assert!(clock.now() >= due);
        handle.stop();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(script.waits.borrow().len(), 10);
    assert_eq!(event_loop.stats().iterations, 10);
}

#[test]
fn l5_a_hook_that_schedules_something_is_not_slept_over() {
    struct Scheduling;
    impl IterationHook for Scheduling {
        fn before_poll(&self, timeout: Option<Duration>) {
            if timeout.is_none() {
                let event_loop = tulipa_eventloop::current();
                let handle = event_loop.clone();
                event_loop.call_soon(move || handle.stop());
            }
        }
    }
    for_each_builder(|builder| {
        let event_loop = builder.hook(Scheduling).build().unwrap();
        event_loop.run_forever().unwrap();
    });
}

#[test]
fn l6_a_timer_a_fraction_of_a_millisecond_away_costs_one_wake_up() {
    for_each_loop(|event_loop| {
        const TIMERS: u32 = 5;
        fn next(event_loop: &LoopHandle, left: u32) {
            let again = event_loop.clone();
            match left {
                0 => event_loop.stop(),
                _ => drop(
                    event_loop
                        .call_later(Duration::from_micros(300), move || next(&again, left - 1)),
                ),
            }
        }
        next(&event_loop, TIMERS);
        event_loop.run_forever().unwrap();
        let stats = event_loop.stats();
        // A poller may be a little early once in a while; it must not be again and again.
        assert!(stats.polls <= u64::from(2 * TIMERS + 1), "{stats:?}");
    });
}

#[test]
fn l7_a_callback_runs_once_for_each_time_it_was_scheduled() {
    for_each_loop(|event_loop| {
        let count = Rc::new(Cell::new(0));
        let ran = count.clone();
        let callback = move || ran.set(ran.get() + 1);
        event_loop.call_soon(callback.clone());
        event_loop.call_soon(callback.clone());
        event_loop.call_later(Duration::ZERO, callback.clone());
        event_loop.call_soon(callback.clone()).cancel();
        event_loop.call_later(Duration::ZERO, callback).cancel();
        for _ in 0..5 {
            once(&event_loop);
        }
        assert_eq!(count.get(), 3);
    });
}

#[test]
fn l8_h5_nothing_moves_up_for_a_callback_that_was_cancelled_in_the_batch() {
    for_each_builder(|builder| {
        let event_loop = builder.batches_between_polls(NonZeroU32::MIN).build().unwrap();
        let trace = Trace::new();
        let victim = Rc::new(OnceCell::<futures::Handle>::new());
        let (known, handle, seen) = (victim.clone(), event_loop.handle(), trace.clone());
        event_loop.call_soon(move || {
            assert!(known.get().unwrap().cancel());
            handle.call_soon(seen.mark("next batch"));
        });
        victim.set(event_loop.call_soon(trace.mark("victim"))).unwrap();
        event_loop.call_soon(trace.mark("last"));
        once(&event_loop);
        assert_eq!(trace.take(), ["last"]);
        once(&event_loop);
        assert_eq!(trace.take(), ["next batch"]);
    });
}

#[test]
fn l9_d7_a_panic_is_reported_and_the_rest_of_the_batch_runs() {
    for_each_loop(|event_loop| {
        let reports = crate::common::record_reports(&**event_loop);
        let trace = Trace::new();
        event_loop.call_soon(trace.mark("before"));
        let line = line!() + 1;
        event_loop.call_soon(|| panic!("the callback's words"));
        event_loop.call_soon(trace.mark("after"));
        event_loop.call_later(Duration::ZERO, || panic!("the timer's words"));
        event_loop.call_later(Duration::ZERO, trace.mark("timer after"));
        once(&event_loop);
        assert_eq!(trace.take(), ["before", "after", "timer after"]);
        let reports = reports.take();
        let shown: Vec<String> = reports.iter().map(ToString::to_string).collect();
        assert_eq!(reports.len(), 2);
        assert!(shown[0].contains("the callback's words") && shown[0].contains("handle: callback"));
        assert!(shown[1].contains("the timer's words") && shown[1].contains("handle: timer"));
        assert_eq!(reports[0].created_at.unwrap().line(), line);
        assert!(reports[0].created_at.unwrap().file().ends_with("ordering.rs"));
        assert_eq!(event_loop.stats().panics, 2);
    });
}

#[test]
fn l7_l9_a_callback_that_panics_keeps_nothing_of_what_it_captured() {
    for_each_loop(|event_loop| {
        let _reports = crate::common::record_reports(&**event_loop);
        let captured = Captured::new();
        let (mut small, mut large) = (captured.hold(), captured.hold());
        let ballast = [1u64; 9]; // so that it lies in a box
        event_loop.call_soon(move || {
            small();
            panic!("expected");
        });
        event_loop.call_soon(move || {
            large();
            panic!("expected {ballast:?}");
        });
        once(&event_loop);
        assert_eq!((captured.copies(), event_loop.stats().panics), (0, 2));
    });
}
