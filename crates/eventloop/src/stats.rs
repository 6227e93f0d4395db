//! What a loop counts, always: [`Stats`], and [`IterationHook`] for those who want to see each pass.

use futures::Instant;
use std::cell::Cell;
use std::time::Duration;

/// What a loop did since it was made, and what it holds now.
///
/// The counts cost an addition each; they are on in every build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Iterations: polls with what followed them.
    pub iterations: u64,
    /// Waits asked of the poller; with `spin` several an iteration.
    pub polls: u64,
    /// Waits that could sleep.
    pub sleeps: u64,
    /// Turns that were run: callbacks, timers, ready descriptors.
    pub callbacks: u64,
    /// Of these, timers.
    pub timers_fired: u64,
    /// Readiness events that the poller reported.
    pub io_events: u64,
    /// Of these, events for a descriptor that was gone by then (they reached nobody).
    pub stale_events: u64,
    /// Calls that came from other threads.
    pub posted: u64,
    /// Callbacks and timers that were cancelled before they ran.
    pub cancelled: u64,
    /// Panics of user code that were contained.
    pub panics: u64,
    /// Errors given to the exception handler.
    pub errors: u64,
    /// Of these, errors that the default handler only counted, because it logs ten a second.
    pub errors_not_logged: u64,
    /// Turns reported as slow, in debug mode.
    pub slow_callbacks: u64,
    /// The longest time between two polls, by the coarse clock (a few milliseconds).
    pub longest_busy: Duration,

    /// Tasks that have not ended.
    pub tasks: usize,
    /// Callbacks queued now.
    pub ready: usize,
    /// Timers armed now.
    pub timers: usize,
    /// Descriptors owned now, watched or paused.
    pub sources: usize,
    /// Of these, transports.
    pub transports: usize,
    /// Signals handled now.
    pub signals: usize,
    /// Threads of the default executor.
    pub executor_threads: usize,
    /// Jobs that wait for one of these threads.
    pub executor_queue: usize,
    /// What the loop waits with.
    pub driver: &'static str,
}

/// Sees each iteration. Its methods run on the loop's thread and should be short; a panic in one is
/// reported, like a callback's.
pub trait IterationHook {
    /// The loop is about to poll, for at most `timeout` (`None`: as long as it takes).
    fn before_poll(&self, timeout: Option<Duration>) {
        let _ = timeout;
    }

    /// The poll is over; so many descriptors are ready.
    fn after_poll(&self, events: usize) {
        let _ = events;
    }

    /// So many turns were run; next comes another iteration, or the end of the run.
    fn after_batches(&self, turns: u64) {
        let _ = turns;
    }
}

/// The counts, as the loop keeps them.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) iterations: Counter,
    pub(crate) polls: Counter,
    pub(crate) sleeps: Counter,
    pub(crate) callbacks: Counter,
    pub(crate) timers_fired: Counter,
    pub(crate) io_events: Counter,
    pub(crate) stale_events: Counter,
    pub(crate) posted: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) panics: Counter,
    pub(crate) errors: Counter,
    pub(crate) errors_not_logged: Counter,
    pub(crate) slow_callbacks: Counter,
    /// In nanoseconds.
    longest_busy: Cell<u64>,
    log_window: Cell<LogWindow>,
}

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.set(self.0.get().wrapping_add(more));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// How many errors the default handler has logged since `start`.
#[derive(Clone, Copy, Default)]
struct LogWindow {
    start: Instant,
    logged: u32,
}

/// Errors that the default handler logs in a second.
const LOGGED_PER_SECOND: u32 = 10;

impl Counters {
    /// The loop was busy from `start` to `end`.
    #[inline]
    pub(crate) fn note_busy(&self, start: Instant, end: Instant) {
        let busy = end.as_nanos().saturating_sub(start.as_nanos());
        if busy > self.longest_busy.get() {
            self.longest_busy.set(busy);
        }
    }

    pub(crate) fn longest_busy(&self) -> Duration {
        Duration::from_nanos(self.longest_busy.get())
    }

    /// Whether one more error may be logged now; if not, it is counted. A flood of errors must not
    /// turn into a flood of log lines that blocks the loop.
    pub(crate) fn may_log_error(&self, now: Instant) -> bool {
        let mut window = self.log_window.get();
        if window.logged == 0 || now - window.start >= Duration::from_secs(1) {
            window = LogWindow { start: now, logged: 0 };
        }
        let allowed = window.logged < LOGGED_PER_SECOND;
        if allowed {
            window.logged += 1;
        } else {
            self.errors_not_logged.add(1);
        }
        self.log_window.set(window);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d9_the_default_handler_logs_ten_errors_a_second_and_counts_the_rest() {
        let counters = Counters::default();
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let logged = |now| (0..25).filter(|_| counters.may_log_error(at(now))).count();
        assert_eq!(logged(100), 10);
        assert_eq!(logged(1099), 0);
        assert_eq!(counters.errors_not_logged.get(), 40);
        assert_eq!(logged(1100), 10);
    }
}
