//! What is ready to run, first in, first out.
//!
//! Segments of fixed size, so that entries never move and a burst grows the queue without copying.
//! An entry's absolute number (counted from the first ever queued) is its identity: whether it is
//! still to run is a comparison with the head, and calling it off replaces it by [`Other::Gone`].
//!
//! Invariant: exactly the places of the numbers from `head` up to `tail` hold an entry. Number `n` has the
//! place `n % SEGMENT` of its segment. Entries are pushed to `last`. What was pushed before is in `front` and
//! the segments of `middle` behind it, which are full; without `front`, it has all been taken out.
#![allow(unsafe_code)]

use futures::{Callback, Exception, Step, catch};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::panic::Location;

/// Entries in one segment: 12 KiB, small enough that a chain of callbacks stays in the first cache, and
/// large enough that the processor, reading ahead, is not stopped by their ends.
const SEGMENT: usize = 256;
/// Spent segments that are kept for ever.
const SPARE_SEGMENTS: usize = 8;
/// So many spent segments are given back at a time: one MiB, about.
const SEGMENTS_A_TRIM: usize = 85;

/// Places for entries; which of them hold one, the queue knows. No `Box`, as that would claim what it
/// points to each time it is moved, and an entry may be about to run.
type Segment = Vec<MaybeUninit<Entry>>;

/// One turn to come.
pub(crate) enum Entry {
    Callback(Callback),
    Other(Other),
}

/// Turns that are no callback. Of most, what runs is kept elsewhere, so that removing it there calls
/// them off.
pub(crate) enum Other {
    /// Called off.
    Gone,
    Step(Step),
    /// The next calls from other threads, so many, whichever these are.
    Posted(usize),
    /// The timers that were due when this was queued.
    Timers,
}

/// What became of the next entry.
pub(crate) enum Next {
    /// A callback ran.
    Ran,
    /// A callback, scheduled there, has panicked.
    Failed(&'static Location<'static>, Exception),
    /// It was no callback.
    Other(Other),
}

pub(crate) struct ReadyQueue {
    /// The full segment that is being emptied, if there is one.
    front: Option<Segment>,
    /// Full segments behind it.
    middle: VecDeque<Segment>,
    /// The segment that is being filled; mostly the only one.
    last: Segment,
    spare: Vec<Segment>,
    /// The number of the first entry of the last segment.
    last_base: u64,
    /// The number of the next entry to run.
    head: u64,
    /// The number that the next entry pushed will get.
    tail: u64,
}

impl ReadyQueue {
    pub(crate) fn new() -> Self {
        Self::starting_at(0)
    }

    /// An empty queue whose entries are numbered from `number` on.
    fn starting_at(number: u64) -> Self {
        Self {
            front: None,
            middle: VecDeque::new(),
            last: new_segment(),
            spare: Vec::new(),
            last_base: number - number % SEGMENT as u64,
            head: number,
            tail: number,
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
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether nothing is queued. Entries that were called off still count.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Queues `entry` and says its number.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) -> u64 {
        self.vacancy().fill(entry)
    }

    /// The place of the next entry to be queued. Asked for before the entry is made, so that it is
    /// written there and nowhere else before.
    #[inline]
    pub(crate) fn vacancy(&mut self) -> Vacancy<'_> {
        if self.tail - self.last_base == SEGMENT as u64 {
            self.begin_segment();
        }
        Vacancy { place: &mut self.last[place_of(self.tail)], tail: &mut self.tail }
    }

    /// The last segment is full: another one takes its place.
    #[cold]
    fn begin_segment(&mut self) {
        if self.head < self.tail {
            let empty = self.spare.pop().unwrap_or_else(new_segment);
            let full = std::mem::replace(&mut self.last, empty);
            match self.front {
                None => self.front = Some(full),
                Some(_) => self.middle.push_back(full),
            }
        }
        self.last_base = self.tail;
    }

    /// Runs the next entry of `queue`, if its number is below `end` and it is a callback; hands it out
    /// if it is none.
    ///
    /// A callback is run from where it lies: to move it would cost as much as a short one.
    #[inline]
    pub(crate) fn run_next(queue: &RefCell<Self>, end: u64) -> Option<Next> {
        let next = queue.borrow_mut().take_below(end)?;
        // SAFETY: the entry was there, and was taken out: its place is not written to before something
        // is pushed, and its memory not given back before `queue` is borrowed again. This is the only
        // reference to it, and gone before `run_at`, which moves the closure out before it runs.
        let callback = match unsafe { &mut *next } {
            Entry::Callback(callback) => &raw mut *callback,
            Entry::Other(other) => {
                return Some(Next::Other(std::mem::replace(other, Other::Gone)));
            }
        };
        // SAFETY: as above.
        let location = unsafe { (*callback).location() };
        // SAFETY: as above.
        match catch(|| unsafe { Callback::run_at(callback) }) {
            Ok(()) => Some(Next::Ran),
            Err(panic) => Some(Next::Failed(location, panic)),
        }
    }

