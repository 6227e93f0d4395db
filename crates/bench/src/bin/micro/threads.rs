//! Calls from another thread: as many as it can post, and there and back. Wall time.

use crate::{erased, report};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa_bench::Stopwatch;
use tulipa_bench::process::pin_to_second;

/// Longer than a round trip takes, so that a loop that spins never sleeps.
const SPIN: Duration = Duration::from_micros(500);

pub(crate) fn measure() -> Result<(), Exception> {
    throughput()?;
    blocking_round_trip("threadsafe round trip", Duration::ZERO)?;
    spinning_round_trip()?;
    blocking_round_trip("threadsafe round trip, blocking poster", SPIN)
}

/// Another thread posts as fast as it can.
fn throughput() -> Result<(), Exception> {
    const POSTS: u64 = 300_000;
    let owner = EventLoop::new()?;
    let event_loop = erased(&owner);
    let (count_sender, counted) = mpsc::channel::<()>();
    let handle = event_loop.threadsafe_handle();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        let stop = handle.clone();
        for _ in 0..POSTS - 1 {
            handle.call_soon_threadsafe(|| {}).expect("the loop is open");
        }
        let last = handle.call_soon_threadsafe(move || {
            count_sender.send(()).expect("the receiver waits");
            stop.stop();
        });
        last.expect("the loop is open");
    });
    event_loop.run_forever()?;
    report("threadsafe throughput", POSTS, watch.wall());
    counted.recv()?;
    poster.join().expect("the poster does not panic");
    Ok(())
}

/// Another thread posts one call, sleeps until it is answered, and posts the next.
fn blocking_round_trip(name: &str, spin: Duration) -> Result<(), Exception> {
    const TRIPS: u64 = 30_000;
    let owner = EventLoop::builder().spin(spin).build()?;
    let event_loop = erased(&owner);
    let handle = event_loop.threadsafe_handle();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        let (answer, answers) = mpsc::channel::<()>();
        for _ in 0..TRIPS {
            let answer = answer.clone();
            let post = handle.call_soon_threadsafe(move || {
                // Nobody waits if the poster has panicked.
                let _ = answer.send(());
            });
            post.expect("the loop is open");
            answers.recv().expect("every call is answered");
        }
        handle.stop();
    });
    event_loop.run_forever()?;
    report(name, TRIPS, watch.wall());
    poster.join().expect("the poster does not panic");
    Ok(())
}

/// The same, but neither side ever sleeps.
fn spinning_round_trip() -> Result<(), Exception> {
    const TRIPS: u64 = 300_000;
    let owner = EventLoop::builder().spin(SPIN).build()?;
    let event_loop = erased(&owner);
    let handle = event_loop.threadsafe_handle();
    let watch = Stopwatch::start();
    let poster = std::thread::spawn(move || {
        pin_to_second();
        let answered = Arc::new(AtomicU64::new(0));
        for trip in 1..=TRIPS {
            let answer = answered.clone();
            let post = handle.call_soon_threadsafe(move || answer.store(trip, Ordering::Release));
            post.expect("the loop is open");
            while answered.load(Ordering::Acquire) < trip {
                std::hint::spin_loop();
            }
        }
        handle.stop();
    });
    event_loop.run_forever()?;
    report("threadsafe round trip, spinning", TRIPS, watch.wall());
    poster.join().expect("the poster does not panic");
    Ok(())
}
