//! What is ready to run, first in, first out.
//!
//! Segments of fixed size, so that entries never move and a burst grows the queue without copying.
//! An entry's absolute number (counted from the first ever queued) is its identity: whether it is
//! still to run is a comparison with the head, and calling it off replaces it by [`Other::Gone`].
//!
//! Invariant: entries are pushed to `last`. What was pushed before is in full segments, `front` and those
//! of `middle` behind it, or has all been taken out. So the entry with number `n` lies in `last` if `n` is
//! `last_base` or more, else in the full segment `(n - front_base) / SEGMENT`.

use futures::{Callback, Step};
use std::collections::VecDeque;
use std::panic::Location;

/// Entries in one segment: 6 KiB, small enough that a chain of callbacks stays in the first cache.
const SEGMENT: usize = 128;
/// Spent segments that are kept for ever.
const SPARE_SEGMENTS: usize = 16;
/// So many spent segments are given back at a time: one MiB, about.
const SEGMENTS_A_TRIM: usize = 170;

/// One turn to come.
pub(crate) enum Entry {
    Callback(Callback),
    Other(Other),
}

/// Turns that are no callback. Of most, what runs is kept elsewhere, so that removing it there calls
/// them off.
pub(crate) enum Other {
    /// Called off, or already taken.
    Gone,
    Step(Step),
    /// The next calls from other threads, so many, whichever these are.
    Posted(usize),
    /// The timers that were due when this was queued.
    Timers,
}

pub(crate) struct ReadyQueue {
    /// The full segment that is being emptied; without memory if there is none.
    front: Vec<Entry>,
    /// Full segments behind it.
    middle: VecDeque<Vec<Entry>>,
    /// The segment that is being filled; mostly the only one.
    last: Vec<Entry>,
    spare: Vec<Vec<Entry>>,
    /// The number of the first entry of the first segment.
    front_base: u64,
    /// The number of the first entry of the last segment.
    last_base: u64,
    head: u64,
}

impl ReadyQueue {
    pub(crate) fn new() -> Self {
        Self {
            front: Vec::new(),
            middle: VecDeque::new(),
            last: Vec::with_capacity(SEGMENT),
            spare: Vec::new(),
            front_base: 0,
            last_base: 0,
            head: 0,
        }
    }

