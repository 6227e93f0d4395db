//! The splitter against a plain model, however the input is cut.

use super::splitter::{Part, Splitter};
use proptest::collection::vec;
use proptest::prelude::*;
use std::borrow::Cow;

/// What came of some input.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Line(Vec<u8>),
    TooLong,
    Piece(Vec<u8>, bool),
    /// What was held at the end.
    Held(Vec<u8>),
}

fn split(pieces: &[&[u8]], delimiter: &[u8], limit: usize, in_pieces: bool) -> Vec<Got> {
    let mut splitter = Splitter::new(Cow::Owned(delimiter.to_vec()));
    let mut got = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            let long = match splitter.next(&mut input, limit) {
                None => break,
                Some(Part::Line(line)) => {
                    got.push(Got::Line(line.to_vec()));
                    false
                }
                Some(Part::Piece { piece, is_last }) => {
                    got.push(Got::Piece(piece.to_vec(), is_last));
                    false
                }
                Some(Part::TooLong) => {
                    got.push(Got::TooLong);
                    true
                }
            };
            match (long, in_pieces) {
                (false, _) => {}
                (true, true) => splitter.deliver_pieces(),
                (true, false) => splitter.skip(),
            }
        }
        assert!(input.is_empty());
        splitter.tidy();
        assert!(splitter.memory() <= 2 * (limit + delimiter.len()) + 8, "{}", splitter.memory());
    }
    got.push(Got::Held(splitter.take_held()));
    got
}

/// The dumbest splitter there is: it has all of the input.
fn model(mut input: &[u8], delimiter: &[u8], limit: usize, in_pieces: bool) -> Vec<Got> {
    let mut got = Vec::new();
    loop {
        let end = input.windows(delimiter.len()).position(|window| window == delimiter);
        let (line, rest) = match end {
            Some(end) => (&input[..end], Some(&input[end + delimiter.len()..])),
            None => (input, None),
        };
        let is_long = match end {
            Some(end) => end > limit,
            None => input.len() >= limit + delimiter.len(),
        };
        let mut held = line;
        if is_long {
            got.push(Got::TooLong);
            if in_pieces && rest.is_some() {
                let last = line.chunks(limit).count() - 1;
                let pieces = line.chunks(limit).enumerate();
                got.extend(pieces.map(|(at, piece)| Got::Piece(piece.to_vec(), at == last)));
            } else if in_pieces {
                while held.len() >= limit + delimiter.len() {
                    got.push(Got::Piece(held[..limit].to_vec(), false));
                    held = &held[limit..];
                }
            } else {
                held = b"";
            }
        } else if rest.is_some() {
            got.push(Got::Line(line.to_vec()));
        }
        match rest {
            Some(rest) => input = rest,
            None => {
                got.push(Got::Held(held.to_vec()));
                return got;
            }
        }
    }
}

#[test]
fn w8_only_the_delimiter_ends_a_line() {
    let line = |text: &str| Got::Line(text.as_bytes().to_vec());
    assert_eq!(
        split(&[b"a\r\n\r\nb\nc\rd\r\r\n\n\r\ne"], b"\r\n", 100, false),
        [line("a"), line(""), line("b\nc\rd\r"), line("\n"), Got::Held(b"e".to_vec())]
    );
}

#[test]
fn w10_exactly_the_limit_is_a_line_and_one_more_byte_is_not() {
    let (line, held) = (Got::Line(b"1234".to_vec()), Got::Held(Vec::new()));
    let whole: &[&[u8]] = &[b"1234\r\n"];
    let cut: &[&[u8]] = &[b"12", b"34", b"\r", b"\n"];
    for pieces in [whole, cut] {
        assert_eq!(split(pieces, b"\r\n", 4, false), [line.clone(), held.clone()]);
        assert_eq!(split(pieces, b"\r\n", 3, false), [Got::TooLong, held.clone()]);
    }
    // Known to be too long before its end has come.
    assert_eq!(split(&[b"123456"], b"\r\n", 4, false)[0], Got::TooLong);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn w8_w10_w16_any_cutting_gives_the_parts_of_the_model(
        pieces in vec("[ab\r\n]{0,6}", 0..20),
        delimiter in prop_oneof![
            Just("\r\n"), Just("\n"), Just("a"), Just("aab"), Just("abab"), Just("aaaa"), Just("\r\n\r\n"),
        ],
        limit in 1_usize..12,
        in_pieces in any::<bool>(),
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let expected = model(&pieces.concat(), delimiter.as_bytes(), limit, in_pieces);
        let got = split(&pieces, delimiter.as_bytes(), limit, in_pieces);
        prop_assert_eq!(&got, &expected);
    }
}
