//! [`ConnectionBudget`]: what one connection may cost the loop that it shares with all others, and what
//! happens to one that costs more (D16, R-4, R-5).
//!
//! Plain values. They are kept beside the limits of the output, shared by all connections of a server.

use crate::Bytes;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What one connection may cost the loop that it shares with others: memory, and the time in which
/// nobody else is served.
///
/// Nothing is limited until it is said, and a connection without a budget pays nothing for this. With a
/// limit of time the clock is read before and after each call of the protocol; with one of memory what
/// is held is summed up after each.
///
/// What a limit of time counts is the protocol's methods, and what
/// [`with_protocol`](crate::TransportExt::with_protocol) runs; not the tasks that a protocol starts,
/// which are the loop's.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::{BudgetPolicy, Bytes, ConnectionBudget, ServerOptions};
/// let budget = ConnectionBudget::new()
///     .held(Bytes::mib(1))
///     .longest_call(Duration::from_millis(50))
///     .call_time(Duration::from_millis(200), Duration::from_secs(1))
///     .policy(BudgetPolicy::Abort);
/// let options = ServerOptions::from(("127.0.0.1", 8080)).budget(budget);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a budget does nothing until it is given to options"]
pub struct ConnectionBudget {
    pub(crate) held: Option<Bytes>,
    pub(crate) longest_call: Option<Duration>,
    pub(crate) call_time: Option<CallTime>,
    pub(crate) policy: BudgetPolicy,
}

/// So much in each span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallTime {
    pub(crate) most: Duration,
    pub(crate) per: Duration,
}

impl ConnectionBudget {
    /// One without limits; its policy is to report.
    pub const fn new() -> Self {
        Self { held: None, longest_call: None, call_time: None, policy: BudgetPolicy::Report }
    }

    /// How much memory the connection may hold: itself (some hundred bytes), its protocol, the room of
    /// its output, sent or not, and what the protocol says that it holds besides
    /// ([`Protocol::memory_held`](crate::Protocol::memory_held)).
    ///
    /// It is looked at when a call of the protocol has returned and what it wrote was sent as far as the
    /// system takes it. What the system holds of it, in buffers of its own, is not counted.
    pub const fn held(mut self, most: Bytes) -> Self {
        self.held = Some(most);
        self
    }

    /// How long one call of the protocol may take.
    pub const fn longest_call(mut self, most: Duration) -> Self {
        self.longest_call = Some(most);
        self
    }

    /// How long all calls of the protocol together may take, in each span of `per` that begins with a
    /// call. With [`Duration::MAX`] it is the connection's whole life.
    pub const fn call_time(mut self, most: Duration, per: Duration) -> Self {
        self.call_time = Some(CallTime { most, per });
        self
    }

    /// What happens to a connection that exceeds it. By default it is reported.
    pub const fn policy(mut self, policy: BudgetPolicy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn limits_time(&self) -> bool {
        self.longest_call.is_some() || self.call_time.is_some()
    }
}

/// What happens to a connection that exceeds its budget. It is counted, and logged at level warning, in
/// any case: ten a second for all connections of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetPolicy {
    /// The exception handler of the loop is told, within the same limit, in place of the log.
    #[default]
    Report,
    /// Nothing is read from the peer for a while, whose end is not noticed meanwhile either. Of memory:
    /// until half of what may be held above the connection itself is free again. Of one long call: for as
    /// long as it took, so that the others get at least half of the time. Of all calls together: until
    /// the span is over.
    PauseReading,
    /// The connection is aborted; [`BudgetExceeded`] is what `connection_lost` is given.
    Abort,
}

/// A connection cost more than its [`ConnectionBudget`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetExceeded {
    /// It holds too much memory.
    Held {
        /// So much, when it was looked at.
        held: Bytes,
        /// So much it may hold.
        most: Bytes,
    },
    /// One call of its protocol took too long.
    LongCall {
        /// The method.
        method: &'static str,
        /// So long it took.
        took: Duration,
        /// So long it may take.
        most: Duration,
    },
    /// All calls of its protocol together took too long.
    CallTime {
        /// So long they took.
        took: Duration,
        /// So long they may take.
        most: Duration,
        /// In this span.
        per: Duration,
    },
}

