//! Every interleaving of the small cases, by loom.
//!
//! Run: `RUSTFLAGS="--cfg loom" cargo test -p tulipa-eventloop --release --lib loom_`, with
//! `LOOM_MAX_PREEMPTIONS` to bound the larger ones by more or less than two preemptions.
//!
//! The loop's bed is loom's `Notify`: a notification before the wait ends the wait, as with an
//! eventfd; and once in each model the wait ends for no reason, as it does for timers and sockets.
//! A wake-up that is lost leaves the loop waiting for ever, which loom reports. Counters are std's,
//! so that they add no interleavings, and no ordering that the code does not have.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::Notify;
use loom::thread;

use super::inbox::{Inbox, News};
use super::{CallState, Calls, CancelAnswer, ThreadsafeHandle, Wake};

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

struct Bed {
    wakes: AtomicUsize,
    notify: Notify,
}

impl Wake for Bed {
    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.notify.notify();
    }
}

fn inbox<T>() -> (Arc<Inbox<T>>, Arc<Bed>) {
    let bed = Arc::new(Bed { wakes: AtomicUsize::new(0), notify: Notify::new() });
    let inbox = Inbox::new(Arc::clone(&bed) as Arc<dyn Wake>);
    inbox.woke_up();
    (Arc::new(inbox), bed)
}

/// A loop that sleeps whenever it may, until `done` says that it has seen enough.
struct Sleeper<T> {
    items: Vec<T>,
    news: News,
    sleeps: usize,
}

impl<T> Sleeper<T> {
    fn run(inbox: &Inbox<T>, bed: &Bed, done: impl Fn(&Self) -> bool) -> Self {
        let mut sleeper = Self { items: Vec::new(), news: News::default(), sleeps: 0 };
        let mut batch = VecDeque::new();
        loop {
            let news = inbox.drain_into(&mut batch);
            sleeper.items.extend(batch.drain(..));
            sleeper.news.stop |= news.stop;
            sleeper.news.signal |= news.signal;
            if done(&sleeper) {
                let wakes = bed.wakes.load(Ordering::Relaxed);
                assert!(wakes <= sleeper.sleeps, "{wakes} wake-ups, {} sleeps", sleeper.sleeps);
                return sleeper;
            }
            if inbox.prepare_to_sleep() {
                sleeper.sleeps += 1;
                bed.notify.wait();
                inbox.woke_up();
            }
        }
    }
}

#[test]
fn loom_l33_a_post_and_a_sleep() {
    explore(|| {
        let (inbox, bed) = inbox();
        let poster = Arc::clone(&inbox);
        let thread = thread::spawn(move || {
            poster.post(1).unwrap();
            poster.post(2).unwrap();
        });
        let seen = Sleeper::run(&inbox, &bed, |seen| seen.items.len() == 2);
        assert_eq!(seen.items, [1, 2]);
        thread.join().unwrap();
        assert!(bed.wakes.load(Ordering::Relaxed) <= seen.sleeps);
    });
}

