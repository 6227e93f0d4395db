//! How much output a transport may hold, and what happens beyond that (X-20).
//!
//! Plain values. One set of them is shared by all transports that nobody configured on their own.

use crate::ConnectionBudget;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub usize);

impl Bytes {
    /// `count` times 1,024 bytes.
    pub const fn kib(count: usize) -> Self {
        Self(count * 1024)
    }

    /// `count` times 1,048,576 bytes.
    pub const fn mib(count: usize) -> Self {
        Self(count * 1024 * 1024)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

/// The water marks of a transport's output (X-20): above `high` the protocol is told
/// `pause_writing`, at `low` or below it is told `resume_writing`.
///
/// # Examples
/// ```
/// use tulipa_transports::{Bytes, WriteBufferLimits};
/// assert_eq!(WriteBufferLimits::from_high(Bytes::kib(64)).low, Bytes::kib(16));
/// assert_eq!(WriteBufferLimits::from_low(Bytes(10)).high, Bytes(40));
/// assert_eq!(WriteBufferLimits::default(), WriteBufferLimits::from_high(Bytes::kib(64)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteBufferLimits {
    /// More than this, and writing is paused. Zero pauses at the first byte that has to wait.
    pub high: Bytes,
    /// This or less, and writing is resumed.
    pub low: Bytes,
}

impl WriteBufferLimits {
    /// A high mark, with the low one at a quarter of it.
    pub const fn from_high(high: Bytes) -> Self {
        Self { high, low: Bytes(high.0 / 4) }
    }

    /// A low mark, with the high one at four times it.
    pub const fn from_low(low: Bytes) -> Self {
        Self { high: Bytes(low.0.saturating_mul(4)), low }
    }

    /// Whether the marks are in order.
    pub(crate) fn check(self) -> Result<(), InvalidLimits> {
        if self.low > self.high { Err(InvalidLimits { limits: self }) } else { Ok(()) }
    }
}

impl Default for WriteBufferLimits {
    /// 64 KiB and 16 KiB.
    fn default() -> Self {
        Self::from_high(Bytes::kib(64))
    }
}

/// The hard limit of a transport's output, against peers that do not read and protocols that do not
/// heed `pause_writing`.
///
/// It is checked before a write: one write may overshoot it, the next one meets the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteBufferCap {
    /// How much output may be held.
    pub size: Bytes,
    /// What happens to a write beyond it.
    pub policy: CapPolicy,
}

impl Default for WriteBufferCap {
    /// 16 MiB, then refuse.
    fn default() -> Self {
        Self { size: Bytes::mib(16), policy: CapPolicy::Refuse }
    }
}

/// What happens when a transport's output has reached its hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CapPolicy {
    /// The write is refused, and says so. What was taken before is still sent.
    Refuse,
    /// As `Refuse`; besides, nothing is read from the peer until the output has fallen to the low
    /// mark, so that a peer that only sends cannot cause more of it.
    PauseReading,
    /// The connection is aborted with an error.
    Abort,
}

/// Marks that are out of order: the low one is above the high one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLimits {
    limits: WriteBufferLimits,
}

impl fmt::Display for InvalidLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WriteBufferLimits { high, low } = self.limits;
        write!(f, "the low mark ({low}) must not be above the high mark ({high})")
    }
}

impl Error for InvalidLimits {}

/// All that bounds one transport: its output, and what it may cost besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputLimits {
    pub(crate) marks: WriteBufferLimits,
    pub(crate) cap: WriteBufferCap,
    /// How long a close may take to send the rest (X-5). `None`: as long as it takes.
    pub(crate) linger: Option<Duration>,
    /// What it may cost besides.
    pub(crate) budget: Option<ConnectionBudget>,
}

/// The methods of a builder of options that set what bounds its connections. The text
/// says for how long they linger by default.
macro_rules! output_limit_options {
    ($linger_default:literal) => {
        /// How long sending the rest may take after a close; then the connection is aborted (X-5). The time
        /// that a [`Bandwidth`](crate::Bandwidth) takes does not count.
        #[doc = $linger_default]
        #[must_use]
        pub fn linger(mut self, limit: Option<std::time::Duration>) -> Self {
            self.common.limits.linger = limit;
            self
        }

        /// The water marks of the output.
        #[must_use]
        pub fn write_buffer_limits(mut self, limits: crate::WriteBufferLimits) -> Self {
            self.common.limits.marks = limits;
            self
        }

        /// The hard limit of the output.
        #[must_use]
        pub fn write_buffer_cap(mut self, cap: crate::WriteBufferCap) -> Self {
            self.common.limits.cap = cap;
            self
        }

        /// What a connection may cost, and what happens to one that costs more. By default there is no
        /// such limit.
        #[must_use]
        pub fn budget(mut self, budget: crate::ConnectionBudget) -> Self {
            self.common.limits.budget = Some(budget);
            self
        }
    };
}
pub(crate) use output_limit_options;

/// How long a peer that came to us may take for the rest after a close (X-5).
pub(crate) const ACCEPTED_LINGER: Option<Duration> = Some(Duration::from_secs(30));

/// What holds where nobody set anything else.
pub(crate) static DEFAULT_LIMITS: OutputLimits = OutputLimits {
    marks: WriteBufferLimits::from_high(Bytes::kib(64)),
    cap: WriteBufferCap { size: Bytes::mib(16), policy: CapPolicy::Refuse },
    linger: None,
    budget: None,
};
