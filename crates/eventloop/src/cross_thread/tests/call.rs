//! The life of a call: run, cancelled, or dropped with its loop, and the caller can tell which.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread::{self, ThreadId};

use super::BareLoop;
use crate::{CallState, CancelAnswer, EventLoop, ThreadsafeCall, ThreadsafeHandle, prelude::*};

/// Notes on which threads it was dropped.
struct Captured(Arc<Mutex<Vec<ThreadId>>>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

type Drops = Arc<Mutex<Vec<ThreadId>>>;

/// A call that counts its runs and notes the drop of what it captured.
fn counting(handle: &ThreadsafeHandle) -> (ThreadsafeCall, Arc<AtomicUsize>, Drops) {
    let (runs, drops) = (Arc::new(AtomicUsize::new(0)), Drops::default());
    let (count, captured) = (Arc::clone(&runs), Captured(Arc::clone(&drops)));
    let call = handle.call_soon_threadsafe(move || {
        let _captured = captured;
        count.fetch_add(1, Ordering::Relaxed);
    });
    (call.unwrap(), runs, drops)
}

#[test]
fn l36_h8_a_call_cancelled_from_another_thread_never_runs_and_is_freed_there_at_once() {
    let (event_loop, handle) = BareLoop::new();
    let (call, runs, drops) = counting(&handle);
    let call = Arc::new(call);
    let canceller = thread::spawn({
        let (call, drops) = (Arc::clone(&call), Arc::clone(&drops));
        move || {
            assert_eq!(call.cancel(), CancelAnswer::Cancelled);
            assert_eq!(*drops.lock().unwrap(), [thread::current().id()]);
        }
    });
    canceller.join().unwrap();
    assert_eq!(event_loop.run_ready(), 1);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    assert_eq!((call.state(), call.cancelled()), (CallState::Cancelled, true));
    assert_eq!(drops.lock().unwrap().len(), 1);
}

#[test]
fn h8_a_running_call_answers_running_to_another_thread_that_does_not_wait() {
    let (event_loop, handle) = BareLoop::new();
    let (begun, has_begun) = mpsc::channel();
    let (answered, has_answered) = mpsc::channel::<()>();
    let call = handle.call_soon_threadsafe(move || {
        begun.send(()).unwrap();
        has_answered.recv().unwrap(); // for ever, if the canceller waits for us
    });
    let call = call.unwrap();
    let canceller = thread::spawn(move || {
        has_begun.recv().unwrap();
        let seen = (call.state(), call.cancel(), call.cancelled());
        answered.send(()).unwrap();
        (seen, call)
    });
    event_loop.run_ready();
    let (seen, call) = canceller.join().unwrap();
    assert_eq!(seen, (CallState::Running, CancelAnswer::Running, false));
    assert_eq!((call.cancel(), call.state()), (CancelAnswer::Done, CallState::Done));
    assert!(!call.cancelled());
}

#[test]
fn h4_h8_a_call_that_cancels_itself_is_running_and_goes_on() {
    let (event_loop, handle) = BareLoop::new();
    let own = Arc::new(OnceLock::<ThreadsafeCall>::new());
    let (answer, answers) = mpsc::channel();
    let myself = Arc::clone(&own);
    let call = handle.call_soon_threadsafe(move || {
        let call = myself.get().expect("set before the loop ran");
        answer.send((call.cancel(), call.state())).unwrap();
    });
    own.set(call.unwrap()).unwrap();
    event_loop.run_ready();
    assert_eq!(answers.recv(), Ok((CancelAnswer::Running, CallState::Running)));
    assert_eq!(own.get().unwrap().state(), CallState::Done);
}

#[test]
fn h8_of_the_loop_and_two_cancellers_exactly_one_wins() {
    let mut cancelled = 0;
    for _ in 0..2000 {
        let (event_loop, handle) = BareLoop::new();
        let (call, runs, drops) = counting(&handle);
        let start = Barrier::new(3);
        let answers = thread::scope(|scope| {
            let race = || {
                start.wait();
                call.cancel()
            };
            let cancellers = [scope.spawn(race), scope.spawn(race)];
            start.wait();
            event_loop.run_ready();
            cancellers.map(|canceller| canceller.join().unwrap())
        });
        let ran = runs.load(Ordering::Relaxed) == 1;
        assert_eq!(call.state(), if ran { CallState::Done } else { CallState::Cancelled });
        for answer in answers {
            assert_eq!(answer != CancelAnswer::Cancelled, ran, "{answer:?}");
        }
        assert_eq!(drops.lock().unwrap().len(), 1, "what it captured is dropped once");
        cancelled += usize::from(!ran);
    }
    assert!(cancelled <= 2000);
}

#[test]
fn h1_dropping_the_handle_changes_nothing() {
    let (event_loop, handle) = BareLoop::new();
    let (call, runs, _) = counting(&handle);
    drop(call);
    event_loop.run_ready();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn h2_h3_cancel_may_be_repeated_and_after_the_run_it_says_done() {
    let (event_loop, handle) = BareLoop::new();
    let (early, ..) = counting(&handle);
    let (late, runs, _) = counting(&handle);
    assert_eq!((early.state(), late.state()), (CallState::Pending, CallState::Pending));
    assert!(!early.cancelled());
    assert_eq!([early.cancel(), early.cancel()], [CancelAnswer::Cancelled; 2]);
    event_loop.run_ready();
    assert_eq!([late.cancel(), late.cancel()], [CancelAnswer::Done; 2]);
    assert_eq!((early.cancelled(), late.cancelled()), (true, false));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn h5_a_cancel_from_an_earlier_call_of_the_batch_prevents_the_run() {
    let (event_loop, handle) = BareLoop::new();
    let victim = Arc::new(OnceLock::<ThreadsafeCall>::new());
    let (answer, answers) = mpsc::channel();
    let target = Arc::clone(&victim);
    let first = move || answer.send(target.get().unwrap().cancel()).unwrap();
    handle.call_soon_threadsafe(first).unwrap();
    let (call, runs, _) = counting(&handle);
    victim.set(call).unwrap();
    event_loop.run_ready();
    assert_eq!(answers.recv(), Ok(CancelAnswer::Cancelled));
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[test]
fn l9_h8_a_panic_passes_to_the_loop_and_the_call_is_done() {
    let (event_loop, handle) = BareLoop::new();
    let call = handle.call_soon_threadsafe(|| panic!("on purpose")).unwrap();
    let (next, runs, _) = counting(&handle);
    assert_eq!(event_loop.calls.collect().0, 2);
    let payload = catch_unwind(AssertUnwindSafe(|| event_loop.run_next())).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"on purpose"));
    assert_eq!(call.state(), CallState::Done);
    event_loop.run_next();
    assert_eq!((runs.load(Ordering::Relaxed), next.state()), (1, CallState::Done));
}

#[test]
fn l34_a_closed_loop_gives_the_callback_back_neither_run_nor_dropped() {
    let (event_loop, handle) = BareLoop::new();
    assert!(!handle.is_closed());
    event_loop.close();
    assert!(handle.is_closed());
    let drops = Drops::default();
    let captured = Captured(Arc::clone(&drops));
    let refused = handle.call_soon_threadsafe(move || drop(captured)).unwrap_err();
    assert_eq!(refused.to_string(), "cannot give a call to the event loop: it is closed");
    assert!(drops.lock().unwrap().is_empty());
    refused.into_callback()();
    assert_eq!(drops.lock().unwrap().len(), 1);
    handle.stop(); // does nothing
}

#[test]
fn l34_a_call_that_went_down_with_its_loop_says_so_wherever_it_was() {
    let (event_loop, handle) = BareLoop::new();
    let (drained, drained_runs, drained_drops) = counting(&handle);
    event_loop.calls.collect();
    let (queued, queued_runs, queued_drops) = counting(&handle);
    let (cancelled, ..) = counting(&handle);
    assert_eq!(cancelled.cancel(), CancelAnswer::Cancelled);
    event_loop.close();
    for call in [drained, queued] {
        assert_eq!((call.state(), call.cancel()), (CallState::Dropped, CancelAnswer::Dropped));
        assert!(!call.cancelled());
    }
    assert_eq!(cancelled.state(), CallState::Cancelled, "which it was first");
    assert_eq!(drained_runs.load(Ordering::Relaxed) + queued_runs.load(Ordering::Relaxed), 0);
    for drops in [drained_drops, queued_drops] {
        assert_eq!(*drops.lock().unwrap(), [thread::current().id()], "on the loop's thread");
    }
}

#[test]
fn l34_calls_that_race_with_a_close_run_or_are_dropped_or_come_back() {
    for _ in 0..300 {
        let (event_loop, handle) = BareLoop::new();
        let start = Arc::new(Barrier::new(2));
        let started = Arc::clone(&start);
        let poster = thread::spawn(move || {
            start.wait();
            (0..50)
                .map(|_| {
                    let runs = Arc::new(AtomicUsize::new(0));
                    let count = Arc::clone(&runs);
                    let callback = move || {
                        count.fetch_add(1, Ordering::Relaxed);
                    };
                    (runs, handle.call_soon_threadsafe(callback).ok())
                })
                .collect::<Vec<_>>()
        });
        started.wait();
        event_loop.run_ready();
        event_loop.close();
        for (runs, call) in poster.join().unwrap() {
            let expected = match call.map(|call| call.state()) {
                Some(CallState::Done) => 1,
                Some(CallState::Dropped) | None => 0,
                Some(other) => panic!("left {other:?} by a closed loop"),
            };
            assert_eq!(runs.load(Ordering::Relaxed), expected);
            assert_eq!(Arc::strong_count(&runs), 1, "nothing keeps the callback");
        }
    }
}

#[test]
fn h2_a_callback_may_use_its_own_handle_from_its_destructor() {
    struct Asks(Arc<OnceLock<ThreadsafeCall>>, mpsc::Sender<CancelAnswer>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.1.send(self.0.get().unwrap().cancel()).unwrap(); // no lock is held here
        }
    }
    let (event_loop, handle) = BareLoop::new();
    let (answer, answers) = mpsc::channel();
    let new_call = || {
        let own = Arc::new(OnceLock::new());
        let asks = Asks(Arc::clone(&own), answer.clone());
        own.set(handle.call_soon_threadsafe(move || drop(asks)).unwrap()).unwrap();
        own
    };
    assert_eq!(new_call().get().unwrap().cancel(), CancelAnswer::Cancelled);
    assert_eq!(answers.recv(), Ok(CancelAnswer::Cancelled));
    new_call();
    event_loop.calls.collect();
    new_call();
    event_loop.close();
    assert_eq!([answers.recv(), answers.recv()], [Ok(CancelAnswer::Dropped); 2]);
}

#[test]
fn h2_a_call_that_the_loop_has_collected_can_still_be_cancelled_and_keeps_its_turn() {
    let (event_loop, handle) = BareLoop::new();
    let calls: Vec<_> = (0..4).map(|_| counting(&handle)).collect();
    assert_eq!(event_loop.calls.collect().0, 4);
    event_loop.run_next();
    assert_eq!(calls[2].0.cancel(), CancelAnswer::Cancelled);
    assert_eq!(calls[2].2.lock().unwrap().len(), 1, "freed at once");
    let (late, late_runs, _) = counting(&handle);
    assert_eq!(event_loop.calls.collect().0, 1, "more may come while some wait");
    assert_eq!(event_loop.calls.collected(), 4);
    let runs = || calls.iter().map(|call| call.1.load(Ordering::Relaxed)).collect::<Vec<_>>();
    for expected in [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]] {
        event_loop.run_next();
        assert_eq!(runs(), expected);
    }
    assert_eq!((late.state(), late_runs.load(Ordering::Relaxed)), (CallState::Pending, 0));
    event_loop.run_next();
    assert_eq!((late.state(), late_runs.load(Ordering::Relaxed)), (CallState::Done, 1));
    event_loop.run_next(); // nothing left: nothing happens
}

