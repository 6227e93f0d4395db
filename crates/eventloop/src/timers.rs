//! Deadlines waiting to come due. Pure data: it knows no clock, no loop and no callback type.
//!
//! Most deadlines are time-outs, and most time-outs are called off before they fire, so `cancel`
//! matters as much as `arm`: it is O(1), and the item is handed back at once (H-2).
//!
//! A timer lives in two places. Its *slot* ([`Slots`]) holds the item and never moves; its *entry*
//! ([`Agenda`]) stands in the order of the deadlines and knows only which slot it belongs to.
//! Cancelling empties the slot and leaves the entry behind, which is dropped when it is met, or
//! all such entries together as soon as they are the greater half (H-12).
//!
//! Invariant: timers leave by `due`, and where that is equal by `order`, which only grows. So equal
//! deadlines keep the order of their creation: PEP 3156 leaves that open, we promise it (H-10).
//! Each timer has exactly one live entry, also while it is due and others fire before it (H-13).
//!
//! Nothing here drops an item while it works, except the destructor of the whole queue: an item is
//! always given to the caller, who may be inside of a borrow that its destructor must not see.

mod agenda;
mod buckets;
mod free_slots;
mod pile;
mod prefetch;
mod slots;

use agenda::{Agenda, Entry};
use slots::Slots;

/// As many entries without a timer are put up with, however few timers there are (H-12).
const TOLERATED_DEAD: usize = 100;

/// Items in the order in which they come due.
///
/// A timer is *armed* until [`fire`](Self::fire) hands its item over; [`cancel`](Self::cancel) works
/// all the while (H-5). Deadlines are nanoseconds since whenever the caller likes; `u64::MAX` is one like any other.
#[derive(Debug)]
pub(crate) struct TimerQueue<T> {
    slots: Slots<T>,
    agenda: Agenda,
    /// The number given to the latest arming; see [`Self::next_order`].
    order: u32,
}

/// So much memory is given back at a time that a waiting loop does not notice: one MiB, about.
const SEGMENTS_A_TRIM: usize = 64;
/// The same for what keeps their order.
const ENTRIES_A_TRIM: usize = 32 * 1024;

impl<T> TimerQueue<T> {
    /// An empty queue. It takes no memory before the first [`arm`](Self::arm).
    pub(crate) fn new() -> Self {
        Self { slots: Slots::new(), agenda: Agenda::new(), order: 0 }
    }

    /// How many timers there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no timer is left.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Keeps `item` until `due`, or until it is cancelled.
    ///
    /// A deadline in the past is legal and comes first (H-6).
    #[cfg(test)]
    pub(crate) fn arm(&mut self, due: u64, item: T) -> TimerKey {
        self.vacancy(due).fill(item)
    }

