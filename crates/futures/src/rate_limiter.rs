//! [`TokenBucket`] and [`RateLimiter`]: so many in so much time.

use crate::{Exception, Instant, Lock, current, sleep_until};
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// So many tokens in so much time, and a store for those that nobody took. Pure data: it is told the time,
/// and knows no clock.
///
/// It is full at first. The count is exact, also for rates such as three a second: what has accrued is held
/// in fractions of a token that have no rest.
///
/// # Examples
/// ```
/// use {std::time::Duration, tulipa_futures::{Instant, TokenBucket}};
/// // Ten a second, at most three at once.
/// let mut bucket = TokenBucket::new(10, Duration::from_secs(1))?.burst(3);
/// let start = Instant::ZERO;
/// assert!((0..3).all(|_| bucket.take(1, start).is_ok()));
/// let wait = bucket.take(1, start).unwrap_err();
/// assert_eq!(wait, start + Duration::from_millis(100));
/// assert!(bucket.take(1, wait).is_ok());
/// # Ok::<(), tulipa_futures::InvalidRate>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenBucket {
    tokens: u64,
    /// In nanoseconds: a token is as many parts, and each nanosecond gives `tokens` of them.
    period: u128,
    burst: u64,
    /// In parts.
    level: u128,
    /// Up to when what has accrued is in `level`. `None`: never looked at.
    counted: Option<Instant>,
}

impl TokenBucket {
    /// `tokens` in each `period`, and a store of as many.
    ///
    /// # Errors
    /// [`InvalidRate`] if either is zero.
    pub fn new(tokens: u32, period: Duration) -> Result<Self, InvalidRate> {
        if tokens == 0 || period.is_zero() {
            return Err(InvalidRate { tokens, period });
        }
        let (tokens, period) = (u64::from(tokens), period.as_nanos());
        let bucket = Self { tokens, period, burst: tokens, level: 0, counted: None };
        Ok(bucket.filled())
    }

    /// How many tokens it stores, at least one: so many can be taken at once after a quiet time.
    #[must_use]
    pub fn burst(mut self, tokens: u32) -> Self {
        self.burst = u64::from(tokens.max(1));
        self.filled()
    }

    fn filled(self) -> Self {
        Self { level: self.capacity(), counted: None, ..self }
    }

    /// How many it stores.
    pub fn capacity_in_tokens(&self) -> u64 {
        self.burst
    }

    /// Takes `count` tokens.
    ///
    /// # Errors
    /// When there will be enough, if nobody takes any before; [`Instant::NEVER`] for more than it can
    /// store. Nothing is taken.
    pub fn take(&mut self, count: u32, now: Instant) -> Result<(), Instant> {
        self.count(now);
        let wanted = u128::from(count) * self.period;
        if wanted > self.capacity() {
            return Err(Instant::NEVER);
        }
        match self.level.checked_sub(wanted) {
            Some(rest) => {
                self.level = rest;
                Ok(())
            }
            None => {
                let nanos = (wanted - self.level).div_ceil(u128::from(self.tokens));
                let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
                Err(self.counted.unwrap_or(now) + Duration::from_nanos(nanos))
            }
        }
    }

    /// Gives back tokens that were taken and not used.
    pub fn give_back(&mut self, count: u32) {
        self.level = (self.level + u128::from(count) * self.period).min(self.capacity());
    }

    /// How many whole tokens there are.
    pub fn available(&mut self, now: Instant) -> u64 {
        self.count(now);
        (self.level / self.period) as u64 // no more than `burst`
    }

    /// Adds what has accrued. A clock that steps back gives nothing, and takes nothing away.
    fn count(&mut self, now: Instant) {
        let counted = self.counted.unwrap_or(now);
        let accrued = (now - counted).as_nanos() * u128::from(self.tokens);
        self.level = (self.level + accrued).min(self.capacity());
        self.counted = Some(counted.max(now));
    }

