//! The executor (E-1 to E-13).

use crate::common::child::in_own_process;
use crate::common::{Captured, SECOND, Trace, for_each_loop, is_send, logged};
use futures::concurrent::{Executor, ExecutorExt, Job, Refused};
use futures::{InvalidStateError, PanicError};
use log::Level;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{EventLoop, TestLoop, ThreadPoolExecutor, ThreadPoolOptions};

fn pool(max_threads: usize, max_queue: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::new(ThreadPoolOptions { max_threads, max_queue, ..Default::default() })
}

/// A job that says when it has begun, and ends when it is told.
fn gated() -> (impl FnOnce() -> u32 + Send, Receiver<()>, Sender<u32>) {
    let (begin, begun) = channel();
    let (end, ended) = channel();
    let job = move || {
        begin.send(()).unwrap();
        ended.recv().unwrap_or(0)
    };
    (job, begun, end)
}

#[test]
fn e1_the_default_pool_is_made_when_first_needed_of_four_more_threads_than_cores() {
    for_each_loop(|event_loop| {
        assert_eq!(event_loop.stats().executor_threads, 0);
        let name = event_loop.run_in_executor(None, || thread::current().name().map(str::to_owned));
        let name = event_loop.run_until_complete(&name).unwrap().unwrap();
        assert!(name.starts_with("tulipa-executor"), "{name}");
        assert_eq!(event_loop.stats().executor_threads, 1);
        let cores = thread::available_parallelism().unwrap().get();
        let options = ThreadPoolOptions::default();
        assert_eq!(options.max_threads, (cores + 4).min(32));
        let jobs: Vec<_> = (0..options.max_threads + 3).map(|_| gated()).collect();
        let mut ends = Vec::new();
        let mut begins = Vec::new();
        for (job, begun, end) in jobs {
            event_loop.run_in_executor(None, job);
            begins.push(begun);
            ends.push(end);
        }
        begins[..options.max_threads].iter().for_each(|begun| begun.recv().unwrap());
        let stats = event_loop.stats();
        assert_eq!((stats.executor_threads, stats.executor_queue), (options.max_threads, 3));
        drop(ends);
    });
}

#[test]
fn e1_e10_a_pool_of_no_threads_is_a_pool_of_one() {
    let event_loop = EventLoop::new().unwrap();
    let pool = pool(0, 10);
    let job = event_loop.run_in_executor(Some(&pool), || 3);
    assert_eq!(event_loop.run_until_complete(&job).unwrap(), 3);
}

#[test]
fn e2_values_and_failures_come_back_here_and_jobs_finish_in_any_order() {
    for_each_loop(|event_loop| {
        let (home, trace) = (thread::current().id(), Trace::new());
        let (job, begun, end) = gated();
        let slow = event_loop.run_in_executor(None, job);
        let fast = event_loop.run_in_executor(None, || thread::current().id());
        let seen = trace.clone();
        slow.add_done_callback(move |_| {
            assert_eq!(thread::current().id(), home);
            seen.note("slow");
        });
        let seen = trace.clone();
        fast.add_done_callback(move |_| {
            seen.note("fast");
            end.send(5).unwrap();
        });
        assert_eq!(event_loop.run_until_complete(&slow).unwrap(), 5);
        begun.recv().unwrap();
        assert_eq!(trace.take(), ["fast", "slow"]);
        assert_ne!(fast.result().unwrap(), home);
    });
}

#[test]
fn e3_a_job_is_send_so_that_no_loop_gets_into_it() {
    // `run_in_executor` asks for `Send`; its documentation shows what the compiler refuses. This is
    // what a closure would have to capture.
    let event_loop = EventLoop::new().unwrap();
    assert!(is_send!(event_loop.threadsafe_handle()));
    assert!(!is_send!(event_loop.handle()));
    assert!(!is_send!(event_loop.to_rc()));
    assert!(!is_send!(event_loop.create_future::<u8>()));
    assert!(!is_send!(event_loop.call_soon(|| {})));
    assert!(!is_send!(tulipa_eventloop::try_current()));
}

#[test]
fn e4_cancelling_removes_a_job_that_waits_and_lets_one_that_runs_go_on() {
    for_each_loop(|event_loop| {
        let pool = pool(1, 10);
        let (job, begun, end) = gated();
        let running = event_loop.run_in_executor(Some(&pool), job);
        begun.recv().unwrap();
        let captured = Arc::new(());
        let value = captured.clone();
        let waiting = event_loop
            .run_in_executor(Some(&pool), move || panic!("ran: {}", Arc::strong_count(&value)));
        assert!(waiting.cancel());
        event_loop.run_ready().unwrap(); // the cancellation travels by a done-callback
        assert_eq!(Arc::strong_count(&captured), 1, "freed although a job blocks the only thread");
        assert!(running.cancel());
        event_loop.run_ready().unwrap();
        end.send(1).unwrap();
        let last = event_loop.run_in_executor(Some(&pool), || "after both");
        assert_eq!(event_loop.run_until_complete(&last).unwrap(), "after both");
        assert!(running.cancelled() && waiting.cancelled());
    });
}

