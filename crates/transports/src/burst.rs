//! [`Burst`]: how many datagrams to read, or connections to accept, before the others of the loop get
//! their turn. Pure data.
//!
//! To ask once more, only to learn that there is nothing, is a system call, and for connections a dear
//! one: the system makes the new socket before it looks whether there is anybody. So as many are taken
//! as there were before. What is left shows again at the next wait, which comes in any case.

/// How many are taken in one turn. It begins with one, so that a question and its answer cost no call
/// that finds nothing, and doubles while there is more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    size: u16,
    full: u8,
}

/// So many, and the others get their turn.
const LARGEST: u16 = 64;
/// After so many full bursts of one, a larger one is tried.
const FULL_BEFORE_MORE: u8 = 8;

impl Burst {
    pub(crate) fn new() -> Self {
        Self { size: 1, full: 0 }
    }

    pub(crate) fn size(self) -> u16 {
        self.size
    }

    /// A turn in which there were `taken`: all that were wanted, or all that there were.
    pub(crate) fn ended(&mut self, taken: u16) {
        if taken < self.size {
            *self = Self { size: taken.max(1), full: 0 };
            return;
        }
        self.full += 1;
        if self.size > 1 || self.full == FULL_BEFORE_MORE {
            *self = Self { size: (self.size * 2).min(LARGEST), full: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x38_r5_a_burst_grows_while_there_is_more_and_is_bounded() {
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
}
