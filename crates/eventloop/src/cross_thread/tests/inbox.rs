//! The queue, the sleep and the close.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::{BareLoop, Inbox, News, Wake, inbox};

fn put<T: std::fmt::Debug>(inbox: &Inbox<T>, item: T) {
    inbox.post(item).expect("the inbox is open");
}

fn drained<T>(inbox: &Inbox<T>) -> VecDeque<T> {
    let mut items = VecDeque::new();
    inbox.drain_into(&mut items);
    items
}

#[test]
fn l31_eight_threads_post_a_hundred_thousand_each_and_each_runs_once_in_order() {
    const THREADS: usize = 8;
    const EACH: usize = 100_000;
    let (inbox, bed) = inbox::<(usize, usize)>();
    let mut next = [0; THREADS];
    let mut sleeps = 0;
    thread::scope(|scope| {
        for poster in 0..THREADS {
            let inbox = &inbox;
            scope.spawn(move || {
                (0..EACH).for_each(|number| put(inbox, (poster, number)));
            });
        }
        let mut batch = VecDeque::new();
        inbox.woke_up();
        while next != [EACH; THREADS] {
            if inbox.prepare_to_sleep() {
                sleeps += 1;
                bed.wait();
                inbox.woke_up();
            }
            inbox.drain_into(&mut batch);
            for (poster, number) in batch.drain(..) {
                assert_eq!(number, next[poster], "of poster {poster}");
                next[poster] += 1;
            }
        }
    });
    assert_eq!(inbox.len(), 0);
    // One more: the inbox is asleep before the first run.
    assert!(bed.wakes() <= sleeps + 1, "{} wake-ups for {sleeps} sleeps", bed.wakes());
}

#[test]
fn l31_r9_calls_of_eight_threads_run_once_in_order_on_the_loops_thread() {
    const THREADS: usize = 8;
    const EACH: usize = 10_000;
    let (event_loop, handle) = BareLoop::new();
    let loop_thread = thread::current().id();
    let next: Arc<[AtomicUsize; THREADS]> = Arc::default();
    let posters: Vec<_> = (0..THREADS)
        .map(|poster| {
            let (handle, next) = (handle.clone(), Arc::clone(&next));
            thread::spawn(move || {
                for number in 0..EACH {
                    let next = Arc::clone(&next);
                    let call = handle.call_soon_threadsafe(move || {
                        assert_eq!(thread::current().id(), loop_thread);
                        let before = next[poster].fetch_add(1, Ordering::Relaxed);
                        assert_eq!(before, number, "of poster {poster}");
                    });
                    call.unwrap();
                }
            })
        })
        .collect();
    let stopper = thread::spawn(move || {
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        handle.stop();
    });
    event_loop.run_forever();
    stopper.join().unwrap();
    assert!(next.iter().all(|count| count.load(Ordering::Relaxed) == EACH));
}

