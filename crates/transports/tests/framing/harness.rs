//! The harness for users, over these protocols, with handlers that stop and go on later (W-16, W-11).

use futures::{SchedulerExt, current};
use std::time::Duration;
use tulipa_transports::protocols::{
    LineHandler, LineMode, LineReceiver, LongLine, RawData, Terminator, TerminatorHandler,
    TerminatorReceiver,
};
use tulipa_transports::testing::{Chunking, Notes};
use tulipa_transports::{Bytes, Transport, TransportExt};

/// Does something else first, that takes a while.
fn stop_for_a_while(transport: &dyn Transport) {
    transport.pause_reading();
    let transport = transport.handle();
    current().call_later(Duration::from_millis(3), move || transport.resume_reading());
}

struct Lines {
    notes: Notes,
    raw_left: usize,
    long_lines: LongLine,
}

impl LineHandler for Lines {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.notes.note(String::from_utf8_lossy(line));
        transport.send_line(line);
        match line {
            b"wait" => stop_for_a_while(transport),
            b"bye" => transport.close(),
            b"raw" => {
                self.raw_left = 7;
                return LineMode::Raw;
            }
            _ => {}
        }
        LineMode::Lines
    }

    fn raw_data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> RawData {
        let count = self.raw_left.min(data.len());
        transport.write(&data[..count]);
        self.raw_left -= count;
        if self.raw_left > 0 {
            return RawData::More;
        }
        stop_for_a_while(transport);
        RawData::EndsAfter(count)
    }

    fn max_length(&self) -> Bytes {
        Bytes(6)
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        transport.send_line(b"too long");
        self.long_lines
    }

    fn line_piece_received(&mut self, transport: &dyn Transport, piece: &[u8], is_last: bool) {
        self.notes.note(format!("{} {is_last}", String::from_utf8_lossy(piece)));
        stop_for_a_while(transport);
    }
}

#[test]
fn w9_w10_w11_w16_lines_are_the_same_however_they_are_cut() {
    let input = b"one\r\n\r\nwait\r\ntwo\r\r\nraw\r\n123\r\n67wait\r\n123456\r\n1234567\r\n\
        0123456789abcdefghi\r\r\n\nnext\r\nraw\r\nabcdefgbye\r\nnever\r\n";
    for long_lines in [LongLine::Skip, LongLine::Pieces, LongLine::Close] {
        Chunking::new(move |notes| LineReceiver::new(Lines { notes, raw_left: 0, long_lines }))
            .input(input)
            .time_to_answer(Duration::from_secs(1))
            .allow_leftovers() // of a connection that ended in the meantime
            .replies_may_be_lost() // by a peer that still sends, and does not read, when it is closed
            .check();
    }
}

struct Messages {
    notes: Notes,
    collected: Vec<u8>,
    in_body: bool,
}

impl TerminatorHandler for Messages {
    fn collect_incoming_data(&mut self, _: &dyn Transport, data: &[u8]) {
        self.collected.extend_from_slice(data);
    }

    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator {
        let collected = std::mem::take(&mut self.collected);
        let text = String::from_utf8_lossy(&collected).into_owned();
        self.notes.note(&text);
        transport.write(&collected);
        self.in_body = !self.in_body;
        if self.in_body {
            return Terminator::Count(text.parse().unwrap_or(0));
        }
        match text.as_str() {
            "bye" => transport.close(),
            _ => stop_for_a_while(transport),
        }
        Terminator::from("\r\n\r\n")
    }
}

#[test]
fn w11_w16_messages_are_the_same_however_they_are_cut() {
    Chunking::new(|notes| {
        let messages = Messages { notes, collected: Vec::new(), in_body: false };
        TerminatorReceiver::new(messages, "\r\n\r\n")
    })
    .input(b"5\r\n\r\ntulip0\r\n\r\n4\r\n\r\n\r\n\r\n\r\n\r\nx\r\n\r\r\n\r\n3\r\n\r\nbye5\r\n\r\nnever")
    .time_to_answer(Duration::from_secs(1))
    .allow_leftovers()
    .replies_may_be_lost()
    .check();
}
