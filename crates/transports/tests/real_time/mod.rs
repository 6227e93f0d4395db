//! Waiting for what comes from outside of a [`TestLoop`]: other threads, and the system.

use eventloop::TestLoop;
use std::time::{Duration, Instant};

/// Runs the loop until `done`, in real time, without a sleep; fails after ten seconds.
#[track_caller]
pub(crate) fn run_until(event_loop: &TestLoop, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    loop {
        event_loop.run_ready_now();
        if done() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::yield_now();
    }
}
