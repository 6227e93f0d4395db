//! The order in which timers come due.
//!
//! *Near* deadlines stand in order: in `run`, a sorted queue, or in the heap `late` when they came
//! too late for a place at its end. *Far* ones lie in buckets and are sorted when their bucket's
//! time comes. As long as there are few timers, or they come in the order of their deadlines, all
//! is near; when the heap grows too large for its good, it is spilled into the buckets.
//!
//! Invariant: what is due at `near_end` or before is near, what is due later is far. Only time
//! moves `near_end`: an agenda that is asked for its first deadline does not open that bucket, or
//! every timer armed afterwards would be late.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

use super::TimerKey;
use super::buckets::Buckets;
use super::slots::Slots;

/// A heap of so many entries is still faster than buckets.
const SPILL: usize = 256;
/// A bucket of so many entries is sorted at once rather than split.
const SORT: usize = 512;
/// Room for so many entries may be kept though it is not needed.
pub(super) const LARGE: usize = 2048;

/// Entries in the order of their deadlines, those without a timer among them.
#[derive(Debug)]
pub(super) struct Agenda {
    run: VecDeque<Entry>,
    late: BinaryHeap<Entry>,
    near_end: u64,
    far: Buckets,
    /// The latest time that was asked for: deadlines before it are not to be expected.
    now: u64,
    /// When `late` is larger than this it is spilled.
    spill_above: usize,
    /// How many entries have lost their timer.
    dead: usize,
}

