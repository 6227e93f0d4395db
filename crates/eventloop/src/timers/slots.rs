//! Where the items of timers live: numbered slots in segments that never move.
//!
//! Growing adds a segment and copies nothing. A segment without a timer is kept for the next burst,
//! since fresh memory costs more than all else about a timer. [`Slots::trim`] gives back what is more
//! than the segments in use, bit by bit when there is nothing better to do, so that in the long run
//! the memory is bounded by the timers there are (H-18), down to two bits a slot of the highest
//! number ever.
//!
//! Invariant: a slot that holds an item is not in `free`. Every use of a slot has a generation of
//! its own, also across a release of its segment; a slot that has used up all of them is retired.

use super::TimerKey;
use super::agenda::Entry;
use super::free_slots::FreeSlots;

/// Slots in a segment: 16 KiB of them when an item takes 48 bytes.
const SEGMENT: usize = 256;
/// So many segments without a timer are always kept.
const SPARE: usize = 16;
/// The stamp of a free slot, which is no order number.
const FREE: u32 = 0;

/// Items in slots, found by key.
#[derive(Debug)]
pub(super) struct Slots<T> {
    segments: Vec<Segment<T>>,
    free: FreeSlots,
    len: usize,
    /// Segments with a timer in them.
    in_use: usize,
    /// Segments that have memory but no timer.
    vacant: usize,
}

#[derive(Debug)]
struct Segment<T> {
    /// `None` before the first use, and after the memory was given back.
    slots: Option<Box<[Slot<T>; SEGMENT]>>,
    used: u32,
    /// No generation from here on was ever in use in this segment.
    fresh: u32,
}

