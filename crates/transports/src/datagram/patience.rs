//! How often to try: [`Burst`], how many datagrams to read before the others get their turn, and
//! [`Patience`], how long to leave a socket alone that says "ready" and then has nothing. Pure data.

use std::time::Duration;

/// How many datagrams are read in one turn. It begins with one, so that a question and its answer
/// cost no call that finds nothing, and doubles while there is more.
#[derive(Debug)]
pub(super) struct Burst {
    size: u16,
    full: u8,
}

/// So many reads, and the others get their turn.
const LARGEST: u16 = 64;
/// After so many full bursts of one datagram, a larger one is tried.
const FULL_BEFORE_MORE: u8 = 8;

impl Burst {
    pub(super) fn new() -> Self {
        Self { size: 1, full: 0 }
    }

    pub(super) fn size(&self) -> u16 {
        self.size
    }

    /// A turn in which there were `read` datagrams: all that were wanted, or all that there were.
    pub(super) fn ended(&mut self, read: u16) {
        if read < self.size {
            *self = Self { size: read.max(1), full: 0 };
            return;
        }
        self.full += 1;
        if self.size > 1 || self.full == FULL_BEFORE_MORE {
            *self = Self { size: (self.size * 2).min(LARGEST), full: 0 };
        }
    }
}

/// Counts the times in a row that readiness led to nothing. After a few the socket is left alone for
/// a while, ever longer, so that no condition that never goes away becomes a spin.
#[derive(Debug)]
pub(super) struct Patience {
    tries: u32,
    free: u32,
    longest: Duration,
}

const FIRST_REST: Duration = Duration::from_millis(1);

impl Patience {
    /// `free` times nothing happens; the rests grow up to `longest`.
    pub(super) fn new(free: u32, longest: Duration) -> Self {
        Self { tries: 0, free, longest }
    }

    /// It led to something.
    pub(super) fn fruitful(&mut self) {
        self.tries = 0;
    }

    /// It led to nothing: how long to rest now, if at all.
    pub(super) fn fruitless(&mut self) -> Option<Duration> {
        let exponent = self.tries.checked_sub(self.free);
        self.tries = self.tries.saturating_add(1);
        let rest = FIRST_REST.saturating_mul(1 << exponent?.min(20));
        Some(rest.min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x38_a_burst_grows_while_there_is_more_and_is_bounded() {
        let mut burst = Burst::new();
        let sizes: Vec<u16> = (0..20)
            .map(|_| {
                burst.ended(burst.size());
                burst.size()
            })
            .collect();
        assert_eq!(sizes[..7], [1; 7]);
        assert_eq!(sizes[7..14], [2, 4, 8, 16, 32, 64, 64]);
        burst.ended(5);
        assert_eq!(burst.size(), 5);
        burst.ended(0);
        assert_eq!(burst.size(), 1);
    }

    #[test]
    fn r3_what_leads_to_nothing_is_tried_ever_less_often() {
        let mut patience = Patience::new(2, Duration::from_millis(5));
        let mut rests = || patience.fruitless().map(|rest| rest.as_millis());
        assert_eq!([rests(), rests()], [None, None]);
        assert_eq!([rests(), rests(), rests(), rests()], [Some(1), Some(2), Some(4), Some(5)]);
        for _ in 0..100 {
            assert_eq!(rests(), Some(5));
        }
        patience.fruitful();
        assert_eq!(patience.fruitless(), None);
    }
}
