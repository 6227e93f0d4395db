//! The descriptors that a loop watches, by key and by number.
//!
//! Invariant: a slot's generation is unique among all that the slot ever had within 2³²
//! registrations, so that a stale key finds nobody (L-43); `by_descriptor` names the slot of every
//! watched descriptor and no other.

use crate::{Interest, Source, SourceKey};
use slab::Slab;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Sources {
    slots: Slab<Slot>,
    by_descriptor: Vec<u32>,
    generation: u32,
}

struct Slot {
    source: Rc<dyn Source>,
    descriptor: RawFd,
    generation: u32,
    interest: Interest,
}

/// What `by_descriptor` has for a number that is not watched.
const NOBODY: u32 = u32::MAX;

impl Sources {
    /// Takes `source` in. Its descriptor must not be watched yet.
    pub(crate) fn insert(&mut self, source: Rc<dyn Source>, interest: Interest) -> SourceKey {
        let descriptor = source.descriptor().as_raw_fd();
        let generation = self.next_generation();
        let slot = self.slots.insert(Slot { source, descriptor, generation, interest });
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
        if self.slots.is_empty() {
            *self = Self { generation: self.generation, ..Self::default() };
        }
        Some((slot.source, slot.interest))
    }

    /// Gives a source a new key: events that were collected under the old one reach nobody.
    pub(crate) fn rekey(&mut self, key: SourceKey) -> Option<SourceKey> {
        self.get(key)?;
        let generation = self.next_generation();
        self.slots[key.slot()].generation = generation;
        Some(SourceKey::new(key.slot(), generation))
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
        if self.get(key).is_some() {
            self.slots[key.slot()].interest = interest;
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