    /// The number of the next entry to run, and the one that the next entry pushed will get.
    #[inline]
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.head, self.tail())
    }

    /// The number of the next entry to run.
    #[cfg(test)]
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// The number that the next entry pushed will get.
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.last_base + self.last.len() as u64
    }

    /// Whether nothing is queued. Entries that were called off still count.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.tail()
    }

    /// Queues `entry` and says its number.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) -> u64 {
        // The second comparison never counts; with it, `push` below knows that there is room.
        if self.last.len() == SEGMENT || self.last.len() == self.last.capacity() {
            self.begin_segment();
        }
        let number = self.tail();
        self.last.push(entry);
        number
    }

    /// The last segment is full: another one takes its place.
    #[cold]
    fn begin_segment(&mut self) {
        let tail = self.tail();
        if self.head == tail {
            self.last.clear();
            self.last.reserve_exact(SEGMENT);
            (self.front_base, self.last_base) = (tail, tail);
            return;
        }
        let empty = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(SEGMENT));
        let full = std::mem::replace(&mut self.last, empty);
        match self.front_base == self.last_base {
            true => self.front = full,
            false => self.middle.push_back(full),
        }
        self.last_base = tail;
    }

    /// Moves the next entry to `into`, if its number is below `end`; answers whether it was. What was
    /// there before has had its turn and is forgotten.
    #[inline]
    pub(crate) fn pop_below(&mut self, end: u64, into: &mut Entry) -> bool {
        if self.head >= end {
            return false;
        }
        let (first, base) = match self.head < self.last_base {
            true => (&mut self.front, self.front_base),
            false => (&mut self.last, self.last_base),
        };
        let entry = &mut first[(self.head - base) as usize];
        let next = std::mem::replace(entry, Entry::Other(Other::Gone));
        // To find out by dropping it that nothing is left in the old one would cost a call.
        std::mem::forget(std::mem::replace(into, next));
        self.head += 1;
        if self.head - base == SEGMENT as u64 && base < self.last_base {
            self.retire_front();
        }
        true
    }

    /// All entries of the first segment were taken out: the next one takes its place.
    #[cold]
    fn retire_front(&mut self) {
        self.front.clear();
        let next = self.middle.pop_front().unwrap_or_default();
        let spent = std::mem::replace(&mut self.front, next);
        self.spare.push(spent);
        self.front_base += SEGMENT as u64;
    }

    /// Gives some memory back that a burst has left. Meant to be called whenever there is nothing to
    /// do: fresh memory costs more than the turns that are kept in it.
    pub(crate) fn trim(&mut self) {
        let kept = self.spare.len().saturating_sub(SEGMENTS_A_TRIM).max(SPARE_SEGMENTS);
        self.spare.truncate(kept);
    }

    /// Takes out the callback with this number, if it has yet to run.
    #[inline]
    pub(crate) fn cancel(&mut self, number: u64) -> Option<Entry> {
        let slot = self.slot_mut(number)?;
        match slot {
            Entry::Callback(_) => Some(std::mem::replace(slot, Entry::Other(Other::Gone))),
            Entry::Other(_) => None,
        }
    }

    /// Whether the callback with this number has yet to run.
    pub(crate) fn is_pending(&mut self, number: u64) -> bool {
        matches!(self.slot_mut(number), Some(Entry::Callback(_)))
    }

    /// Where the callbacks that have yet to run were scheduled, and the tasks spawned whose steps
    /// have, in order.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &'static Location<'static>> {
        // Entries before the head were replaced when they were taken out.
        let full = self.front.iter().chain(self.middle.iter().flatten());
        full.chain(&self.last).filter_map(|entry| match entry {
            Entry::Callback(callback) => Some(callback.location()),
            Entry::Other(Other::Step(step)) => Some(step.location()),
            Entry::Other(_) => None,
        })
    }

    /// Empties the queue and hands over what was in it, to be dropped where user code may run.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.head = self.tail();
        (self.front_base, self.last_base) = (self.head, self.head);
        self.spare.clear();
        let middle = std::mem::take(&mut self.middle).into_iter().flatten();
        let last = std::mem::take(&mut self.last);
        std::mem::take(&mut self.front).into_iter().chain(middle).chain(last)
    }

    /// How many entries there is memory for.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn capacity(&self) -> usize {
        let one = [&self.front, &self.last].into_iter();
        one.chain(&self.middle).chain(&self.spare).map(Vec::capacity).sum()
    }

    /// The entry with this number, if it has not been taken out.
    fn slot_mut(&mut self, number: u64) -> Option<&mut Entry> {
        if !(self.head..self.tail()).contains(&number) {
            return None;
        }
        if number >= self.last_base {
            return self.last.get_mut((number - self.last_base) as usize);
        }
        let number = (number - self.front_base) as usize;
        let segment = match number / SEGMENT {
            0 => &mut self.front,
            behind => &mut self.middle[behind - 1],
        };
        segment.get_mut(number % SEGMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn an_entry_is_six_words() {
        assert_eq!(size_of::<Entry>(), 6 * size_of::<usize>());
    }

    impl ReadyQueue {
        fn pop(&mut self, end: u64) -> Option<Entry> {
            let mut entry = Entry::Other(Other::Gone);
            self.pop_below(end, &mut entry).then_some(entry)
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(u8),
        Run(u8),
        Cancel(u16),
        Empty,
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => any::<u8>().prop_map(Op::Push),
            6 => any::<u8>().prop_map(Op::Run),
            4 => any::<u16>().prop_map(Op::Cancel),
            1 => Just(Op::Empty),
        ]
    }

    proptest! {
        /// The model: a `Vec` of everything ever queued, with what became of it.
        #[test]
        fn l4_l7_l8_a_ready_queue_behaves_like_a_list(ops in prop::collection::vec(any_op(), 0..60)) {
            let mut queue = ReadyQueue::new();
            let ran = Rc::new(RefCell::new(Vec::new()));
            let mut expected = Vec::new();
            let mut waiting: Vec<Option<u64>> = Vec::new(); // by number; None: ran or called off
            let mut first = 0;
            for op in ops {
                match op {
                    Op::Push(count) => for _ in 0..count {
                        let number = waiting.len() as u64;
                        let ran = ran.clone();
                        let callback = Callback::new(move || ran.borrow_mut().push(number));
                        prop_assert_eq!(queue.push(Entry::Callback(callback)), number);
                        waiting.push(Some(number));
                    },
                    Op::Run(count) => {
                        let end = queue.tail().min(queue.head() + u64::from(count));
                        while let Some(entry) = queue.pop(end) {
                            if let Entry::Callback(callback) = entry { callback.run() }
                            expected.extend(waiting[first].take());
                            first += 1;
                        }
                    }
                    Op::Cancel(number) => {
                        let number = usize::from(number) % (waiting.len() + 3);
                        let known = waiting.get_mut(number).and_then(Option::take).is_some();
                        prop_assert_eq!(queue.is_pending(number as u64), known);
                        prop_assert_eq!(queue.cancel(number as u64).is_some(), known);
                        prop_assert!(!queue.is_pending(number as u64));
                    }
                    Op::Empty => {
                        queue.take_all().for_each(drop);
                        waiting.iter_mut().for_each(|slot| *slot = None);
                        first = waiting.len();
                    }
                }
                prop_assert_eq!(queue.locations().count(), waiting.iter().flatten().count());
                prop_assert_eq!(queue.is_empty(), first == waiting.len());
            }
            prop_assert_eq!(&*ran.borrow(), &expected);
        }
    }

    #[test]
    fn l7_a_burst_leaves_bounded_memory() {
        let mut queue = ReadyQueue::new();
        for _ in 0..100_000 {
            queue.push(Entry::Callback(Callback::new(|| {})));
        }
        while queue.pop(u64::MAX).is_some_and(|_| !queue.is_empty()) {}
        assert!(queue.is_empty());
        assert!(queue.middle.is_empty());
        for _ in 0..100_000 / SEGMENT / SEGMENTS_A_TRIM + 1 {
            queue.trim();
        }
        assert!(queue.spare.len() <= SPARE_SEGMENTS);
    }
}
