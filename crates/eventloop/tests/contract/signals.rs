//! Signals (G-1 to G-8). Tests of one process use different signals, real-time ones mostly; where a
//! signal kills, the test has a process of its own.

use crate::common::child::{self, in_own_process};
use crate::common::raw::signal_thread;
use crate::common::{Captured, OnDrop, Trace, for_each_loop, record_reports};
use futures::TaskLocal;
use signal_hook::consts::{SIGCHLD, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM, SIGUSR1};
use signal_hook::low_level::raise;
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, SignalError, TestLoop};

#[test]
fn g1_a_handler_is_an_ordinary_callback_never_run_at_the_moment_of_the_signal() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 40;
        let (trace, captured) = (Trace::new(), Captured::new());
        let (mut first, mut hold) = (trace.mark("first"), captured.hold());
        event_loop
            .add_signal_handler(SIGNAL, move || {
                hold();
                first();
            })
            .unwrap();
        let seen = trace.clone();
        event_loop.call_soon(move || {
            raise(SIGNAL).unwrap();
            seen.note("raised");
        });
        event_loop.run_ready().unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["raised", "first"]);
        // One for each signal: another replaces it.
        event_loop.add_signal_handler(SIGNAL, trace.mark("second")).unwrap();
        assert_eq!((captured.copies(), event_loop.stats().signals), (0, 1));
        raise(SIGNAL).unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["second"]);
        event_loop.run_ready().unwrap();
        assert!(trace.take().is_empty());
    });
}

#[test]
fn g1_a_handler_may_remove_replace_panic_or_stop() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 41;
        let reports = record_reports(&**event_loop);
        let trace = Trace::new();
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop
            .add_signal_handler(SIGNAL, move || {
                seen.note("first");
                let (again, next) = (handle.clone(), seen.clone());
                handle
                    .add_signal_handler(SIGNAL, move || {
                        next.note("second");
                        assert!(again.remove_signal_handler(SIGNAL));
                        assert!(!again.remove_signal_handler(SIGNAL));
                        again.stop();
                        panic!("expected");
                    })
                    .unwrap();
            })
            .unwrap();
        raise(SIGNAL).unwrap();
        event_loop.run_ready().unwrap();
        raise(SIGNAL).unwrap();
        event_loop.run_forever().unwrap();
        assert_eq!((trace.take(), reports.count()), (vec!["first".into(), "second".into()], 1));
        assert_eq!(event_loop.stats().signals, 0);
    });
}

#[test]
fn g2_what_is_no_signal_or_cannot_be_caught_is_refused_and_leaves_nothing() {
    for_each_loop(|event_loop| {
        let captured = Captured::new();
        for number in [0, -1, 65, i32::MAX, i32::MIN, 32] {
            let refused = event_loop.add_signal_handler(number, captured.hold()).unwrap_err();
            assert!(matches!(refused, SignalError::Unknown(n) if n == number), "{refused:?}");
            assert_eq!(refused.to_string(), format!("{number} is not a signal"));
        }
        for number in [SIGKILL, SIGSTOP, SIGSEGV] {
            let refused = event_loop.add_signal_handler(number, captured.hold()).unwrap_err();
            assert!(matches!(refused, SignalError::Uncatchable(n) if n == number));
        }
        for number in [0, -1, 65, SIGKILL] {
            assert!(!event_loop.remove_signal_handler(number));
        }
        assert_eq!((captured.copies(), event_loop.stats().signals), (0, 0));
    });
}

#[test]
fn g2_a_loop_of_any_thread_handles_signals() {
    const SIGNAL: i32 = 42;
    let thread = thread::spawn(|| {
        let event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        event_loop.add_signal_handler(SIGNAL, move || handle.stop()).unwrap();
        raise(SIGNAL).unwrap();
        event_loop.run_forever().unwrap();
    });
    thread.join().unwrap();
}

#[test]
fn g3_a_removal_says_whether_there_was_a_handler() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 43;
        let captured = Captured::new();
        assert!(!event_loop.remove_signal_handler(SIGNAL));
        event_loop.add_signal_handler(SIGNAL, captured.hold()).unwrap();
        assert!(event_loop.remove_signal_handler(SIGNAL));
        assert_eq!(captured.copies(), 0);
        assert!(!event_loop.remove_signal_handler(SIGNAL));
    });
}

#[test]
fn g3_g7_without_a_handler_the_signal_does_again_what_it_did_before() {
    const NAME: &str = "g3_g7_without_a_handler_the_signal_does_again_what_it_did_before";
    if child::is_child(NAME) {
        let (first, second) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
        let trace = Trace::new();
        first.add_signal_handler(SIGTERM, trace.mark("first")).unwrap();
        second.add_signal_handler(SIGTERM, trace.mark("second")).unwrap();
        raise(SIGTERM).unwrap();
        first.run_ready().unwrap();
        second.run_ready().unwrap();
        assert_eq!(trace.take(), ["first", "second"]);
        assert!(first.remove_signal_handler(SIGTERM));
        raise(SIGTERM).unwrap(); // somebody still handles it
        second.run_ready().unwrap();
        assert_eq!(trace.take(), ["second"]);
        drop(second); // the last one
        eprintln!("about to die");
        raise(SIGTERM).unwrap();
        unreachable!("SIGTERM kills");
    }
    let output = child::run(module_path!(), NAME, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("about to die"), "{said}");
    assert_eq!(output.status.signal(), Some(SIGTERM), "{said}");
}