#[test]
fn h2_large_and_small_closures_are_freed_alike() {
    let (event_loop, handle) = BareLoop::new();
    let large = [Captured(Drops::default()), Captured(Drops::default())];
    let ballast = [7_u64; 32];
    let drops = Arc::clone(&large[0].0);
    let call = handle.call_soon_threadsafe(move || drop((large, ballast))).unwrap();
    assert_eq!(call.cancel(), CancelAnswer::Cancelled);
    assert_eq!(drops.lock().unwrap().len(), 1);
    assert_eq!(event_loop.run_ready(), 1);
}

#[test]
fn h16_a_call_shows_its_state_and_where_it_was_made() {
    let (event_loop, handle) = BareLoop::new();
    let line = line!() + 1;
    let call = handle.call_soon_threadsafe(|| ()).unwrap();
    assert_eq!((call.location().file(), call.location().line()), (file!(), line));
    let shown = format!("{call:?}");
    assert!(shown.contains("Pending") && shown.contains(&format!("call.rs:{line}")), "{shown}");
    event_loop.calls.collect();
    assert_eq!(event_loop.calls.locations(9), [call.location()]);
    assert_eq!(event_loop.calls.begin_next().unwrap().location(), call.location());
}

#[test]
fn l31_handles_and_calls_can_be_sent_and_shared() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<ThreadsafeHandle>();
    sendable::<ThreadsafeCall>();
}

