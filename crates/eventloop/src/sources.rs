//! The descriptors that a loop watches, by key and by number.
//!
//! Invariant: a slot's generation is unique among all that the slot ever had within 2³² registrations
//! (2¹⁶ where words have 32 bits), so that a stale key finds nobody (L-43); `by_descriptor` names the
//! slot of every watched descriptor and no other; `transports` counts the sources of that kind.
//! Nothing of a source is called here: whoever calls this holds a borrow.

use crate::{Direction, Interest, Source, SourceKey, SourceKind};
use slab::Slab;
use std::os::fd::RawFd;
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Sources {
    slots: Slab<Slot>,
    by_descriptor: Vec<u32>,
    generation: u32,
    transports: usize,
}

struct Slot {
    source: Rc<dyn Source>,
    descriptor: RawFd,
    kind: SourceKind,
    generation: u32,
    interest: Interest,
    /// The directions whose turn comes in this iteration.
    to_come: Interest,
}

/// What `by_descriptor` has for a number that is not watched.
const NOBODY: u32 = u32::MAX;

impl Sources {
    /// Takes `source` in, a `kind` with this `descriptor`, which must not be watched yet.
    pub(crate) fn insert(
        &mut self,
        source: Rc<dyn Source>,
        kind: SourceKind,
        descriptor: RawFd,
        interest: Interest,
    ) -> SourceKey {
        let generation = self.next_generation();
        let to_come = Interest::NONE;
        let slot = Slot { source, descriptor, kind, generation, interest, to_come };
        let slot = self.slots.insert(slot);
        self.transports += usize::from(kind == SourceKind::Transport);
        let number = descriptor as usize;
        if self.by_descriptor.len() <= number {
            self.by_descriptor.resize(number + 1, NOBODY);
        }
        self.by_descriptor[number] = slot as u32;
        SourceKey::new(slot, generation)
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

    /// Notes that its turns come, in the directions that are `ready` and watched. False if the source
    /// is gone.
    #[inline]
    pub(crate) fn note_turns(&mut self, key: SourceKey, ready: Interest) -> bool {
        let Some(slot) = self.get_mut(key) else { return false };
        slot.to_come.readable |= ready.readable & slot.interest.readable;
        slot.to_come.writable |= ready.writable & slot.interest.writable;
        true
    }

    /// Takes a turn that was noted: whose it is, unless it was called off or is not wanted any more.
    #[inline]
    pub(crate) fn take_turn(
        &mut self,
        key: SourceKey,
        direction: Direction,
    ) -> Option<Rc<dyn Source>> {
        let slot = self.get_mut(key)?;
        let (to_come, interest) = match direction {
            Direction::Read => (&mut slot.to_come.readable, slot.interest.readable),
            Direction::Write => (&mut slot.to_come.writable, slot.interest.writable),
        };
        (std::mem::take(to_come) && interest).then(|| slot.source.clone())
    }

    /// Calls off the turn for `direction`, if one is to come: who it was for is gone (L-38, L-39).
    pub(crate) fn call_off_turn(&mut self, key: SourceKey, direction: Direction) {
        if let Some(slot) = self.get_mut(key) {
            slot.to_come = slot.to_come.with(direction, false);
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

    pub(crate) fn set_interest(&mut self, key: SourceKey, interest: Interest) {
        if let Some(slot) = self.get_mut(key) {
            slot.interest = interest;
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
        (SourceKey::new(key.slot(), slot.generation) == key).then_some(slot)
    }

    #[inline]
    fn get(&self, key: SourceKey) -> Option<&Slot> {
        let slot = self.slots.get(key.slot())?;
        (SourceKey::new(key.slot(), slot.generation) == key).then_some(slot)
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }
}
