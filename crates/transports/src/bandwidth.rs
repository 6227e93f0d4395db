//! [`Bandwidth`]: so many bytes a second, for one connection or for many together.
//!
//! Invariant: who takes bytes is told when they are paid for, and waits until then. Each reserves its place
//! by asking, so those who share a bandwidth are served in the order in which they asked, and none of them
//! can starve another.

use crate::Bytes;
use futures::Instant;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// So many bytes a second. Clones are the same bandwidth: connections that are given one share it.
///
/// After a quiet time a tenth of a second's worth may pass at once; see [`burst`](Bandwidth::burst).
///
/// # Examples
/// ```
/// use tulipa_transports::{Bandwidth, Bytes, Transport};
/// /// Each connection sends a mebibyte a second, and all together ten.
/// fn slow_down(transport: &dyn Transport, together: &Bandwidth) {
///     let alone = Bandwidth::per_second(Bytes::mib(1));
///     transport.limit_bandwidth(&[], &[alone, together.clone()]);
/// }
/// let together = Bandwidth::per_second(Bytes::mib(10));
/// ```
#[derive(Clone)]
pub struct Bandwidth {
    state: Rc<State>,
}

struct State {
    a_second: Cell<usize>,
    burst: Cell<usize>,
    /// When all that was taken so far is paid for.
    paid: Cell<Instant>,
}

impl Bandwidth {
    /// So many bytes a second.
    ///
    /// # Panics
    /// If it is none: that would be a connection on which nothing happens.
    pub fn per_second(bytes: Bytes) -> Self {
        assert!(bytes.0 > 0, "a bandwidth of zero bytes a second");
        let state = State {
            a_second: Cell::new(bytes.0),
            burst: Cell::new(default_burst(bytes.0)),
            paid: Cell::new(Instant::ZERO),
        };
        Self { state: Rc::new(state) }
    }

    /// How many bytes may pass at once after a quiet time, at least one. It is also the most that is read or
    /// sent in one go: a small one makes for an even flow, and for more turns of the loop.
    #[must_use]
    pub fn burst(self, bytes: Bytes) -> Self {
        self.state.burst.set(bytes.0.max(1));
        self
    }

    /// How many bytes a second.
    pub fn rate(&self) -> Bytes {
        Bytes(self.state.a_second.get())
    }

    /// Changes it, for all that share it, from what is read and sent next on. The burst is a tenth of it
    /// then.
    ///
    /// # Panics
    /// If it is none.
    pub fn set_rate(&self, bytes: Bytes) {
        assert!(bytes.0 > 0, "a bandwidth of zero bytes a second");
        self.state.a_second.set(bytes.0);
        self.state.burst.set(default_burst(bytes.0));
    }

    /// The most that is to be taken at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.burst.get()
    }

    /// Takes `count` bytes. They may pass from the instant on that is the answer.
    pub(crate) fn take(&self, count: usize, now: Instant) -> Instant {
        let State { a_second, burst, paid } = &*self.state;
        paid.set(paid.get().max(now) + time_for(count, a_second.get()));
        let ahead = time_for(burst.get(), a_second.get());
        Instant::ZERO + (paid.get() - Instant::ZERO).saturating_sub(ahead)
    }

    /// Gives back bytes that were taken and did not pass.
    pub(crate) fn give_back(&self, count: usize) {
        let State { a_second, paid, .. } = &*self.state;
        let back = time_for(count, a_second.get());
        paid.set(Instant::ZERO + (paid.get() - Instant::ZERO).saturating_sub(back));
    }
}

impl fmt::Debug for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bandwidth({} a second)", self.rate())
    }
}

fn default_burst(a_second: usize) -> usize {
    (a_second / 10).max(1)
}

fn time_for(count: usize, a_second: usize) -> Duration {
    let nanos = (count as u128 * 1_000_000_000).div_ceil(a_second as u128);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn w7_bytes_pass_at_the_rate_after_a_burst() {
        let bandwidth = Bandwidth::per_second(Bytes(1000)).burst(Bytes(100));
        let start = at(5000);
        assert!(bandwidth.take(100, start) <= start);
        assert_eq!(bandwidth.take(50, start), at(5050));
        // Somebody else has to wait behind that.
        assert_eq!(bandwidth.clone().take(10, start), at(5060));
        bandwidth.give_back(10);
        assert_eq!(bandwidth.take(10, start), at(5060));
        // A quiet time saves up no more than the burst.
        assert!(bandwidth.take(100, at(60_000)) <= at(60_000));
        assert_eq!(bandwidth.take(1, at(60_000)), at(60_001));
        bandwidth.set_rate(Bytes(10));
        assert_eq!(bandwidth.most_at_once(), 1);
    }

    #[test]
    fn w7_extreme_rates_do_not_overflow() {
        let fast = Bandwidth::per_second(Bytes(usize::MAX)).burst(Bytes(usize::MAX));
        assert!(fast.take(usize::MAX, at(1)) <= at(1001));
        let slow = Bandwidth::per_second(Bytes(1)).burst(Bytes(1));
        let far = slow.take(usize::MAX, at(1));
        assert!(slow.take(usize::MAX, at(1)) >= far);
    }
}