#[test]
fn l19_l31_a_stop_from_another_thread_comes_after_that_threads_calls() {
    let once = std::num::NonZeroU32::MIN;
    let event_loop = EventLoop::builder().batches_between_polls(once).build().unwrap();
    let handle = event_loop.threadsafe_handle();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    event_loop.call_soon(move || {
        // While a batch runs, so that all of it is found right after the last batch before a poll.
        let poster = thread::spawn(move || {
            for _ in 0..10 {
                let count = Arc::clone(&count);
                let call = handle.call_soon_threadsafe(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                });
                call.unwrap();
            }
            handle.stop();
        });
        poster.join().unwrap();
    });
    event_loop.run_forever().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 10);
}

#[test]
fn h8_l9_a_call_on_a_real_loop_runs_is_cancelled_or_goes_down_with_it() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.threadsafe_handle();
    let (ran, runs, _) = counting(&handle);
    let (cancelled, never, _) = counting(&handle);
    let panicked = handle.call_soon_threadsafe(|| panic!("on purpose")).unwrap();
    assert_eq!(cancelled.cancel(), CancelAnswer::Cancelled);
    handle.stop();
    event_loop.run_forever().unwrap();
    let states = [ran.state(), cancelled.state(), panicked.state()];
    assert_eq!(states, [CallState::Done, CallState::Cancelled, CallState::Done]);
    assert_eq!((runs.load(Ordering::Relaxed), never.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(event_loop.stats().panics, 1);
    let (late, _, drops) = counting(&handle);
    drop(event_loop);
    assert_eq!((late.state(), drops.lock().unwrap().len()), (CallState::Dropped, 1));
    assert!(handle.call_soon_threadsafe(|| ()).is_err());
}
