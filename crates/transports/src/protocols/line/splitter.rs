//! [`Splitter`]: cuts bytes into lines. Plain data: it calls nobody.
//!
//! Invariants: no more than the limit and the length of the delimiter is held; each byte is looked at a
//! bounded number of times, however the input is cut; what a call gives depends on the bytes, never on
//! where they were cut.

use crate::protocols::find;
use std::borrow::Cow;

/// Cuts bytes into lines.
#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: Cow<'static, [u8]>,
    /// The beginning of a line. A delimiter may begin in it, but none lies in it as a whole.
    held: Vec<u8>,
    /// So much of the front of `held` was handed out with the last call.
    handed_out: usize,
    line: State,
}

/// What becomes of the line that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is delivered as a whole.
    Whole,
    /// It was too long, and somebody wants it nonetheless.
    Pieces,
    /// It was too long, and nobody wants it.
    Skipped,
}

/// Something that is to be delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A line without its ending.
    Line(&'a [u8]),
    /// The line that begins here is too long. It is skipped, or comes in pieces, as is said now; else the
    /// answer is the same again.
    TooLong,
    /// A piece of such a line.
    Piece { piece: &'a [u8], is_last: bool },
}

/// Room that is kept for the next line that comes in pieces; more is given back.
const KEPT: usize = 512;

impl Splitter {
    pub(super) fn new(delimiter: Cow<'static, [u8]>) -> Self {
        Self { delimiter, held: Vec::new(), handed_out: 0, line: State::Whole }
    }

    /// The memory of what is held.
    pub(super) fn memory(&self) -> usize {
        self.held.capacity()
    }

    /// The line that is too long is to come in pieces.
    pub(super) fn deliver_pieces(&mut self) {
        self.line = State::Pieces;
    }

    /// The line that is too long is to be dropped.
    pub(super) fn skip(&mut self) {
        self.line = State::Skipped;
    }

    /// What is held, which comes again; what becomes of the line stays as it is.
    pub(super) fn take_undelivered(&mut self) -> Vec<u8> {
        self.drop_handed_out();
        std::mem::take(&mut self.held)
    }

    /// What is held of a line, which is forgotten.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        let held = self.take_undelivered();
        match std::mem::replace(&mut self.line, State::Whole) {
            State::Whole | State::Pieces => held,
            State::Skipped => Vec::new(),
        }
    }

    /// Gives back what is not needed until more comes.
    pub(super) fn tidy(&mut self) {
        self.drop_handed_out();
        if self.held.is_empty() && self.held.capacity() > KEPT {
            self.held = Vec::new();
        }
    }

    /// The next part of what is held and `input` together; `input` is moved behind it. If there is none,
    /// all of it is held, or was skipped. `limit` is the length of a line without its ending.
    pub(super) fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
        limit: usize,
    ) -> Option<Part<'a>> {
        self.drop_handed_out();
        if self.line == State::Skipped {
            self.skip_to_the_end(input)?;
        }
        let limit = limit.max(1);
        let most = limit.saturating_add(self.delimiter.len());
        let Some(end) = self.find_end(input, most) else {
            if self.held.len() + input.len() < most {
                self.held.extend_from_slice(input);
                *input = &[];
                return None;
            }
            return Some(self.cut(input, limit));
        };
        let is_last = match self.line {
            State::Whole | State::Skipped => None,
            State::Pieces => Some(true),
        };
        self.line = State::Whole;
        let line = self.hand_out(input, end, self.delimiter.len());
        Some(match is_last {
            None => Part::Line(line),
            Some(is_last) => Part::Piece { piece: line, is_last },
        })
    }

    /// The line goes on for longer than the limit.
    fn cut<'a, 'input: 'a>(&'a mut self, input: &mut &'input [u8], limit: usize) -> Part<'a> {
        match self.line {
            State::Whole | State::Skipped => Part::TooLong,
            State::Pieces => Part::Piece { piece: self.hand_out(input, limit, 0), is_last: false },
        }
    }

    /// Where a delimiter begins, counted from the beginning of the line, if it ends within `most` bytes.
    fn find_end(&self, input: &[u8], most: usize) -> Option<usize> {
        let held = self.held.len();
        let across = self.delimiter.len() - 1;
        if held > 0 && across > 0 {
            // Across the seam: what is held ends with the beginning of a delimiter, and the rest follows.
            let first = held.saturating_sub(across);
            for begin in first..held {
                let (head, tail) = self.delimiter.split_at(held - begin);
                if self.held[begin..] == *head && input.starts_with(tail) {
                    return (begin + self.delimiter.len() <= most).then_some(begin);
                }
            }
        }
        let window = &input[..input.len().min(most.saturating_sub(held))];
        find(window, &self.delimiter).map(|place| held + place)
    }

    /// The first `count` bytes, of which some may be held, without the `ending` bytes behind them.
    fn hand_out<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
        count: usize,
        ending: usize,
    ) -> &'a [u8] {
        let held = self.held.len();
        if held == 0 {
            let (line, rest) = input.split_at(count);
            *input = &rest[ending..];
            return line;
        }
        let all = count + ending;
        if all >= held {
            // What follows what is held is in the input.
            let (mine, rest) = input.split_at(all - held);
            *input = rest;
            self.held.extend_from_slice(&mine[..mine.len().min(count.saturating_sub(held))]);
            self.handed_out = self.held.len();
        } else {
            self.handed_out = all;
        }
        &self.held[..count]
    }

    /// Drops all up to the end of the line; `None` if that has not come.
    fn skip_to_the_end(&mut self, input: &mut &[u8]) -> Option<()> {
        let across = self.delimiter.len() - 1;
        let old = self.held.len().saturating_sub(across);
        self.held.drain(..old);
        match self.find_end(input, usize::MAX) {
            Some(begin) => {
                *input = &input[begin + self.delimiter.len() - self.held.len()..];
                self.held.clear();
                self.line = State::Whole;
                Some(())
            }
            None => {
                // A delimiter may have begun in the last bytes.
                let new = &input[input.len().saturating_sub(across)..];
                self.held.extend_from_slice(new);
                let old = self.held.len().saturating_sub(across);
                self.held.drain(..old);
                *input = &[];
                None
            }
        }
    }

    fn drop_handed_out(&mut self) {
        let count = std::mem::take(&mut self.handed_out);
        self.held.drain(..count);
    }
}