#[test]
fn e5_a_loop_may_close_while_a_job_runs() {
    for_each_loop(|event_loop| {
        let (pool, captured) = (pool(1, 10), Captured::new());
        let (job, begun, end) = gated();
        let future = event_loop.run_in_executor(Some(&pool), job);
        let mut hold = captured.hold();
        future.add_done_callback(move |_| hold());
        begun.recv().unwrap();
        drop(future);
        event_loop.close().unwrap();
        assert_eq!(captured.copies(), 0);
        end.send(1).unwrap();
        // The thread lives on, in peace.
        let other = EventLoop::new().unwrap();
        let next = other.run_in_executor(Some(&pool), || 2);
        assert_eq!(other.run_until_complete(&next).unwrap(), 2);
        assert_eq!(pool.threads(), 1);
    });
}

/// Keeps its jobs for the test to run.
#[derive(Clone, Default)]
struct ByHand(Arc<Mutex<Vec<Job>>>, Arc<AtomicUsize>);

impl Executor for ByHand {
    fn execute(&self, job: Job) -> Result<(), Refused> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn e6_e9_any_executor_may_be_the_default_and_the_former_one_is_not_shut_down() {
    for_each_loop(|event_loop| {
        let (job, begun, end) = gated();
        let running = event_loop.run_in_executor(None, job);
        let former = event_loop.default_executor().unwrap();
        begun.recv().unwrap();
        let by_hand = ByHand::default();
        event_loop.set_default_executor(Arc::new(by_hand.clone()));
        let future = event_loop.run_in_executor(None, || "by hand");
        let job = by_hand.0.lock().unwrap().pop().unwrap();
        thread::spawn(move || job.run());
        assert_eq!(event_loop.run_until_complete(&future).unwrap(), "by hand");
        end.send(9).unwrap();
        assert_eq!(event_loop.run_until_complete(&running).unwrap(), 9);
        let still = event_loop.run_in_executor(Some(&*former), || "former");
        assert_eq!(event_loop.run_until_complete(&still).unwrap(), "former");
        // A foreign one is let go of, not ended; nor is one that was only passed along.
        let own = pool(1, 1);
        let job = event_loop.run_in_executor(Some(&own), || ());
        event_loop.run_until_complete(&job).unwrap();
        let ended = event_loop.shutdown_default_executor(SECOND);
        event_loop.run_until_complete(&ended).unwrap();
        event_loop.close().unwrap();
        assert_eq!(by_hand.1.load(Ordering::SeqCst), 1, "the loop's clone is gone");
        let other = EventLoop::new().unwrap();
        let job = other.run_in_executor(Some(&own), || 1);
        assert_eq!(other.run_until_complete(&job).unwrap(), 1);
    });
}

#[test]
fn e7_a_shutdown_waits_for_what_runs_and_refuses_what_is_new() {
    for_each_loop(|event_loop| {
        let nothing = event_loop.shutdown_default_executor(SECOND);
        assert!(nothing.done(), "there is no pool");
        event_loop.close().unwrap();

        let event_loop = EventLoop::new().unwrap();
        let (job, begun, end) = gated();
        let running = event_loop.run_in_executor(None, job);
        begun.recv().unwrap();
        let ended = event_loop.shutdown_default_executor(600 * SECOND);
        let refused = event_loop.run_in_executor(None, || panic!("it ran"));
        let error = refused.exception().unwrap().unwrap();
        assert!(error.is::<InvalidStateError>() && error.to_string().contains("shut down"));
        event_loop.run_ready().unwrap();
        assert!(!ended.done());
        let again = event_loop.shutdown_default_executor(SECOND);
        event_loop.run_until_complete(&again).unwrap();
        end.send(3).unwrap();
        event_loop.run_until_complete(&ended).unwrap();
        assert_eq!(event_loop.run_until_complete(&running).unwrap(), 3);
        let patience = event_loop.time() + 60 * SECOND;
        while event_loop.stats().timers > 0 && event_loop.time() < patience {
            event_loop.run_once(Some(SECOND)).unwrap(); // until whoever gave up was told too
        }
        assert_eq!(event_loop.stats().timers, 0, "the deadline is gone too");
    });
}

#[test]
fn e7_a_shutdown_gives_up_at_its_deadline_and_warns() {
    logged::record();
    let event_loop = TestLoop::new();
    let (job, begun, end) = gated();
    let running = event_loop.run_in_executor(None, job);
    begun.recv().unwrap();
    let ended = event_loop.shutdown_default_executor(300 * SECOND);
    event_loop.advance(299 * SECOND);
    assert!(!ended.done() && logged::take_at(Level::Warn).is_empty());
    event_loop.advance(SECOND);
    assert!(ended.done() && !running.done());
    let warnings = logged::take_at(Level::Warn);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("did not end its jobs within 300s"), "{}", warnings[0]);
    end.send(4).unwrap();
    assert_eq!(event_loop.run_until_complete(&running).unwrap(), 4);
    while event_loop.stats().timers > 0 {
        event_loop.run_once(Some(SECOND)).unwrap(); // until the pool's last word has come
    }
    event_loop.run_ready_now();
}

