//! The cutter against a plain model, however the input is cut.

use super::Terminator;
use super::cutter::{Cutter, Part};
use proptest::collection::vec;
use proptest::prelude::*;
use std::borrow::Cow;

/// Parts between terminators, and what was collected behind the last one.
type Parts = (Vec<Vec<u8>>, Vec<u8>);

/// Uses the terminators in turn.
fn cut(pieces: &[&[u8]], terminators: &[Terminator], most: usize) -> Parts {
    let mut cutter = Cutter::default();
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    let mut used = 0;
    let mut terminator = terminators[0].clone();
    for piece in pieces {
        let mut input = *piece;
        loop {
            let ended = match cutter.next(&mut input, &mut terminator, most) {
                None => break,
                Some(Part::Data { data, ends }) => {
                    assert!(!data.is_empty() && data.len() <= most);
                    part.extend_from_slice(data);
                    ends
                }
                Some(Part::End) => true,
                Some(Part::TooLong) => panic!("there is no limit"),
            };
            if ended {
                parts.push(std::mem::take(&mut part));
                used += 1;
                terminator = terminators[used % terminators.len()].clone();
                if terminator == Terminator::Count(0) && input.is_empty() {
                    break; // else it never ends, with zeroes only
                }
            }
        }
        assert!(input.is_empty());
        cutter.tidy();
        assert!(cutter.memory() < 64);
    }
    part.extend(cutter.take_held());
    (parts, part)
}

fn model(mut input: &[u8], terminators: &[Terminator]) -> Parts {
    let mut parts = Vec::new();
    for terminator in terminators.iter().cycle() {
        let (end, skip) = match terminator {
            Terminator::After(bytes) => {
                let end = input.windows(bytes.len()).position(|window| *window == **bytes);
                (end, bytes.len())
            }
            Terminator::Count(count) => {
                let count = *count as usize;
                ((count <= input.len()).then_some(count), 0)
            }
            Terminator::Never => (None, 0),
        };
        let Some(end) = end else { break };
        if input.is_empty() {
            break;
        }
        parts.push(input[..end].to_vec());
        input = &input[end + skip..];
    }
    (parts, input.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn w16_any_cutting_gives_the_parts_of_the_model(
        pieces in vec("[abc]{1,6}", 0..20),
        terminators in vec(prop_oneof![
            Just(Terminator::from("a")),
            Just(Terminator::from("ab")),
            Just(Terminator::from("aab")),
            Just(Terminator::from("abab")),
            Just(Terminator::from("aaaa")),
            Just(Terminator::After(Cow::Owned(b"abcabcab".to_vec()))),
            (1..9_u64).prop_map(Terminator::from),
            Just(Terminator::Never),
        ], 1..4),
        most in prop_oneof![Just(1), Just(3), Just(usize::MAX)],
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let expected = model(&pieces.concat(), &terminators);
        prop_assert_eq!(cut(&pieces, &terminators, most), expected);
    }
}

#[test]
fn w16_what_is_surely_data_is_given_out_at_once() {
    let mut cutter = Cutter::default();
    let mut terminator = Terminator::from("\r\n\r\n");
    let mut input = &b"head\r\n\r"[..];
    let part = cutter.next(&mut input, &mut terminator, usize::MAX);
    assert_eq!(part, Some(Part::Data { data: b"head", ends: false }));
    assert_eq!(cutter.next(&mut input, &mut terminator, usize::MAX), None);
    let mut input = &b"\r\n"[..];
    let part = cutter.next(&mut input, &mut terminator, usize::MAX);
    assert_eq!(part, Some(Part::Data { data: b"\r\n\r", ends: false }));
}
