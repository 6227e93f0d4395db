//! Jobs and those who run them.

use crate::log_records;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use tulipa_futures::concurrent::{Executor, ExecutorExt, Future, Job, Refused};
use tulipa_futures::{CancelledError, Exception, PanicError};

/// Keeps jobs until `run`, or refuses them once it is shut down.
#[derive(Default)]
struct Queue {
    jobs: Mutex<Vec<Job>>,
    shut_down: AtomicBool,
}

impl Executor for Queue {
    fn execute(&self, job: Job) -> Result<(), Refused> {
        if self.shut_down.load(Ordering::Relaxed) {
            return Err(Refused::new(job, "it was shut down"));
        }
        self.jobs.lock().unwrap().push(job);
        Ok(())
    }
}

impl Queue {
    fn run(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock().unwrap());
        thread::spawn(move || jobs.into_iter().for_each(Job::run)).join().unwrap();
    }
}

#[test]
fn e2_a_job_runs_elsewhere_and_gives_its_outcome() {
    let queue = Queue::default();
    let executor: &dyn Executor = &queue;
    let here = thread::current().id();
    let ran = executor.submit(move || thread::current().id() != here).unwrap();
    let fine = executor.try_submit(|| Ok("fine")).unwrap();
    let failed = executor.try_submit::<()>(|| Err(Exception::msg("failed"))).unwrap();
    let stopped = executor.try_submit::<()>(|| Err(CancelledError::new().into())).unwrap();
    assert!(!ran.done() && !ran.running());
    queue.run();
    assert!(ran.result(None).unwrap());
    assert_eq!(fine.result(None).unwrap(), "fine");
    assert_eq!(failed.result(None).unwrap_err().to_string(), "failed");
    assert!(stopped.cancelled());
}

#[test]
fn e4_cancelling_a_queued_job_frees_it_at_once() {
    let (queue, alive) = (Queue::default(), Arc::new(()));
    let captured = alive.clone();
    let future = queue.submit(move || Arc::strong_count(&captured)).unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    assert!(future.cancel());
    assert_eq!(Arc::strong_count(&alive), 1, "the job is still queued, its captures are not");
    queue.run();
    assert!(future.cancelled());
}

#[test]
fn e4_a_running_job_is_not_interrupted() {
    let queue = Queue::default();
    let slot = Arc::new(Mutex::new(None::<Future<u32>>));
    let own = slot.clone();
    let future = queue
        .submit(move || {
            let future = own.lock().unwrap().clone().unwrap();
            assert!(future.running() && !future.cancel());
            7
        })
        .unwrap();
    slot.lock().unwrap().replace(future.clone());
    queue.run();
    assert_eq!(future.result(None).unwrap(), 7);
    slot.lock().unwrap().take();
}

#[test]
fn e4_the_captures_are_freed_without_the_lock_and_in_place() {
    log_records::start();
    struct Captured(Box<dyn Fn() + Send>);
    impl Drop for Captured {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let queue = Queue::default();
    let slot = Arc::new(Mutex::new(None::<Future<usize>>));
    let own = slot.clone();
    let captured = Captured(Box::new(move || {
        let future = own.lock().unwrap().take().unwrap();
        assert!(future.cancelled() && future.cancel());
        panic!("a destructor fails");
    }));
    let future = queue.submit(move || size_of_val(&captured)).unwrap();
    slot.lock().unwrap().replace(future.clone());
    let told = Arc::new(AtomicBool::new(false));
    let flag = told.clone();
    future.add_done_callback(move |_| flag.store(true, Ordering::Relaxed));
    assert!(future.cancel());
    assert!(told.load(Ordering::Relaxed));
    let records = log_records::containing("a destructor fails");
    assert_eq!(records, ["ERROR tulipa: dropping cancelled work panicked: a destructor fails"]);
}

#[test]
fn e11_a_panic_goes_into_the_future() {
    let queue = Queue::default();
    let failed = queue.submit(|| -> u32 { panic!("expected") }).unwrap();
    let fine = queue.submit(|| 1).unwrap();
    queue.run();
    let exception = failed.result(None).unwrap_err();
    assert_eq!(exception.downcast_ref::<PanicError>().unwrap().message(), "expected");
    assert_eq!(fine.result(None).unwrap(), 1);
}

#[test]
fn e11_a_bare_job_that_panics_is_logged() {
    log_records::start();
    let line = line!() + 1;
    let job = Job::new(|| panic!("a bare job fails"));
    assert_eq!(job.location().line(), line);
    assert!(format!("{job:?}").starts_with("Job(submitted at "));
    job.run();
    let records = log_records::containing("a bare job fails");
    assert_eq!(records.len(), 1);
    assert!(records[0].contains(&format!("executor.rs:{line}:")), "{}", records[0]);
}

#[test]
fn e5_a_job_that_is_dropped_unrun_cancels_its_future() {
    let (queue, alive) = (Queue::default(), Arc::new(()));
    let captured = alive.clone();
    let future = queue.submit(move || drop(captured)).unwrap();
    drop(queue);
    let error = future.result(None).unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some("the executor dropped the job"));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn e7_a_refused_job_comes_back() {
    let queue = Queue::default();
    queue.shut_down.store(true, Ordering::Relaxed);
    let ran = Arc::new(AtomicBool::new(false));
    let flag = ran.clone();
    let line = line!() + 1;
    let refused = queue.submit(move || flag.store(true, Ordering::Relaxed)).unwrap_err();
    assert_eq!(refused.reason(), "it was shut down");
    assert_eq!(refused.to_string(), "the executor refused a job: it was shut down");
    let job = refused.into_job();
    assert_eq!((job.location().file(), job.location().line()), (file!(), line));
    assert!(!ran.load(Ordering::Relaxed));
    job.run();
    assert!(ran.load(Ordering::Relaxed));
    let error = Exception::from(queue.try_submit(|| Ok(1)).unwrap_err());
    assert!(error.is::<Refused>());
}

#[test]
fn e11_an_outcome_that_comes_too_late_is_dropped() {
    let queue = Queue::default();
    let slot = Arc::new(Mutex::new(None::<Future<u32>>));
    let own = slot.clone();
    let future = queue
        .submit(move || {
            own.lock().unwrap().take().unwrap().set_result(1).unwrap();
            2
        })
        .unwrap();
    slot.lock().unwrap().replace(future.clone());
    queue.run();
    assert_eq!(future.result(None).unwrap(), 1);
}

#[test]
fn e11_a_bare_job_whose_panic_cannot_even_be_dropped_does_not_panic() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected");
        }
    }
    Job::new(|| std::panic::panic_any(Bomb)).run();
}