#[test]
fn loom_l31_l33_two_posters_and_a_sleep() {
    explore(|| {
        let (inbox, bed) = inbox();
        let threads = [10, 20].map(|base| {
            let poster = Arc::clone(&inbox);
            thread::spawn(move || {
                poster.post(base).unwrap();
                poster.post(base + 1).unwrap();
            })
        });
        let seen = Sleeper::run(&inbox, &bed, |seen| seen.items.len() == 4);
        for base in [10, 20] {
            let own = |item: &i32| *item - base == 0 || *item - base == 1;
            let of_one: Vec<i32> = seen.items.iter().copied().filter(own).collect();
            assert_eq!(of_one, [base, base + 1]);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(bed.wakes.load(Ordering::Relaxed) <= seen.sleeps);
    });
}

#[test]
fn loom_l33_a_signal_and_a_sleep() {
    explore(|| {
        let (inbox, bed) = inbox::<()>();
        let signaller = inbox.signaller().unwrap();
        // What a handler leaves behind, without ordering of its own: the news must carry it.
        let left_behind = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let handler = Arc::clone(&left_behind);
        let thread = thread::spawn(move || {
            for number in 1..=2 {
                handler.store(number, Ordering::Relaxed);
                signaller.signal();
            }
        });
        let number = Arc::clone(&left_behind);
        Sleeper::run(&inbox, &bed, move |seen| {
            // The last signal is never lost: whoever takes it sees what it left.
            seen.news.signal && number.load(Ordering::Relaxed) == 2
        });
        thread.join().unwrap();
    });
}

#[test]
fn loom_l33_a_signal_a_post_and_a_sleep() {
    explore(|| {
        let (inbox, bed) = inbox();
        let signaller = inbox.signaller().unwrap();
        let poster = Arc::clone(&inbox);
        let threads = [
            thread::spawn(move || signaller.signal()),
            thread::spawn(move || assert_eq!(poster.post(1), Ok(0))),
        ];
        Sleeper::run(&inbox, &bed, |seen| seen.news.signal && seen.items == [1]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_l19_l33_a_stop_and_a_sleep_and_what_was_posted_before_comes_with_it() {
    explore(|| {
        let (inbox, bed) = inbox();
        let other = Arc::clone(&inbox);
        let thread = thread::spawn(move || {
            other.post(1).unwrap();
            other.request_stop();
        });
        let seen = Sleeper::run(&inbox, &bed, |seen| seen.news.stop);
        assert_eq!(seen.items, [1]);
        thread.join().unwrap();
    });
}

#[test]
fn loom_l33_a_post_and_a_guest_that_leaves() {
    explore(|| {
        let (inbox, bed) = inbox();
        let poster = Arc::clone(&inbox);
        let thread = thread::spawn(move || assert_eq!(poster.post(1), Ok(0)));
        let mut items = VecDeque::new();
        let mut runs = 1;
        inbox.drain_into(&mut items);
        inbox.leave();
        while items.is_empty() {
            bed.notify.wait(); // the host, watching the descriptor
            runs += 1;
            inbox.woke_up();
            inbox.drain_into(&mut items);
            inbox.leave();
        }
        assert_eq!(items, [1]);
        thread.join().unwrap();
        assert!(bed.wakes.load(Ordering::Relaxed) <= runs);
    });
}

#[test]
fn loom_l34_posts_and_a_close() {
    explore(|| {
        let (inbox, _bed) = inbox();
        assert!(inbox.prepare_to_sleep());
        let threads = [1, 2].map(|item| {
            let poster = Arc::clone(&inbox);
            thread::spawn(move || match poster.post(item) {
                Ok(_) => Some(item),
                Err(refused) => {
                    assert_eq!(refused, item);
                    assert!(poster.is_closed());
                    None
                }
            })
        });
        let mut taken = VecDeque::new();
        inbox.drain_into(&mut taken);
        taken.extend(inbox.close());
        let mut taken = Vec::from(taken);
        let mut accepted: Vec<i32> =
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        taken.sort_unstable();
        accepted.sort_unstable();
        assert_eq!(taken, accepted);
    });
}

#[test]
fn loom_l34_a_signal_a_stop_and_a_close() {
    explore(|| {
        let (inbox, bed) = inbox::<()>();
        assert!(inbox.prepare_to_sleep());
        let signaller = inbox.signaller().unwrap();
        let stopper = Arc::clone(&inbox);
        let threads = [
            thread::spawn(move || signaller.signal()),
            thread::spawn(move || stopper.request_stop()),
        ];
        assert!(inbox.close().is_empty());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(bed.wakes.load(Ordering::Relaxed) <= 1);
        assert_eq!(Arc::strong_count(&bed), 1, "the descriptor is let go");
    });
}

/// What one call has been through. Whatever it captured is in `captured`.
struct Traces {
    runs: AtomicUsize,
    drops: AtomicUsize,
}

struct Captured(Arc<Traces>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn callback() -> (impl FnOnce() + Send + 'static, Arc<Traces>) {
    let traces = Arc::new(Traces { runs: AtomicUsize::new(0), drops: AtomicUsize::new(0) });
    let captured = Captured(Arc::clone(&traces));
    let callback = move || {
        captured.0.runs.fetch_add(1, Ordering::Relaxed);
    };
    (callback, traces)
}

/// What other threads see of a loop that is awake.
fn calls() -> (Arc<Calls>, ThreadsafeHandle) {
    let wake: Arc<dyn Wake> = Arc::new(|| ());
    let calls = Arc::new(Calls::new(wake));
    calls.inbox().woke_up();
    (Arc::clone(&calls), ThreadsafeHandle::new(calls))
}

fn run_ready(calls: &Calls) {
    let (count, _) = calls.collect();
    for _ in 0..count {
        if let Some(call) = calls.begin_next() {
            call.run();
        }
    }
}

#[test]
fn loom_h8_two_cancels_and_a_run() {
    explore(|| {
        let (calls, handle) = calls();
        let (callback, traces) = callback();
        let call = Arc::new(handle.call_soon_threadsafe(callback).unwrap());
        let threads = [(); 2].map(|()| {
            let call = Arc::clone(&call);
            thread::spawn(move || call.cancel())
        });
        run_ready(&calls);
        let ran = traces.runs.load(Ordering::Relaxed) == 1;
        for thread in threads {
            let answer = thread.join().unwrap();
            assert_eq!(answer == CancelAnswer::Cancelled, !ran);
            assert_ne!(answer, CancelAnswer::Dropped);
        }
        assert_eq!(call.state(), if ran { CallState::Done } else { CallState::Cancelled });
        assert_eq!(traces.drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_h8_a_cancel_hits_its_own_call_and_no_other() {
    explore(|| {
        let (calls, handle) = calls();
        let (callbacks, traces): (Vec<_>, Vec<_>) = (0..3).map(|_| callback()).unzip();
        let mut handles: Vec<_> = callbacks
            .into_iter()
            .map(|callback| handle.call_soon_threadsafe(callback).unwrap())
            .collect();
        let middle = handles.remove(1);
        let thread = thread::spawn(move || middle.cancel());
        run_ready(&calls);
        let cancelled = thread.join().unwrap() == CancelAnswer::Cancelled;
        let runs: Vec<_> = traces.iter().map(|call| call.runs.load(Ordering::Relaxed)).collect();
        assert_eq!(runs, [1, usize::from(!cancelled), 1]);
        assert!(handles.iter().all(|call| call.state() == CallState::Done));
        assert!(traces.iter().all(|call| call.drops.load(Ordering::Relaxed) == 1));
    });
}

#[test]
fn loom_h8_who_reads_done_sees_what_the_callback_did() {
    explore(|| {
        let (calls, handle) = calls();
        let made = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let result = Arc::clone(&made);
        let call = handle.call_soon_threadsafe(move || result.store(1, Ordering::Relaxed));
        let call = call.unwrap();
        let thread = thread::spawn(move || {
            let state = call.state();
            if state == CallState::Done {
                assert_eq!(made.load(Ordering::Relaxed), 1);
            }
            assert!(!matches!(state, CallState::Cancelled | CallState::Dropped), "{state:?}");
        });
        run_ready(&calls);
        thread.join().unwrap();
    });
}

#[test]
fn loom_h8_l34_a_post_with_a_cancel_and_a_close() {
    explore(|| {
        let (calls, handle) = calls();
        let (callback, traces) = callback();
        let thread = thread::spawn(move || match handle.call_soon_threadsafe(callback) {
            Ok(call) => Some((call.cancel(), call)),
            Err(refused) => {
                drop(refused.into_callback());
                None
            }
        });
        run_ready(&calls);
        calls.close().for_each(drop);
        let ran = traces.runs.load(Ordering::Relaxed);
        match thread.join().unwrap() {
            Some((CancelAnswer::Cancelled, call)) => {
                assert_eq!((ran, call.state()), (0, CallState::Cancelled));
            }
            Some((CancelAnswer::Dropped, call)) => {
                assert_eq!((ran, call.state()), (0, CallState::Dropped));
            }
            Some((CancelAnswer::Running | CancelAnswer::Done, call)) => {
                assert_eq!((ran, call.state()), (1, CallState::Done));
            }
            None => assert_eq!(ran, 0),
        }
        assert_eq!(traces.drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_l34_a_waker_that_posts_itself_and_a_close() {
    explore(|| {
        let (calls, _handle) = calls();
        let (callback, traces) = callback();
        let poster = Arc::clone(&calls);
        let thread = thread::spawn(move || poster.post(Location::caller(), callback).is_ok());
        run_ready(&calls);
        let ran = traces.runs.load(Ordering::Relaxed);
        calls.close().for_each(drop);
        let accepted = thread.join().unwrap();
        assert!(accepted || ran == 0);
        assert_eq!(traces.runs.load(Ordering::Relaxed), ran, "closing runs nothing");
        assert_eq!(traces.drops.load(Ordering::Relaxed), 1);
    });
}
