//! However the input is cut, and whenever the handler stops, the calls are the same (W-16, W-11).

use crate::support::*;
use eventloop::TestLoop;
use proptest::collection::vec;
use proptest::prelude::*;
use tulipa_transports::protocols::{LineHandler, LineMode, LineReceiver, LongLine, RawData};
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions};
use tulipa_transports::{Bytes, Eof, NetworkLoop, Transport};

/// What was delivered: raw data joined, since where they are cut carries no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Line(Vec<u8>),
    Raw(Vec<u8>),
    TooLong,
    Piece(Vec<u8>, bool),
    Eof(Vec<u8>),
}

/// A line's first letter says what follows: r: so many raw bytes as it is long, p: a pause.
struct Script {
    calls: Slot<Vec<Call>>,
    raw_left: usize,
    long_lines: LongLine,
    pauses: bool,
}

impl LineHandler for Script {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.calls.update(|calls| calls.push(Call::Line(line.to_vec())));
        match line.first() {
            Some(b'r') => {
                self.raw_left = line.len();
                self.calls.update(|calls| calls.push(Call::Raw(Vec::new())));
                return LineMode::Raw;
            }
            Some(b'p') if self.pauses => transport.pause_reading(),
            _ => {}
        }
        LineMode::Lines
    }

    fn raw_data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> RawData {
        assert!(!data.is_empty());
        let count = self.raw_left.min(data.len());
        self.calls.update(|calls| {
            let Some(Call::Raw(raw)) = calls.last_mut() else { panic!("raw data out of place") };
            raw.extend_from_slice(&data[..count]);
        });
        if self.pauses && data[0] == b'p' {
            transport.pause_reading();
        }
        self.raw_left -= count;
        if self.raw_left == 0 { RawData::EndsAfter(count) } else { RawData::More }
    }

    fn max_length(&self) -> Bytes {
        Bytes(5)
    }

    fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
        self.calls.update(|calls| calls.push(Call::TooLong));
        self.long_lines
    }

    fn line_piece_received(&mut self, transport: &dyn Transport, piece: &[u8], is_last: bool) {
        self.calls.update(|calls| calls.push(Call::Piece(piece.to_vec(), is_last)));
        if self.pauses && piece.first() == Some(&b'p') {
            transport.pause_reading();
        }
    }

    fn eof_received(&mut self, _: &dyn Transport, unfinished: &[u8]) -> Eof {
        self.calls.update(|calls| calls.push(Call::Eof(unfinished.to_vec())));
        Eof::Close
    }
}

/// What is delivered when `pieces` are sent one after the other.
fn calls(
    pieces: &[&[u8]],
    long_lines: LongLine,
    pauses: bool,
    options: MemoryOptions,
) -> Vec<Call> {
    let event_loop = TestLoop::new();
    let calls = Slot::new();
    let script = Script { calls: calls.clone(), raw_left: 0, long_lines, pauses };
    let (receiver, log) = LifeCycle::new(LineReceiver::new(script));
    let pair = event_loop.memory_pair(receiver, Hooks::new(), options);
    event_loop.run_ready_now();
    for piece in pieces {
        pair.right.write(piece);
        event_loop.run_ready_now();
        event_loop.run_ready_now();
    }
    pair.right.close();
    run_until(&event_loop, || {
        pair.left.resume_reading();
        event_loop.open_connections() == 0
    });
    log.check_ended();
    calls.take()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn w9_w10_w11_w16_cutting_pausing_and_trouble_change_no_call(
        pieces in vec("[apr\r\n]{0,3}(\r\n)?[ap]?", 0..16),
        long_lines in prop_oneof![Just(LongLine::Skip), Just(LongLine::Pieces), Just(LongLine::Close)],
        seed in any::<u64>(),
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let whole = pieces.concat();
        let expected = calls(&[&whole], long_lines, false, MemoryOptions::default());
        let options = MemoryOptions::default().trouble(seed >> 1);
        prop_assert_eq!(&calls(&pieces, long_lines, true, options), &expected);
    }
}
