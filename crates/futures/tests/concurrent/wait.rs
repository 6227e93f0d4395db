//! Waiting for several futures.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;
use tulipa_futures::concurrent::{Future, ReturnWhen, Waited, as_completed, wait};
use tulipa_futures::{Exception, TimeoutError};

const LOOK: Option<Duration> = Some(Duration::ZERO);
const SHORT: Option<Duration> = Some(Duration::from_millis(1));
const LONG: Option<Duration> = Some(Duration::from_secs(600));

fn three() -> [Future<u32>; 3] {
    [Future::new(), Future::new(), Future::new()]
}

/// Which of `all` are in `some`, by position.
fn positions(all: &[Future<u32>], some: &[Future<u32>]) -> Vec<usize> {
    some.iter().map(|one| all.iter().position(|other| other.ptr_eq(one)).unwrap()).collect()
}

fn sorted(all: &[Future<u32>], waited: &Waited<u32>) -> (Vec<usize>, Vec<usize>) {
    (positions(all, &waited.done), positions(all, &waited.not_done))
}

#[test]
fn f29_wait_for_none_returns_at_once() {
    for return_when in
        [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted]
    {
        let waited = wait(Vec::<Future<u32>>::new(), None, return_when).unwrap();
        assert!(waited.done.is_empty() && waited.not_done.is_empty());
    }
    assert!(as_completed(Vec::<Future<u32>>::new(), None).next().is_none());
    assert_eq!(ReturnWhen::default(), ReturnWhen::AllCompleted);
}

#[test]
fn f29_wait_for_the_first_one() {
    for timeout in [LOOK, LONG, None] {
        let futures = three();
        futures[1].cancel();
        let waited = wait(futures.clone(), timeout, ReturnWhen::FirstCompleted).unwrap();
        assert_eq!(sorted(&futures, &waited), (vec![1], vec![0, 2]));
    }
}

#[test]
fn f29_wait_for_the_first_exception() {
    let futures = three();
    futures[0].set_result(1).unwrap();
    futures[1].cancel();
    let waited = wait(futures.clone(), SHORT, ReturnWhen::FirstException).unwrap();
    assert_eq!(sorted(&futures, &waited), (vec![0, 1], vec![2]), "neither of them failed");
    futures[2].set_result(1).unwrap();
    let waited = wait(futures.clone(), None, ReturnWhen::FirstException).unwrap();
    assert_eq!(sorted(&futures, &waited), (vec![0, 1, 2], vec![]));
    let futures = three();
    futures[2].set_exception(Exception::msg("failed")).unwrap();
    let waited = wait(futures.clone(), None, ReturnWhen::FirstException).unwrap();
    assert_eq!(sorted(&futures, &waited), (vec![2], vec![0, 1]));
}

#[test]
fn f29_waiting_for_an_exception_goes_on_while_all_is_well() {
    for timeout in [None, LONG] {
        for _ in 0..50 {
            let futures = three();
            futures[0].set_result(1).unwrap();
            futures[1].cancel();
            let last = futures[2].clone();
            let thread = thread::spawn(move || {
                (0..50).for_each(|_| thread::yield_now());
                last.set_result(1).unwrap();
            });
            let waited = wait(futures, timeout, ReturnWhen::FirstException).unwrap();
            assert!(waited.not_done.is_empty());
            thread.join().unwrap();
        }
    }
}

#[test]
fn f29_wait_for_all_with_a_time_out() {
    let futures = three();
    futures[2].set_result(1).unwrap();
    futures[0].set_exception(Exception::msg("failed")).unwrap();
    for timeout in [LOOK, SHORT] {
        let waited = wait(futures.clone(), timeout, ReturnWhen::AllCompleted).unwrap();
        assert_eq!(sorted(&futures, &waited), (vec![0, 2], vec![1]));
    }
    assert!(!futures[1].done());
    futures[1].set_result(2).unwrap();
    for timeout in [LOOK, LONG, Some(Duration::MAX), None] {
        let waited = wait(futures.clone(), timeout, ReturnWhen::AllCompleted).unwrap();
        assert_eq!(sorted(&futures, &waited), (vec![0, 1, 2], vec![]));
    }
}

#[test]
fn f29_a_future_that_is_given_twice_counts_once() {
    let [future, other, _] = three();
    future.set_result(1).unwrap();
    let twice = [future.clone(), other.clone(), future.clone(), other];
    let waited = wait(twice.clone(), LOOK, ReturnWhen::AllCompleted).unwrap();
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    let mut completed = as_completed(twice, LOOK);
    assert_eq!(completed.size_hint(), (1, Some(2)));
    assert!(completed.next().unwrap().unwrap().ptr_eq(&future));
    assert!(completed.next().unwrap().unwrap_err().is::<TimeoutError>());
}

#[test]
fn f29_wait_is_released_by_other_threads() {
    for timeout in [None, LONG] {
        for _ in 0..100 {
            let futures = three();
            let producers = futures.clone();
            let thread = thread::spawn(move || {
                for future in producers.into_iter().rev() {
                    thread::yield_now();
                    future.set_result(1).unwrap();
                }
            });
            let first = wait(futures.clone(), timeout, ReturnWhen::FirstCompleted).unwrap();
            assert!(first.done.iter().any(|done| done.ptr_eq(&futures[2])));
            let all = wait(futures.clone(), timeout, ReturnWhen::AllCompleted).unwrap();
            assert_eq!(all.done.len(), 3);
            thread.join().unwrap();
        }
    }
}

#[test]
fn f29_futures_come_in_the_order_of_their_completion() {
    let futures = three();
    futures[2].set_result(1).unwrap();
    let mut completed = as_completed(futures.clone(), None);
    futures[1].cancel();
    futures[0].set_exception(Exception::msg("failed")).unwrap();
    let order: Vec<_> = completed.by_ref().map(Result::unwrap).collect();
    assert_eq!(positions(&futures, &order), [2, 1, 0]);
    assert!(completed.next().is_none());
    assert_eq!(completed.size_hint(), (0, Some(0)));
}

#[test]
fn f29_as_completed_blocks_for_the_next_one() {
    for timeout in [None, LONG] {
        for _ in 0..100 {
            let futures = three();
            let producers = futures.clone();
            let thread = thread::spawn(move || {
                for future in producers.into_iter().rev() {
                    thread::yield_now();
                    future.set_result(1).unwrap();
                }
            });
            let completed = as_completed(futures.clone(), timeout);
            let order: Vec<_> = completed.map(Result::unwrap).collect();
            assert_eq!(order.len(), 3);
            let distinct: HashSet<_> = positions(&futures, &order).into_iter().collect();
            assert_eq!(distinct.len(), 3);
            thread.join().unwrap();
        }
    }
}

#[test]
fn f29_as_completed_ends_with_its_time_out() {
    let futures = three();
    futures[0].set_result(1).unwrap();
    let mut completed = as_completed(futures.clone(), SHORT);
    assert_eq!(format!("{completed:?}"), "AsCompleted(3 of 3 to come)");
    assert!(completed.next().unwrap().unwrap().ptr_eq(&futures[0]));
    let error = completed.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "timed out: as_completed: 2 of 3 futures are not done");
    futures[1].set_result(2).unwrap();
    assert!(completed.next().is_none());
    assert!(!futures[2].done());
}
