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
//! Each armed timer has exactly one live entry; one that is due but not taken has none (H-13).
//!
//! Nothing here drops an item while it works, except the destructor of the whole queue: an item is
//! always given to the caller, who may be inside of a borrow that its destructor must not see.

mod agenda;
mod buckets;
mod free_slots;
mod slots;

use agenda::{Agenda, Entry};
use slots::Slots;

/// As many entries without a timer are put up with, however few timers there are (H-12).
const TOLERATED_DEAD: usize = 100;

/// Items in the order in which they come due.
///
/// A timer is *armed* until [`pop_all_due`](Self::pop_all_due) names it, then *due* until
/// [`take`](Self::take) hands its item over; [`cancel`](Self::cancel) works all the while (H-5).
/// Deadlines are nanoseconds since whenever the caller likes; `u64::MAX` is one like any other.
#[derive(Debug)]
pub(crate) struct TimerQueue<T> {
    slots: Slots<T>,
    agenda: Agenda,
    armed: usize,
    /// The number given to the latest arming; see [`Self::next_order`].
    order: u64,
}

/// So much memory is given back at a time that a waiting loop does not notice: one MiB, about.
const SEGMENTS_A_TRIM: usize = 64;
/// The same for what keeps their order.
const ENTRIES_A_TRIM: usize = 32 * 1024;

impl<T> TimerQueue<T> {
    /// An empty queue. It takes no memory before the first [`arm`](Self::arm).
    pub(crate) fn new() -> Self {
        Self { slots: Slots::new(), agenda: Agenda::new(), armed: 0, order: 0 }
    }

    /// How many timers there are, armed or due.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no timer is left, neither armed nor due.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// How many timers still wait for their deadline to be popped.
    #[cfg(test)]
    pub(crate) fn armed(&self) -> usize {
        self.armed
    }

    /// Keeps `item` until `due`, or until it is cancelled.
    ///
    /// A deadline in the past is legal and comes first (H-6).
    #[inline]
    pub(crate) fn arm(&mut self, due: u64, item: T) -> TimerKey {
        let order = self.next_order();
        let key = self.slots.insert(due, order as u32, item);
        self.agenda.add(Entry { due, order, key });
        self.armed += 1;
        key
    }

    /// Calls a timer off and gives its item back; `None` if it is gone already (H-2).
    ///
    /// Works on an armed timer as on one that is due and not yet taken (H-5, H-13).
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let (item, was_armed) = self.slots.remove(key)?;
        if was_armed {
            self.armed -= 1;
            self.agenda.one_more_dead();
            self.clear_up();
        }
        Some(item)
    }

    /// The earliest deadline of the armed timers.
    ///
    /// Takes `&mut self` because it forgets the cancelled ones that it meets on its way. It does not
    /// get ahead of the time: after it, timers with earlier deadlines are as cheap as before.
    #[inline]
    pub(crate) fn next_due(&mut self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        self.agenda.peek(&self.slots)
    }

    /// Makes the next timer whose deadline is `now` or earlier due and names it (H-9, H-10).
    ///
    /// Its item stays until [`take`](Self::take), so that it can still be cancelled.
    #[cfg(test)]
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<TimerKey> {
        let key = self.agenda.pop(now, &mut self.slots)?;
        self.armed -= 1;
        self.clear_up();
        Some(key)
    }

    /// Makes all timers due whose deadline is `now` or earlier, and names them in the order of their
    /// deadlines, equal ones in that of their creation (H-9, H-10). Answers how many there were.
    ///
    /// Their items stay until [`take`](Self::take), so that they can still be cancelled.
    pub(crate) fn pop_all_due(&mut self, now: u64, each: impl FnMut(TimerKey)) -> usize {
        let popped = self.agenda.pop_all(now, &mut self.slots, each);
        self.armed -= popped;
        self.clear_up();
        popped
    }

    /// Takes the item of a timer that is due; `None` if it is gone, or armed (again).
    #[inline]
    pub(crate) fn take(&mut self, key: TimerKey) -> Option<T> {
        self.slots.remove_due(key)
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

    /// The deadline of a timer that is armed or due.
    #[cfg(test)]
    pub(crate) fn due(&self, key: TimerKey) -> Option<u64> {
        self.slots.due(key)
    }

    /// Whether the timer is still armed or due.
    pub(crate) fn contains(&self, key: TimerKey) -> bool {
        self.slots.due(key).is_some()
    }

    /// Gives an armed or due timer a new deadline, as if it were created now (H-17).
    ///
    /// The key stays the same. Answers false, and does nothing, if the timer is gone.
    pub(crate) fn reschedule(&mut self, key: TimerKey, due: u64) -> bool {
        let order = self.next_order();
        let Some(was_armed) = self.slots.rearm(key, due, order as u32) else { return false };
        self.agenda.add(Entry { due, order, key });
        if was_armed {
            self.agenda.one_more_dead();
            self.clear_up();
        } else {
            self.armed += 1;
        }
        true
    }

    /// Every timer there is, armed or due, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TimerKey, u64, &T)> {
        self.slots.iter()
    }

    /// Empties the queue: all items, by deadline, then by creation.
    ///
    /// Those that were due already stand before armed ones of the same deadline; among themselves
    /// equal ones are in no particular order, since whoever popped them has that order.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let mut entries = std::mem::replace(&mut self.agenda, Agenda::new()).into_entries();
        entries.retain(|entry| self.slots.is_armed(entry));
        let waiting = self.slots.iter().filter(|&(key, ..)| self.slots.is_due(key));
        entries.extend(waiting.map(|(key, due, _)| Entry { due, order: 0, key }));
        entries.sort_unstable_by_key(|entry| (entry.due, entry.order));
        self.armed = 0;
        let removed = entries.iter().filter_map(|entry| self.slots.remove(entry.key));
        removed.map(|(item, _)| item).collect()
    }

    /// A number for a new arming. Its low half is never 0, which says "due" in a slot.
    fn next_order(&mut self) -> u64 {
        self.order += 1;
        if self.order as u32 == 0 {
            self.order += 1;
        }
        self.order
    }

    /// Drops the entries without a timer as soon as they are the greater half (H-12).
    fn clear_up(&mut self) {
        let dead = self.agenda.dead();
        if dead > TOLERATED_DEAD && dead > self.armed {
            self.agenda.purge(&self.slots);
        }
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