#[test]
fn l31_a_post_from_the_loops_own_thread_runs_next_and_wakes_nobody() {
    let (event_loop, handle) = BareLoop::new();
    let inner = handle.clone();
    event_loop.calls.inbox().woke_up();
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let first = move || {
        let again = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        inner.call_soon_threadsafe(again).unwrap();
    };
    handle.call_soon_threadsafe(first).unwrap();
    assert_eq!((event_loop.run_ready(), ran.load(Ordering::Relaxed)), (1, 0));
    assert_eq!((event_loop.run_ready(), ran.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(event_loop.bed.wakes(), 0);
}

#[test]
fn l31_a_steady_flow_allocates_nothing_and_a_burst_is_given_back() {
    let (inbox, _) = inbox::<usize>();
    let mut batch = VecDeque::new();
    let mut turn = |count: usize| {
        (0..count).for_each(|number| put(&inbox, number));
        inbox.drain_into(&mut batch);
        assert!(batch.iter().copied().eq(0..count));
        let place = (batch.as_slices().0.as_ptr(), batch.capacity());
        while batch.pop_front().is_some() {} // as the loop does: one by one
        place
    };
    turn(100);
    turn(100);
    let two = [turn(100), turn(100)];
    for _ in 0..100 {
        assert_eq!([turn(100), turn(100)], two, "the same two places are used in turns");
    }
    assert!(turn(1_000_000).1 >= 1_000_000);
    turn(1_000_000);
    turn(100);
    assert!(turn(100).1 <= 1024);
    assert!(turn(100).1 <= 1024);
}

#[test]
fn l19_what_a_thread_posted_before_its_stop_comes_with_it() {
    let (inbox, bed) = inbox();
    inbox.post('a').unwrap();
    inbox.request_stop();
    inbox.post('b').unwrap();
    let mut items = VecDeque::new();
    assert_eq!(inbox.drain_into(&mut items), News { stop: true, signal: false });
    assert_eq!(items, ['a', 'b']);
    items.clear();
    assert_eq!(inbox.drain_into(&mut items), News::default(), "a stop is taken once");
    assert_eq!(bed.wakes(), 1);
}

#[test]
fn l32_many_posts_to_a_sleeping_loop_are_one_wake_up() {
    let (inbox, bed) = inbox();
    inbox.woke_up();
    for round in 1..=3 {
        assert!(inbox.prepare_to_sleep());
        for number in 0..1000 {
            inbox.post(number).unwrap();
            inbox.request_stop();
            inbox.signaller().unwrap().signal();
        }
        assert_eq!(bed.wakes(), round);
        inbox.woke_up();
        assert!(drained(&inbox).into_iter().eq(0..1000));
        assert!(!inbox.has_news(), "one drain takes it all");
    }
}

#[test]
fn l32_a_post_to_a_loop_that_is_awake_wakes_nobody() {
    let (inbox, bed) = inbox();
    inbox.woke_up();
    for number in 0..10 {
        assert!(!inbox.has_news());
        inbox.post(number).unwrap();
        assert!(inbox.has_news());
        assert_eq!(drained(&inbox), [number]);
    }
    assert_eq!(bed.wakes(), 0);
}

#[test]
fn l33_news_of_any_kind_before_the_sleep_prevents_it() {
    let (inbox, bed) = inbox();
    inbox.woke_up();
    let signaller = inbox.signaller().unwrap();
    let kinds: [&dyn Fn(); 3] =
        [&|| put(&inbox, 'x'), &|| inbox.request_stop(), &|| signaller.signal()];
    for news in kinds {
        news();
        assert!(!inbox.prepare_to_sleep());
        news();
        assert_eq!(bed.wakes(), 0, "a sleep that was called off needs no wake-up");
        drained(&inbox);
        assert!(inbox.prepare_to_sleep());
        inbox.woke_up();
    }
}

#[test]
fn l33_a_loop_that_sleeps_between_any_two_posts_misses_none() {
    const ROUNDS: usize = 20_000;
    let (inbox, bed) = inbox();
    let seen = AtomicUsize::new(0);
    let mut sleeps = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..ROUNDS {
                inbox.post(number).unwrap();
                if number % 3 == 0 {
                    while seen.load(Ordering::Acquire) <= number {
                        thread::yield_now();
                    }
                }
            }
        });
        inbox.woke_up();
        while seen.load(Ordering::Relaxed) < ROUNDS {
            if inbox.prepare_to_sleep() {
                sleeps += 1;
                bed.wait(); // for ever, if a wake-up is lost
                inbox.woke_up();
            }
            seen.fetch_add(drained(&inbox).len(), Ordering::Release);
        }
    });
    assert!(bed.wakes() <= sleeps + 1);
}

#[test]
fn l33_outside_its_run_call_a_loop_counts_as_asleep() {
    let (inbox, bed) = inbox();
    inbox.post(1).unwrap();
    assert_eq!(bed.wakes(), 1, "before its first run");
    inbox.woke_up();
    assert_eq!(drained(&inbox), [1]);
    inbox.leave();
    assert_eq!(bed.wakes(), 1, "nothing to do: the host is not called");
    inbox.post(2).unwrap();
    inbox.post(3).unwrap();
    assert_eq!(bed.wakes(), 2, "between two runs");
    inbox.woke_up();
    assert_eq!(drained(&inbox), [2, 3]);
    inbox.post(4).unwrap();
    assert_eq!(bed.wakes(), 2);
    inbox.leave();
    assert_eq!(bed.wakes(), 3, "came after the last look: the host has to call again");
    inbox.post(5).unwrap();
    assert_eq!(bed.wakes(), 3, "which it knows already");
}

#[test]
fn l34_a_closed_inbox_gives_the_item_back_and_what_it_had_accepted() {
    let (inbox, bed) = inbox();
    inbox.post("accepted").unwrap();
    assert!(!inbox.is_closed());
    assert_eq!(inbox.close(), ["accepted"]);
    assert!(inbox.is_closed());
    assert_eq!(inbox.post("too late"), Err("too late"));
    assert!(inbox.close().is_empty(), "closing twice is harmless");
    assert!(drained(&inbox).is_empty());
    assert_eq!((inbox.len(), bed.wakes()), (0, 1));
}