    /// A place for an item until `due`, which has to be filled. Asked for before the item is at hand, so
    /// that the item is moved once, to where it will lie.
    #[inline]
    pub(crate) fn vacancy(&mut self, due: u64) -> Vacancy<'_, T> {
        let order = self.next_order();
        let (key, place) = self.slots.take_free(due, order);
        Vacancy { key, place, entry: Entry::new(due, order, key.slot), agenda: &mut self.agenda }
    }

    /// Calls a timer off and gives its item back; `None` if it is gone already (H-2).
    ///
    /// Works on a timer that is due and has yet to fire, too (H-5, H-13).
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let item = self.slots.remove(key)?;
        self.agenda.one_more_dead();
        self.clear_up();
        Some(item)
    }

    /// The earliest deadline of the armed timers.
    ///
    /// Takes `&mut self` because it forgets the cancelled ones that it meets on its way. It does not
    /// get ahead of the time: after it, timers with earlier deadlines are as cheap as before.
    #[inline]
    pub(crate) fn next_due(&mut self) -> Option<u64> {
        self.agenda.peek(&self.slots)
    }

    /// From now on, [`fire`](Self::fire) takes the timers whose deadline is `now` or earlier (H-9).
    pub(crate) fn begin_firing(&mut self, now: u64) {
        self.agenda.begin_firing(now);
    }

    /// Takes the item of the first timer that was due when the firing began: in the order of the
    /// deadlines, equal ones in that of their creation (H-10). What is armed meanwhile waits for the
    /// next firing, whatever its deadline (L-3). `None` when all are through.
    #[inline]
    pub(crate) fn fire(&mut self) -> Option<T> {
        let item = self.agenda.fire(&mut self.slots);
        if item.is_none() {
            self.clear_up();
        }
        item
    }

    /// Whether timers of the past have left memory to be given back.
    pub(crate) fn has_excess(&self) -> bool {
        self.slots.has_excess() || self.agenda.has_excess()
    }

    /// Gives some memory back that many timers of the past have left, if there is much of it. Meant
    /// to be called whenever there is nothing to do.
    #[inline]
    pub(crate) fn trim(&mut self) {
        if self.slots.has_excess() {
            self.slots.trim(SEGMENTS_A_TRIM);
        }
        self.agenda.trim(ENTRIES_A_TRIM);
    }

    /// How many timers there is memory for.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// The deadline of a timer.
    #[cfg(test)]
    pub(crate) fn due(&self, key: TimerKey) -> Option<u64> {
        self.slots.due(key)
    }

    /// Whether the timer is still there.
    pub(crate) fn contains(&self, key: TimerKey) -> bool {
        self.slots.due(key).is_some()
    }

    /// Gives a timer a new deadline, as if it were created now (H-17).
    ///
    /// The key stays the same. Answers false, and does nothing, if the timer is gone.
    pub(crate) fn reschedule(&mut self, key: TimerKey, due: u64) -> bool {
        let order = self.next_order();
        if !self.slots.rearm(key, due, order) {
            return false;
        }
        self.agenda.add(Entry::new(due, order, key.slot));
        self.agenda.one_more_dead();
        self.clear_up();
        true
    }

    /// Every timer there is, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TimerKey, u64, &T)> {
        self.slots.iter()
    }

    /// Empties the queue: all items, by deadline, then by creation.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let mut entries = std::mem::replace(&mut self.agenda, Agenda::new()).into_entries();
        entries.sort_unstable_by_key(Entry::rank);
        entries.iter().filter_map(|entry| self.slots.remove_armed(entry)).collect()
    }

    /// A number for a new arming, never 0. When all are used up, those in use are given out anew.
    #[inline]
    fn next_order(&mut self) -> u32 {
        if self.order == u32::MAX {
            self.order = self.agenda.renumber(&mut self.slots);
        }
        self.order += 1;
        self.order
    }

    /// Drops the entries without a timer as soon as they are the greater half (H-12).
    fn clear_up(&mut self) {
        let dead = self.agenda.dead();
        if dead > TOLERATED_DEAD && dead > self.len() {
            self.agenda.purge(&self.slots);
        }
    }
}

/// A free place, in a slot and in the order of the deadlines.
pub(crate) struct Vacancy<'a, T> {
    key: TimerKey,
    place: &'a mut Option<T>,
    entry: Entry,
    agenda: &'a mut Agenda,
}

impl<T> Vacancy<'_, T> {
    /// Keeps `item` there until its time has come, or until it is cancelled.
    ///
    /// A deadline in the past is legal and comes first (H-6).
    #[inline]
    pub(crate) fn fill(self, item: T) -> TimerKey {
        // There is nothing to drop, and to find that out would cost a copy.
        std::mem::forget(self.place.replace(item));
        self.agenda.add(self.entry);
        self.key
    }
}

/// Names one timer. It finds nobody once the timer is cancelled or taken, even when its slot has
/// been given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    slot: u32,
    /// How often the slot was used before, plus one; never 0.
    generation: u32,
}

impl TimerKey {
    /// The key as one number, never 0.
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The key that [`to_u64`](Self::to_u64) made this number from. Any other number is a key that
    /// finds nobody.
    pub(crate) fn from_u64(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests;
