//! [`Patience`]: how long to leave a socket alone that says "ready" and then has nothing. Pure data.

use std::time::Duration;

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
