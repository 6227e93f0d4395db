//! What is ready to run, first in, first out.
//!
//! Segments of fixed size, so that entries never move and a burst grows the queue without copying.
//! An entry's absolute number (counted from the first ever queued) is its identity: whether it is
//! still to run is a comparison with the head, and calling it off replaces it by [`Entry::Gone`].
//!
//! Invariant: `head <= tail`; the entry with number `n` lies in segment `(n - base) / SEGMENT`, where the
//! first segment is `front` and the others are `more`. All but the last are full.

use futures::{Callback, Step};
use std::collections::VecDeque;
use std::panic::Location;

/// Entries in one segment: 6 KiB, small enough that a chain of callbacks stays in the first cache.
const SEGMENT: usize = 128;
/// Spent segments that are kept for the next burst.
const SPARE_SEGMENTS: usize = 16;

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
    /// Mostly the only one: a place of its own, so that nothing has to be looked up to get at it.
    front: Vec<Entry>,
    more: VecDeque<Vec<Entry>>,
    spare: Vec<Vec<Entry>>,
    /// The number of the first entry of the first segment.
    base: u64,
    head: u64,
    tail: u64,
}

impl ReadyQueue {
    pub(crate) fn new() -> Self {
        Self {
            front: Vec::with_capacity(SEGMENT),
            more: VecDeque::new(),
            spare: Vec::new(),
            base: 0,
            head: 0,
            tail: 0,
        }
    }

    /// The number of the next entry to run, and the one that the next entry pushed will get.
    #[inline]
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.head, self.tail)
    }

    /// The number of the next entry to run.
    #[cfg(test)]
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// The number that the next entry pushed will get.
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether nothing is queued. Entries that were called off still count.
    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Queues `entry` and says its number.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) -> u64 {
        match self.more.is_empty() && self.front.len() < SEGMENT {
            true => self.front.push(entry),
            false => self.push_behind(entry),
        }
        let number = self.tail;
        self.tail += 1;
        number
    }

    #[cold]
    fn push_behind(&mut self, entry: Entry) {
        match self.more.back_mut() {
            Some(segment) if segment.len() < SEGMENT => segment.push(entry),
            _ => {
                let mut segment = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(SEGMENT));
                segment.push(entry);
                self.more.push_back(segment);
            }
        }
    }

    /// Takes out the next entry, if its number is below `end`.
    #[inline]
    pub(crate) fn pop_below(&mut self, end: u64) -> Option<Entry> {
        if self.head >= end {
            return None;
        }
        if self.head - self.base == SEGMENT as u64 {
            self.retire_front();
        }
        let index = (self.head - self.base) as usize;
        self.head += 1;
        Some(std::mem::replace(&mut self.front[index], Entry::Other(Other::Gone)))
    }

    /// All entries of the first segment were taken out: the next one takes its place.
    #[cold]
    fn retire_front(&mut self) {
        self.front.clear();
        if let Some(next) = self.more.pop_front() {
            let spent = std::mem::replace(&mut self.front, next);
            if self.spare.len() < SPARE_SEGMENTS {
                self.spare.push(spent);
            }
        }
        self.base += SEGMENT as u64;
    }

    /// Takes out the callback with this number, if it has yet to run.
    pub(crate) fn cancel(&mut self, number: u64) -> Option<Callback> {
        let slot = self.slot_mut(number)?;
        match std::mem::replace(slot, Entry::Other(Other::Gone)) {
            Entry::Callback(callback) => Some(callback),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Whether the callback with this number has yet to run.
    pub(crate) fn is_pending(&self, number: u64) -> bool {
        self.is_queued(number)
            && matches!(self.segment(number)[self.place(number)], Entry::Callback(_))
    }

    /// Where the callbacks that have yet to run were scheduled, and the tasks spawned whose steps
    /// have, in order.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &'static Location<'static>> {
        // Entries before the head were replaced when they were taken out.
        self.front.iter().chain(self.more.iter().flatten()).filter_map(|entry| match entry {
            Entry::Callback(callback) => Some(callback.location()),
            Entry::Other(Other::Step(step)) => Some(step.location()),
            Entry::Other(_) => None,
        })
    }

    /// Empties the queue and hands over what was in it, to be dropped where user code may run.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.head = self.tail;
        self.base = self.tail;
        self.spare.clear();
        let more = std::mem::take(&mut self.more).into_iter().flatten();
        std::mem::take(&mut self.front).into_iter().chain(more)
    }

    fn is_queued(&self, number: u64) -> bool {
        (self.head..self.tail).contains(&number)
    }

    fn segment_number(&self, number: u64) -> usize {
        (number - self.base) as usize / SEGMENT
    }

    fn place(&self, number: u64) -> usize {
        (number - self.base) as usize % SEGMENT
    }

    fn segment(&self, number: u64) -> &Vec<Entry> {
        match self.segment_number(number) {
            0 => &self.front,
            behind => &self.more[behind - 1],
        }
    }

    fn slot_mut(&mut self, number: u64) -> Option<&mut Entry> {
        if !self.is_queued(number) {
            return None;
        }
        let (segment, place) = (self.segment_number(number), self.place(number));
        Some(match segment {
            0 => &mut self.front[place],
            behind => &mut self.more[behind - 1][place],
        })
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
                        while let Some(entry) = queue.pop_below(end) {
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
        while queue.pop_below(u64::MAX).is_some_and(|_| !queue.is_empty()) {}
        assert!(queue.is_empty());
        assert!(queue.more.is_empty() && queue.spare.len() <= SPARE_SEGMENTS);
    }
}
