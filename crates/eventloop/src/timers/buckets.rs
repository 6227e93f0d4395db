//! Far deadlines, sorted only as finely as their distance asks for.
//!
//! Level by level, 256 buckets each: a bucket of level 0 is one nanosecond wide, one of the next
//! level 256 times as wide. A deadline goes to the level of the highest digit (to the base of 256) in
//! which it differs from `origin`, and there to the bucket of its own digit. So all of a lower level
//! come before all of a higher one, and the first bucket is found by looking for a bit.
//!
//! Invariant: every deadline here is greater than `origin`; a bit is set exactly if its bucket is
//! not empty. Only [`take_first`](Buckets::take_first) may be followed by moving `origin` out of its
//! place, and only to within the range of that bucket.

use std::collections::BinaryHeap;

use super::agenda::{Entry, LARGE};
use super::pile::{Pile, Spare};

const BITS: usize = 8;
const WIDTH: usize = 1 << BITS;
const LEVELS: usize = u64::BITS as usize / BITS;

/// Entries in buckets, the more of them in one the farther away they are.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    origin: u64,
    len: usize,
    /// A bit for each level that has a bucket in use.
    levels: u8,
    /// For each level a bit for each bucket in use.
    in_use: [Digits; LEVELS],
    /// Those of the levels up to the highest that was ever used.
    buckets: Vec<Bucket>,
    /// Memory of emptied buckets, for those to come.
    spare: Spare,
}

/// The entries of one bucket, by creation, or as a heap once somebody asked which is the earliest.
#[derive(Debug)]
enum Bucket {
    Pile(Pile),
    Heap(BinaryHeap<Entry>),
}

impl Buckets {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn origin(&self) -> u64 {
        self.origin
    }

    /// Moves the point that distances are measured from; see the invariant for what is allowed.
    pub(super) fn set_origin(&mut self, origin: u64) {
        self.origin = origin;
    }

    /// Adds an entry whose deadline is after the origin.
    pub(super) fn add(&mut self, entry: Entry) {
        let level = (entry.due ^ self.origin).ilog2() as usize / BITS;
        if self.buckets.len() <= level * WIDTH {
            self.buckets.resize_with((level + 1) * WIDTH, Bucket::default);
        }
        let digit = (entry.due >> (level * BITS)) as usize % WIDTH;
        self.levels |= 1 << level;
        self.in_use[level].insert(digit);
        self.len += 1;
        match &mut self.buckets[level * WIDTH + digit] {
            Bucket::Pile(pile) => pile.push(entry, &mut self.spare),
            Bucket::Heap(entries) => entries.push(entry),
        }
    }

    /// Where the first bucket begins: no deadline here is earlier.
    pub(super) fn first_start(&self) -> Option<u64> {
        self.first().map(|(level, digit)| self.start(level, digit))
    }

    /// Takes the first bucket: its entries, the earliest and the latest deadline it has room for.
    pub(super) fn take_first(&mut self) -> Option<(Pile, u64, u64)> {
        let (level, digit) = self.first()?;
        let start = self.start(level, digit);
        let entries = std::mem::take(&mut self.buckets[level * WIDTH + digit]).into_pile();
        self.len -= entries.len();
        self.now_empty(level, digit);
        Some((entries, start, start | low_bits(level * BITS)))
    }

    /// Keeps the memory of `entries`, which are done with, for other buckets.
    pub(super) fn recycle(&mut self, entries: Vec<Entry>) {
        self.spare.put(entries);
    }

    /// Whether memory is kept for other buckets.
    #[inline]
    pub(super) fn has_spare(&self) -> bool {
        self.spare.has_any()
    }

    /// Gives kept memory back: room for at least `most` entries, if there is that much.
    #[inline]
    pub(super) fn trim(&mut self, most: usize) {
        if self.has_spare() {
            self.spare.free(most);
        }
    }

    /// The earliest deadline for which `is_live`; the earlier ones are dropped and counted in
    /// `dropped`. The first time that a bucket is asked it costs a few nanoseconds per entry, as those of
    /// a large one are put together first, then next to nothing.
    pub(super) fn earliest(
        &mut self,
        is_live: impl Fn(&Entry) -> bool,
        dropped: &mut usize,
    ) -> Option<u64> {
        loop {
            let (level, digit) = self.first()?;
            let heap = self.buckets[level * WIDTH + digit].as_heap();
            while let Some(entry) = heap.peek() {
                if is_live(entry) {
                    return Some(entry.due);
                }
                heap.pop();
                if heap.capacity() > LARGE && heap.len() < heap.capacity() / 8 {
                    heap.shrink_to(heap.len() * 2);
                }
                *dropped += 1;
                self.len -= 1;
            }
            self.buckets[level * WIDTH + digit] = Bucket::default();
            self.now_empty(level, digit);
        }
    }