#[test]
fn g3_a_signal_that_was_ignored_is_ignored_again() {
    in_own_process!("g3_a_signal_that_was_ignored_is_ignored_again", || {
        // SIGPIPE is ignored in every program of Rust's.
        let event_loop = EventLoop::new().unwrap();
        let trace = Trace::new();
        let sigpipe = signal_hook::consts::SIGPIPE;
        event_loop.add_signal_handler(sigpipe, trace.mark("handled")).unwrap();
        raise(sigpipe).unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["handled"]);
        event_loop.close().unwrap();
        raise(sigpipe).unwrap(); // and we live
    });
}

#[test]
fn g4_one_signal_may_be_merged_and_of_different_ones_none_is_lost() {
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        let signals = [48, 45, 47, 46];
        for signal in signals {
            event_loop.add_signal_handler(signal, trace.mark(&signal.to_string())).unwrap();
        }
        for _ in 0..3 {
            signals.iter().for_each(|signal| raise(*signal).unwrap());
        }
        event_loop.run_ready().unwrap();
        event_loop.run_ready().unwrap();
        assert_eq!(trace.take(), ["45", "46", "47", "48"]);
    });
}

#[test]
fn g4_after_a_flood_there_is_a_delivery_after_the_last() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 49;
        const FLOOD: usize = 10_000;
        let sent = Arc::new(AtomicUsize::new(0));
        let (flooding, handle) = (sent.clone(), event_loop.handle());
        let handler = move || {
            if sent.load(Ordering::SeqCst) == FLOOD {
                handle.stop();
            }
        };
        event_loop.add_signal_handler(SIGNAL, handler).unwrap();
        let thread = thread::spawn(move || {
            for _ in 0..FLOOD {
                // Counted before: who is told of the last one sees that it is.
                flooding.fetch_add(1, Ordering::SeqCst);
                raise(SIGNAL).unwrap();
            }
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn g5_a_signal_wakes_a_sleeping_loop_and_elsewhere_calls_are_restarted() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 50;
        let handle = event_loop.handle();
        event_loop.add_signal_handler(SIGNAL, move || handle.stop()).unwrap();
        // A thread that blocks in a read, and is the one that the signal interrupts.
        let (read_end, write_end) = rustix::pipe::pipe().unwrap();
        let (tell, told) = channel();
        let blocked = thread::spawn(move || {
            tell.send(rustix::thread::gettid()).unwrap();
            let mut byte = [0u8];
            (rustix::io::read(&read_end, &mut byte), byte[0])
        });
        let blocked_id = told.recv().unwrap();
        let signaller = thread::spawn(move || {
            // Twice, so that one of them is sure to find the thread in its read.
            for _ in 0..2 {
                signal_thread(blocked_id, SIGNAL);
                thread::yield_now();
            }
        });
        event_loop.run_forever().unwrap();
        signaller.join().unwrap();
        rustix::io::write(&write_end, b"!").unwrap();
        assert_eq!(blocked.join().unwrap(), (Ok(1), b'!'), "not interrupted");
    });
}

#[test]
fn l5_g5_an_interrupted_wait_only_begins_another_iteration() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 61;
        let seen = Arc::new(AtomicBool::new(false));
        let id = signal_hook::flag::register(SIGNAL, seen.clone()).unwrap();
        let (waiter, poster) = (rustix::thread::gettid(), event_loop.threadsafe_handle());
        let far = event_loop.call_later(3600 * crate::common::SECOND, || panic!("too early"));
        let thread = thread::spawn(move || {
            for _ in 0..200 {
                signal_thread(waiter, SIGNAL);
                thread::yield_now();
            }
            poster.stop();
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
        assert!(seen.load(Ordering::SeqCst) && far.cancel());
        signal_hook::low_level::unregister(id);
    });
}

#[test]
fn g6_a_handler_removed_or_replaced_after_its_signal_arrived_does_not_run() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 51;
        let trace = Trace::new();
        // Arrived, not yet queued.
        event_loop.add_signal_handler(SIGNAL, trace.mark("removed")).unwrap();
        raise(SIGNAL).unwrap();
        assert!(event_loop.remove_signal_handler(SIGNAL));
        event_loop.add_signal_handler(SIGNAL, trace.mark("added later")).unwrap();
        event_loop.run_ready().unwrap();
        assert!(trace.take().is_empty());
        // Queued: an earlier callback of the batch takes it away.
        let handle = event_loop.handle();
        event_loop.add_signal_handler(SIGNAL, trace.mark("queued")).unwrap();
        event_loop.call_soon(move || assert!(handle.remove_signal_handler(SIGNAL)));
        raise(SIGNAL).unwrap();
        event_loop.run_ready().unwrap();
        event_loop.run_ready().unwrap();
        assert!(trace.take().is_empty());
        // Queued, and replaced.
        let (handle, seen) = (event_loop.handle(), trace.clone());
        event_loop.add_signal_handler(SIGNAL, trace.mark("replaced")).unwrap();
        event_loop.call_soon(move || {
            handle.add_signal_handler(SIGNAL, seen.mark("replacement")).unwrap();
        });
        raise(SIGNAL).unwrap();
        event_loop.run_ready().unwrap();
        assert!(!trace.take().contains(&"replaced".to_owned()));
    });
}