#[test]
fn e8_e4_closing_ends_the_default_pool_without_waiting_and_frees_what_waits() {
    for_each_loop(|event_loop| {
        let threads = ThreadPoolOptions::default().max_threads;
        let jobs: Vec<_> = (0..threads).map(|_| gated()).collect();
        let mut ends = Vec::new();
        for (job, begun, end) in jobs {
            event_loop.run_in_executor(None, job);
            begun.recv().unwrap();
            ends.push(end);
        }
        let captured = Arc::new(());
        for _ in 0..5 {
            let value = captured.clone();
            event_loop
                .run_in_executor(None, move || panic!("it ran: {}", Arc::strong_count(&value)));
        }
        event_loop.close().unwrap();
        assert_eq!(Arc::strong_count(&captured), 1);
        assert!(event_loop.default_executor().is_err());
        drop(ends); // the threads ran all along
    });
}

#[test]
fn e7_e8_closing_in_the_middle_of_a_shutdown_frees_what_waits_too() {
    for_each_loop(|event_loop| {
        let threads = ThreadPoolOptions::default().max_threads;
        let (jobs, begun, ends): (Vec<_>, Vec<_>, Vec<_>) = (0..threads).map(|_| gated()).collect();
        for job in jobs {
            event_loop.run_in_executor(None, job);
        }
        begun.iter().for_each(|begun| begun.recv().unwrap());
        let captured = Arc::new(());
        let waiting = captured.clone();
        event_loop.run_in_executor(None, move || drop(waiting));
        let ended = event_loop.shutdown_default_executor(SECOND);
        assert!(!ended.done());
        assert!(!event_loop.shutdown_default_executor(SECOND).done(), "it waits as well");
        let stats = event_loop.stats();
        assert_eq!((stats.executor_threads, stats.executor_queue), (threads, 1));
        event_loop.close().unwrap();
        assert_eq!(Arc::strong_count(&captured), 1, "dropped, not run later by a thread");
        drop(ends);
    });
}

#[test]
fn e10_one_job_too_many_is_refused_with_an_error() {
    for_each_loop(|event_loop| {
        assert_eq!(ThreadPoolOptions::default().max_queue, 10_000);
        let pool = pool(1, 2);
        let (job, begun, end) = gated();
        let first = event_loop.run_in_executor(Some(&pool), job);
        begun.recv().unwrap();
        let waiting: Vec<_> =
            (0..2).map(|n| event_loop.run_in_executor(Some(&pool), move || n)).collect();
        assert_eq!(pool.queue_len(), 2);
        let captured = Arc::new(());
        let value = captured.clone();
        let refused = event_loop
            .run_in_executor(Some(&pool), move || panic!("it ran: {}", Arc::strong_count(&value)));
        let error = refused.exception().unwrap().unwrap();
        assert!(error.is::<Refused>() && error.to_string().contains("queue is full"), "{error}");
        end.send(7).unwrap();
        assert_eq!(event_loop.run_until_complete(&first).unwrap(), 7);
        for (n, future) in waiting.iter().enumerate() {
            assert_eq!(event_loop.run_until_complete(future).unwrap(), n);
        }
        drop((refused, error));
        assert_eq!(Arc::strong_count(&captured), 1);
    });
}

#[test]
fn e11_a_panic_is_the_futures_failure_and_the_thread_goes_on() {
    for_each_loop(|event_loop| {
        let pool = pool(1, 10);
        let bad = event_loop.run_in_executor(Some(&pool), || panic!("the job's words"));
        let good = event_loop.run_in_executor(Some(&pool), || thread::current().id());
        let id = event_loop.run_until_complete(&good).unwrap();
        let error = bad.exception().unwrap().unwrap();
        assert_eq!(error.downcast_ref::<PanicError>().unwrap().message(), "the job's words");
        let next = event_loop.run_in_executor(Some(&pool), || thread::current().id());
        assert_eq!(event_loop.run_until_complete(&next).unwrap(), id);
        assert_eq!(pool.threads(), 1);
    });
}

