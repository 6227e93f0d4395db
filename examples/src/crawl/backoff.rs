//! [`Backoff`]: how long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double with each attempt. Half of each is left to chance, so that many who failed at
/// the same moment do not come back at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The wait before the second attempt.
    pub first: Duration,
    /// The longest one.
    pub longest: Duration,
}

impl Backoff {
    /// How long to wait after `failures` attempts, for a `chance` from 0 to 1.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

/// A number from 0 to 1, as good as needed to scatter waits: from the seeds of the standard library's
/// hash maps.
pub fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_chance() {
        let backoff =
            Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        let waits =
            |chance| [1, 2, 3, 4, 5, u32::MAX].map(|n| backoff.delay(n, chance).as_millis());
        assert_eq!(waits(1.0), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(waits(0.0), [50, 100, 200, 400, 500, 500]);
        let chances: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance < 0.5));
        assert!(chances.iter().any(|chance| *chance >= 0.5));
    }
}
