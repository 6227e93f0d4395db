//! [`Grid`]: the points in time at which calls are due. Pure data: it knows no clock and no timer.
//!
//! Invariant: `line`, that of the last call, only grows; so no line is called for twice, whatever a clock
//! does.

use crate::Instant;
use std::time::Duration;

/// Lines at `start`, one `interval` later, and so on; the last call was the one for `line`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    start: Instant,
    /// In nanoseconds. Zero: no lines, but a call in each turn.
    interval: u64,
    line: u64,
}

impl Grid {
    pub(super) fn new(start: Instant, interval: Duration) -> Self {
        // The nanoseconds of a loop's time do not go further.
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { start, interval, line: 0 }
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Notes that the call for `line` begins `now`, and says how many lines have passed since the last
    /// one: at least one, more after a stall (W-23).
    pub(super) fn pass(&mut self, line: u64, now: Instant) -> u64 {
        let reached = line.max(self.reached(now));
        let count = reached.saturating_sub(self.line).max(1);
        self.line = reached;
        count
    }

    /// The line to call for next: the first after `now`, and after the last call (W-19).
    pub(super) fn next(&self, now: Instant) -> u64 {
        self.reached(now).max(self.line).saturating_add(1)
    }

    /// Whether the line after the last call's has passed.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.interval > 0 && self.reached(now) > self.line
    }

    /// When the call for `line` is due, if `now` is the time; `shift` moves it by so much of an interval,
    /// but never into the past, where it would be due at once.
    pub(super) fn due(&self, line: u64, now: Instant, shift: f64) -> Instant {
        if self.interval == 0 {
            return now;
        }
        let on_grid = self.start + Duration::from_nanos(self.interval.saturating_mul(line));
        let by = Duration::from_nanos((self.interval as f64 * shift.abs()) as u64);
        let moved = if shift < 0.0 { on_grid - by } else { on_grid + by };
        if moved > now { moved } else { on_grid }
    }

    /// The last line at or before `now`.
    fn reached(&self, now: Instant) -> u64 {
        match (now - self.start).as_nanos().checked_div(u128::from(self.interval)) {
            Some(lines) => lines as u64, // no more than the nanoseconds of an `Instant`
            None => self.line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn w19_the_next_line_lies_after_now_and_after_the_last_call() {
        let mut grid = Grid::new(at(50), TENTH);
        assert_eq!((grid.next(at(50)), grid.due(1, at(50), 0.0)), (1, at(150)));
        assert_eq!(grid.pass(1, at(150)), 1);
        // On a line exactly: that one counts as missed, or the wait would be none.
        assert_eq!(grid.next(at(250)), 3);
        // A clock that stepped back.
        assert_eq!(grid.next(at(60)), 2);
    }

    #[test]
    fn w23_as_many_lines_as_have_passed_never_none() {
        let mut grid = Grid::new(at(0), TENTH);
        assert_eq!(grid.pass(0, at(0)), 1);
        assert_eq!(grid.pass(1, at(100)), 1);
        assert_eq!(grid.pass(2, at(570)), 4);
        assert_eq!(grid.pass(6, at(590)), 1, "jitter had it come early");
        assert_eq!(grid.pass(6, at(600)), 1, "and again");
    }

    #[test]
    fn w18_without_an_interval_each_turn_is_a_line() {
        let mut grid = Grid::new(at(7), Duration::ZERO);
        assert_eq!((grid.next(at(7)), grid.due(1, at(7), 0.3)), (1, at(7)));
        assert_eq!(grid.pass(1, at(9)), 1);
        assert_eq!(grid.next(at(9)), 2);
        assert!(!grid.is_late(at(1000)));
    }

    #[test]
    fn w24_jitter_moves_a_call_but_not_its_line() {
        let grid = Grid::new(at(0), TENTH);
        assert_eq!(grid.due(2, at(100), -0.25), at(175));
        assert_eq!(grid.due(2, at(100), 0.25), at(225));
        assert_eq!(grid.due(2, at(180), -0.25), at(200), "that would have been in the past");
    }

    #[test]
    fn w19_no_interval_overflows() {
        let mut grid = Grid::new(at(1), Duration::MAX);
        assert_eq!(grid.due(grid.next(at(1)), at(1), 0.0), Instant::NEVER);
        assert_eq!(grid.due(u64::MAX, at(1), 0.5), Instant::NEVER);
        assert_eq!(grid.pass(1, Instant::NEVER), 1);
    }
}