#[test]
fn g7_g8_every_loop_gets_it_and_so_does_the_hosts_handler_before_and_after() {
    for_each_loop(|event_loop| {
        const SIGNAL: i32 = 52;
        let host = Arc::new(AtomicBool::new(false));
        let id = signal_hook::flag::register(SIGNAL, host.clone()).unwrap();
        let other = EventLoop::new().unwrap();
        let trace = Trace::new();
        event_loop.add_signal_handler(SIGNAL, trace.mark("first loop")).unwrap();
        other.add_signal_handler(SIGNAL, trace.mark("other loop")).unwrap();
        raise(SIGNAL).unwrap();
        event_loop.run_ready().unwrap();
        other.run_ready().unwrap();
        assert_eq!(trace.take(), ["first loop", "other loop"]);
        assert!(host.swap(false, Ordering::SeqCst));
        event_loop.close().unwrap();
        other.close().unwrap();
        raise(SIGNAL).unwrap();
        assert!(host.load(Ordering::SeqCst), "the host's is as it was");
        signal_hook::low_level::unregister(id);
    });
}

#[test]
fn g7_closing_removes_the_handlers() {
    in_own_process!("g7_closing_removes_the_handlers", || {
        let event_loop = EventLoop::new().unwrap();
        let captured = Captured::new();
        let urgent = signal_hook::consts::SIGURG; // ignored unless handled
        event_loop.add_signal_handler(urgent, captured.hold()).unwrap();
        raise(urgent).unwrap();
        event_loop.close().unwrap();
        assert_eq!(captured.copies(), 0);
        raise(urgent).unwrap();
        assert_eq!(event_loop.stats().signals, 0);
    });
}

#[test]
fn g8_sigchld_is_no_exception() {
    in_own_process!("g8_sigchld_is_no_exception", || {
        let event_loop = EventLoop::new().unwrap();
        let (handle, count) = (event_loop.handle(), Rc::new(Cell::new(0)));
        let counting = count.clone();
        event_loop
            .add_signal_handler(SIGCHLD, move || {
                counting.set(counting.get() + 1);
                handle.stop();
            })
            .unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        event_loop.run_forever().unwrap();
        assert!(child.wait().unwrap().success(), "its status is its owner's");
        assert!(count.get() >= 1);
    });
}

#[test]
fn g5_a_test_loop_waits_for_a_signal_rather_than_step_its_clock() {
    in_own_process!("g5_a_test_loop_waits_for_a_signal_rather_than_step_its_clock", || {
        let event_loop = TestLoop::new();
        let handle = event_loop.handle();
        event_loop.add_signal_handler(SIGUSR1, move || handle.stop()).unwrap();
        let far = event_loop.call_later(crate::common::SECOND, || panic!("it stepped"));
        let thread = thread::spawn(|| raise(SIGUSR1).unwrap());
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
        far.cancel();
        event_loop.remove_signal_handler(SIGUSR1);
    });
}

#[test]
fn g2_a_refused_handler_is_dropped_where_it_may_call_the_loop() {
    for_each_loop(|event_loop| {
        for number in [SIGKILL, 65] {
            let (handle, asked) = (event_loop.handle(), Rc::new(Cell::new(None)));
            let answer = asked.clone();
            let value = OnDrop::new(move || {
                answer.set(Some(handle.remove_signal_handler(SIGUSR1)));
            });
            event_loop.add_signal_handler(number, move || value.keep()).unwrap_err();
            assert_eq!(asked.get(), Some(false));
        }
    });
}

#[test]
fn l53_a_signal_handler_has_the_values_of_the_place_that_added_it() {
    static REQUEST: TaskLocal<u32> = TaskLocal::new();
    for_each_loop(|event_loop| {
        let trace = Trace::new();
        for (signal, request) in [(52, None), (53, Some(1))] {
            let seen = trace.clone();
            let handler = move || {
                seen.note(format!("{signal} {:?}", REQUEST.get()));
                REQUEST.set(9);
            };
            match request {
                None => event_loop.add_signal_handler(signal, handler),
                Some(request) => {
                    REQUEST.sync_scope(request, || event_loop.add_signal_handler(signal, handler))
                }
            }
            .unwrap();
        }
        for _ in 0..2 {
            raise(52).unwrap();
            raise(53).unwrap();
            REQUEST.sync_scope(5, || event_loop.run_ready().unwrap());
            let mut turns = trace.take();
            turns.sort();
            assert_eq!(turns, ["52 None", "53 Some(1)"]);
        }
    });
}
