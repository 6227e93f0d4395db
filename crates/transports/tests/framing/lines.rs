//! `LineReceiver`: what is delivered, and how it goes on (W-8…W-12).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::rc::Rc;
use tulipa_transports::protocols::{
    LineHandler, LineMode, LineReceiver, LineTooLong, LongLine, RawData,
};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryPair, RecordingTransport};
use tulipa_transports::{
    Bytes, Eof, NetworkLoop, Protocol, Transport, TransportExt, WriteRefusal, WriteState,
};

/// Notes what it is given. Some lines are commands.
struct Noting {
    seen: Slot<Vec<String>>,
    raw_left: usize,
    on_long_line: Option<LongLine>,
}

impl Default for Noting {
    fn default() -> Self {
        Self { seen: Slot::new(), raw_left: 0, on_long_line: None }
    }
}

impl Noting {
    fn new() -> (Self, Slot<Vec<String>>) {
        let noting = Self::default();
        let seen = noting.seen.clone();
        (noting, seen)
    }

    fn note(&self, what: &str, data: &[u8]) {
        let data = String::from_utf8_lossy(data);
        self.seen.update(|seen| seen.push(format!("{what} {data}").trim_end().to_owned()));
    }
}

impl LineHandler for Noting {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.note("line", line);
        match line {
            b"close" => transport.close(),
            b"pause" => transport.pause_reading(),
            b"feed" => transport.push_back(b"fed\r\n".to_vec()),
            b"leave" => transport.set_protocol(LineReceiver::new(Noting {
                seen: self.seen.clone(),
                on_long_line: Some(LongLine::Skip),
                ..Noting::default()
            })),
            b"raw" => {
                self.raw_left = 3;
                return LineMode::Raw;
            }
            _ => {}
        }
        LineMode::Lines
    }

    fn raw_data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> RawData {
        let count = self.raw_left.min(data.len());
        self.note("raw", &data[..count]);
        if data.starts_with(b"p") {
            transport.pause_reading();
        }
        self.raw_left -= count;
        match self.raw_left {
            0 => RawData::EndsAfter(count),
            _ => RawData::More,
        }
    }

    fn max_length(&self) -> Bytes {
        Bytes(10)
    }

    fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
        self.note("too long", b"");
        self.on_long_line.unwrap_or_default()
    }

    fn line_piece_received(&mut self, _: &dyn Transport, piece: &[u8], is_last: bool) {
        self.note(if is_last { "end" } else { "piece" }, piece);
    }

    fn eof_received(&mut self, _: &dyn Transport, unfinished: &[u8]) -> Eof {
        self.note("eof", unfinished);
        Eof::Close
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        let reason = reason.map(|reason| {
            assert!(
                reason.downcast_ref::<LineTooLong>().is_some_and(|error| error.limit().0 == 10)
            );
            reason.to_string()
        });
        self.note("lost", reason.unwrap_or_default().as_bytes());
    }
}

/// A receiver on the left, and somebody on the right who writes.
fn pair(event_loop: &TestLoop, noting: Noting) -> MemoryPair {
    let receiver = LineReceiver::new(noting);
    let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair
}

