//! [`Pace`]: how fast somebody may talk (RFC 2812, section 5.8).

use std::time::Duration;
use tulipa::Instant;

/// Each line costs some time, and somebody may be ahead of the clock by a little: so a few lines may come at
/// once, and many only one after the other.
#[derive(Clone, Debug)]
pub struct Pace {
    cost: Duration,
    ahead: Duration,
    /// Up to when the lines that came have used the time.
    used: Instant,
}

impl Pace {
    /// A line costs `cost`; `burst` of them may come at once.
    pub fn new(cost: Duration, burst: u32) -> Self {
        Self { cost, ahead: cost.saturating_mul(burst), used: Instant::ZERO }
    }

    /// A line came. Gives how long not to listen, if it is time to be quiet.
    pub fn line(&mut self, now: Instant) -> Option<Duration> {
        self.used = self.used.max(now) + self.cost;
        let over = (self.used + self.cost).saturating_duration_since(now + self.ahead);
        (!over.is_zero()).then_some(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_may_come_at_once_and_many_at_the_pace() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second, 3);
        let mut now = Instant::ZERO + second;
        assert_eq!(pace.line(now), None);
        assert_eq!(pace.line(now), None);
        let mut lines = 2;
        let begin = now;
        while now < begin + 10 * second {
            lines += 1;
            now = now + pace.line(now).unwrap_or(Duration::ZERO);
        }
        assert!((12..=14).contains(&lines), "{lines}");
        // Who was silent may burst again.
        now = now + 10 * second;
        assert_eq!((pace.line(now), pace.line(now)), (None, None));
        assert!(pace.line(now).is_some());
    }
}