    /// Takes out the next entry, if its number is below `end`.
    pub(crate) fn pop_below(&mut self, end: u64) -> Option<Entry> {
        // SAFETY: nothing was done since it was taken out, and nobody else takes it.
        self.take_below(end).map(|entry| unsafe { entry.read() })
    }

    /// Takes out the next entry, if its number is below `end`, a number that the tail has reached: says
    /// where it was. There it still is until something is done with the queue, and whoever asked has to
    /// move it out.
    #[inline]
    fn take_below(&mut self, end: u64) -> Option<*mut Entry> {
        debug_assert!(end <= self.tail, "there is no entry beyond the tail");
        let number = self.head;
        if number >= end {
            return None;
        }
        let segment = match &mut self.front {
            Some(front) => front,
            None => &mut self.last,
        };
        let entry = segment[place_of(number)].as_mut_ptr();
        self.head = number + 1;
        if place_of(self.head) == 0 {
            self.retire_front();
        }
        Some(entry)
    }

    /// All entries of the first segment were taken out: the next one takes its place.
    #[cold]
    fn retire_front(&mut self) {
        if let Some(spent) = std::mem::replace(&mut self.front, self.middle.pop_front()) {
            self.spare.push(spent);
        }
    }

    /// Whether a burst has left memory to be given back.
    #[inline]
    pub(crate) fn has_excess(&self) -> bool {
        self.spare.len() > SPARE_SEGMENTS
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
        let entry = self.entry_mut(number)?;
        match entry {
            Entry::Callback(_) => Some(std::mem::replace(entry, Entry::Other(Other::Gone))),
            Entry::Other(_) => None,
        }
    }

    /// Whether the callback with this number has yet to run.
    pub(crate) fn is_pending(&mut self, number: u64) -> bool {
        matches!(self.entry_mut(number), Some(Entry::Callback(_)))
    }

    /// Where the callbacks that have yet to run were scheduled, and the tasks spawned whose steps
    /// have, in order.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &'static Location<'static>> {
        (self.head..self.tail).filter_map(|number| match self.entry(number)? {
            Entry::Callback(callback) => Some(callback.location()),
            Entry::Other(Other::Step(step)) => Some(step.location()),
            Entry::Other(_) => None,
        })
    }

    /// Empties the queue and hands over what was in it, to be dropped where user code may run.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let mut full = std::mem::replace(self, Self::starting_at(self.tail));
        std::iter::from_fn(move || full.pop_below(full.tail))
    }

    /// How many entries there is memory for.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn capacity(&self) -> usize {
        let full = usize::from(self.front.is_some()) + self.middle.len();
        (full + 1 + self.spare.len()) * SEGMENT
    }

    /// The entry with this number, if it has not been taken out.
    #[inline]
    fn entry(&self, number: u64) -> Option<&Entry> {
        if !(self.head..self.tail).contains(&number) {
            return None;
        }
        let segment = match number >= self.last_base {
            true => &self.last,
            false => match segment_of(number) - segment_of(self.head) {
                0 => self.front.as_ref()?,
                behind => &self.middle[behind - 1],
            },
        };
        // SAFETY: by the invariant it holds an entry.
        Some(unsafe { segment[place_of(number)].assume_init_ref() })
    }

    /// As [`entry`](Self::entry), to be changed.
    #[inline]
    fn entry_mut(&mut self, number: u64) -> Option<&mut Entry> {
        if !(self.head..self.tail).contains(&number) {
            return None;
        }
        let segment = match number >= self.last_base {
            true => &mut self.last,
            false => match segment_of(number) - segment_of(self.head) {
                0 => self.front.as_mut()?,
                behind => &mut self.middle[behind - 1],
            },
        };
        // SAFETY: by the invariant it holds an entry.
        Some(unsafe { segment[place_of(number)].assume_init_mut() })
    }
}

/// The place of the next entry, behind those already queued.
pub(crate) struct Vacancy<'a> {
    place: &'a mut MaybeUninit<Entry>,
    tail: &'a mut u64,
}

