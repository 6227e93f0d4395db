//! [`Clock`]: where a loop gets its time. Nothing else here reads the system's.

use futures::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::rc::Rc;

/// Where a loop gets its time, so that tests can hand in their own.
pub trait Clock {
    /// Time since the clock was made; it never goes back (L-47).
    fn now(&self) -> Instant;

    /// The same kind of time, some milliseconds coarse and cheaper to read; it is only compared with
    /// itself.
    fn coarse_now(&self) -> Instant {
        self.now()
    }

    /// Called when nothing is ready before `due` and nothing can come from outside. A clock of tests
    /// steps there; real time passes by itself.
    fn step_to(&self, due: Instant) {
        let _ = due;
    }

    /// Whether [`step_to`](Clock::step_to) steps: the loop then never sleeps for a timer. It asks once.
    fn steps(&self) -> bool {
        false
    }
}

/// The system's monotonic clock. Setting the wall clock does not change it, and it stands still
/// while the machine is suspended.
pub struct MonotonicClock {
    start: u64,
}

impl MonotonicClock {
    /// A clock that begins at zero now.
    pub fn new() -> Self {
        Self { start: read(ClockId::Monotonic) }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Instant {
        Instant::from_nanos(read(ClockId::Monotonic).saturating_sub(self.start))
    }

    #[inline]
    fn coarse_now(&self) -> Instant {
        // Compared only with itself, so that it need not begin at zero.
        Instant::from_nanos(read(COARSE))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const COARSE: ClockId = ClockId::MonotonicCoarse;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const COARSE: ClockId = ClockId::Monotonic;

#[inline]
fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A clock for tests: it stands still until the loop steps it to the next deadline, or the test
/// advances it. Clones show the same time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_eventloop::{Clock, EventLoop, TestClock, prelude::*};
/// let clock = TestClock::new();
/// let event_loop = EventLoop::builder().clock(clock.clone()).build()?;
/// let handle = event_loop.handle();
/// event_loop.call_later(Duration::from_secs(3600), move || handle.stop());
/// event_loop.run_forever()?; // at once
/// assert_eq!(clock.now().as_nanos(), 3_600_000_000_000);
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestClock {
    now: Rc<Cell<Instant>>,
}

impl TestClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves it to `instant`, unless that is past.
    pub fn set(&self, instant: Instant) {
        self.now.set(instant.max(self.now.get()));
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.now.get()
    }

    fn step_to(&self, due: Instant) {
        self.set(due);
    }

    fn steps(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn l47_r10_time_never_goes_back() {
        let clock = MonotonicClock::new();
        let readings: Vec<Instant> = (0..1000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
        let coarse: Vec<Instant> = (0..1000).map(|_| clock.coarse_now()).collect();
        assert!(coarse.is_sorted());
    }

    #[test]
    fn l47_a_test_clock_only_moves_forward_and_when_told() {
        let clock = TestClock::new();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        assert!(clock.steps());
        clock.step_to(start + Duration::from_secs(2));
        clock.set(start);
        assert_eq!(clock.now() - start, Duration::from_secs(2));
    }
}
