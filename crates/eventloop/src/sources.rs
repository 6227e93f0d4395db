//! The descriptors that a loop watches, by key and by number.
//!
//! Invariant: a slot's generation is unique among all that the slot ever had within 2³² registrations
//! (2¹⁶ where words have 32 bits), so that a stale key finds nobody (L-43); `by_descriptor` names the
//! slot of every watched descriptor and no other; `transports` counts the sources of that kind;
//! `called_off` has every key whose slot says that a turn was called off.
//! Nothing of a source is called here: whoever calls this holds a borrow.

use crate::{Direction, Interest, Source, SourceKey, SourceKind, Trigger};
use slab::Slab;
use std::os::fd::RawFd;
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Sources {
    slots: Slab<Slot>,
    by_descriptor: Vec<u32>,
    generation: u32,
    transports: usize,
    /// Those with turns that were called off since the last poll.
    called_off: Vec<SourceKey>,
}

struct Slot {
    source: Rc<dyn Source>,
    descriptor: RawFd,
    kind: SourceKind,
    trigger: Trigger,
    generation: u32,
    interest: Interest,
    /// The directions whose turn in this iteration was called off.
    called_off: Interest,
    /// Whether there is a turn when it is ready in a direction, by the direction's number: it is
    /// watched for that, and the turn was not called off.
    has_turn: [bool; 2],
}

impl Slot {
    /// By edges it is watched only for reading alone: a turn for writing does not say whether there is more to read.
    #[inline]
    fn trigger(&self, interest: Interest) -> Trigger {
        match interest {
            Interest::READ => self.trigger,
            _ => Trigger::Level,
        }
    }

    /// The turns are to be as interest and what was called off say.
    fn update_turns(&mut self) {
        let has_turn =
            |direction| self.interest.includes(direction) && !self.called_off.includes(direction);
        self.has_turn = [Direction::Read, Direction::Write].map(has_turn);
    }
}

/// What `by_descriptor` has for a number that is not watched.
const NOBODY: u32 = u32::MAX;

impl Sources {
    /// Takes `source` in, a `kind` with this `descriptor`, which must not be watched yet, and this
    /// `trigger` for reading.
    pub(crate) fn insert(
        &mut self,
        source: Rc<dyn Source>,
        kind: SourceKind,
        descriptor: RawFd,
        interest: Interest,
        trigger: Trigger,
    ) -> SourceKey {
        let generation = self.next_generation();
        let place = self.slots.vacant_entry();
        let key = SourceKey::new(place.key(), generation);
        let mut slot = Slot {
            source,
            descriptor,
            kind,
            trigger,
            generation: key.generation(),
            interest,
            called_off: Interest::NONE,
            has_turn: [false; 2],
        };
        slot.update_turns();
        place.insert(slot);
        self.transports += usize::from(kind == SourceKind::Transport);
        let number = descriptor as usize;
        if self.by_descriptor.len() <= number {
            self.by_descriptor.resize(number + 1, NOBODY);
        }
        self.by_descriptor[number] = key.slot() as u32;
        key
    }

    pub(crate) fn remove(&mut self, key: SourceKey) -> Option<(Rc<dyn Source>, Interest)> {
        self.get(key)?;
        let slot = self.slots.remove(key.slot());
        self.by_descriptor[slot.descriptor as usize] = NOBODY;
        self.transports -= usize::from(slot.kind == SourceKind::Transport);
        if self.slots.is_empty() {
            *self = Self { generation: self.generation, ..Self::default() };
        }
        Some((slot.source, slot.interest))
    }

    /// Who is to be told that `key` is ready in `direction`: nobody if the source is gone, is not
    /// watched for that, or what it would have told was called off since the poll.
    #[inline]
    pub(crate) fn source_for_turn(
        &self,
        key: SourceKey,
        direction: Direction,
    ) -> Option<&Rc<dyn Source>> {
        let slot = self.get(key)?;
        slot.has_turn[direction as usize].then_some(&slot.source)
    }

    /// Calls off the turn for `direction` that may be to come in this iteration: who it was for is
    /// gone (L-38, L-39).
    pub(crate) fn call_off_turn(&mut self, key: SourceKey, direction: Direction) {
        let Some(slot) = self.get_mut(key) else { return };
        let is_first = slot.called_off.is_none();
        slot.called_off = slot.called_off.with(direction, true);
        slot.update_turns();
        if is_first {
            self.called_off.push(key);
        }
    }

    /// A new iteration: no turn of it was called off yet.
    #[cold]
    pub(crate) fn forget_called_off(&mut self) {
        while let Some(key) = self.called_off.pop() {
            if let Some(slot) = self.get_mut(key) {
                slot.called_off = Interest::NONE;
                slot.update_turns();
            }
        }
    }

    #[inline]
    pub(crate) fn source(&self, key: SourceKey) -> Option<&Rc<dyn Source>> {
        self.get(key).map(|slot| &slot.source)
    }

    #[inline]
    pub(crate) fn interest(&self, key: SourceKey) -> Option<Interest> {
        self.get(key).map(|slot| slot.interest)
    }

    /// How it is watched while this is its interest.
    pub(crate) fn trigger(&self, key: SourceKey, interest: Interest) -> Trigger {
        self.get(key).map_or(Trigger::Level, |slot| slot.trigger(interest))
    }

    /// The source, if it is watched by [`Trigger::Edge`].
    pub(crate) fn watched_by_edge(&self, key: SourceKey) -> Option<&Rc<dyn Source>> {
        let slot = self.get(key)?;
        (slot.trigger(slot.interest) == Trigger::Edge).then_some(&slot.source)
    }

    pub(crate) fn set_interest(&mut self, key: SourceKey, interest: Interest) {
        if let Some(slot) = self.get_mut(key) {
            slot.interest = interest;
            slot.update_turns();
        }
    }

    /// The key under which a descriptor is watched.
    pub(crate) fn key_of(&self, descriptor: RawFd) -> Option<SourceKey> {
        let slot = *self.by_descriptor.get(usize::try_from(descriptor).ok()?)?;
        let generation = self.slots.get(slot as usize)?.generation;
        Some(SourceKey::new(slot as usize, generation))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Rc<dyn Source>, Interest)> {
        self.slots.iter().map(|(_, slot)| (&slot.source, slot.interest))
    }

    pub(crate) fn keys(&self) -> Vec<SourceKey> {
        self.slots.iter().map(|(slot, entry)| SourceKey::new(slot, entry.generation)).collect()
    }

    /// How many are watched for something: each may have news from outside at any time.
    pub(crate) fn watched(&self) -> usize {
        self.iter().filter(|(_, interest)| !interest.is_none()).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn transports(&self) -> usize {
        self.transports
    }

    #[inline]
    fn get_mut(&mut self, key: SourceKey) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.slot())?;
        (slot.generation == key.generation()).then_some(slot)
    }

    #[inline]
    fn get(&self, key: SourceKey) -> Option<&Slot> {
        let slot = self.slots.get(key.slot())?;
        (slot.generation == key.generation()).then_some(slot)
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }
}
