//! Other threads (L-31 to L-36, I-7, I-10).

use crate::common::{
    Captured, SECOND, Trace, for_each_builder, for_each_loop, is_send, socket_pair,
};
use futures::Instant;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use tulipa_eventloop::prelude::*;
use tulipa_eventloop::{
    CallState, Clock, EventLoop, IterationHook, MonotonicClock, ThreadPoolExecutor,
    ThreadsafeHandle,
};

#[test]
fn l31_eight_threads_post_in_order_each_and_every_call_runs_once_here() {
    for_each_loop(|event_loop| {
        const THREADS: usize = 8;
        const CALLS: usize = 2_000;
        let home = thread::current().id();
        let ran: Arc<[AtomicUsize; THREADS]> = Arc::default();
        let threads: Vec<_> = (0..THREADS)
            .map(|index| {
                let (poster, ran) = (event_loop.threadsafe_handle(), ran.clone());
                thread::spawn(move || {
                    for call in 0..CALLS {
                        let (ran, next) = (ran.clone(), poster.clone());
                        let callback = move || {
                            assert_eq!(thread::current().id(), home);
                            assert_eq!(ran[index].fetch_add(1, Ordering::Relaxed), call);
                            let all =
                                ran.iter().map(|one| one.load(Ordering::Relaxed)).sum::<usize>();
                            if all == THREADS * CALLS {
                                next.stop();
                            }
                        };
                        poster.call_soon_threadsafe(callback).unwrap();
                    }
                })
            })
            .collect();
        event_loop.run_forever().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let stats = event_loop.stats();
        assert_eq!((stats.posted, stats.panics), ((THREADS * CALLS) as u64, 0));
    });
}

#[test]
fn l31_it_works_on_the_loops_own_thread_and_inside_callbacks() {
    for_each_loop(|event_loop| {
        let count = Arc::new(AtomicUsize::new(0));
        let (poster, again) = (event_loop.threadsafe_handle(), event_loop.threadsafe_handle());
        let counter = count.clone();
        poster
            .call_soon_threadsafe(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                let stopping = again.clone();
                again
                    .call_soon_threadsafe(move || {
                        counter.fetch_add(1, Ordering::Relaxed);
                        stopping.stop();
                    })
                    .unwrap();
            })
            .unwrap();
        event_loop.run_forever().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
    });
}

/// Lets a thread go when the loop has measured its wait and is about to sleep.
struct JustBeforeThePoll {
    go: Box<dyn Fn()>,
    done: Cell<bool>,
}

impl IterationHook for JustBeforeThePoll {
    fn before_poll(&self, timeout: Option<Duration>) {
        if timeout.is_none() && !self.done.replace(true) {
            (self.go)();
        }
    }
}

