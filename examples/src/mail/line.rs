//! Lines that end with CR LF, of a bounded length, out of bytes that come in pieces.
//!
//! Only CR LF ends a line. A CR or LF alone stays inside its line, where whoever reads it can see and
//! refuse it: taking one for a line end is how mails are smuggled (two servers, two opinions about where
//! a mail ends).
//!
//! Invariant: no more than the limit is held, and each byte is looked at a bounded number of times.

use crate::work;

/// Splits bytes into lines.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// The beginning of a line that is not whole yet; of one that is too long, nothing.
    held: Vec<u8>,
    /// How long the line is so far, beyond the limit too.
    length: usize,
    ends_with_cr: bool,
    /// What `held` contains was handed out with the last call.
    handed_out: bool,
}

/// One line, or what is left of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without the CR LF at its end.
    Whole(&'a [u8]),
    /// There was a line, longer than the limit; it is gone.
    TooLong,
}

impl LineSplitter {
    /// What is kept of a line that is not whole, in bytes.
    pub fn memory(&self) -> usize {
        self.held.capacity()
    }

    /// The next line that `input` ends, which is moved behind it; `None` when the last bytes are part
    /// of a line that has not ended. `limit` counts the line end too.
    ///
    /// A line that lies in `input` as a whole is not copied.
    pub fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
        limit: usize,
    ) -> Option<Line<'a>> {
        if self.handed_out {
            self.handed_out = false;
            self.held = Vec::new();
        }
        let Some(end) = self.find_end(input) else {
            self.keep(input, limit);
            *input = b"";
            return None;
        };
        let (piece, rest) = input.split_at(end);
        *input = rest;
        let length = self.length + piece.len();
        let in_one_piece = self.length == 0;
        if length > limit {
            self.held = Vec::new();
        } else if !in_one_piece {
            self.held.extend_from_slice(piece);
        }
        (self.length, self.ends_with_cr) = (0, false);
        if length > limit {
            return Some(Line::TooLong);
        }
        if in_one_piece {
            return Some(Line::Whole(&piece[..length - 2]));
        }
        self.handed_out = true;
        Some(Line::Whole(&self.held[..length - 2]))
    }

    /// Where the first CR LF of the line ends, counted in `input`.
    fn find_end(&self, input: &[u8]) -> Option<usize> {
        let end = memchr::memchr_iter(b'\n', input).find(|lf| match lf {
            0 => self.ends_with_cr,
            lf => input[lf - 1] == b'\r',
        });
        work::count(end.map_or(input.len(), |lf| lf + 1));
        end.map(|lf| lf + 1)
    }

    fn keep(&mut self, input: &[u8], limit: usize) {
        let Some(last) = input.last() else { return };
        self.ends_with_cr = *last == b'\r';
        self.length = self.length.saturating_add(input.len());
        if self.length > limit {
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(input);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::work::counted;

    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<Option<Vec<u8>>> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(line) = splitter.next(&mut input, limit) {
                lines.push(match line {
                    Line::Whole(text) => Some(text.to_vec()),
                    Line::TooLong => None,
                });
            }
            assert!(splitter.held.len() <= limit);
        }
        lines
    }

    /// The dumbest splitter there is.
    fn model(input: &[u8], limit: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        let mut line = Vec::new();
        for byte in input {
            line.push(*byte);
            if line.ends_with(b"\r\n") {
                let text = line[..line.len() - 2].to_vec();
                lines.push((line.len() <= limit).then_some(text));
                line.clear();
            }
        }
        lines
    }

    #[test]
    fn r15_only_cr_lf_ends_a_line() {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            lines(&[b"a\r\n\r\nb\nc\rd\r\r\n\n\r\ne"], 100),
            [text("a"), text(""), text("b\nc\rd\r"), text("\n")]
        );
    }

    #[test]
    fn r4_a_line_over_the_limit_is_skipped_to_its_end() {
        let pieces: [&[u8]; 5] = [b"1234\r\n", b"123456789\n\r", b"\n123", b"45\r\n", b"ok\r\n"];
        assert_eq!(lines(&pieces, 6), [Some(b"1234".to_vec()), None, None, Some(b"ok".to_vec())]);
    }

    #[test]
    fn r15_an_endless_line_costs_linear_work_and_no_memory() {
        let mut splitter = LineSplitter::default();
        let work = counted(|| {
            for _ in 0..100_000 {
                assert_eq!(splitter.next(&mut &b"\n"[..], 50), None);
            }
        });
        assert_eq!(work, 100_000);
        assert_eq!(splitter.held.capacity(), 0);
    }

    proptest! {
        #[test]
        fn r15_any_split_gives_the_lines_of_the_model(
            pieces in proptest::collection::vec("[ab\r\n]{0,6}", 0..20),
            limit in 2_usize..12,
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            prop_assert_eq!(lines(&pieces, limit), model(&pieces.concat(), limit));
        }
    }
}
