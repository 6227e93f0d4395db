//! In which order items leave a queue.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// The items of a queue.
pub(super) trait Items<T> {
    fn push(&mut self, item: T);
    fn pop(&mut self) -> Option<T>;
    fn len(&self) -> usize;

    /// Takes all out, in any order and without comparing them.
    fn take_all(&mut self) -> Vec<T>;
}

/// First in, first out.
pub(super) struct Oldest<T>(VecDeque<T>);

/// Last in, first out.
pub(super) struct Newest<T>(Vec<T>);

/// The smallest first; among equals the oldest.
pub(super) struct Smallest<T> {
    heap: BinaryHeap<Entry<T>>,
    pushed: u64,
}

struct Entry<T> {
    item: T,
    order: u64,
}

impl<T> Default for Oldest<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Default for Smallest<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<T> Items<T> for Oldest<T> {
    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        std::mem::take(&mut self.0).into()
    }
}

impl<T> Items<T> for Newest<T> {
    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        std::mem::take(&mut self.0)
    }
}

impl<T: Ord> Items<T> for Smallest<T> {
    fn push(&mut self, item: T) {
        let order = self.pushed;
        self.pushed += 1;
        self.heap.push(Entry { item, order });
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|entry| entry.item)
    }

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        self.heap.drain().map(|entry| entry.item).collect()
    }
}

impl<T: Ord> Ord for Entry<T> {
    /// The other way round: the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.item.cmp(&self.item).then(other.order.cmp(&self.order))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<T> {}