impl fmt::Display for BudgetExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection exceeded its budget: ")?;
        match self {
            BudgetExceeded::Held { held, most } => {
                write!(f, "it holds {held}, and may hold {most}")
            }
            BudgetExceeded::LongCall { method, took, most } => {
                write!(f, "{method}() took {took:?}, and may take {most:?}")
            }
            BudgetExceeded::CallTime { took, most, per: Duration::MAX } => {
                write!(f, "its protocol took {took:?}, and may take {most:?}")
            }
            BudgetExceeded::CallTime { took, most, per } => {
                write!(f, "its protocol took {took:?} in {per:?}, and may take {most:?}")
            }
        }
    }
}

impl Error for BudgetExceeded {}

/// What the calls of one protocol took so far. Plain data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// When the span began, as nanoseconds of the loop's clock.
    began: futures::Instant,
    took: Duration,
    /// It was too much already.
    told: bool,
}

/// What follows from a call that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrun {
    pub(crate) what: BudgetExceeded,
    /// How long nothing is to be read, where that is the policy.
    pub(crate) pause: Duration,
}

impl Spent {
    /// A call of `method` ran from `began` to `ended`. Says what was exceeded by it: of both limits the
    /// one that asks for the longer pause.
    pub(crate) fn add(
        &mut self,
        budget: &ConnectionBudget,
        method: &'static str,
        began: futures::Instant,
        ended: futures::Instant,
    ) -> Option<Overrun> {
        let took = ended - began;
        let long_call = budget.longest_call.filter(|most| took > *most).map(|most| Overrun {
            what: BudgetExceeded::LongCall { method, took, most },
            pause: took,
        });
        let all = budget.call_time.and_then(|limit| self.add_to_span(limit, took, began, ended));
        match (long_call, all) {
            (Some(one), Some(other)) if one.pause > other.pause => Some(one),
            (one, other) => other.or(one),
        }
    }

    fn add_to_span(
        &mut self,
        CallTime { most, per }: CallTime,
        took: Duration,
        began: futures::Instant,
        ended: futures::Instant,
    ) -> Option<Overrun> {
        let is_first = *self == Self::default();
        if is_first || began - self.began >= per {
            *self = Self { began, took: Duration::ZERO, told: false };
        }
        self.took += took;
        if self.took <= most || self.told {
            return None;
        }
        self.told = true;
        let pause = match per {
            Duration::MAX => Duration::MAX,
            per => per.saturating_sub(ended - self.began),
        };
        Some(Overrun { what: BudgetExceeded::CallTime { took: self.took, most, per }, pause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::Instant;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + ms(millis)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn r5_a_span_begins_with_a_call_and_is_exceeded_once() {
        let budget = ConnectionBudget::new().call_time(ms(10), ms(100));
        let mut spent = Spent::default();
        let mut call = |from, to| spent.add(&budget, "m", at(from), at(to)).map(|o| o.pause);
        assert_eq!(call(1000, 1006), None);
        assert_eq!(call(1020, 1024), None); // ten, which it may
        assert_eq!(call(1050, 1051), Some(ms(49)));
        assert_eq!(call(1060, 1090), None); // told already
        assert_eq!(call(1100, 1110), None); // the next span
        assert_eq!(call(1110, 1111), Some(ms(89)));
    }

    #[test]
    fn r5_one_long_call_asks_for_as_long_a_pause() {
        let budget = ConnectionBudget::new().longest_call(ms(10)).call_time(ms(15), ms(30));
        let mut spent = Spent::default();
        assert_eq!(spent.add(&budget, "m", at(0), at(10)), None);
        let overrun = spent.add(&budget, "m", at(10), at(30)).unwrap();
        let took = ms(20);
        assert_eq!(overrun.what, BudgetExceeded::LongCall { method: "m", took, most: ms(10) });
        assert_eq!(overrun.pause, took);
    }

    #[test]
    fn r5_a_whole_life_is_a_span_too() {
        let budget = ConnectionBudget::new().call_time(ms(10), Duration::MAX);
        let mut spent = Spent::default();
        assert_eq!(spent.add(&budget, "m", at(0), at(10)), None);
        let later = 1_000_000_000;
        let overrun = spent.add(&budget, "m", at(later), at(later + 1)).unwrap();
        assert_eq!(overrun.pause, Duration::MAX);
        assert_eq!(
            overrun.what.to_string(),
            "the connection exceeded its budget: its protocol took 11ms, and may take 10ms"
        );
    }
}
