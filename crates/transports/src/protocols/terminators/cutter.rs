//! [`Cutter`]: finds terminators. Plain data: it calls nobody.
//!
//! Invariants: what is held is the beginning of a terminator, and shorter than it; all that is surely
//! data is given out at once; each byte is looked at a bounded number of times.

use super::Terminator;
use crate::protocols::find;

/// Finds terminators.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// May be the beginning of a terminator.
    held: Vec<u8>,
    /// So much of the front of `held` was handed out with the last call.
    handed_out: usize,
}

/// Something that is to be delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Data, not empty. `ends`: the terminator was a count, which ends with them.
    Data { data: &'a [u8], ends: bool },
    /// There are more data than there may be.
    TooLong,
    /// The terminator.
    End,
}

impl Cutter {
    /// The memory of what is held.
    pub(super) fn memory(&self) -> usize {
        self.held.capacity()
    }

    /// What is held, which is forgotten.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        self.drop_handed_out();
        std::mem::take(&mut self.held)
    }

    /// Gives back what is not needed until more comes.
    pub(super) fn tidy(&mut self) {
        self.drop_handed_out();
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// The next part of what is held and `input` together, with at most `most` bytes of data; `input` is
    /// moved behind it. If there is none, all of it is held. A count is counted down.
    pub(super) fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
        terminator: &mut Terminator,
        most: usize,
    ) -> Option<Part<'a>> {
        self.drop_handed_out();
        match terminator {
            Terminator::Never => self.data(input, usize::MAX, most),
            Terminator::Count(0) => Some(Part::End),
            Terminator::Count(left) => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
                let part = self.data(input, wanted, most)?;
                let Part::Data { data, .. } = part else { return Some(part) };
                *left -= data.len() as u64;
                Some(Part::Data { data, ends: *left == 0 })
            }
            Terminator::After(bytes) => {
                // No further than the data may go, so that a short limit costs no more.
                let ahead = most.saturating_add(bytes.len()).saturating_sub(self.held.len());
                let window = &input[..input.len().min(ahead)];
                match self.find(window, bytes) {
                    Some(0) => {
                        *input = &input[bytes.len() - self.held.len()..];
                        self.held.clear();
                        Some(Part::End)
                    }
                    Some(place) => self.data(input, place, most),
                    None => {
                        let kept = self.beginning(window, bytes);
                        let data = self.held.len() + window.len() - kept;
                        if data > 0 {
                            return self.data(input, data, most);
                        }
                        self.held.extend_from_slice(input);
                        *input = &[];
                        None
                    }
                }
            }
        }
    }

    /// The next `count` bytes, or as many as there are: those that are held first.
    fn data<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
        count: usize,
        most: usize,
    ) -> Option<Part<'a>> {
        let held = self.held.len();
        let there = if held > 0 { held } else { input.len() };
        let wanted = count.min(there);
        if wanted == 0 {
            return None;
        }
        if most == 0 {
            return Some(Part::TooLong);
        }
        let count = wanted.min(most);
        let data = if held > 0 {
            self.handed_out = count;
            &self.held[..count]
        } else {
            let (data, rest) = input.split_at(count);
            *input = rest;
            data
        };
        Some(Part::Data { data, ends: false })
    }

    /// Where the terminator begins.
    fn find(&self, window: &[u8], terminator: &[u8]) -> Option<usize> {
        let held = self.held.len();
        let across = (0..held).find(|&begin| {
            let (head, tail) = terminator.split_at(held - begin);
            self.held[begin..] == *head && window.starts_with(tail)
        });
        across.or_else(|| find(window, terminator).map(|place| held + place))
    }

    /// How many of the last bytes may be the beginning of the terminator.
    fn beginning(&self, window: &[u8], terminator: &[u8]) -> usize {
        let total = self.held.len() + window.len();
        let longest = total.min(terminator.len() - 1);
        let fits = |count: usize| {
            let (head, of_window) = match count.checked_sub(window.len()) {
                Some(of_held) => (&self.held[self.held.len() - of_held..], window),
                None => (&[][..], &window[window.len() - count..]),
            };
            let (first, second) = terminator[..count].split_at(head.len());
            first == head && second == of_window
        };
        (1..=longest).rev().find(|&count| fits(count)).unwrap_or(0)
    }

    fn drop_handed_out(&mut self) {
        let count = std::mem::take(&mut self.handed_out);
        self.held.drain(..count);
    }
}
