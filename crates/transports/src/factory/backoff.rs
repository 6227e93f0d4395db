//! [`Backoff`]: how long to wait before the next attempt. Pure data: it knows no clock, and chance is handed
//! in.
//!
//! Invariant: the base grows by its factor up to its limit and never falls but by a reset; chance is added
//! to each answer and not kept (W-5). Answers are between zero and the limit.

use std::time::Duration;

/// How long to wait between attempts: longer after each failure, up to a limit, with some chance in it, so
/// that the clients of a server that comes back do not all come at once (W-4).
///
/// By default the base of the first wait is e seconds (2.7), it grows by the factor e up to an hour, and a
/// wait is drawn from a normal distribution around it, 12 % wide: Twisted's numbers. There is no last
/// attempt.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::{Backoff, Jitter};
/// let mut backoff = Backoff::default()
///     .initial_delay(Duration::from_secs(1))
///     .factor(2.0)
///     .max_delay(Duration::from_secs(5))
///     .jitter(Jitter::None)
///     .max_retries(4);
/// let mut no_chance = || 0.5;
/// let waits: Vec<_> = std::iter::from_fn(|| backoff.next_delay(&mut no_chance)).collect();
/// assert_eq!(waits, [2, 4, 5, 5].map(Duration::from_secs));
/// backoff.reset();
/// assert_eq!(backoff.next_delay(&mut no_chance), Some(Duration::from_secs(2)));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    factor: f64,
    max: Duration,
    jitter: Jitter,
    max_retries: Option<u32>,
    /// In seconds.
    base: Option<f64>,
    retries: u32,
}

/// How much chance there is in a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// None: a wait is its base.
    None,
    /// A normal distribution around the base, whose standard deviation is so many times the base.
    Normal(f64),
    /// Anything from zero to the base, all equally likely ("full jitter"): best where many clients lost
    /// the same server.
    Full,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: std::f64::consts::E,
            max: Duration::from_secs(3600),
            jitter: Jitter::Normal(0.1196),
            max_retries: None,
            base: None,
            retries: 0,
        }
    }
}

impl Backoff {
    /// What the base grows from: the first wait is this times the [`factor`](Backoff::factor). A second by
    /// default.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial = delay;
        self
    }

    /// By how much the base grows each time; e by default. What is less than 1, or no number, counts as 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest wait, chance included. An hour by default.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// How much chance there is in a wait.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// After how many waits in a row there is no other. By default, and with `None`, there always is.
    #[must_use]
    pub fn max_retries(mut self, retries: impl Into<Option<u32>>) -> Self {
        self.max_retries = retries.into();
        self
    }

    /// How long to wait before the next attempt; `None` if there is to be none. `random` gives numbers from
    /// 0 up to 1, all equally likely.
    pub fn next_delay(&mut self, random: &mut dyn FnMut() -> f64) -> Option<Duration> {
        if self.max_retries.is_some_and(|most| self.retries >= most) {
            return None;
        }
        self.retries = self.retries.saturating_add(1);
        let max = self.max.as_secs_f64();
        let before = self.base.unwrap_or(self.initial.as_secs_f64());
        let base = (before * self.factor.max(1.0)).min(max);
        self.base = Some(base);
        let wait = match self.jitter {
            Jitter::None => base,
            Jitter::Normal(width) => base + base * width * normal(random),
            Jitter::Full => base * random(),
        };
        let wait = if wait.is_finite() { wait.clamp(0.0, max) } else { base };
        Some(Duration::try_from_secs_f64(wait).unwrap_or(self.max).min(self.max))
    }

    /// Begins anew, after a success: the next wait is as the first was.
    pub fn reset(&mut self) {
        self.base = None;
        self.retries = 0;
    }

    /// How many waits there were since the beginning, or the last reset.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// The base of the last wait, which has no chance in it; zero before the first.
    pub fn base(&self) -> Duration {
        Duration::try_from_secs_f64(self.base.unwrap_or(0.0)).unwrap_or(self.max).min(self.max)
    }
}

/// A number of the standard normal distribution, of two equally distributed ones (Box and Muller).
fn normal(random: &mut dyn FnMut() -> f64) -> f64 {
    let (radius, angle) = (1.0 - random(), random());
    (-2.0 * radius.max(f64::MIN_POSITIVE).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests;
