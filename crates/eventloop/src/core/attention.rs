//! [`Attention`]: what an iteration has to see to besides its usual work, gathered in one word.
//!
//! Invariant: whoever makes one of these things necessary sets its flag at once, so that a word of
//! zeros, as nearly every iteration meets it, saves looking for any of them.

use std::cell::Cell;

/// What an iteration has to see to besides its usual work.
pub(super) struct Attention(Cell<u8>);

/// The run is to end.
pub(super) const STOP: u8 = 1;
/// There are sources to flush before the next poll.
pub(super) const FLUSH: u8 = 2;
/// The turn of a source was called off since the last poll.
pub(super) const CALLED_OFF: u8 = 4;
/// There are no timers any more, and their memory may be given back.
pub(super) const TIDY: u8 = 8;
/// Something that was asked for when the loop was built, and stays: a hook, a shuffle, a spin, or a
/// clock that steps.
pub(super) const BUILT_IN: u8 = 16;

impl Attention {
    /// A word in which only that flag may be set that never changes.
    pub(super) fn new(built_in: bool) -> Self {
        Self(Cell::new(if built_in { BUILT_IN } else { 0 }))
    }

    /// Whether there is nothing but the usual work.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.get() == 0
    }

    /// Whether this flag is set.
    #[inline]
    pub(super) fn has(&self, flag: u8) -> bool {
        self.0.get() & flag != 0
    }

    #[inline]
    pub(super) fn set(&self, flag: u8) {
        self.0.set(self.0.get() | flag);
    }

    #[inline]
    pub(super) fn clear(&self, flag: u8) {
        self.0.set(self.0.get() & !flag);
    }
}
