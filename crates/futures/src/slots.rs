//! [`Slots`]: values under keys that are never given twice. Adding and removing take the same time
//! however many there are, and what has left leaves nothing behind.
//!
//! Invariant: the places that are free are exactly those that hold no value.

/// Values that come and go.
pub(crate) struct Slots<V> {
    places: Vec<Place<V>>,
    free: Vec<usize>,
    next: u64,
}

struct Place<V> {
    order: u64,
    value: Option<V>,
}

/// Names a value. Once that is gone, it finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKey {
    place: usize,
    order: u64,
}

/// An empty list that has more places than this gives them back.
const PLACES_KEPT: usize = 256;

impl<V> Default for Slots<V> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), next: 0 }
    }
}

impl<V> Slots<V> {
    pub(crate) fn insert(&mut self, value: V) -> SlotKey {
        let order = self.next;
        self.next += 1;
        let taken = Place { order, value: Some(value) };
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place] = taken;
                place
            }
            None => {
                self.places.push(taken);
                self.places.len() - 1
            }
        };
        SlotKey { place, order }
    }

    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<V> {
        let value = self.find(key)?.value.take()?;
        self.free.push(key.place);
        if self.is_empty() {
            self.places.clear();
            self.free.clear();
            self.places.shrink_to(PLACES_KEPT);
            self.free.shrink_to(PLACES_KEPT);
        }
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, key: SlotKey) -> Option<&mut V> {
        self.find(key)?.value.as_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in the order of their coming.
    pub(crate) fn in_order(&self) -> Vec<(SlotKey, &V)> {
        let places = self.places.iter().enumerate();
        let mut values: Vec<_> = places
            .filter_map(|(place, slot)| {
                let key = SlotKey { place, order: slot.order };
                slot.value.as_ref().map(|value| (key, value))
            })
            .collect();
        values.sort_unstable_by_key(|(key, _)| key.order);
        values
    }

    /// Takes all values out, in the order of their coming.
    pub(crate) fn take_all(&mut self) -> Vec<V> {
        let mut places = std::mem::take(&mut self.places);
        self.free = Vec::new();
        places.sort_unstable_by_key(|place| place.order);
        places.into_iter().filter_map(|place| place.value).collect()
    }

    fn find(&mut self, key: SlotKey) -> Option<&mut Place<V>> {
        self.places.get_mut(key.place).filter(|place| place.order == key.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slots_behave_like_a_list(steps in prop::collection::vec(any::<(bool, usize)>(), 0..300)) {
            let mut slots = Slots::default();
            let mut model: Vec<(SlotKey, usize)> = Vec::new();
            let mut gone = Vec::new();
            for (number, (insert, which)) in steps.into_iter().enumerate() {
                if insert || model.is_empty() {
                    model.push((slots.insert(number), number));
                } else {
                    let (key, value) = model.remove(which % model.len());
                    prop_assert_eq!(slots.get_mut(key).copied(), Some(value));
                    prop_assert_eq!(slots.remove(key), Some(value));
                    gone.push(key);
                }
                prop_assert_eq!(slots.len(), model.len());
                for key in &gone {
                    prop_assert_eq!(slots.get_mut(*key), None);
                }
                let listed: Vec<_> =
                    slots.in_order().into_iter().map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(&listed, &model);
            }
            let values: Vec<_> = model.iter().map(|(_, value)| *value).collect();
            prop_assert_eq!(slots.take_all(), values);
            prop_assert!(slots.is_empty());
            prop_assert!(model.iter().all(|(key, _)| slots.remove(*key).is_none()));
        }
    }

    #[test]
    fn slots_that_were_left_give_their_memory_back() {
        let mut slots = Slots::default();
        let keys: Vec<_> = (0..10_000).map(|number| slots.insert(number)).collect();
        assert!(keys.into_iter().all(|key| slots.remove(key).is_some()));
        assert!(slots.places.capacity() <= PLACES_KEPT && slots.free.capacity() <= PLACES_KEPT);
    }
}
