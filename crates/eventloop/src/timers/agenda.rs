//! The order in which timers come due.
//!
//! *Near* deadlines stand in order: in `run`, a sorted queue, or in the heap `late` when they came
//! too late for a place at its end. *Far* ones lie in buckets and are sorted when their bucket's
//! time comes. As long as there are few timers, or they come in the order of their deadlines, all
//! is near; when the heap grows too large for its good, it is spilled into the buckets.
//!
//! What is due is taken out one by one, while user code runs in between. What that adds for a time
//! that has come already is *held* back until all are through (L-3).
//!
//! Invariant: what is due at `near_end` or before is near, what is due later is far. Only time
//! moves `near_end`: an agenda that is asked for its first deadline does not open that bucket, or
//! every timer armed afterwards would be late.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

use super::buckets::Buckets;
use super::pile::PIECE;
use super::slots::Slots;

/// A heap of so many entries is still faster than buckets.
const SPILL: usize = 256;
/// A bucket of so many entries, mostly in one piece, is sorted at once rather than split.
const SORT: usize = PIECE;
/// Room for so many entries may be kept though it is not needed.
pub(super) const LARGE: usize = 2048;

/// Entries in the order of their deadlines, those without a timer among them.
#[derive(Debug)]
pub(super) struct Agenda {
    run: VecDeque<Entry>,
    late: BinaryHeap<Entry>,
    near_end: u64,
    far: Buckets,
    /// Entries that came while what was due before them is being taken out.
    held: Vec<Entry>,
    /// What is due by then is being taken out.
    firing: Option<u64>,
    /// The latest time that was asked for: deadlines before it are not to be expected.
    now: u64,
    /// When `late` is larger than this it is spilled.
    spill_above: usize,
    /// How many entries have lost their timer.
    dead: usize,
}

