//! [`Search`]: looking for the first of several separators in bytes that still grow. Pure data.
//!
//! Invariant: no separator begins before `from`. So a search that is repeated with more bytes goes
//! on where it stopped, less the beginning of a separator that may have been cut in two (Y-11, Y-15).

use super::InvalidSeparator;
use crate::protocols::find;
use std::ops::Range;

/// One search, from its beginning to its success.
pub(super) struct Search<'s> {
    separators: &'s [&'s [u8]],
    longest: usize,
    from: usize,
}

impl<'s> Search<'s> {
    /// # Errors
    /// [`InvalidSeparator`] if there is none, or an empty one.
    pub(super) fn new(separators: &'s [&'s [u8]]) -> Result<Self, InvalidSeparator> {
        let shortest = separators.iter().map(|separator| separator.len()).min();
        let longest = separators.iter().map(|separator| separator.len()).max();
        match (shortest, longest) {
            (Some(1..), Some(longest)) => Ok(Self { separators, longest, from: 0 }),
            _ => Err(InvalidSeparator),
        }
    }

    /// A search for the end of a line.
    pub(super) fn for_newline() -> Search<'static> {
        Search { separators: &[b"\n"], longest: 1, from: 0 }
    }

    /// The match in `data` that ends first; of those that end together the shortest (Y-12). What was
    /// searched before must still stand at the beginning of `data`.
    pub(super) fn find(&mut self, data: &[u8]) -> Option<Range<usize>> {
        let from = self.from;
        let mut best: Option<Range<usize>> = None;
        for separator in self.separators {
            // What ends later cannot be better.
            let end = best.as_ref().map_or(data.len(), |best| best.end);
            let Some(at) = find(&data[from..end], separator) else { continue };
            let found = from + at..from + at + separator.len();
            let better = |best: &Range<usize>| found.end < best.end || found.start > best.start;
            if best.as_ref().is_none_or(better) {
                best = Some(found);
            }
        }
        if best.is_none() {
            self.from = from.max((data.len() + 1).saturating_sub(self.longest));
        }
        best
    }

    /// So many bytes at the beginning certainly have no separator in them.
    pub(super) fn searched(&self) -> usize {
        self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn y12_the_match_that_ends_first_counts_whatever_the_order() {
        for separators in [[&b"\r\n"[..], b"\n"], [b"\n", b"\r\n"]] {
            let mut search = Search::new(&separators).unwrap();
            assert_eq!(search.find(b"a\r\nb"), Some(2..3), "both end there: the shortest");
        }
        for separators in [[&b"abcd"[..], b"bc"], [b"bc", b"abcd"]] {
            let mut search = Search::new(&separators).unwrap();
            assert_eq!(search.find(b"xabcd"), Some(2..4), "it begins later, and ends before");
        }
        for separators in [[&b"ab"[..], b"abc"], [b"abc", b"ab"]] {
            assert_eq!(Search::new(&separators).unwrap().find(b"abc"), Some(0..2));
        }
    }

    #[test]
    fn y9_there_must_be_a_separator_and_it_must_not_be_empty() {
        for separators in [&[][..], &[&b""[..]], &[b"a", b""]] {
            assert_eq!(Search::new(separators).err(), Some(InvalidSeparator));
        }
    }

    #[test]
    fn y15_a_search_goes_on_where_it_stopped_less_a_separator_that_was_cut() {
        let mut search = Search::new(&[b"--end", b"\n"]).unwrap();
        assert_eq!((search.find(b"--e"), search.searched()), (None, 0));
        assert_eq!((search.find(b"--eabcdefgh--e"), search.searched()), (None, 10));
        assert_eq!(search.find(b"--eabcdefgh--end"), Some(11..16));
    }

    /// The dumbest way: look at every end, then at every separator.
    fn model(data: &[u8], separators: &[&[u8]]) -> Option<Range<usize>> {
        (1..=data.len()).find_map(|end| {
            let fitting = separators.iter().filter(|separator| data[..end].ends_with(separator));
            fitting.map(|separator| end - separator.len()..end).max_by_key(|found| found.start)
        })
    }

    proptest! {
        #[test]
        fn y11_y12_y15_however_the_bytes_come_the_same_match_is_found(
            data in proptest::collection::vec(0..3u8, 0..60),
            separators in proptest::collection::vec(proptest::collection::vec(0..3u8, 1..5), 1..4),
            steps in proptest::collection::vec(0..8usize, 0..30),
        ) {
            let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
            let mut search = Search::new(&separators).unwrap();
            let mut end = 0;
            let mut found = None;
            for step in steps.into_iter().chain([data.len()]) {
                end = data.len().min(end + step);
                found = search.find(&data[..end]);
                if found.is_some() {
                    break;
                }
            }
            prop_assert_eq!(found, model(&data, &separators));
        }
    }
}
