//! The check that users have for their protocols, over those that cut the stream into messages (W-16).

use futures::{SchedulerExt, current};
use tulipa_transports::protocols::{
    LineHandler, LineMode, LineReceiver, LongLine, RawData, Terminator, TerminatorHandler,
    TerminatorReceiver,
};
use tulipa_transports::testing::{Chunking, Notes};
use tulipa_transports::{Bytes, Eof, Protocol, Transport, TransportExt};

/// Pauses reading until the next turn.
fn pause(transport: &dyn Transport) {
    transport.pause_reading();
    let handle = transport.handle();
    drop(current().call_soon(move || handle.resume_reading()));
}

/// Notes lines; the first word of each says what to do.
struct Lines {
    notes: Notes,
    long_lines: LongLine,
    raw_left: usize,
}

impl LineHandler for Lines {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.notes.note(line.escape_ascii());
        transport.send_line(line);
        match line {
            b"pause" => pause(transport),
            b"close" => transport.close(),
            b"next" => transport.set_protocol(Rest(self.notes.clone())),
            b"raw" => {
                self.raw_left = 10;
                return LineMode::Raw;
            }
            _ => {}
        }
        LineMode::Lines
    }

    fn raw_data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> RawData {
        let count = self.raw_left.min(data.len());
        self.notes.bytes(&data[..count]);
        self.raw_left -= count;
        if data[0] == b'\n' {
            pause(transport);
        }
        if self.raw_left == 0 { RawData::EndsAfter(count) } else { RawData::More }
    }

    fn max_length(&self) -> Bytes {
        Bytes(10)
    }

    fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
        self.notes.note("too long");
        self.long_lines
    }

    fn line_piece_received(&mut self, _: &dyn Transport, piece: &[u8], is_last: bool) {
        self.notes.note(format!("piece {} {is_last}", piece.escape_ascii()));
    }

    fn eof_received(&mut self, _: &dyn Transport, unfinished: &[u8]) -> Eof {
        self.notes.note(format!("unfinished: {}", unfinished.escape_ascii()));
        Eof::Close
    }
}

/// Whatever comes after the lines.
struct Rest(Notes);

impl Protocol for Rest {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.0.bytes(data);
    }
}

#[test]
fn w9_w10_w11_w16_lines_and_raw_data_are_the_same_however_they_are_cut() {
    let inputs: [&[u8]; 4] = [
        b"a\r\n\r\npause\r\nb\rc\nd\r\nraw\r\n0123\r\n6789e\r\npause\r\nraw\r\n0123456789last\r",
        b"0123456789\r\n0123456789a\r\nb\r\n0123456789\r\r\n0123456789012345678901234\r\nend",
        b"one\r\npause\r\nclose\r\nnever\r\n",
        b"raw\r\n\n123456789pause\r\nnext\r\nraw\r\nand the rest\r\n",
    ];
    for long_lines in [LongLine::Close, LongLine::Pieces, LongLine::Skip] {
        for input in inputs {
            let check = Chunking::new(move |notes| {
                LineReceiver::new(Lines { notes, long_lines, raw_left: 0 })
            });
            let check = check.invariant(|run| assert!(run.most_held() <= Bytes(100)));
            check.input(input).runs(60).check();
        }
    }
}

/// Fields that end with a colon, each the length of the data behind it.
struct Fields {
    notes: Notes,
    collected: Vec<u8>,
    in_data: bool,
}

impl TerminatorHandler for Fields {
    fn collect_incoming_data(&mut self, _: &dyn Transport, data: &[u8]) {
        self.collected.extend_from_slice(data);
    }

    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator {
        let field = std::mem::take(&mut self.collected);
        self.notes.note(field.escape_ascii());
        transport.write(&field);
        self.in_data = !self.in_data;
        match &*field {
            b"pause" => pause(transport),
            b"close" => transport.close(),
            b"next" => transport.set_protocol(Rest(self.notes.clone())),
            b"never" => return Terminator::Never,
            _ => {}
        }
        match self.in_data {
            true => Terminator::Count(str::from_utf8(&field).unwrap_or("").parse().unwrap_or(0)),
            false => Terminator::from("::"),
        }
    }

    fn max_length(&self) -> Bytes {
        Bytes(8)
    }

    fn terminator_too_far(&mut self, transport: &dyn Transport) {
        self.notes.note("too far");
        transport.close();
    }
}

#[test]
fn w11_w16_data_before_terminators_are_the_same_however_they_are_cut() {
    let inputs: [&[u8]; 4] = [
        b"5::pause3::a::0::::5::pause1::x",
        b"5::close1::never",
        b"4::next3:: and the rest",
        b"2::ab012345678::",
    ];
    for input in inputs {
        let check = Chunking::new(|notes| {
            let fields = Fields { notes, collected: Vec::new(), in_data: false };
            TerminatorReceiver::new(fields, "::")
        });
        check.input(input).runs(60).check();
    }
}