    /// Lets `clear_up` drop entries from each bucket.
    pub(super) fn for_each_pile(&mut self, clear_up: impl Fn(&mut Vec<Entry>)) {
        for level in 0..LEVELS {
            for digit in self.in_use[level].iter() {
                let bucket = &mut self.buckets[level * WIDTH + digit];
                let mut pile = std::mem::take(bucket).into_pile();
                self.len -= pile.len();
                pile.clear_up(&clear_up);
                self.len += pile.len();
                let empty = pile.len() == 0;
                *bucket = Bucket::Pile(pile);
                if empty {
                    self.now_empty(level, digit);
                }
            }
        }
    }

    /// All entries, in no order.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        let pieces = |bucket: Bucket| bucket.into_pile().into_pieces().flatten();
        self.buckets.into_iter().flat_map(pieces)
    }

    /// How many entries there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let capacity = |bucket: &Bucket| match bucket {
            Bucket::Pile(pile) => pile.capacity(),
            Bucket::Heap(entries) => entries.capacity(),
        };
        self.buckets.iter().map(capacity).sum::<usize>() + self.spare.capacity()
    }

    /// Panics if an entry is where it should not be.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut len = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            let (level, digit) = (index / WIDTH, index % WIDTH);
            let entries: Vec<_> = match bucket {
                Bucket::Pile(pile) => pile.iter().collect(),
                Bucket::Heap(entries) => entries.iter().collect(),
            };
            assert_eq!(self.in_use[level].contains(digit), !entries.is_empty());
            len += entries.len();
            for entry in entries {
                assert!(entry.due > self.origin);
                assert_eq!((entry.due ^ self.origin).ilog2() as usize / BITS, level);
                assert!(entry.due >= self.start(level, digit));
                assert!(entry.due - self.start(level, digit) <= low_bits(level * BITS));
            }
        }
        assert_eq!(self.len, len);
        for (level, in_use) in self.in_use.iter().enumerate() {
            assert_ne!(self.levels >> level & 1 == 1, in_use.is_empty());
        }
    }

    /// Level and digit of the first bucket in use.
    fn first(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some((level, self.in_use[level].first()?))
    }

    fn start(&self, level: usize, digit: usize) -> u64 {
        (self.origin & !low_bits((level + 1) * BITS)) | (digit as u64) << (level * BITS)
    }

    fn now_empty(&mut self, level: usize, digit: usize) {
        self.in_use[level].remove(digit);
        if self.in_use[level].is_empty() {
            self.levels &= !(1 << level);
        }
    }
}

impl Bucket {
    fn into_pile(self) -> Pile {
        match self {
            Bucket::Pile(pile) => pile,
            Bucket::Heap(entries) => entries.into_vec().into(),
        }
    }

    fn as_heap(&mut self) -> &mut BinaryHeap<Entry> {
        if let Bucket::Pile(pile) = self {
            *self = Bucket::Heap(std::mem::take(pile).into_vec().into());
        }
        match self {
            Bucket::Heap(entries) => entries,
            Bucket::Pile(_) => unreachable!("it was made a heap above"),
        }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket::Pile(Pile::default())
    }
}

/// A number of so many ones.
fn low_bits(count: usize) -> u64 {
    1_u64.checked_shl(count as u32).map_or(u64::MAX, |bit| bit - 1)
}

/// A set of digits.
#[derive(Clone, Copy, Debug, Default)]
struct Digits([u64; WIDTH / 64]);

impl Digits {
    #[inline]
    fn insert(&mut self, digit: usize) {
        self.0[digit / 64] |= 1 << (digit % 64);
    }

    fn remove(&mut self, digit: usize) {
        self.0[digit / 64] &= !(1 << (digit % 64));
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; WIDTH / 64]
    }

    /// The least of them.
    fn first(&self) -> Option<usize> {
        let (index, word) = (0..).zip(self.0).find(|&(_, word)| word != 0)?;
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    /// All of them as of now.
    fn iter(mut self) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let first = self.first()?;
            self.remove(first);
            Some(first)
        })
    }

    #[cfg(test)]
    fn contains(&self, digit: usize) -> bool {
        self.0[digit / 64] >> (digit % 64) & 1 == 1
    }
}