#[test]
fn l32_l33_a_wake_up_after_the_wait_was_measured_ends_that_wait() {
    for_each_builder(|builder| {
        let (sender, receiver) = channel::<ThreadsafeHandle>();
        let poster = std::cell::OnceCell::<ThreadsafeHandle>::new();
        let poster = Rc::new(poster);
        let known = poster.clone();
        let go = Box::new(move || sender.send(known.get().unwrap().clone()).unwrap());
        let event_loop =
            builder.hook(JustBeforeThePoll { go, done: Cell::new(false) }).build().unwrap();
        poster.set(event_loop.threadsafe_handle()).unwrap();
        let thread = thread::spawn(move || {
            let poster = receiver.recv().unwrap();
            let stopping = poster.clone();
            poster.call_soon_threadsafe(move || stopping.stop()).unwrap();
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn l32_l33_no_wake_up_is_lost_between_any_two_sleeps() {
    for_each_loop(|event_loop| {
        // Strictly by turns: each post is awaited before the next, so that a lost wake-up hangs.
        let (ran, has_run) = channel();
        let poster = event_loop.threadsafe_handle();
        let thread = thread::spawn(move || {
            for call in 0..2_000 {
                let ran = ran.clone();
                poster.call_soon_threadsafe(move || ran.send(call).unwrap()).unwrap();
                assert_eq!(has_run.recv().unwrap(), call);
            }
            poster.stop();
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn l32_many_wake_ups_become_one_and_a_waker_never_blocks() {
    for_each_loop(|event_loop| {
        let poster = event_loop.threadsafe_handle();
        // Nobody takes anything out: the loop is not running.
        for _ in 0..100_000 {
            poster.call_soon_threadsafe(|| {}).unwrap();
        }
        event_loop.stop();
        event_loop.run_forever().unwrap();
        let stats = event_loop.stats();
        assert_eq!((stats.posted, stats.iterations), (100_000, 1));
    });
}

#[test]
fn l34_calls_that_meet_a_closing_loop_are_dropped_here_or_come_back() {
    for_each_loop(|event_loop| {
        let barrier = Arc::new(Barrier::new(5));
        let alive = Arc::new(());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (poster, barrier) = (event_loop.threadsafe_handle(), barrier.clone());
                let alive = alive.clone();
                thread::spawn(move || {
                    barrier.wait();
                    let (mut accepted, mut refused) = (Vec::new(), 0);
                    while refused < 100 {
                        if accepted.len() >= 5_000 && !poster.is_closed() {
                            thread::yield_now(); // enough to be dropped
                            continue;
                        }
                        let value = alive.clone();
                        let callback = move || assert!(Arc::strong_count(&value) > 1);
                        match poster.call_soon_threadsafe(callback) {
                            Ok(call) => accepted.push(call),
                            Err(back) => {
                                back.into_callback()();
                                refused += 1;
                            }
                        }
                    }
                    assert!(poster.is_closed());
                    poster.stop();
                    accepted
                })
            })
            .collect();
        barrier.wait();
        for _ in 0..3 {
            event_loop.run_ready().unwrap();
        }
        event_loop.close().unwrap();
        for thread in threads {
            for call in thread.join().unwrap() {
                assert!(matches!(call.state(), CallState::Done | CallState::Dropped));
            }
        }
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn l35_i10_only_a_threadsafe_handle_can_leave_the_loops_thread() {
    let event_loop = EventLoop::new().unwrap();
    assert!(is_send!(event_loop.threadsafe_handle()));
    assert!(is_send!(event_loop.threadsafe_handle().call_soon_threadsafe(|| {}).unwrap()));
    assert!(is_send!(event_loop.threadsafe()));
    assert!(is_send!(ThreadPoolExecutor::new(Default::default())));

    assert!(!is_send!(event_loop));
    assert!(!is_send!(event_loop.handle()));
    assert!(!is_send!(event_loop.to_event_loop()));
    assert!(!is_send!(event_loop.to_rc()));
    assert!(!is_send!(event_loop.call_soon(|| {})));
    assert!(!is_send!(event_loop.call_later(Duration::ZERO, || {})));
    assert!(!is_send!(event_loop.create_future::<()>()));
    assert!(!is_send!(EventLoop::builder()));
}

#[test]
fn l36_a_posted_call_is_cancelled_from_another_thread() {
    for_each_loop(|event_loop| {
        let poster = event_loop.threadsafe_handle();
        let alive = Arc::new(());
        let value = alive.clone();
        let call = poster
            .call_soon_threadsafe(move || panic!("it ran: {}", Arc::strong_count(&value)))
            .unwrap();
        let call = thread::spawn(move || {
            call.cancel();
            call
        });
        let call = call.join().unwrap();
        assert_eq!(Arc::strong_count(&alive), 1, "freed at once");
        event_loop.run_ready().unwrap();
        assert_eq!((event_loop.stats().panics, call.cancelled()), (0, true));
    });
}

#[test]
fn i7_i10_loops_of_several_threads_have_nothing_to_do_with_each_other() {
    let barrier = Arc::new(Barrier::new(3));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let event_loop = EventLoop::new().unwrap();
                let (captured, trace) = (Captured::new(), Trace::new());
                let (handle, seen) = (event_loop.handle(), trace.clone());
                event_loop.call_soon(move || {
                    barrier.wait(); // all three are running now
                    assert_eq!(tulipa_eventloop::current().id(), handle.id());
                    seen.note("all at once");
                    handle.stop();
                });
                event_loop.run_forever().unwrap();
                event_loop.call_soon(captured.hold());
                drop(event_loop);
                (trace.take(), captured.copies())
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), (vec!["all at once".to_owned()], 0));
    }
}

/// A clock and a hook: when the loop looks how long it may sleep, a call comes.
#[derive(Clone, Default)]
struct PostsBeforeSleep(Rc<(MonotonicClock, Cell<bool>, RefCell<Option<ThreadsafeHandle>>)>);

impl Clock for PostsBeforeSleep {
    fn now(&self) -> Instant {
        if self.0.1.take()
            && let Some(poster) = &*self.0.2.borrow()
        {
            poster.call_soon_threadsafe(|| {}).unwrap();
        }
        self.0.0.now()
    }
}

impl IterationHook for PostsBeforeSleep {
    fn before_poll(&self, _: Option<Duration>) {
        self.0.1.set(true);
    }
}

#[test]
fn l2_l3_calls_that_come_right_before_each_sleep_do_not_starve_descriptors() {
    for_each_builder(|builder| {
        let posts = PostsBeforeSleep::default();
        let event_loop = builder.clock(posts.clone()).hook(posts.clone()).build().unwrap();
        posts.0.2.replace(Some(event_loop.threadsafe_handle()));
        event_loop.call_later(3600 * SECOND, || {}); // so that it looks at the clock
        let (ours, mut theirs) = socket_pair();
        theirs.write_all(b"x").unwrap();
        let trace = Trace::new();
        event_loop.add_reader(ours, trace.mark("read")).unwrap();
        for _ in 0..3 {
            event_loop.run_once(None).unwrap();
        }
        assert_eq!((event_loop.stats().posted, trace.take().len()), (3, 3));
    });
}
