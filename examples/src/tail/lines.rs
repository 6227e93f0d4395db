//! Where the last lines of a file begin, found from its end.

use tulipa::Bytes;
use tulipa::files::FileHandle;
use tulipa::prelude::*;

/// So much is read at a time.
const PIECE: u64 = 64 * 1024;

/// The place at which the last `lines` lines begin.
pub(super) async fn last_lines(file: &FileHandle, lines: usize) -> Result<u64, Exception> {
    let end = file.metadata().await?.len();
    let mut search = Search::new(end, lines);
    while let Some(from) = search.wants() {
        let size = usize::try_from(search.begin - from).unwrap_or(usize::MAX);
        let piece = file.read_at(from, Bytes(size)).await?;
        search.take(from, &piece);
    }
    Ok(search.begin)
}

/// The search, backwards: everything from `begin` on belongs to the last lines.
struct Search {
    begin: u64,
    /// The end of the file: what ends there ends a line, and begins none.
    end: u64,
    missing: usize,
    found: bool,
}

impl Search {
    fn new(end: u64, lines: usize) -> Self {
        Self { begin: end, end, missing: lines, found: lines == 0 }
    }

    /// From where on the piece before `begin` is wanted.
    fn wants(&self) -> Option<u64> {
        (!self.found && self.begin > 0).then(|| self.begin.saturating_sub(PIECE))
    }

    /// The piece from `from` up to `begin`; shorter if the file was cut meanwhile.
    fn take(&mut self, from: u64, piece: &[u8]) {
        for (index, byte) in piece.iter().enumerate().rev() {
            let after = from + index as u64 + 1;
            if *byte != b'\n' || after == self.end {
                continue;
            }
            self.missing -= 1;
            if self.missing == 0 {
                self.begin = after;
                self.found = true;
                return;
            }
        }
        self.begin = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The search over `text`, in pieces of `size`.
    fn begin_of(text: &[u8], lines: usize, size: u64) -> u64 {
        let mut search = Search::new(text.len() as u64, lines);
        while search.wants().is_some() {
            let from = search.begin.saturating_sub(size);
            let piece = text[from as usize..search.begin as usize].to_vec();
            search.take(from, &piece);
        }
        search.begin
    }

    #[test]
    fn the_last_lines_are_found_with_and_without_a_last_newline() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, 2),
            ("a\nb\nc", 2, 2),
            ("a\nb\nc", 0, 5),
            ("a\nb\nc", 9, 0),
            ("", 3, 0),
            ("\n", 1, 0),
            ("\n\n", 1, 1),
        ] {
            assert_eq!(begin_of(text.as_bytes(), lines, 4), expected, "{text:?}, {lines}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab\n]{0,60}", lines in 0usize..8, size in 1u64..70) {
            let all: Vec<&str> = text.split_inclusive('\n').collect();
            let shown = all[all.len().saturating_sub(lines)..].concat();
            let begin = begin_of(text.as_bytes(), lines, size) as usize;
            prop_assert_eq!(&text[begin..], shown);
        }
    }
}
