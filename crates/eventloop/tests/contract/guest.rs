//! The loop inside somebody else's: one descriptor, one deadline, one call (I-6).

use crate::common::{SECOND, Trace, for_each_builder, for_each_loop, socket_pair};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, RunError, TestClock};

/// Whether the loop's descriptor is readable within `time`.
fn readable(event_loop: &EventLoop, time: Duration) -> bool {
    let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    let descriptor = event_loop.as_fd().unwrap();
    let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut watched, Some(&time)).unwrap() == 1
}

fn readable_now(event_loop: &EventLoop) -> bool {
    readable(event_loop, Duration::ZERO)
}

/// A whole host: waits for the descriptor or the deadline, then calls, `turns` times.
fn host(event_loop: &EventLoop, is_done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_done() {
            return;
        }
        let until = event_loop.next_deadline().map(|due| due - event_loop.time());
        readable(event_loop, until.unwrap_or(5 * SECOND));
        event_loop.run_ready().unwrap();
    }
    panic!("the host waited in vain");
}

#[test]
fn i6_a_host_that_honours_descriptor_and_deadline_sees_everything() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let (ours, mut theirs) = socket_pair();
        let (fd, seen, handle) = (ours.clone(), trace.clone(), event_loop.handle());
        event_loop
            .add_reader(ours, move || {
                let read = (&*fd).read(&mut [0; 64]).unwrap();
                seen.note(format!("read {read}"));
                let (inner, seen) = (handle.clone(), seen.clone());
                handle.call_later(Duration::from_micros(300), move || {
                    seen.note("timer");
                    let seen = seen.clone();
                    inner.call_soon(move || seen.note("callback"));
                });
            })
            .unwrap();
        let poster = event_loop.threadsafe_handle();
        let (ran, has_run) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            theirs.write_all(b"hello").unwrap();
            poster.call_soon_threadsafe(move || ran.send(()).unwrap()).unwrap();
            theirs
        });
        let posted = std::cell::Cell::new(false);
        host(&event_loop, || {
            posted.set(posted.get() || has_run.try_recv().is_ok());
            posted.get() && trace.len() == 3
        });
        assert_eq!(trace.take(), ["read 5", "timer", "callback"]);
        drop(thread.join().unwrap());
    });
}

#[test]
fn i6_the_descriptor_never_lies() {
    for_each_loop(|event_loop| {
        assert!(!readable_now(&event_loop), "a new loop has nothing");
        event_loop.run_ready().unwrap();
        assert!(!readable_now(&event_loop));
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        event_loop.add_reader(ours.clone(), || {}).unwrap();
        assert!(readable_now(&event_loop), "without a call in between");
        assert!(event_loop.remove_reader(&ours).unwrap());
        assert!(!readable_now(&event_loop), "at once");
        event_loop.add_writer(ours.clone(), || {}).unwrap();
        assert!(readable_now(&event_loop));
        assert!(event_loop.remove_writer(&ours).unwrap());
        assert!(!readable_now(&event_loop));
        // A post makes it readable, and one call quiet again.
        let poster = event_loop.threadsafe_handle();
        for _ in 0..3 {
            let call = poster.call_soon_threadsafe(|| {}).unwrap();
            assert!(readable_now(&event_loop));
            event_loop.run_ready().unwrap();
            assert_eq!(call.state(), tulipa_eventloop::CallState::Done);
            assert!(!readable_now(&event_loop));
        }
        // Also after a time as a host of its own, with timers that were never waited for.
        event_loop.call_later(10 * SECOND, || {});
        let handle = event_loop.handle();
        poster.call_soon_threadsafe(|| {}).unwrap();
        event_loop.call_later(Duration::from_micros(200), move || handle.stop());
        event_loop.run_forever().unwrap();
        event_loop.run_ready().unwrap();
        assert!(!readable_now(&event_loop));
    });
}

#[test]
fn i6_l33_what_is_posted_from_inside_a_call_is_announced_after_it() {
    for_each_loop(|event_loop| {
        let poster = event_loop.threadsafe_handle();
        let (ran, has_run) = std::sync::mpsc::channel();
        event_loop.call_soon(move || {
            // The loop is awake: this wakes nobody. In the last batch, so it stays for the next call.
            tulipa_eventloop::current().stop();
            poster.call_soon_threadsafe(move || ran.send(()).unwrap()).unwrap();
        });
        event_loop.run_ready().unwrap();
        assert!(has_run.try_recv().is_err());
        assert!(readable_now(&event_loop));
        assert!(event_loop.next_deadline().unwrap() <= event_loop.time());
        event_loop.run_ready().unwrap();
        assert!(has_run.try_recv().is_ok() && !readable_now(&event_loop));
    });
}

#[test]
fn i6_scheduling_something_makes_the_deadline_now() {
    for_each_builder(|builder| {
        let clock = TestClock::new();
        let event_loop = builder.clock(clock.clone()).build().unwrap();
        clock.set(futures::Instant::ZERO + SECOND);
        assert_eq!(event_loop.next_deadline(), None);
        let timer = event_loop.call_later(SECOND, || {});
        assert_eq!(event_loop.next_deadline(), Some(timer.when()));
        let soon = event_loop.call_soon(|| {});
        assert_eq!(event_loop.next_deadline(), Some(event_loop.time()));
        soon.cancel();
        event_loop.run_ready().unwrap();
        assert_eq!(event_loop.next_deadline(), Some(timer.when()));
        timer.cancel();
        assert_eq!(event_loop.next_deadline(), None);
        event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap();
        assert_eq!(event_loop.next_deadline(), Some(event_loop.time()));
        event_loop.run_ready().unwrap();
        let handle = event_loop.handle();
        event_loop.call_soon(move || {
            handle.call_soon(|| {});
            assert_eq!(handle.next_deadline(), Some(handle.time()));
        });
        event_loop.run_ready().unwrap();
    });
}

#[test]
fn i6_the_deadline_is_now_as_long_as_calls_from_other_threads_are_to_run() {
    thread_local!(static DEADLINES: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) });
    for_each_builder(|builder| {
        let event_loop = builder.clock(TestClock::new()).build().unwrap();
        let poster = event_loop.threadsafe_handle();
        for _ in 0..3 {
            let tells = || {
                let event_loop = tulipa_eventloop::current();
                DEADLINES.with_borrow_mut(|seen| seen.push(event_loop.next_deadline().is_some()));
            };
            poster.call_soon_threadsafe(tells).unwrap();
        }
        event_loop.run_ready().unwrap();
        assert_eq!(DEADLINES.take(), [true, true, false]);
    });
}

#[test]
fn i6_l12_entering_from_inside_a_callback_is_an_error() {
    for_each_loop(|event_loop| {
        let event_loop = Rc::new(event_loop);
        let (inside, trace) = (event_loop.clone(), Trace::new());
        let seen = trace.clone();
        event_loop.call_soon(move || {
            assert!(matches!(inside.run_ready(), Err(RunError::AlreadyRunning)));
            seen.note("refused");
        });
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["refused"]);
    });
}

#[test]
fn i6_a_call_never_waits() {
    for_each_loop(|event_loop| {
        event_loop.call_later(3600 * SECOND, || {});
        for _ in 0..10 {
            event_loop.run_ready().unwrap();
        }
        assert_eq!((event_loop.stats().sleeps, event_loop.stats().iterations), (0, 10));
    });
}
