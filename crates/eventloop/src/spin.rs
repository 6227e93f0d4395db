//! [`Spin`]: whether it pays to poll for a while without sleeping before a sleep (D17).
//!
//! It pays when something comes in that while: a sleep is saved, and the latency of waking up. When
//! nothing comes, all that time of the processor was for nothing. So the outcomes are counted, and a
//! loop with which it seldom pays tries it only now and then, until it pays again.
//!
//! Invariant: `score` grows by one each time that nothing came, and shrinks by [`WORTH`] each time that
//! something did. So it stays low, and every sleep is preceded by a spin, where one of `WORTH + 1` pays.

use std::cell::Cell;
use std::time::Duration;

/// One time that it pays makes up for so many that it does not.
const WORTH: u32 = 4;
/// Up to this score every sleep is preceded by a spin.
const PATIENCE: u32 = 8;
/// At the worst score, one of 2⁶ sleeps is.
const WORST: u32 = PATIENCE + 6;

/// How one loop spins, and how that went.
pub(crate) struct Spin {
    longest: Duration,
    score: Cell<u32>,
    /// So many sleeps to come are not preceded by a spin.
    skipped: Cell<u32>,
}

impl Spin {
    /// `longest` is how long the loop may spin before a sleep; zero: not at all.
    pub(crate) fn new(longest: Duration) -> Self {
        Self { longest, score: Cell::new(0), skipped: Cell::new(0) }
    }

    /// How long the loop may spin before the sleep that is to come: asked once a sleep.
    #[inline]
    pub(crate) fn allowance(&self) -> Duration {
        if self.longest.is_zero() {
            return Duration::ZERO;
        }
        let allowance = self.next_allowance();
        self.skipped.set(self.skipped.get().saturating_sub(1));
        allowance
    }

    /// What [`allowance`](Self::allowance) is going to answer.
    #[inline]
    pub(crate) fn next_allowance(&self) -> Duration {
        match self.skipped.get() {
            0 => self.longest,
            _ => Duration::ZERO,
        }
    }

    /// The loop has spun, and something came.
    pub(crate) fn has_paid(&self) {
        self.score_is_now(self.score.get().saturating_sub(WORTH));
    }

    /// The loop has spun for as long as it may, and nothing came.
    pub(crate) fn was_in_vain(&self) {
        self.score_is_now((self.score.get() + 1).min(WORST));
    }

    fn score_is_now(&self, score: u32) {
        self.score.set(score);
        self.skipped.set((1 << score.saturating_sub(PATIENCE)) - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(50);

    /// What part of a thousand sleeps is preceded by a spin, if every `n`th spin pays, with what was
    /// learned before.
    fn spun(spin: &Spin, pays: impl Fn(u32) -> bool) -> u32 {
        let mut spun = 0;
        for _ in 0..1000 {
            if spin.allowance().is_zero() {
                continue;
            }
            spun += 1;
            match pays(spun) {
                true => spin.has_paid(),
                false => spin.was_in_vain(),
            }
        }
        spun
    }

    #[test]
    fn l5_spinning_is_given_up_where_it_does_not_pay_and_taken_up_where_it_does() {
        let spin = Spin::new(LONGEST);
        assert_eq!(spun(&spin, |n| n % 5 == 0), 1000, "one of five pays");
        let futile = spun(&spin, |_| false);
        assert!((20..50).contains(&futile), "{futile} of 1000 in vain");
        assert!(spun(&spin, |_| false) <= 1000 / 64 + 1);
        let resumed = spun(&spin, |_| true);
        assert!(resumed >= 1000 - 64 - 8, "{resumed} of 1000 that pay");
        assert_eq!(spun(&spin, |_| true), 1000);
    }

    #[test]
    fn l5_a_loop_that_may_not_spin_never_does() {
        let spin = Spin::new(Duration::ZERO);
        spin.has_paid();
        assert_eq!(spin.allowance(), Duration::ZERO);
    }
}
