//! [`Instant`]: a point in a loop's time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time of one loop's clock: nanoseconds since that clock was made.
///
/// It comes from the loop's own clock (which a test may inject) and is unrelated to
/// `std::time::Instant`; instants of different loops must not be mixed. Arithmetic saturates: no
/// `Duration` overflows it, and [`Instant::NEVER`] is later than every deadline (H-7).
///
/// # Examples
/// ```
/// use {std::time::Duration, tulipa_futures::Instant};
/// let start = Instant::ZERO;
/// assert_eq!(start + Duration::from_secs(2) - start, Duration::from_secs(2));
/// assert_eq!(start + Duration::MAX, Instant::NEVER);
/// assert_eq!(start - Instant::NEVER, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// When the clock was made.
    pub const ZERO: Instant = Instant(0);
    /// Later than anything a clock will ever show: a timer for it never fires.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// The instant `nanos` nanoseconds after the clock was made.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock was made.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    #[inline]
    fn add(self, delay: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(delay)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, delay: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(delay)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    /// As [`Instant::saturating_duration_since`].
    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl fmt::Display for Instant {
    /// Seconds since the clock was made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{:.6}s", Duration::from_nanos(self.0).as_secs_f64())
    }
}

/// The whole nanoseconds of `delay`; 584 years and more count as the largest.
#[inline]
fn nanos(delay: Duration) -> u64 {
    delay
        .as_secs()
        .checked_mul(1_000_000_000)
        .and_then(|seconds| seconds.checked_add(u64::from(delay.subsec_nanos())))
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h7_r10_deadline_arithmetic_saturates() {
        let late = Instant::from_nanos(u64::MAX - 1);
        assert_eq!(late + Duration::from_nanos(1), Instant::NEVER);
        assert_eq!(late + Duration::from_secs(u64::MAX), Instant::NEVER);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::from_nanos(5) - Instant::from_nanos(7), Duration::ZERO);
    }

    #[test]
    fn instants_show_seconds() {
        assert_eq!(Instant::from_nanos(1_500_000_000).to_string(), "1.500000s");
        assert_eq!(Instant::NEVER.to_string(), "never");
    }
}
