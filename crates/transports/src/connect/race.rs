//! Which of several attempts begins when: the order of RFC 8305, as plain data that knows no clock and
//! no socket.
//!
//! Invariant: it makes the same decisions as [`staggered_race`](futures::staggered_race) (T-88): the
//! next attempt begins when the one that began last has failed, or after a pause; the first success
//! ends it.

use crate::Family;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Attempts that begin one after the other. Each has a number, in the order in which they begin.
pub(super) struct Race<C> {
    waiting: VecDeque<C>,
    begun: usize,
    under_way: usize,
}

impl<C> Race<C> {
    pub(super) fn new(candidates: impl IntoIterator<Item = C>) -> Self {
        Self { waiting: candidates.into_iter().collect(), begun: 0, under_way: 0 }
    }

    /// The next attempt, if there is one. It is under way from now on.
    pub(super) fn begin(&mut self) -> Option<(usize, C)> {
        let candidate = self.waiting.pop_front()?;
        let number = self.begun;
        self.begun += 1;
        self.under_way += 1;
        Some((number, candidate))
    }

    /// An attempt has failed. Says whether the next one is to begin now, if there is one.
    pub(super) fn failed(&mut self, number: usize) -> bool {
        self.under_way -= 1;
        number + 1 == self.begun
    }

    /// How many attempts have not begun.
    pub(super) fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Whether all have failed.
    pub(super) fn is_lost(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

/// Puts addresses into the order in which they are tried: `first_count` of the family that the
/// resolver put first, then one of each family in turn. Within a family the order is the resolver's,
/// and with 0 it is all the way (N-14).
pub(super) fn interleave(addresses: Vec<SocketAddr>, first_count: usize) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return addresses };
    if first_count == 0 {
        return addresses;
    }
    let first = Family::of(first);
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| first.matches(address));
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut order: Vec<SocketAddr> = preferred.by_ref().take(first_count - 1).collect();
    loop {
        let before = order.len();
        order.extend(preferred.next());
        order.extend(others.next());
        if order.len() == before {
            return order;
        }
    }
}

#[cfg(test)]
mod tests;