    fn capacity(&self) -> u128 {
        u128::from(self.burst).saturating_mul(self.period)
    }
}

/// Lets through so many in so much time, by the clock of the current loop: those who wait are served in the
/// order in which they came, each as soon as there are tokens for it.
///
/// It is a handle; clones share the tokens. It belongs to the loop that uses it first.
///
/// # Examples
/// ```
/// use {std::time::Duration, tulipa_futures::{Exception, RateLimiter}};
/// async fn ask_politely(questions: &[&str]) -> Result<(), Exception> {
///     let limiter = RateLimiter::new(5, Duration::from_secs(1))?.burst(1);
///     for question in questions {
///         limiter.acquire().await?;
///         println!("{question}");
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    bucket: Rc<RefCell<TokenBucket>>,
    /// Held by whoever is next.
    line: Lock,
}

impl RateLimiter {
    /// `tokens` in each `period`, and as many at once after a quiet time.
    ///
    /// # Errors
    /// [`InvalidRate`] if either is zero.
    #[track_caller]
    pub fn new(tokens: u32, period: Duration) -> Result<Self, InvalidRate> {
        Ok(TokenBucket::new(tokens, period)?.into())
    }

    /// How many may pass at once after a quiet time, at least one.
    #[must_use]
    pub fn burst(self, tokens: u32) -> Self {
        let bucket = self.bucket.borrow().clone().burst(tokens);
        self.bucket.replace(bucket);
        self
    }

    /// Takes a token as soon as there is one and all who came before are served.
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile: nothing is taken, and
    /// the next in line is served.
    pub async fn acquire(&self) -> Result<(), Exception> {
        self.acquire_many(1).await
    }

    /// As [`acquire`](RateLimiter::acquire), of several at once: bytes, say.
    ///
    /// # Errors
    /// As there; [`NeverEnough`] if it is more than can be stored.
    pub async fn acquire_many(&self, count: u32) -> Result<(), Exception> {
        self.check(count)?;
        let _next = self.line.acquire().await?;
        loop {
            self.check(count)?; // the store may have become smaller
            let taken = self.bucket.borrow_mut().take(count, current().time());
            match taken {
                Ok(()) => return Ok(()),
                Err(when) => sleep_until(when).await?,
            }
        }
    }

    fn check(&self, wanted: u32) -> Result<(), NeverEnough> {
        let most = self.bucket.borrow().capacity_in_tokens();
        match u64::from(wanted) <= most {
            true => Ok(()),
            false => Err(NeverEnough { wanted, most }),
        }
    }

    /// Takes `count` tokens if they are there now and nobody waits for any.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn try_acquire(&self, count: u32) -> bool {
        let Some(_next) = self.line.try_acquire() else { return false };
        self.bucket.borrow_mut().take(count, current().time()).is_ok()
    }

    /// How many tokens there are now.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn available(&self) -> u64 {
        self.bucket.borrow_mut().available(current().time())
    }
}

impl From<TokenBucket> for RateLimiter {
    #[track_caller]
    fn from(bucket: TokenBucket) -> Self {
        Self { bucket: Rc::new(RefCell::new(bucket)), line: Lock::new() }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = self.bucket.borrow();
        let period = Duration::from_nanos(u64::try_from(bucket.period).unwrap_or(u64::MAX));
        write!(f, "RateLimiter({} each {period:?}, burst {})", bucket.tokens, bucket.burst)
    }
}

/// A rate of nothing, or in no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRate {
    tokens: u32,
    period: Duration,
}

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?} is no rate: both must be above zero", self.tokens, self.period)
    }
}

impl Error for InvalidRate {}

/// More tokens were asked for than are ever there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverEnough {
    wanted: u32,
    most: u64,
}

impl fmt::Display for NeverEnough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens were asked for, and at most {} are stored", self.wanted, self.most)
    }
}

impl Error for NeverEnough {}