impl Vacancy<'_> {
    /// Queues `entry` and says its number.
    #[inline]
    pub(crate) fn fill(self, entry: Entry) -> u64 {
        let number = *self.tail;
        self.place.write(entry);
        *self.tail = number + 1;
        number
    }

    /// As [`fill`](Self::fill), for a callback that was just made: it is moved word by word, as it was
    /// written. The processor would wait for two words before it moved them as one.
    #[inline]
    pub(crate) fn fill_with_new(self, callback: Callback) -> u64 {
        const WORDS: usize = size_of::<Callback>() / size_of::<usize>();
        let mut words: [MaybeUninit<*mut ()>; WORDS] = [MaybeUninit::uninit(); WORDS];
        let made = (&raw const callback).cast::<MaybeUninit<*mut ()>>();
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: it is a word of the callback, or nothing in particular. Volatile, so that the
            // compiler does not read two as one.
            *word = unsafe { made.add(index).read_volatile() };
        }
        std::mem::forget(callback);
        // SAFETY: these are all its words, and it is in no other place any more.
        let moved = unsafe { words.as_ptr().cast::<Callback>().read() };
        self.fill(Entry::Callback(moved))
    }
}

impl Drop for ReadyQueue {
    fn drop(&mut self) {
        while self.pop_below(self.tail).is_some() {}
    }
}

/// Where in its segment the entry with this number lies.
#[inline]
fn place_of(number: u64) -> usize {
    number as usize % SEGMENT
}

/// In the how many-th segment ever it lies.
fn segment_of(number: u64) -> usize {
    (number / SEGMENT as u64) as usize
}

#[cold]
fn new_segment() -> Segment {
    (0..SEGMENT).map(|_| MaybeUninit::uninit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
                        let queued = match count % 2 {
                            0 => queue.push(Entry::Callback(callback)),
                            _ => queue.vacancy().fill_with_new(callback),
                        };
                        prop_assert_eq!(queued, number);
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
    fn l4_l7_a_callback_may_fill_the_place_that_it_ran_from() {
        let queue = Rc::new(RefCell::new(ReadyQueue::new()));
        let (ran, alive) = (Rc::new(RefCell::new(Vec::new())), Rc::new(()));
        for number in 0..3 * SEGMENT {
            let (same, ran, captured) = (queue.clone(), ran.clone(), alive.clone());
            let callback = Callback::new(move || {
                // The place of the last one of a segment is the first to be used anew.
                same.borrow_mut().push(Entry::Other(Other::Posted(number)));
                ran.borrow_mut().push((number, Rc::strong_count(&captured)));
            });
            queue.borrow_mut().push(Entry::Callback(callback));
            let end = queue.borrow().tail();
            assert!(matches!(ReadyQueue::run_next(&queue, end), Some(Next::Ran)));
            let end = queue.borrow().tail();
            let next = ReadyQueue::run_next(&queue, end);
            assert!(matches!(next, Some(Next::Other(Other::Posted(posted))) if posted == number));
        }
        assert!((0..3 * SEGMENT).eq(ran.borrow().iter().map(|ran| ran.0)));
        assert!(ran.borrow().iter().all(|ran| ran.1 == 2));
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn l9_a_callback_that_panics_in_its_place_is_dropped_once() {
        let queue = RefCell::new(ReadyQueue::new());
        let alive = Rc::new(());
        let captured = alive.clone();
        let line = line!() + 1;
        let callback = Callback::new(move || panic!("expected {}", Rc::strong_count(&captured)));
        queue.borrow_mut().push(Entry::Callback(callback));
        let Some(Next::Failed(location, panic)) = ReadyQueue::run_next(&queue, 1) else {
            panic!("it did not fail");
        };
        assert_eq!((location.line(), Rc::strong_count(&alive)), (line, 1));
        assert!(panic.panicked().is_some());
        assert!(ReadyQueue::run_next(&queue, 1).is_none());
    }

    #[test]
    fn l25_a_queue_that_is_dropped_drops_what_is_left() {
        let alive = Rc::new(());
        let mut queue = ReadyQueue::new();
        for _ in 0..3 * SEGMENT {
            let captured = alive.clone();
            queue.push(Entry::Callback(Callback::new(move || drop(captured))));
        }
        assert!(queue.pop_below(1).is_some());
        let rest = queue.take_all();
        assert_eq!(Rc::strong_count(&alive), 3 * SEGMENT);
        drop(rest);
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn l7_a_burst_leaves_bounded_memory() {
        let mut queue = ReadyQueue::new();
        for _ in 0..100_000 {
            queue.push(Entry::Callback(Callback::new(|| {})));
        }
        while queue.pop_below(queue.tail()).is_some() {}
        assert!(queue.is_empty());
        assert!(queue.middle.is_empty());
        for _ in 0..100_000 / SEGMENT / SEGMENTS_A_TRIM + 1 {
            queue.trim();
        }
        assert!(queue.spare.len() <= SPARE_SEGMENTS);
    }
}
