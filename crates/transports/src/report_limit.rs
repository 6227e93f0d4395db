//! [`ReportLimit`]: so many reports of one kind a second, then a count.

use futures::Instant;
use std::cell::Cell;
use std::time::Duration;

/// Lets ten reports a second pass, and counts the rest.
#[derive(Default)]
pub(crate) struct ReportLimit {
    second: Cell<Instant>,
    passed: Cell<u32>,
    held_back: Cell<u64>,
}

const REPORTS_A_SECOND: u32 = 10;

impl ReportLimit {
    /// Whether a report may be made at `now`: if so, how many were held back before it.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        if now - self.second.get() >= Duration::from_secs(1) {
            self.second.set(now);
            self.passed.set(0);
        }
        if self.passed.get() == REPORTS_A_SECOND {
            self.held_back.set(self.held_back.get() + 1);
            return None;
        }
        self.passed.set(self.passed.get() + 1);
        Some(self.held_back.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n27_ten_reports_a_second_then_a_count() {
        let limit = ReportLimit::default();
        let start = Instant::ZERO + Duration::from_secs(5);
        let passed = (0..25).filter(|_| limit.pass(start).is_some()).count();
        assert_eq!(passed, 10);
        assert_eq!(limit.pass(start + Duration::from_secs(1)), Some(15));
        assert_eq!(limit.pass(start + Duration::from_secs(1)), Some(0));
    }
}
