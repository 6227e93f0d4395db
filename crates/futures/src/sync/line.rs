//! [`Line`]: those who wait, in the order of their coming. Pure data: it knows no futures.
//!
//! Most who leave a line leave it from the front, but a time-out may take anyone out of the middle: so
//! it is a linked list, in a vector, and both cost the same however long the line is.
//!
//! Invariant: following `next` from `first` meets every item once, with rising tickets; the other
//! slots hang together from `free`. What `came_back` names is in the line.

/// A queue that can be left from anywhere.
pub(crate) struct Line<T> {
    slots: Vec<Slot<T>>,
    first: Option<usize>,
    last: Option<usize>,
    free: Option<usize>,
    /// Who came back last, or somebody in front of that one: where to look for the next one's place.
    came_back: Option<usize>,
    len: usize,
    next_ticket: u64,
}

struct Slot<T> {
    /// `None` in a free slot.
    item: Option<T>,
    ticket: u64,
    prev: Option<usize>,
    next: Option<usize>,
}

/// Somebody's place in a line. It is never given to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    slot: usize,
    ticket: u64,
}

impl<T> Line<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            first: None,
            last: None,
            free: None,
            came_back: None,
            len: 0,
            next_ticket: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The ticket of the next one to come: all who are in the line now have smaller ones.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.next_ticket
    }

    /// Goes to the end of the line.
    pub(crate) fn push(&mut self, item: T) -> Place {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.insert(item, ticket, self.last)
    }

    /// Takes the place again that somebody had before: in front of all who came later. Those who come
    /// back do so in order, mostly, so it is looked for from where the last one has found it.
    pub(crate) fn push_again(&mut self, item: T, place: Place) -> Place {
        let mut before = self.came_back;
        while let Some(slot) = before
            && self.slots[slot].ticket > place.ticket
        {
            before = self.slots[slot].prev;
        }
        let behind = |line: &Self, before: Option<usize>| match before {
            Some(slot) => line.slots[slot].next,
            None => line.first,
        };
        let mut next = behind(self, before);
        while let Some(slot) = next
            && self.slots[slot].ticket < place.ticket
        {
            before = next;
            next = behind(self, before);
        }
        let place = self.insert(item, place.ticket, before);
        self.came_back = Some(place.slot);
        place
    }

    /// Takes out the first one, if its ticket is smaller than `limit`.
    pub(crate) fn pop_before(&mut self, limit: u64) -> Option<T> {
        let first = self.first.filter(|&first| self.slots[first].ticket < limit)?;
        self.take_out(first)
    }

    /// Takes out the first one.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.take_out(self.first?)
    }

    /// Takes out the one who has this place, if it is still there.
    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        let slot = self.slots.get(place.slot)?;
        if slot.item.is_none() || slot.ticket != place.ticket {
            return None;
        }
        self.take_out(place.slot)
    }

    /// Takes out those for whom `leaves` is true.
    pub(crate) fn extract_if(&mut self, leaves: impl Fn(&T) -> bool) -> Vec<T> {
        let mut left = Vec::new();
        let mut next = self.first;
        while let Some(slot) = next {
            next = self.slots[slot].next;
            if self.slots[slot].item.as_ref().is_some_and(&leaves) {
                left.extend(self.take_out(slot));
            }
        }
        left
    }

    /// Links `item` in behind the slot `prev`, or at the front.
    fn insert(&mut self, item: T, ticket: u64, prev: Option<usize>) -> Place {
        let next = match prev {
            Some(prev) => self.slots[prev].next,
            None => self.first,
        };
        let new = Slot { item: Some(item), ticket, prev, next };
        let slot = match self.free {
            Some(free) => {
                self.free = self.slots[free].next;
                self.slots[free] = new;
                free
            }
            None => {
                self.slots.push(new);
                self.slots.len() - 1
            }
        };
        self.link(prev, Some(slot));
        self.link(Some(slot), next);
        self.len += 1;
        Place { slot, ticket }
    }

    fn take_out(&mut self, slot: usize) -> Option<T> {
        let item = self.slots[slot].item.take();
        let (prev, next) = (self.slots[slot].prev, self.slots[slot].next);
        self.link(prev, next);
        if self.came_back == Some(slot) {
            self.came_back = prev;
        }
        self.len -= 1;
        if self.len == 0 {
            // Nobody is left: what a crowd needed is given back.
            self.free = None;
            match self.slots.capacity() > 64 {
                true => self.slots = Vec::new(),
                false => self.slots.clear(),
            }
        } else {
            self.slots[slot].next = self.free.replace(slot);
        }
        item
    }

    /// Makes two slots neighbours; `None` is the front on the left, the end on the right.
    fn link(&mut self, left: Option<usize>, right: Option<usize>) {
        match left {
            Some(left) => self.slots[left].next = right,
            None => self.first = right,
        }
        match right {
            Some(right) => self.slots[right].prev = left,
            None => self.last = left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Pop,
        PopBefore(u64),
        Remove(usize),
        PushAgain(usize),
        ExtractOdd,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Push),
            2 => Just(Step::Pop),
            1 => (0..40u64).prop_map(Step::PopBefore),
            2 => any::<usize>().prop_map(Step::Remove),
            2 => any::<usize>().prop_map(Step::PushAgain),
            1 => Just(Step::ExtractOdd),
        ]
    }

    #[test]
    fn s31_coming_back_costs_the_same_however_many_do() {
        let mut line = Line::new();
        let places: Vec<_> = (0..300_000).map(|number| line.push(number)).collect();
        while line.pop().is_some() {}
        let late = line.push(300_000);
        for (number, place) in places.iter().enumerate() {
            line.push_again(number, *place);
        }
        line.remove(late);
        for (number, _) in places.iter().enumerate() {
            assert_eq!(line.pop(), Some(number));
        }
        let late = line.push(0);
        for (number, place) in places.iter().enumerate().rev() {
            line.push_again(number, *place);
        }
        line.remove(late);
        assert_eq!((line.len(), line.pop()), (300_000, Some(0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn s2_a_line_behaves_like_a_sorted_vector(steps in prop::collection::vec(any_step(), 0..200)) {
            let (mut line, mut model, mut places, mut tickets) =
                (Line::new(), Vec::<u64>::new(), Vec::<Place>::new(), 0);
            for step in steps {
                match step {
                    Step::Push => {
                        places.push(line.push(tickets));
                        model.push(tickets);
                        tickets += 1;
                    }
                    Step::Pop => {
                        let first = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(line.pop(), first);
                    }
                    Step::PopBefore(limit) => {
                        let first = model.first().is_some_and(|&first| first < limit);
                        prop_assert_eq!(line.pop_before(limit), first.then(|| model.remove(0)));
                    }
                    Step::Remove(which) if !places.is_empty() => {
                        let at = which % places.len();
                        let there = model.iter().position(|&ticket| ticket == at as u64);
                        let removed = there.map(|there| model.remove(there));
                        prop_assert_eq!(line.remove(places[at]), removed);
                    }
                    Step::PushAgain(which) if !places.is_empty() => {
                        let at = which % places.len();
                        if let Err(gap) = model.binary_search(&(at as u64)) {
                            places[at] = line.push_again(at as u64, places[at]);
                            model.insert(gap, at as u64);
                        }
                    }
                    Step::ExtractOdd => {
                        let odd: Vec<_> = model.extract_if(.., |ticket| *ticket % 2 == 1).collect();
                        prop_assert_eq!(line.extract_if(|ticket| *ticket % 2 == 1), odd);
                    }
                    Step::Remove(_) | Step::PushAgain(_) => {}
                }
                prop_assert_eq!(line.len(), model.len());
                prop_assert_eq!(line.next_ticket(), tickets);
            }
            let rest: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
            prop_assert_eq!(rest, model);
            prop_assert!(line.slots.is_empty());
        }
    }
}
