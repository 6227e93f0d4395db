//! The wakers that foreign futures get: from the own thread, from others, and after the end.

use super::support::Log;
use futures::{SchedulerExt, Task, all_tasks};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use tulipa_tests::Host;

/// A task that counts its polls and ends with the third; its waker is put into `kept`.
fn three_polls(host: &dyn Host, kept: &Arc<Mutex<Option<Waker>>>) -> (Task<()>, Rc<Cell<u32>>) {
    let (polls, kept) = (Rc::new(Cell::new(0)), kept.clone());
    let counted = polls.clone();
    let task = host.scheduler().spawn(poll_fn(move |context| {
        kept.lock().unwrap().replace(context.waker().clone());
        counted.set(counted.get() + 1);
        match counted.get() {
            3.. => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }));
    host.run_until_idle();
    (task, polls)
}

pub(crate) fn i11_a_wake_from_the_own_thread_queues_the_step(host: &dyn Host) {
    let kept = Arc::default();
    let (task, polls) = three_polls(host, &kept);
    let log = Log::default();
    for name in ["before", "after"] {
        let log = log.clone();
        host.scheduler().call_soon(move || log.add(name));
        if name == "before" {
            kept.lock().unwrap().as_ref().unwrap().wake_by_ref();
        }
    }
    let (seen, counted) = (log.clone(), polls.clone());
    host.scheduler().call_soon(move || seen.add(format!("{} polls", counted.get())));
    host.run_until_idle();
    assert_eq!(log.take(), ["before", "after", "2 polls"]);
    kept.lock().unwrap().take().unwrap().wake();
    host.run_until_idle();
    assert!(task.done());
}

pub(crate) fn r9_many_wakes_from_another_thread_are_one(host: &dyn Host) {
    let kept = Arc::default();
    let (task, polls) = three_polls(host, &kept);
    for expected in [2, 3] {
        let waker: Waker = kept.lock().unwrap().take().unwrap();
        thread::spawn(move || (0..100).for_each(|_| waker.wake_by_ref())).join().unwrap();
        host.run_until_idle();
        assert_eq!(polls.get(), expected);
    }
    assert!(task.done());
}

pub(crate) fn r9_wakers_outlive_their_task_and_their_loop(host: &dyn Host) {
    let kept = Arc::<Mutex<Option<Waker>>>::default();
    let (task, _) = three_polls(host, &kept);
    let waker = kept.lock().unwrap().take().unwrap();
    task.abort();
    host.run_until_idle();
    assert!(task.cancelled());
    // Another task has the same place now.
    let (other, polls) = three_polls(host, &kept);
    waker.wake_by_ref();
    let elsewhere = waker.clone();
    thread::spawn(move || elsewhere.wake()).join().unwrap();
    host.run_until_idle();
    assert_eq!((other.done(), polls.get()), (false, 1));
    host.close();
    assert_eq!(host.take_reports().len(), 1, "the other task did not end");
    waker.wake_by_ref();
    let last = kept.lock().unwrap().take().unwrap();
    last.wake_by_ref();
    thread::spawn(move || {
        waker.wake();
        last.wake();
    })
    .join()
    .unwrap();
}

/// Tasks that come and go at random have a place each, and a waker of one that is gone wakes no other.
pub(crate) fn t8_r9_places_that_were_left_are_taken_again(host: &dyn Host) {
    /// A task that ends when it is woken, its number and how often it was polled.
    struct Waiting {
        number: u64,
        polls: Rc<Cell<u32>>,
        waker: Rc<RefCell<Option<Waker>>>,
        ends: Rc<Cell<bool>>,
    }
    let start = || {
        let (polls, waker, ends) = (Rc::default(), Rc::default(), Rc::default());
        let waiting = Waiting { number: 0, polls, waker, ends };
        let (polls, waker) = (waiting.polls.clone(), waiting.waker.clone());
        let ends = waiting.ends.clone();
        let task = host.scheduler().spawn(poll_fn(move |context| {
            polls.set(polls.get() + 1);
            waker.replace(Some(context.waker().clone()));
            if ends.get() { Poll::Ready(()) } else { Poll::Pending }
        }));
        Waiting { number: task.number(), ..waiting }
    };
    let check = |ops: Vec<Option<usize>>| {
        let (mut waiting, mut left) = (Vec::<Waiting>::new(), Vec::<Waker>::new());
        let end = |gone: Waiting| {
            gone.ends.set(true);
            let waker = gone.waker.take().expect("it was polled");
            waker.wake_by_ref();
            waker
        };
        for op in ops {
            match op {
                Some(place) if !waiting.is_empty() => {
                    left.push(end(waiting.remove(place % waiting.len())));
                }
                _ => waiting.push(start()),
            }
            host.run_until_idle();
            left.iter().for_each(Waker::wake_by_ref);
            host.run_until_idle();
            let numbers: Vec<_> = waiting.iter().map(|waiting| waiting.number).collect();
            let all = all_tasks(&*host.scheduler());
            prop_assert_eq!(all.iter().map(|task| task.number()).collect::<Vec<_>>(), numbers);
            prop_assert!(waiting.iter().all(|waiting| waiting.polls.get() == 1));
        }
        waiting.into_iter().map(end).for_each(drop);
        host.run_until_idle();
        prop_assert!(all_tasks(&*host.scheduler()).is_empty());
        Ok(())
    };
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let ops = prop::collection::vec(any::<Option<usize>>(), 0..40);
    TestRunner::new(config).run(&ops, check).unwrap();
}

/// The waker of a poll may be looked at by other threads for as long as the poll lasts.
pub(crate) fn r9_other_threads_may_use_the_waker_of_a_poll(host: &dyn Host) {
    let polls = Rc::new(Cell::new(0));
    let counted = polls.clone();
    let task = host.scheduler().spawn(poll_fn(move |context| {
        counted.set(counted.get() + 1);
        if counted.get() > 2 {
            return Poll::Ready(());
        }
        let waker = context.waker();
        thread::scope(|scope| {
            scope.spawn(|| waker.wake_by_ref());
            scope.spawn(|| {
                let kept = waker.clone();
                kept.wake();
            });
            scope.spawn(|| assert!(waker.will_wake(waker)));
        });
        Poll::Pending
    }));
    host.run_until_idle();
    assert!(task.done());
    assert_eq!(polls.get(), 3);
}

/// Two tasks whose wakers are told apart, also when one polls what the other began to wait for.
pub(crate) fn f23_a_wait_that_changes_its_task_wakes_the_new_one(host: &dyn Host) {
    let scheduler = host.scheduler();
    let future = scheduler.create_future::<u32>();
    let shared = Rc::new(RefCell::new(future.clone()));
    let poll_once = |shared: &Rc<RefCell<futures::Future<u32>>>| {
        let shared = shared.clone();
        poll_fn(move |context| {
            let polled = std::pin::Pin::new(&mut *shared.borrow_mut()).poll(context);
            Poll::Ready(polled.is_ready())
        })
    };
    let first = poll_once(&shared);
    let first = scheduler.spawn(async move { assert!(!first.await) });
    host.run_until_idle();
    assert!(first.done());
    let second = scheduler.spawn(async move {
        poll_fn(|context| std::pin::Pin::new(&mut *shared.borrow_mut()).poll(context)).await
    });
    host.run_until_idle();
    future.set_result(7).unwrap();
    host.run_until_idle();
    assert_eq!(second.take().unwrap().unwrap(), 7);
}

/// What every thread did before its wake is seen by a poll after it.
pub(crate) fn r9_no_wake_of_many_threads_is_lost(host: &dyn Host) {
    const THREADS: usize = 4;
    const EACH: usize = 500;
    let done = Arc::new(AtomicUsize::new(0));
    let kept = Arc::<Mutex<Option<Waker>>>::default();
    let (seen, waker) = (done.clone(), kept.clone());
    let task = host.scheduler().spawn(poll_fn(move |context| {
        *waker.lock().unwrap() = Some(context.waker().clone());
        match seen.load(Ordering::Acquire) {
            all if all == THREADS * EACH => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }));
    host.run_until_idle();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (done, kept) = (done.clone(), kept.clone());
            thread::spawn(move || {
                for _ in 0..EACH {
                    done.fetch_add(1, Ordering::Release);
                    let waker = kept.lock().unwrap().clone();
                    waker.unwrap().wake();
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        host.run_until_idle();
        thread::yield_now();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    host.run_until_idle();
    assert!(task.done());
}
