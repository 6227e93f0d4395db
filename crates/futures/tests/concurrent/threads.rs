//! Threads that wait for each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use tulipa_futures::Exception;
use tulipa_futures::concurrent::Future;

const ROUNDS: usize = 200;
const LONG: Option<Duration> = Some(Duration::from_secs(600));

#[test]
fn f29_all_who_block_are_released() {
    for timeout in [None, LONG] {
        for round in 0..ROUNDS {
            let (future, begun) = (Future::new(), Arc::new(Barrier::new(4)));
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let (future, begun) = (future.clone(), begun.clone());
                    thread::spawn(move || {
                        begun.wait();
                        future.result(timeout)
                    })
                })
                .collect();
            begun.wait();
            thread::yield_now();
            match round % 3 {
                0 => future.set_result(7).unwrap(),
                1 => future.set_exception(Exception::msg("failed")).unwrap(),
                _ => assert!(future.cancel()),
            }
            for thread in waiting {
                let outcome = thread.join().unwrap();
                match round % 3 {
                    0 => assert_eq!(outcome.unwrap(), 7),
                    1 => assert_eq!(outcome.unwrap_err().to_string(), "failed"),
                    _ => assert!(outcome.unwrap_err().is_cancelled()),
                }
            }
        }
    }
}

#[test]
fn f29_one_of_many_producers_wins() {
    for _ in 0..ROUNDS {
        let (future, begun) = (Future::new(), Arc::new(Barrier::new(4)));
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        future.add_done_callback(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let producers: Vec<_> = (0..4)
            .map(|number| {
                let (future, begun) = (future.clone(), begun.clone());
                thread::spawn(move || {
                    begun.wait();
                    match number {
                        0 => future.cancel(),
                        _ => future.set_result(number).is_ok(),
                    }
                })
            })
            .collect();
        let winners: Vec<_> = producers.into_iter().map(|p| p.join().unwrap()).collect();
        assert_eq!(winners.iter().filter(|won| **won).count(), 1);
        let winner = winners.iter().position(|won| *won).unwrap();
        assert_eq!(future.cancelled(), winner == 0);
        assert_eq!(future.take(None).ok(), (winner > 0).then_some(winner));
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn f29_one_taker_gets_the_value_whoever_clones_it() {
    /// Slow to clone, so that the others meet it being cloned.
    struct Slow(Arc<AtomicUsize>);
    impl Clone for Slow {
        fn clone(&self) -> Self {
            assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two threads clone it at once");
            for _ in 0..50 {
                thread::yield_now();
            }
            self.0.fetch_sub(1, Ordering::SeqCst);
            Slow(Arc::default())
        }
    }
    for _ in 0..ROUNDS {
        let (future, begun) = (Future::new(), Arc::new(Barrier::new(4)));
        assert!(future.set_result(Slow(Arc::default())).is_ok());
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (future, begun) = (future.clone(), begun.clone());
                thread::spawn(move || {
                    begun.wait();
                    let outcome = match number % 2 {
                        0 => future.result(Some(Duration::ZERO)),
                        _ => future.take(None),
                    };
                    outcome.map(drop).map_err(|error| error.to_string())
                })
            })
            .collect();
        let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(outcomes[1].is_ok() != outcomes[3].is_ok(), "one of the two takers gets it");
        let lost = outcomes.into_iter().filter_map(Result::err);
        lost.for_each(|error| assert_eq!(error, "the result was taken"));
    }
}
