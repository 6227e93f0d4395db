//! Entries in pieces, and the memory of pieces that are done with.
//!
//! A pile of many grows by pieces, so that nothing is copied, and those that are done with fit any other.

use std::collections::VecDeque;
use std::mem;

use super::agenda::Entry;
use super::prefetch::prefetch;

/// A piece is no larger, unless it was something else before. With what the allocator adds this is less
/// than two pages, so that pieces do not all lie in the same place of their pages: many are written
/// in turn, and the cache has few lines for any one place.
pub(super) const PIECE: usize = 508;
/// Two cache lines: what follows an entry that far behind is fetched when it is added. Where entries go
/// to dozens of piles in turn, the processor does not foresee it.
const AHEAD: usize = 8;

/// Entries in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Pile {
    full: Vec<Vec<Entry>>,
    last: Vec<Entry>,
}

/// Memory that is kept for piles to come: large pieces in front, small ones behind.
#[derive(Debug, Default)]
pub(super) struct Spare(VecDeque<Vec<Entry>>);

impl Pile {
    pub(super) fn len(&self) -> usize {
        self.full.iter().map(Vec::len).sum::<usize>() + self.last.len()
    }

    #[inline]
    pub(super) fn push(&mut self, entry: Entry, spare: &mut Spare) {
        if self.last.len() == self.last.capacity() {
            self.make_room(spare);
        }
        prefetch(self.last.as_ptr().wrapping_add(self.last.len() + AHEAD));
        self.last.push(entry);
    }

    #[cold]
    fn make_room(&mut self, spare: &mut Spare) {
        match self.last.capacity() {
            0 => self.last = spare.take_any(),
            1..PIECE => {
                let more = self.last.len().min(PIECE - self.last.len());
                self.last.reserve_exact(more);
            }
            _ => self.full.push(mem::replace(&mut self.last, spare.take_large())),
        }
    }

    /// Lets `clear_up` drop entries from each piece, and gives back what memory is not needed then.
    pub(super) fn clear_up(&mut self, clear_up: impl Fn(&mut Vec<Entry>)) {
        for mut piece in mem::take(self).into_pieces() {
            clear_up(&mut piece);
            if self.last.capacity() == 0 {
                self.last = piece;
            } else if self.last.capacity() - self.last.len() >= piece.len() {
                self.last.append(&mut piece);
            } else {
                self.full.push(mem::replace(&mut self.last, piece));
            }
        }
        self.last.shrink_to(self.last.len() * 2);
    }

    /// The pieces, in order.
    pub(super) fn into_pieces(self) -> impl Iterator<Item = Vec<Entry>> {
        self.full.into_iter().chain([self.last])
    }

    /// All in one piece.
    pub(super) fn into_vec(self) -> Vec<Entry> {
        match self.full.is_empty() {
            true => self.last,
            false => self.into_pieces().collect::<Vec<_>>().concat(),
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.full.iter().flatten().chain(&self.last)
    }

    /// How many entries there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.full.iter().map(Vec::capacity).sum::<usize>() + self.last.capacity()
    }
}

impl From<Vec<Entry>> for Pile {
    fn from(entries: Vec<Entry>) -> Self {
        Self { full: Vec::new(), last: entries }
    }
}

impl Spare {
    /// Keeps the memory of `entries`, which are done with.
    pub(super) fn put(&mut self, mut entries: Vec<Entry>) {
        entries.clear();
        match entries.capacity() {
            0 => {}
            1..PIECE => self.0.push_back(entries),
            _ => self.0.push_front(entries),
        }
    }

    /// Room for at least a piece.
    fn take_large(&mut self) -> Vec<Entry> {
        let front = self.0.pop_front_if(|piece| piece.capacity() >= PIECE);
        front.unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    /// What there is, small pieces first: a pile that takes none would give back one more than it took,
    /// and they would become more and more.
    fn take_any(&mut self) -> Vec<Entry> {
        self.0.pop_back().unwrap_or_default()
    }

    /// Whether there is any.
    #[inline]
    pub(super) fn has_any(&self) -> bool {
        self.0.capacity() > 0
    }

    /// Gives some back: room for at least `most` entries, if there is that much.
    #[cold]
    pub(super) fn free(&mut self, most: usize) {
        let mut freed = 0;
        while freed < most
            && let Some(entries) = self.0.pop_front()
        {
            freed += entries.capacity();
        }
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// How many entries there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(from: u32, to: u32) -> impl Iterator<Item = Entry> {
        (from..to).map(|number| Entry::new(u64::from(number), number, number))
    }

    #[test]
    fn h18_a_pile_keeps_its_order_and_gives_back_the_room_of_what_is_dropped() {
        let (mut pile, mut spare) = (Pile::default(), Spare::default());
        entries(0, 5000).for_each(|entry| pile.push(entry, &mut spare));
        assert!(pile.full.iter().all(|piece| piece.len() == PIECE), "nothing is copied");
        assert!(pile.capacity() < 5000 + PIECE);
        pile.clear_up(|piece| piece.retain(|entry| entry.due % 9 == 0));
        assert_eq!(pile.len(), 556);
        assert!(pile.capacity() <= 3 * PIECE, "{}", pile.capacity());
        entries(5000, 6000).for_each(|entry| pile.push(entry, &mut spare));
        let expected = entries(0, 5000).filter(|entry| entry.due % 9 == 0);
        let expected: Vec<_> = expected.chain(entries(5000, 6000)).collect();
        assert_eq!(pile.iter().copied().collect::<Vec<_>>(), expected);
        assert_eq!(pile.into_vec(), expected);

        let mut pile = Pile::default();
        entries(0, 2000).for_each(|entry| pile.push(entry, &mut spare));
        pile.clear_up(Vec::clear);
        assert_eq!((pile.len(), pile.capacity()), (0, 0));
    }

    #[test]
    fn h12_piles_that_come_and_go_need_no_more_memory_each_time() {
        let mut spare = Spare::default();
        let mut kept = Vec::new();
        for _ in 0..20 {
            for size in [300, 5, 1200, 257, 2] {
                let mut pile = Pile::default();
                entries(0, size).for_each(|entry| pile.push(entry, &mut spare));
                pile.into_pieces().for_each(|piece| spare.put(piece));
            }
            kept.push(spare.capacity());
        }
        assert!(kept[1..].iter().all(|&kept| kept <= 3 * PIECE), "{kept:?}");
    }

    #[test]
    fn h18_pieces_that_are_done_with_are_used_again() {
        let (mut pile, mut spare) = (Pile::default(), Spare::default());
        entries(0, 5100).for_each(|entry| pile.push(entry, &mut spare));
        let whole = pile.capacity();
        pile.into_pieces().for_each(|piece| spare.put(piece));
        assert_eq!(spare.capacity(), whole);
        let mut pile = Pile::default();
        entries(0, 5100).for_each(|entry| pile.push(entry, &mut spare));
        assert!(pile.capacity() + spare.capacity() <= whole + PIECE);
        spare.free(usize::MAX);
        assert!(!spare.has_any());
    }
}