/// When a timer comes due, as long as its slot agrees. Many are sorted: hence as small as can be, and
/// two words that go by registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) due: u64,
    /// The order above, the slot below.
    mark: u64,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            run: VecDeque::new(),
            late: BinaryHeap::new(),
            near_end: u64::MAX,
            far: Buckets::default(),
            held: Vec::new(),
            firing: None,
            now: 0,
            spill_above: SPILL,
            dead: 0,
        }
    }

    /// Adds an entry; its order must be greater than that of all others.
    #[inline]
    pub(super) fn add(&mut self, entry: Entry) {
        if self.firing.is_some_and(|now| entry.due <= now) {
            return self.held.push(entry);
        }
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
        let placed = self.peek_placed(slots);
        if self.held.is_empty() {
            return placed;
        }
        let held = self.held.iter().filter(|entry| slots.is_armed(entry)).map(|entry| entry.due);
        held.chain(placed).min()
    }

    #[inline]
    fn peek_placed<T>(&mut self, slots: &Slots<T>) -> Option<u64> {
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

    /// From now on, what is due by `now` is taken out; see [`fire`](Self::fire).
    pub(super) fn begin_firing(&mut self, now: u64) {
        self.end_firing();
        self.firing = Some(now);
    }

    /// Takes the first item out that was due when the firing began. After the last one the firing
    /// is over, and what was held back takes its place.
    #[inline]
    pub(super) fn fire<T>(&mut self, slots: &mut Slots<T>) -> Option<T> {
        let now = self.firing?;
        loop {
            match self.pop_near(now) {
                Some(entry) => match slots.remove_armed(&entry) {
                    Some(item) => return Some(item),
                    None => self.dead -= 1,
                },
                None if self.open(now, slots) => {}
                None => {
                    self.end_firing();
                    return None;
                }
            }
        }
    }

    fn end_firing(&mut self) {
        self.firing = None;
        if self.held.is_empty() {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        held.drain(..).for_each(|entry| self.add(entry));
        if held.capacity() <= LARGE {
            self.held = held;
        }
    }

    /// Gives all entries that count new numbers from 1 on, in the same order; answers the last one.
    #[cold]
    pub(super) fn renumber<T>(&mut self, slots: &mut Slots<T>) -> u32 {
        let mut old = std::mem::replace(self, Self::new());
        (self.now, self.firing) = (old.now, old.firing);
        let mut held = std::mem::take(&mut old.held);
        let mut placed = old.into_entries();
        for entries in [&mut placed, &mut held] {
            entries.retain(|entry| slots.is_armed(entry));
            entries.sort_unstable_by_key(Entry::rank);
        }
        // What is held back is younger than all of the others that it might be compared with.
        let (mut order, first_held) = (0, placed.len());
        for (index, entry) in placed.into_iter().chain(held).enumerate() {
            order += 1;
            slots.restamp(entry.slot(), order);
            let entry = Entry::new(entry.due, order, entry.slot());
            match index < first_held {
                true => self.place(entry),
                false => self.held.push(entry),
            }
        }
        order
    }

    /// Whether entries of the past have left memory to be given back.
    pub(super) fn has_excess(&self) -> bool {
        self.far.has_spare()
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
        clear_up(&mut self.held);
        self.far.for_each_pile(|entries| keep_live(entries, is_live));
        self.dead = 0;
        self.widen();
    }

    /// All entries, in no order.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        let near = self.run.into_iter().chain(self.late).chain(self.held);
        near.chain(self.far.into_entries()).collect()
    }

    /// Panics if an entry is where it should not be; answers how many are live and how many dead.
    #[cfg(test)]
    pub(super) fn check(&self) -> (usize, usize) {
        assert!(self.run.iter().is_sorted_by(|a, b| a > b));
        assert!(self.run.iter().chain(&self.late).all(|entry| entry.due <= self.near_end));
        assert!(self.far.len() == 0 || self.far.first_start() > Some(self.near_end));
        self.far.check();
        let entries = self.run.len() + self.late.len() + self.far.len() + self.held.len();
        (entries - self.dead, self.dead)
    }

    #[cfg(test)]
    pub(super) fn is_firing(&self) -> bool {
        self.firing.is_some()
    }

    /// How many entries there is memory for, the buckets left out.
    #[cfg(test)]
    pub(super) fn near_capacity(&self) -> usize {
        self.run.capacity() + self.late.capacity()
    }

    /// How many entries may be held without fresh memory.
    #[cfg(test)]
    pub(super) fn held_capacity(&self) -> usize {
        self.held.capacity()
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
        let (pile, start, end) = self.far.take_first().expect("it has a first bucket");
        self.far.set_origin(start);
        self.spill_above = SPILL;
        if pile.len() > SORT && start < end {
            self.near_end = start;
            for mut entries in pile.into_pieces() {
                for entry in entries.drain(..) {
                    self.place(entry);
                }
                self.far.recycle(entries);
            }
        } else {
            let mut entries = pile.into_vec();
            self.near_end = end;
            // Looking at all the slots in a row, and at nothing else, before their turns come one by
            // one, lets the processor fetch many of them at a time.
            let dead = entries.iter().filter(|entry| !slots.is_armed(entry)).count();
            if dead > 0 {
                keep_live(&mut entries, |entry| slots.is_armed(entry));
                self.dead -= dead;
            }
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
    #[inline]
    pub(super) fn new(due: u64, order: u32, slot: u32) -> Self {
        Self { due, mark: u64::from(order) << 32 | u64::from(slot) }
    }

    /// Grows with every arming; never 0.
    #[inline]
    pub(super) fn order(&self) -> u32 {
        (self.mark >> 32) as u32
    }

    #[inline]
    pub(super) fn slot(&self) -> u32 {
        self.mark as u32
    }

    /// The invariant of the whole queue: earlier deadlines first, then earlier creation.
    #[inline]
    fn is_before(&self, other: &Entry) -> bool {
        self.rank() < other.rank()
    }

    #[inline]
    pub(super) fn rank(&self) -> u128 {
        u128::from(self.due) << 64 | u128::from(self.mark)
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