/// When a timer comes due, as long as its slot agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) due: u64,
    /// Grows with every arming.
    pub(super) order: u64,
    pub(super) key: TimerKey,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            run: VecDeque::new(),
            late: BinaryHeap::new(),
            near_end: u64::MAX,
            far: Buckets::default(),
            now: 0,
            spill_above: SPILL,
            dead: 0,
        }
    }

    /// Adds an entry; its order must be greater than that of all others.
    #[inline]
    pub(super) fn add(&mut self, entry: Entry) {
        self.place(entry);
        if self.late.len() > self.spill_above {
            self.spill();
        }
    }

    /// Hears that an entry has lost its timer.
    #[inline]
    pub(super) fn one_more_dead(&mut self) {
        self.dead += 1;
    }

    /// How many entries have lost their timer.
    #[inline]
    pub(super) fn dead(&self) -> usize {
        self.dead
    }

    /// The deadline of the first armed timer.
    #[inline]
    pub(super) fn peek<T>(&mut self, slots: &Slots<T>) -> Option<u64> {
        while let Some(entry) = self.first_near() {
            if slots.is_armed(&entry) {
                return Some(entry.due);
            }
            self.pop_near(u64::MAX);
            self.dead -= 1;
        }
        let mut dropped = 0;
        let due = self.far.earliest(|entry| slots.is_armed(entry), &mut dropped);
        self.dead -= dropped;
        due
    }

    /// Makes the first armed timer due, if its deadline is `now` or earlier.
    #[cfg(test)]
    pub(super) fn pop<T>(&mut self, now: u64, slots: &mut Slots<T>) -> Option<TimerKey> {
        loop {
            match self.pop_near(now) {
                Some(entry) if slots.make_due(&entry) => return Some(entry.key),
                Some(_) => self.dead -= 1,
                None if self.open(now, slots) => {}
                None => return None,
            }
        }
    }

    /// Makes all armed timers due whose deadline is `now` or earlier; answers how many.
    pub(super) fn pop_all<T>(
        &mut self,
        now: u64,
        slots: &mut Slots<T>,
        mut each: impl FnMut(TimerKey),
    ) -> usize {
        let mut popped = 0;
        loop {
            while let Some(entry) = self.pop_near(now) {
                if slots.make_due(&entry) {
                    popped += 1;
                    each(entry.key);
                } else {
                    self.dead -= 1;
                }
            }
            if !self.open(now, slots) {
                return popped;
            }
        }
    }

    /// Gives memory back that entries of the past have left: room for at least `most` of them, if
    /// there is that much.
    pub(super) fn trim(&mut self, most: usize) {
        self.far.trim(most);
    }

    /// Drops all entries without a timer.
    #[cold]
    pub(super) fn purge<T>(&mut self, slots: &Slots<T>) {
        let is_live = |entry: &Entry| slots.is_armed(entry);
        let clear_up = |entries: &mut Vec<Entry>| {
            keep_live(entries, is_live);
            entries.shrink_to(entries.len() * 2);
        };
        let mut run = Vec::from(std::mem::take(&mut self.run));
        clear_up(&mut run);
        self.run = run.into();
        let mut late = std::mem::take(&mut self.late).into_vec();
        clear_up(&mut late);
        self.late = late.into();
        self.far.for_each_pile(clear_up);
        self.dead = 0;
        self.widen();
    }

    /// All entries, in no order.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.run.into_iter().chain(self.late).chain(self.far.into_entries()).collect()
    }

    /// Panics if an entry is where it should not be; answers how many are live and how many dead.
    #[cfg(test)]
    pub(super) fn check(&self) -> (usize, usize) {
        assert!(self.run.iter().is_sorted_by(|a, b| a > b));
        assert!(self.run.iter().chain(&self.late).all(|entry| entry.due <= self.near_end));
        assert!(self.far.len() == 0 || self.far.first_start() > Some(self.near_end));
        self.far.check();
        let entries = self.run.len() + self.late.len() + self.far.len();
        (entries - self.dead, self.dead)
    }

    /// How many entries there is memory for, the buckets left out.
    #[cfg(test)]
    pub(super) fn near_capacity(&self) -> usize {
        self.run.capacity() + self.late.capacity()
    }

    /// How many entries there is memory for, those in buckets included.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.near_capacity() + self.far.capacity()
    }

    #[inline]
    fn place(&mut self, entry: Entry) {
        if entry.due > self.near_end {
            self.far.add(entry);
        } else if self.run.back().is_none_or(|last| last.is_before(&entry)) {
            self.run.push_back(entry);
        } else {
            self.late.push(entry);
        }
    }

    fn first_near(&self) -> Option<Entry> {
        if self.is_late_first() { self.late.peek() } else { self.run.front() }.copied()
    }

    #[inline]
    fn pop_near(&mut self, now: u64) -> Option<Entry> {
        if self.is_late_first() {
            let first = self.late.peek_mut()?;
            (first.due <= now).then(|| PeekMut::pop(first))
        } else {
            self.run.pop_front_if(|first| first.due <= now)
        }
    }

    /// Whether the first of the near entries is in the heap.
    #[inline]
    fn is_late_first(&self) -> bool {
        match (self.run.front(), self.late.peek()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(run), Some(late)) => late.is_before(run),
        }
    }

    /// Makes the next bucket near if that is empty and its time has come; false if there is none.
    #[inline]
    fn open<T>(&mut self, now: u64, slots: &Slots<T>) -> bool {
        self.now = self.now.max(now);
        if self.run.capacity().max(self.late.capacity()) > LARGE {
            self.give_room_back();
        }
        if !self.run.is_empty() || !self.late.is_empty() {
            return false;
        }
        if self.far.first_start().is_none_or(|start| start > now) {
            self.widen();
            return false;
        }
        self.open_first(slots);
        true
    }

    #[inline(never)]
    fn open_first<T>(&mut self, slots: &Slots<T>) {
        let (mut entries, start, end) = self.far.take_first().expect("it has a first bucket");
        self.far.set_origin(start);
        self.spill_above = SPILL;
        if entries.len() > SORT && start < end {
            self.near_end = start;
            for entry in entries.drain(..) {
                self.place(entry);
            }
            self.far.recycle(entries);
        } else {
            self.near_end = end;
            // Looking at all the slots in a row, before their turns come one by one, lets the
            // processor fetch many of them at a time.
            let before = entries.len();
            keep_live(&mut entries, |entry| slots.is_armed(entry));
            self.dead -= before - entries.len();
            entries.sort_unstable_by(|a, b| b.cmp(a));
            let emptied = std::mem::replace(&mut self.run, entries.into());
            self.far.recycle(emptied.into());
        }
        self.widen();
    }

    /// Keeps what was long once from holding its memory for ever.
    fn give_room_back(&mut self) {
        if self.run.len() < self.run.capacity() / 8 {
            self.run.shrink_to(self.run.len() * 2);
        }
        if self.late.len() < self.late.capacity() / 8 {
            self.late.shrink_to(self.late.len() * 2);
        }
    }

    /// Makes everything near that is armed from now on, if nothing is far.
    fn widen(&mut self) {
        if self.far.len() == 0 {
            self.far.set_origin(0);
            self.near_end = u64::MAX;
        }
    }

    /// Leaves only what is due by now near.
    #[cold]
    fn spill(&mut self) {
        let run = std::mem::take(&mut self.run);
        let late = std::mem::take(&mut self.late);
        // Whatever was opened to be near lies within one bucket, and no bucket below it is in use:
        // the origin may move to any place in it.
        let origin = self.now.clamp(self.far.origin(), self.near_end);
        self.far.set_origin(origin);
        self.near_end = origin;
        run.into_iter().chain(late).for_each(|entry| self.place(entry));
        self.spill_above = SPILL.max(self.late.len() * 2);
        self.widen();
    }
}

impl Entry {
    /// The invariant of the whole queue: earlier deadlines first, then earlier creation.
    #[inline]
    fn is_before(&self, other: &Entry) -> bool {
        self.rank() < other.rank()
    }

    #[inline]
    fn rank(&self) -> u128 {
        u128::from(self.due) << 64 | u128::from(self.order)
    }
}

/// The wrong way round: `BinaryHeap` gives out its greatest, and that shall be the earliest.
impl Ord for Entry {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank().cmp(&self.rank())
    }
}

impl PartialOrd for Entry {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `entries.retain(is_live)`, without a jump that nobody can predict.
fn keep_live(entries: &mut Vec<Entry>, is_live: impl Fn(&Entry) -> bool) {
    let mut kept = 0;
    for index in 0..entries.len() {
        let entry = entries[index];
        entries[kept] = entry;
        kept += usize::from(is_live(&entry));
    }
    entries.truncate(kept);
}