/// One cache line for the items of the event loop: firing a timer touches no other.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<T> {
    item: Option<T>,
    due: u64,
    /// That of the item, or of the next one while there is none.
    generation: u32,
    /// The order number of the entry that counts, which tells it from those that cancelling and
    /// rescheduling have left behind; [`FREE`] while there is no item.
    stamp: u32,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self { segments: Vec::new(), free: FreeSlots::default(), len: 0, in_use: 0, vacant: 0 }
    }

    /// How many slots hold an item.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The lowest free slot, to be filled with an item: there is nothing in it yet.
    #[inline]
    pub(super) fn take_free(&mut self, due: u64, stamp: u32) -> (TimerKey, &mut Option<T>) {
        let number = match self.free.take_lowest() {
            Some(number) => number,
            None => self.grow(),
        };
        let segment = &mut self.segments[number / SEGMENT];
        if segment.used == 0 {
            self.in_use += 1;
            self.vacant -= usize::from(segment.slots.is_some());
        }
        segment.used += 1;
        self.len += 1;
        let fresh = segment.fresh;
        let slots = segment.slots.get_or_insert_with(|| new_slots(fresh));
        let slot = &mut slots[number % SEGMENT];
        slot.due = due;
        slot.stamp = stamp;
        (TimerKey { slot: number as u32, generation: slot.generation }, &mut slot.item)
    }

    /// Takes an item out.
    #[inline]
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<T> {
        self.remove_if(key.slot, |slot| slot.generation == key.generation)
    }

    /// Takes the item of the timer for which `entry` counts.
    #[inline]
    pub(super) fn remove_armed(&mut self, entry: &Entry) -> Option<T> {
        self.remove_if(entry.slot(), |slot| slot.stamp == entry.order())
    }

    #[inline]
    fn remove_if(&mut self, number: u32, is_meant: impl Fn(&Slot<T>) -> bool) -> Option<T> {
        let number = number as usize;
        let segment = self.segments.get_mut(number / SEGMENT)?;
        let slot = &mut segment.slots.as_mut()?[number % SEGMENT];
        if !is_meant(slot) {
            return None;
        }
        let item = slot.item.take()?;
        slot.stamp = FREE;
        // The last generation is not followed by the first one: that slot has done its duty.
        if slot.generation < u32::MAX {
            slot.generation += 1;
            segment.fresh = segment.fresh.max(slot.generation);
            self.free.put_back(number);
        }
        segment.used -= 1;
        self.len -= 1;
        if segment.used == 0 {
            self.in_use -= 1;
            self.vacant += 1;
        }
        Some(item)
    }

    /// Whether `entry` is the one that counts for its timer.
    #[inline]
    pub(super) fn is_armed(&self, entry: &Entry) -> bool {
        self.slot(entry.slot()).is_some_and(|slot| slot.stamp == entry.order())
    }

    /// Arms an item anew; false if it is gone.
    pub(super) fn rearm(&mut self, key: TimerKey, due: u64, stamp: u32) -> bool {
        let slot = self.slot_mut(key.slot).filter(|slot| slot.holds(key));
        let Some(slot) = slot else { return false };
        slot.due = due;
        slot.stamp = stamp;
        true
    }

    /// Has another entry count for the timer in this slot: one for the same deadline.
    pub(super) fn restamp(&mut self, number: u32, stamp: u32) {
        if let Some(slot) = self.slot_mut(number) {
            slot.stamp = stamp;
        }
    }

    /// The deadline of the key's item.
    pub(super) fn due(&self, key: TimerKey) -> Option<u64> {
        self.slot(key.slot).filter(|slot| slot.holds(key)).map(|slot| slot.due)
    }

    /// All items, by slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TimerKey, u64, &T)> {
        let segments = (0..).step_by(SEGMENT).zip(&self.segments);
        let slots = segments.filter_map(|(first, segment)| Some((first, segment.slots.as_ref()?)));
        let slots = slots.flat_map(|(first, slots)| (first..).zip(slots.iter()));
        slots.filter_map(|(number, slot)| {
            let key = TimerKey { slot: number, generation: slot.generation };
            slot.item.as_ref().map(|item| (key, slot.due, item))
        })
    }

    /// How many slots have memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.segments.iter().filter(|segment| segment.slots.is_some()).count() * SEGMENT
    }

    /// Pretends that the timer's slot has been used so often that this is its last generation.
    #[cfg(test)]
    pub(super) fn wear_out(&mut self, key: TimerKey) -> TimerKey {
        self.slot_mut(key.slot).expect("the key is valid").generation = u32::MAX;
        self.segments[key.slot as usize / SEGMENT].fresh = u32::MAX;
        TimerKey { generation: u32::MAX, ..key }
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        let number = number as usize;
        let slots = self.segments.get(number / SEGMENT)?.slots.as_ref()?;
        Some(&slots[number % SEGMENT])
    }

    #[inline]
    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<T>> {
        let number = number as usize;
        let slots = self.segments.get_mut(number / SEGMENT)?.slots.as_mut()?;
        Some(&mut slots[number % SEGMENT])
    }

    /// Adds a segment and takes its first slot.
    #[cold]
    fn grow(&mut self) -> usize {
        let first = self.segments.len() * SEGMENT;
        assert!(first < u32::MAX as usize, "there are four thousand million timers already");
        self.segments.push(Segment { slots: None, used: 0, fresh: 1 });
        self.free.extend(SEGMENT / 64);
        self.free.take_lowest().expect("a new segment has free slots")
    }

    /// Whether more segments are vacant than are worth keeping.
    #[inline]
    pub(super) fn has_excess(&self) -> bool {
        self.vacant > self.in_use + SPARE
    }

    /// Gives the memory of at most `most` vacant segments back, the highest first, and keeps as many
    /// as are in use, the low ones.
    #[cold]
    pub(super) fn trim(&mut self, most: usize) {
        let excess = self.vacant.saturating_sub(self.in_use + SPARE);
        let mut left = excess.min(most);
        for (index, segment) in self.segments.iter_mut().enumerate().rev() {
            if left == 0 {
                break;
            }
            if segment.used == 0 && segment.slots.take().is_some() {
                self.vacant -= 1;
                left -= 1;
                // A slot of it is worn out, and which one is known no more: none is used again.
                if segment.fresh == u32::MAX {
                    self.free.remove(index * SEGMENT, SEGMENT / 64);
                }
            }
        }
    }
}

impl<T> Slot<T> {
    #[inline]
    fn holds(&self, key: TimerKey) -> bool {
        self.generation == key.generation && self.item.is_some()
    }
}

#[cold]
fn new_slots<T>(generation: u32) -> Box<[Slot<T>; SEGMENT]> {
    let slot = |_| Slot { item: None, due: 0, generation, stamp: FREE };
    let slots: Box<[Slot<T>]> = (0..SEGMENT).map(slot).collect();
    slots.try_into().unwrap_or_else(|_| unreachable!("a segment has SEGMENT slots"))
}
