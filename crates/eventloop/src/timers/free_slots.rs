//! Which slots are free. The lowest is taken first, so that the used ones stay close together and
//! whole segments of slots come free at the far end.
//!
//! One bit a slot, and above it, twice, one bit for 64 bits that are not all zero.
//!
//! Invariant: a bit of `middle` or `top` is set exactly if the word it stands for is not zero, and
//! no word of `bits` before `lowest` has a bit set.

/// A set of slot numbers that gives out its lowest.
#[derive(Debug, Default)]
pub(super) struct FreeSlots {
    bits: Vec<u64>,
    middle: Vec<u64>,
    top: Vec<u64>,
    /// The word of `bits` to look into first.
    lowest: usize,
}

impl FreeSlots {
    /// Makes 64 times `words` more slots free, behind all there are.
    pub(super) fn extend(&mut self, words: usize) {
        for _ in 0..words {
            let word = self.bits.len();
            self.bits.push(0);
            self.middle.resize(word / 64 + 1, 0);
            self.top.resize(word / 4096 + 1, 0);
            self.set_word(word, u64::MAX);
        }
    }

    /// Takes the lowest free slot.
    #[inline]
    pub(super) fn take_lowest(&mut self) -> Option<usize> {
        let word = match self.bits.get(self.lowest) {
            Some(&bits) if bits != 0 => self.lowest,
            _ => self.find_lowest()?,
        };
        self.lowest = word;
        let bits = self.bits[word];
        self.set_word(word, bits & (bits - 1));
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// Makes `slot` free again.
    #[inline]
    pub(super) fn put_back(&mut self, slot: usize) {
        let word = slot / 64;
        self.set_word(word, self.bits[word] | 1 << (slot % 64));
    }

    /// Takes the 64 times `words` slots from `first` on out of the set, whichever are in it.
    pub(super) fn remove(&mut self, first: usize, words: usize) {
        for word in first / 64..first / 64 + words {
            self.set_word(word, 0);
        }
    }

    #[inline]
    fn set_word(&mut self, word: usize, bits: u64) {
        let was_zero = self.bits[word] == 0;
        self.bits[word] = bits;
        if was_zero && bits != 0 {
            self.middle[word / 64] |= 1 << (word % 64);
            self.top[word / 4096] |= 1 << (word / 64 % 64);
            self.lowest = self.lowest.min(word);
        } else if !was_zero && bits == 0 {
            self.middle[word / 64] &= !(1 << (word % 64));
            if self.middle[word / 64] == 0 {
                self.top[word / 4096] &= !(1 << (word / 64 % 64));
            }
        }
    }

    fn find_lowest(&self) -> Option<usize> {
        let from = self.lowest / 4096;
        let (top, bits) = (from..).zip(self.top.get(from..)?).find(|&(_, &bits)| bits != 0)?;
        let middle = top * 64 + bits.trailing_zeros() as usize;
        Some(middle * 64 + self.middle[middle].trailing_zeros() as usize)
    }
}