#[test]
fn l34_a_closed_inbox_wakes_nobody_and_lets_go_of_the_descriptor() {
    let (inbox, bed) = inbox::<()>();
    let signaller = inbox.signaller().unwrap();
    assert!(inbox.close().is_empty());
    assert!(inbox.post(()).is_err());
    inbox.request_stop();
    signaller.signal();
    inbox.leave();
    assert!(inbox.signaller().is_none());
    assert_eq!(bed.wakes(), 0);
    drop(signaller);
    assert_eq!(Arc::strong_count(&bed), 1, "whoever still holds the inbox holds no descriptor");
}

#[test]
fn l34_posts_that_race_with_a_close_are_accepted_or_given_back() {
    const THREADS: usize = 4;
    for _ in 0..300 {
        let (inbox, _) = inbox();
        let start = Barrier::new(THREADS + 1);
        let mut taken = VecDeque::new();
        let accepted: usize = thread::scope(|scope| {
            let posters: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let item = Arc::new(());
                        (0..50).take_while(|_| inbox.post(Arc::clone(&item)).is_ok()).count()
                    })
                })
                .collect();
            start.wait();
            inbox.drain_into(&mut taken);
            taken.extend(inbox.close());
            posters.into_iter().map(|poster| poster.join().unwrap()).sum()
        });
        assert_eq!(taken.len(), accepted);
        // Refused ones came back and are gone: each poster's own is, and only the taken ones live.
        let alive: usize = taken.iter().map(|item| usize::from(Arc::strong_count(item) > 0)).sum();
        assert_eq!(alive, accepted);
    }
}

#[test]
fn g4_signals_between_two_looks_are_one_and_come_apart_from_items() {
    let (inbox, bed) = inbox::<()>();
    let signaller = inbox.signaller().unwrap();
    signaller.signal();
    signaller.signal();
    assert_eq!(bed.wakes(), 1);
    assert!(inbox.has_news());
    assert_eq!(inbox.drain_into(&mut VecDeque::new()), News { stop: false, signal: true });
    assert_eq!(inbox.drain_into(&mut VecDeque::new()), News::default());
}

#[test]
fn g5_a_signal_reaches_a_thread_that_holds_every_lock_of_the_inbox() {
    let (inbox, bed) = inbox::<Probe>();
    let signaller = Arc::new(inbox.signaller().unwrap());
    inbox.woke_up();
    inbox.post(Probe).unwrap();
    // As a handler that interrupts its own thread between `lock` and `unlock` would.
    inbox.while_locked(|| signaller.signal());
    drained(&inbox);
    assert!(inbox.prepare_to_sleep());
    inbox.while_locked(|| signaller.signal());
    assert_eq!(bed.wakes(), 1);
}

#[derive(Debug)]
struct Probe;

#[test]
fn g5_a_signal_ends_a_long_wait() {
    let (inbox, bed) = inbox::<()>();
    inbox.woke_up();
    let signaller = inbox.signaller().unwrap();
    assert!(inbox.prepare_to_sleep());
    thread::scope(|scope| {
        scope.spawn(|| signaller.signal());
        bed.wait(); // for ever, if it does not
    });
    inbox.woke_up();
    assert!(inbox.drain_into(&mut VecDeque::new()).signal);
}

#[test]
fn l32_any_closure_can_be_what_wakes() {
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wakes);
    let wake: Arc<dyn Wake> = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    Inbox::new(wake).post(()).unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 1);
}

#[test]
fn l31_items_are_numbered_and_can_be_visited_while_they_are_queued() {
    let (inbox, _) = inbox();
    assert_eq!((inbox.post('a'), inbox.post('b')), (Ok(0), Ok(1)));
    assert_eq!(inbox.visit(1, |item| std::mem::replace(item, 'B')), Some('b'));
    assert_eq!(inbox.visit(2, |item| *item), None);
    let mut items = drained(&inbox);
    assert_eq!(inbox.post('c'), Ok(2));
    assert_eq!(inbox.visit(1, |item| *item), None);
    inbox.drain_into(&mut items);
    assert_eq!(items, ['a', 'B', 'c'], "behind what is there");
    assert_eq!(inbox.post('d'), Ok(3));
    assert_eq!(inbox.close(), ['d']);
    assert_eq!(inbox.visit(3, |item| *item), None);
}