fn end(event_loop: &TestLoop, pair: &MemoryPair) {
    pair.left.abort();
    pair.right.abort();
    run_until(event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn w8_w16_lines_come_without_their_ending_and_in_order() {
    let event_loop = TestLoop::new();
    let (noting, seen) = Noting::new();
    let pair = pair(&event_loop, noting);
    for piece in ["one\r\ntw", "o\r", "\n\r\nthr\nee\r\n", "four"] {
        pair.right.write(piece.as_bytes());
        event_loop.run_ready_now();
        event_loop.run_ready_now();
    }
    pair.right.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    let expected = ["line one", "line two", "line", "line thr\nee", "eof four", "lost"];
    assert_eq!(seen.take(), expected);
}

#[test]
fn w8_a_line_that_is_sent_is_one_line() {
    let transport = RecordingTransport::new();
    assert!(transport.send_line(b"tulip").is_taken() && transport.send_line(b"").is_taken());
    assert_eq!(transport.take_written(), b"tulip\r\n\r\n");
    for several in [&b"a\r\nb"[..], b"a\n", b"\ra"] {
        let state = transport.send_line(several);
        assert_eq!(state, WriteState::Refused(WriteRefusal::NotALine));
    }
    assert_eq!(transport.take_written(), b"");
}

#[test]
fn w8_another_delimiter_may_end_the_lines() {
    for (delimiter, input) in [("\n", "a\nb\r\n"), ("-end-", "a-end-b\r-end-"), ("\0", "a\0b\r\0")]
    {
        let (noting, seen) = Noting::new();
        let mut receiver = LineReceiver::new(noting).delimiter(delimiter.as_bytes());
        receiver.data_received(&RecordingTransport::new(), input.as_bytes());
        assert_eq!(seen.take(), ["line a", "line b"], "{delimiter:?}");
    }
}

#[test]
#[should_panic(expected = "a line ends with at least one byte")]
fn w8_an_empty_delimiter_is_a_mistake() {
    drop(LineReceiver::new(Noting::default()).delimiter(b"".as_slice()));
}

#[test]
fn w9_what_follows_the_line_is_raw_data_and_what_follows_that_is_lines() {
    let (noting, seen) = Noting::new();
    let mut receiver = LineReceiver::new(noting);
    let transport = RecordingTransport::new();
    receiver.data_received(&transport, b"raw\r\nab\nx\r\nraw\r\n");
    assert_eq!(receiver.mode(), LineMode::Raw);
    receiver.data_received(&transport, b"a");
    receiver.data_received(&transport, b"\r\nraw\r\n\r\n\r");
    receiver.data_received(&transport, b"\nlast\r\n");
    // What is all line ends shows as nothing.
    let expected = [
        "line raw",
        "raw ab",
        "line x",
        "line raw",
        "raw a",
        "raw",
        "line raw",
        "raw",
        "line \nlast",
    ];
    assert_eq!(seen.take(), expected);
}

#[test]
fn w9_flipping_the_mode_a_million_times_in_one_buffer_is_no_recursion() {
    struct Flips(Rc<std::cell::Cell<usize>>);
    impl LineHandler for Flips {
        fn line_received(&mut self, _: &dyn Transport, line: &[u8]) -> LineMode {
            assert_eq!(line, b"a");
            LineMode::Raw
        }
        fn raw_data_received(&mut self, _: &dyn Transport, data: &[u8]) -> RawData {
            assert_eq!(data[0], b'r');
            self.0.set(self.0.get() + 1);
            RawData::EndsAfter(1)
        }
    }
    const FLIPS: usize = 1_000_000;
    let flips = Rc::default();
    let mut receiver = LineReceiver::new(Flips(Rc::clone(&flips)));
    receiver.data_received(&RecordingTransport::new(), &b"a\r\nr".repeat(FLIPS));
    assert_eq!(flips.get(), FLIPS);
}

#[test]
fn w9_w12_from_outside_the_beginning_of_a_line_becomes_raw_data_or_is_taken_out() {
    let event_loop = TestLoop::new();
    let (noting, seen) = Noting::new();
    let pair = pair(&event_loop, noting);
    pair.right.write(b"one\r\nab");
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    let turned = pair.left.with_protocol(|receiver: &mut LineReceiver<Noting>, transport| {
        receiver.handler_mut().raw_left = 3;
        receiver.set_mode(transport, LineMode::Raw);
        receiver.set_mode(transport, LineMode::Raw);
    });
    turned.unwrap();
    assert_eq!(seen.get(), ["line one"], "nothing is delivered from inside of the call");
    event_loop.run_ready_now();
    pair.right.write(b"ctwo\r\nrest");
    for _ in 0..3 {
        event_loop.run_ready_now();
    }
    assert_eq!(seen.take(), ["line one", "raw ab", "raw c", "line two"]);
    let rest = pair.left.with_protocol(|receiver: &mut LineReceiver<Noting>, _| {
        assert!(receiver.memory_held().0 >= 4);
        receiver.clear_line_buffer()
    });
    assert_eq!(rest.unwrap(), b"rest");
    pair.right.write(b"three\r\n");
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    assert_eq!(seen.take(), ["line three"]);
    end(&event_loop, &pair);
}

#[test]
fn w11_after_a_close_no_more_lines_come() {
    let event_loop = TestLoop::new();
    let (noting, seen) = Noting::new();
    let pair = pair(&event_loop, noting);
    pair.right.write(b"one\r\nclose\r\ntwo\r\nthree");
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(seen.take(), ["line one", "line close", "lost"]);
}

#[test]
fn w11_after_a_pause_those_already_there_come_first_and_the_end_last() {
    let event_loop = TestLoop::new();
    let (noting, seen) = Noting::new();
    let pair = pair(&event_loop, noting);
    pair.right.write(b"one\r\npause\r\ntwo\r\nraw\r\npqrthree\r\nfo");
    for _ in 0..4 {
        event_loop.run_ready_now();
    }
    assert_eq!(seen.take(), ["line one", "line pause"]);
    pair.right.write(b"ur\r\nfive");
    pair.right.close();
    for _ in 0..4 {
        event_loop.run_ready_now();
    }
    assert!(seen.get().is_empty());
    pair.left.resume_reading();
    assert!(seen.get().is_empty(), "nothing is delivered from inside of the call");
    for _ in 0..4 {
        event_loop.run_ready_now();
    }
    assert_eq!(seen.take(), ["line two", "line raw", "raw pqr"]);
    pair.left.resume_reading();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(seen.take(), ["line three", "line four", "eof five", "lost"]);
}

#[test]
fn w12_what_a_line_feeds_comes_before_what_follows_it() {
    let event_loop = TestLoop::new();
    let (noting, seen) = Noting::new();
    let pair = pair(&event_loop, noting);
    pair.right.write(b"feed\r\ntwo\r\nfeed\r\nthr");
    pair.right.write(b"ee\r\n");
    for _ in 0..6 {
        event_loop.run_ready_now();
    }
    let expected = ["line feed", "line fed", "line two", "line feed", "line fed", "line three"];
    assert_eq!(seen.take(), expected);
    end(&event_loop, &pair);
}

#[test]
fn w11_p21_the_rest_goes_to_the_protocol_that_a_line_sets() {
    let event_loop = TestLoop::new();
    let (noting, seen) = Noting::new();
    let pair = pair(&event_loop, noting);
    // The first one would close at a line that is too long, the second skips it.
    pair.right.write(b"one\r\nleave\r\n01234567890\r\ntwo\r\nthr");
    event_loop.run_ready_now();
    pair.right.write(b"ee\r\n");
    for _ in 0..6 {
        event_loop.run_ready_now();
    }
    let expected = ["line one", "line leave", "too long", "line two", "line three"];
    assert_eq!(seen.take(), expected);
    end(&event_loop, &pair);
}

#[test]
fn w10_a_line_that_is_too_long_closes_by_default() {
    for (choice, lost) in [
        (None, "lost"),
        (Some(LongLine::Close), "lost"),
        (Some(LongLine::Fail), "lost the peer sent a line of more than 10 bytes"),
    ] {
        let event_loop = TestLoop::new();
        let (mut noting, seen) = Noting::new();
        noting.on_long_line = choice;
        let pair = pair(&event_loop, noting);
        pair.right.write(b"0123456789\r\n01234567890\r\nnever\r\n");
        run_until(&event_loop, || event_loop.open_connections() == 0);
        assert_eq!(seen.take(), ["line 0123456789", "too long", lost]);
    }
}

#[test]
fn w10_a_line_that_is_too_long_comes_in_pieces_or_is_skipped() {
    for (choice, expected) in [
        (
            LongLine::Pieces,
            &["too long", "piece 0123456789", "piece 0123456789", "end 01", "line next"][..],
        ),
        (LongLine::Skip, &["too long", "line next"]),
    ] {
        for size in [1, 2, 7, 100] {
            let (mut noting, seen) = Noting::new();
            noting.on_long_line = Some(choice);
            let mut receiver = LineReceiver::new(noting);
            for piece in b"0123456789012345678901\r\nnext\r\n".chunks(size) {
                receiver.data_received(&RecordingTransport::new(), piece);
            }
            assert_eq!(seen.take(), expected, "cut into {size}");
        }
    }
}

#[test]
fn w10_r4_an_endless_line_is_skipped_without_holding_it() {
    let (mut noting, seen) = Noting::new();
    noting.on_long_line = Some(LongLine::Skip);
    let mut receiver = LineReceiver::new(noting);
    let transport = RecordingTransport::new();
    for _ in 0..1000 {
        receiver.data_received(&transport, &[b'\r'; 10_000]);
        assert!(receiver.memory_held().0 < 600);
    }
    receiver.data_received(&transport, b"\nok\r\n");
    assert_eq!(seen.take(), ["too long", "line ok"]);
    // Nor is there anything to be told at the end.
    receiver.data_received(&transport, &[b'x'; 100]);
    receiver.eof_received(&transport);
    assert_eq!(seen.take(), ["too long", "eof"]);
}

#[test]
fn w13_who_needs_lines_only_has_no_raw_mode_to_write() {
    struct Lines(usize);
    impl LineHandler for Lines {
        fn line_received(&mut self, _: &dyn Transport, _: &[u8]) -> LineMode {
            self.0 += 1;
            LineMode::Lines
        }
    }
    let mut receiver = LineReceiver::new(Lines(0));
    receiver.data_received(&RecordingTransport::new(), &b"line\r\n".repeat(1000));
    assert_eq!((receiver.handler().0, receiver.into_handler().0), (1000, 1000));
}