#[test]
fn e13_a_job_that_never_ends_does_not_keep_the_process() {
    in_own_process!("e13_a_job_that_never_ends_does_not_keep_the_process", || {
        let event_loop = EventLoop::new().unwrap();
        let (job, begun, end) = gated();
        event_loop.run_in_executor(None, job);
        begun.recv().unwrap();
        event_loop.close().unwrap();
        std::mem::forget(end); // it waits for ever
    });
}

#[test]
fn e1_idle_threads_end_after_their_time_and_new_ones_come() {
    let options = ThreadPoolOptions {
        max_threads: 2,
        idle_timeout: Duration::from_micros(1),
        ..Default::default()
    };
    let pool = ThreadPoolExecutor::new(options);
    let event_loop = EventLoop::new().unwrap();
    for round in 0..20 {
        let job = event_loop.run_in_executor(Some(&pool), move || round);
        assert_eq!(event_loop.run_until_complete(&job).unwrap(), round);
    }
    let (tell, told) = channel();
    pool.shutdown(move || tell.send(()).unwrap());
    told.recv().unwrap();
    assert_eq!(pool.threads(), 0);
    let refused = event_loop.run_in_executor(Some(&pool), || ());
    assert!(refused.exception().unwrap().unwrap().is::<Refused>());
}

#[test]
fn e4_e10_a_cancelled_job_makes_room_for_another() {
    let pool = pool(1, 500);
    let (job, begun, end) = gated();
    pool.submit(job).unwrap();
    begun.recv().unwrap();
    let waiting: Vec<_> = (0..500).map(|n| pool.submit(move || n).unwrap()).collect();
    assert!(pool.submit(|| 0).is_err());
    waiting[..400].iter().for_each(|future| assert!(future.cancel()));
    let more: Vec<_> = (0..400).map(|n| pool.submit(move || n).unwrap()).collect();
    assert!(pool.submit(|| 0).is_err());
    // Of a long queue a part is looked at each time, so that refusing stays cheap.
    assert!(more[399].cancel());
    let refused = (0..).take_while(|_| pool.submit(|| 0).is_err()).count();
    assert!(refused < 10, "{refused}");
    end.send(0).unwrap();
    for (n, future) in waiting.iter().enumerate().skip(400) {
        assert_eq!(future.result(None).unwrap(), n);
    }
    for (n, future) in more[..399].iter().enumerate() {
        assert_eq!(future.result(None).unwrap(), n);
    }
}

#[test]
fn e11_r8_a_job_whose_panic_cannot_even_be_dropped_leaves_its_thread_alive() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected");
        }
    }
    let pool = pool(1, 10);
    pool.execute(Job::new(|| std::panic::panic_any(Bomb))).unwrap();
    let next = pool.submit(|| 3).unwrap();
    assert_eq!(next.result(Some(10 * SECOND)).unwrap(), 3);
}

#[test]
fn e7_r8_whoever_waits_for_the_end_of_a_pool_hears_of_it_though_another_panics() {
    let (heard, hears) = channel();
    let pool = pool(1, 10);
    let (job, begun, end) = gated();
    pool.submit(job).unwrap();
    begun.recv().unwrap();
    pool.shutdown(|| panic!("expected"));
    pool.shutdown(move || heard.send(()).unwrap());
    end.send(0).unwrap();
    assert_eq!(hears.recv_timeout(10 * SECOND), Ok(()));
    pool.shutdown(|| panic!("expected here"));
}

#[test]
fn e1_r7_a_name_that_no_thread_can_have_is_no_reason_to_panic() {
    let thread_name = "a\0b".to_owned();
    let pool = ThreadPoolExecutor::new(ThreadPoolOptions { thread_name, ..Default::default() });
    let name = pool.submit(|| thread::current().name().map(str::to_owned)).unwrap();
    assert_eq!(name.result(None).unwrap().as_deref(), Some("ab"));
}

#[test]
fn e2_l32_a_thread_that_has_posted_is_no_more_waited_for() {
    let event_loop = TestLoop::new();
    let (remote, counts) = (event_loop.threadsafe(), Arc::new(Mutex::new(Vec::new())));
    let posted = counts.clone();
    let holders = Arc::downgrade(&remote);
    let thread = thread::spawn(move || {
        let seen = holders.clone();
        let note = move || posted.lock().unwrap().push(seen.strong_count());
        assert!(remote.post(Box::new(note)).is_ok());
        holders.strong_count()
    });
    // The loop's own, and that of the call, which waits.
    assert_eq!(thread.join().unwrap(), 2);
    event_loop.run_until_idle();
    assert_eq!(*counts.lock().unwrap(), [1]);
}
