use super::*;
use std::sync::mpsc;
use std::thread::yield_now;
use std::time::Duration;

/// A pool whose attempts wait for a word, and the sender of these.
fn gated(max_threads: usize, max_waiting: usize) -> (Arc<Pool<u32, u32>>, mpsc::Sender<bool>) {
    let (decide, decisions) = mpsc::channel();
    let decisions = Mutex::new(decisions);
    let options =
        ThreadedResolverOptions { max_threads, max_waiting, ..ThreadedResolverOptions::default() };
    let pool = Pool::new(options, move |question| match decisions.lock().unwrap().recv() {
        Ok(true) => Ok(*question),
        _ => Err(io::ErrorKind::NotFound.into()),
    });
    (pool, decide)
}

fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        yield_now();
    }
}

#[test]
fn r4_questions_that_nobody_waits_for_any_more_do_not_pile_up() {
    let (pool, decide) = gated(1, 10);
    let hung = pool.ask(&0).unwrap();
    until(|| pool.lock().queue.is_empty());
    for question in 1..10_000 {
        pool.ask(&question).unwrap().cancel();
        let state = pool.lock();
        assert!(state.queue.len() <= 20 && state.inquiries.len() <= 21, "{}", state.queue.len());
    }
    assert_eq!(pool.waiting(), 1);
    let wanted = pool.ask(&7).unwrap();
    for _ in 0..2 {
        decide.send(true).unwrap();
    }
    let patience = Some(Duration::from_secs(10));
    assert_eq!((hung.result(patience).unwrap(), wanted.result(patience).unwrap()), (0, 7));
    until(|| pool.lock().queue.is_empty() && pool.lock().inquiries.is_empty());
    until(|| pool.waiting() == 0);
}

#[test]
fn r4_callers_who_give_up_do_not_pile_up() {
    let (pool, decide) = gated(1, 10_000);
    let waits = pool.ask(&0).unwrap();
    for _ in 0..10_000 {
        pool.ask(&0).unwrap().cancel();
        let state = pool.lock();
        assert!(state.queue.len() <= 1 && state.inquiries[&0].callers() <= 4);
    }
    drop(decide);
    assert!(waits.exception(Some(Duration::from_secs(10))).unwrap().is_some());
}

#[test]
fn r6_idle_threads_end_and_others_take_their_place() {
    let (mut pool, decide) = gated(1, 10);
    Arc::get_mut(&mut pool).unwrap().options.idle_timeout = Duration::ZERO;
    drop(decide);
    for question in 0..3 {
        let failed = pool.ask(&question).unwrap();
        assert!(failed.exception(Some(Duration::from_secs(10))).unwrap().is_some());
        until(|| pool.threads() == 0);
    }
    until(|| pool.waiting() == 0);
}
