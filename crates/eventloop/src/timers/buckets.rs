//! Far deadlines, sorted only as finely as their distance asks for.
//!
//! Level by level, 64 buckets each: a bucket of level 0 is one nanosecond wide, one of the next
//! level 64 times as wide. A deadline goes to the level of the highest digit (to the base of 64) in
//! which it differs from `origin`, and there to the bucket of its own digit. So all of a lower level
//! come before all of a higher one, and the first bucket is found by looking for a bit.
//!
//! Invariant: every deadline here is greater than `origin`; a bit is set exactly if its bucket is
//! not empty. Only [`take_first`](Buckets::take_first) may be followed by moving `origin` out of its
//! place, and only to within the range of that bucket.

use std::collections::{BinaryHeap, VecDeque};

use super::agenda::{Entry, LARGE};

const BITS: usize = 6;
const WIDTH: usize = 1 << BITS;
const LEVELS: usize = (u64::BITS as usize).div_ceil(BITS);

/// Entries in buckets, the more of them in one the farther away they are.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    origin: u64,
    len: usize,
    /// A bit for each level that has a bucket in use.
    levels: u16,
    /// For each level a bit for each bucket in use.
    in_use: [u64; LEVELS],
    /// Empty before the first use.
    buckets: Vec<Bucket>,
    /// Memory of emptied buckets, for those to come: large pieces in front, small ones behind.
    spare: VecDeque<Vec<Entry>>,
}

/// The entries of one bucket, by creation, or as a heap once somebody asked which is the earliest.
#[derive(Debug)]
enum Bucket {
    Pile(Vec<Entry>),
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
        if self.buckets.is_empty() {
            self.buckets.resize_with(LEVELS * WIDTH, Bucket::default);
        }
        let level = (entry.due ^ self.origin).ilog2() as usize / BITS;
        let digit = (entry.due >> (level * BITS)) as usize % WIDTH;
        self.levels |= 1 << level;
        self.in_use[level] |= 1 << digit;
        self.len += 1;
        match &mut self.buckets[level * WIDTH + digit] {
            Bucket::Pile(entries) => {
                if entries.capacity() == 0 {
                    // A bucket as wide as this is likely to hold many.
                    let wide = level >= LEVELS / 3;
                    let spare = if wide { self.spare.pop_front() } else { self.spare.pop_back() };
                    *entries = spare.unwrap_or_default();
                }
                entries.push(entry);
            }
            Bucket::Heap(entries) => entries.push(entry),
        }
    }

    /// Where the first bucket begins: no deadline here is earlier.
    pub(super) fn first_start(&self) -> Option<u64> {
        self.first().map(|(level, digit)| self.start(level, digit))
    }

    /// Takes the first bucket: its entries, the earliest and the latest deadline it has room for.
    pub(super) fn take_first(&mut self) -> Option<(Vec<Entry>, u64, u64)> {
        let (level, digit) = self.first()?;
        let start = self.start(level, digit);
        let entries = std::mem::take(&mut self.buckets[level * WIDTH + digit]).into_entries();
        self.len -= entries.len();
        self.now_empty(level, digit);
        Some((entries, start, start | low_bits(level * BITS)))
    }

    /// Keeps the memory of `entries`, which are done with, for other buckets.
    pub(super) fn recycle(&mut self, mut entries: Vec<Entry>) {
        entries.clear();
        match entries.capacity() {
            0 => {}
            1..=LARGE => self.spare.push_back(entries),
            _ => self.spare.push_front(entries),
        }
    }

    /// Whether memory is kept for other buckets.
    #[inline]
    pub(super) fn has_spare(&self) -> bool {
        self.spare.capacity() > 0
    }

    /// Gives kept memory back: room for at least `most` entries, if there is that much.
    #[inline]
    pub(super) fn trim(&mut self, most: usize) {
        if self.has_spare() {
            self.free_spare(most);
        }
    }

    #[cold]
    fn free_spare(&mut self, most: usize) {
        let mut freed = 0;
        while freed < most
            && let Some(entries) = self.spare.pop_front()
        {
            freed += entries.capacity();
        }
        if self.spare.is_empty() {
            self.spare = VecDeque::new();
        }
    }

    /// The earliest deadline for which `is_live`; the earlier ones are dropped and counted in
    /// `dropped`. The first time that a bucket is asked it costs a few nanoseconds per entry,
    /// then next to nothing.
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
            for digit in bits(self.in_use[level]) {
                let bucket = &mut self.buckets[level * WIDTH + digit];
                let mut entries = std::mem::take(bucket).into_entries();
                self.len -= entries.len();
                clear_up(&mut entries);
                self.len += entries.len();
                let empty = entries.is_empty();
                *bucket = Bucket::Pile(entries);
                if empty {
                    self.now_empty(level, digit);
                }
            }
        }
    }

    /// All entries, in no order.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.buckets.into_iter().flat_map(Bucket::into_entries)
    }

    /// How many entries there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let capacity = |bucket: &Bucket| match bucket {
            Bucket::Pile(entries) => entries.capacity(),
            Bucket::Heap(entries) => entries.capacity(),
        };
        let spare: usize = self.spare.iter().map(Vec::capacity).sum();
        self.buckets.iter().map(capacity).sum::<usize>() + spare
    }

    /// Panics if an entry is where it should not be.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut len = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            let (level, digit) = (index / WIDTH, index % WIDTH);
            let entries = match bucket {
                Bucket::Pile(entries) => entries.as_slice(),
                Bucket::Heap(entries) => entries.as_slice(),
            };
            assert_eq!(self.in_use[level] >> digit & 1 == 1, !entries.is_empty());
            len += entries.len();
            for entry in entries {
                assert!(entry.due > self.origin);
                assert_eq!((entry.due ^ self.origin).ilog2() as usize / BITS, level);
                assert!(entry.due >= self.start(level, digit));
                assert!(entry.due - self.start(level, digit) <= low_bits(level * BITS));
            }
        }
        assert_eq!(self.len, len);
        assert!(
            (0..LEVELS).all(|level| (self.levels >> level & 1 == 1) == (self.in_use[level] > 0))
        );
    }

    /// Level and digit of the first bucket in use.
    fn first(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some((level, self.in_use[level].trailing_zeros() as usize))
    }

    fn start(&self, level: usize, digit: usize) -> u64 {
        (self.origin & !low_bits((level + 1) * BITS)) | (digit as u64) << (level * BITS)
    }

    fn now_empty(&mut self, level: usize, digit: usize) {
        self.in_use[level] &= !(1 << digit);
        if self.in_use[level] == 0 {
            self.levels &= !(1 << level);
        }
    }
}

impl Bucket {
    fn into_entries(self) -> Vec<Entry> {
        match self {
            Bucket::Pile(entries) => entries,
            Bucket::Heap(entries) => entries.into_vec(),
        }
    }

    fn as_heap(&mut self) -> &mut BinaryHeap<Entry> {
        if let Bucket::Pile(entries) = self {
            *self = Bucket::Heap(std::mem::take(entries).into());
        }
        match self {
            Bucket::Heap(entries) => entries,
            Bucket::Pile(_) => unreachable!("it was made a heap above"),
        }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket::Pile(Vec::new())
    }
}

/// A number of so many ones.
fn low_bits(count: usize) -> u64 {
    1_u64.checked_shl(count as u32).map_or(u64::MAX, |bit| bit - 1)
}

/// The places of the ones in `word`.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let place = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(place)
    })
}
