//! Every interleaving of the small cases, by loom.
//!
//! Run: `RUSTFLAGS="--cfg loom" cargo test -p tulipa-futures --release --lib loom_`. A wake-up that is
//! lost leaves a thread waiting for ever, which loom reports. Counters are std's, so that they add no
//! interleavings.

use super::{Executor, ExecutorExt, Future, Job, Refused, ReturnWhen, as_completed, wait};
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(model);
}

/// A done-callback that counts.
fn count(calls: &Arc<AtomicUsize>) -> impl FnOnce(&Future<u32>) + Send + 'static {
    let calls = calls.clone();
    move |_| {
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn loom_f29_who_blocks_is_released() {
    explore(|| {
        let future = Future::new();
        let producer = future.clone();
        let thread = thread::spawn(move || producer.set_result(7).unwrap());
        assert_eq!(future.result(None).unwrap(), 7);
        thread.join().unwrap();
    });
}

#[test]
fn loom_f29_a_lent_value_comes_back_to_those_who_wait_for_it() {
    explore(|| {
        let future = Future::new();
        future.set_result(7).unwrap();
        let (cloner, other) = (future.clone(), future.clone());
        let threads =
            [thread::spawn(move || cloner.result(None)), thread::spawn(move || other.result(None))];
        assert_eq!(future.take(None).unwrap(), 7);
        for thread in threads {
            match thread.join().unwrap() {
                Ok(value) => assert_eq!(value, 7),
                Err(error) => assert_eq!(error.to_string(), "the result was taken"),
            }
        }
    });
}

#[test]
fn loom_f29_one_taker_of_two_gets_the_value() {
    explore(|| {
        let future = Future::new();
        let (producer, other) = (future.clone(), future.clone());
        let threads = thread::spawn(move || other.take(None).is_ok());
        producer.set_result(7).unwrap();
        assert!(future.take(None).is_ok() != threads.join().unwrap());
    });
}

#[test]
fn loom_f29_it_is_either_cancelled_or_started() {
    explore(|| {
        let (future, calls) = (Future::new(), Arc::new(AtomicUsize::new(0)));
        future.add_done_callback(count(&calls));
        let canceller = future.clone();
        let thread = thread::spawn(move || canceller.cancel());
        let started = future.set_running_or_notify_cancel();
        if started {
            future.set_result(7).unwrap();
        }
        assert!(thread.join().unwrap() != started);
        assert_eq!(future.cancelled(), !started);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_f29_a_callback_runs_once_whenever_it_is_added() {
    explore(|| {
        let (future, calls) = (Future::new(), Arc::new(AtomicUsize::new(0)));
        let producer = future.clone();
        let thread = thread::spawn(move || producer.set_result(7).unwrap());
        future.add_done_callback(count(&calls));
        thread.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_f29_a_callback_that_is_taken_back_runs_once_or_never() {
    explore(|| {
        let (future, calls) = (Future::new(), Arc::new(AtomicUsize::new(0)));
        let kept = Arc::new(AtomicUsize::new(0));
        let listener = future.add_listener(count(&calls));
        future.add_done_callback(count(&kept));
        let producer = future.clone();
        let thread = thread::spawn(move || producer.set_result(7).unwrap());
        future.remove_listener(listener);
        thread.join().unwrap();
        assert!(calls.load(Ordering::Relaxed) <= 1);
        assert_eq!(Arc::strong_count(&calls), 1);
        assert_eq!(kept.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_f29_waiting_for_several_ends() {
    explore(|| {
        let futures = [Future::new(), Future::new()];
        let [first, second] = futures.clone();
        let thread = thread::spawn(move || {
            second.set_result(2).unwrap();
            first.set_result(1).unwrap();
        });
        let waited = wait(futures.clone(), None, ReturnWhen::FirstCompleted).unwrap();
        assert!(waited.done.iter().any(|done| done.ptr_eq(&futures[1])));
        let all: Vec<_> = as_completed(futures, None).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        thread.join().unwrap();
    });
}

#[test]
fn loom_e4_a_job_is_either_run_or_freed() {
    /// Keeps one job.
    #[derive(Default)]
    struct Slot(Mutex<Option<Job>>);
    impl Executor for Slot {
        fn execute(&self, job: Job) -> Result<(), Refused> {
            self.0.lock().unwrap().replace(job);
            Ok(())
        }
    }
    explore(|| {
        let (slot, alive) = (Slot::default(), Arc::new(()));
        let captured = alive.clone();
        let future = slot.submit(move || drop(captured)).unwrap();
        let job = slot.0.lock().unwrap().take().unwrap();
        let worker = thread::spawn(move || job.run());
        let cancelled = future.cancel();
        if cancelled {
            assert_eq!(Arc::strong_count(&alive), 1);
        }
        assert_eq!(future.take(None).is_err(), cancelled);
        worker.join().unwrap();
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}
