//! The receivers of strings: the grammar, the limits, and what happens when a handler stops in between.

use super::*;
use crate::protocols::{
    Int8String, Int8StringReceiver, Int16String, Int16StringReceiver, Int32String,
    Int32StringReceiver, IntString, Netstring, NetstringReceiver,
};
use crate::testing::{Chunking, ChunkingRun, MemoryLoop, MemoryOptions, Notes};
use crate::testing::{RecordingTransport, Request};
use crate::{BaseTransport, TransportExt, WriteState};
use eventloop::TestLoop;
use futures::SchedulerExt;
use proptest::collection::vec;
use proptest::prelude::*;

/// Notes what it is called with, and does something about some strings.
struct Noting {
    notes: Notes,
    act: fn(&dyn Transport, &[u8]),
}

fn noting(notes: &Notes) -> Noting {
    Noting { notes: notes.clone(), act: |_, _| {} }
}

impl StringHandler for Noting {
    fn connection_made(&mut self, _: &dyn Transport) {
        self.notes.note("made");
    }

    fn string_received(&mut self, transport: &dyn Transport, string: &[u8]) {
        self.notes.note(format!("'{}'", string.escape_ascii()));
        (self.act)(transport, string);
    }

    fn broken_peer(&mut self, transport: &dyn Transport, error: FramingError) {
        self.notes.note(error);
        transport.close();
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.notes.note("the end");
        Eof::Close
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.notes.note("lost");
    }
}

/// What one receiver makes of some input.
fn calls<F: StringFraming>(limit: usize, pieces: &[&[u8]]) -> (Vec<String>, RecordingTransport) {
    let (notes, transport) = (Notes::default(), RecordingTransport::new());
    let mut receiver = StringReceiver::<F, _>::new(noting(&notes)).max_length(Bytes(limit));
    for piece in pieces {
        receiver.data_received(&transport, piece);
    }
    (notes.list(), transport)
}

#[test]
fn w14_netstrings_are_found() {
    let (calls, transport) = calls::<Netstring>(99_999, &[b"5:tulip,0:,12:with,a:colon,"]);
    assert_eq!(calls, ["'tulip'", "''", "'with,a:colon'"]);
    assert!(!transport.is_closed());
}

#[test]
fn w14_what_is_no_netstring_breaks_the_connection() {
    let cases: [(&[u8], &str); 14] = [
        (b":", "the length of a netstring is not a number: ':'"),
        (b"a:", "the length of a netstring is not a number: 'a'"),
        (b" 5:tulip,", "the length of a netstring is not a number: ' '"),
        (b"-1:", "the length of a netstring is not a number: '-'"),
        (b"+1:x,", "the length of a netstring is not a number: '+'"),
        (b"05:tulip,", "the length of a netstring is not a number: '5'"),
        (b"00:,", "the length of a netstring is not a number: '0'"),
        (b"5 :tulip,", "the length of a netstring is not a number: ' '"),
        (b"5\xFF", "the length of a netstring is not a number: '\\xff'"),
        (b"5,tulip,", "the length of a netstring is not a number: ','"),
        (b"5:tulip;", "a netstring is followed by ';' instead of a comma"),
        (b"5:tulips,", "a netstring is followed by 's' instead of a comma"),
        (b"0:x", "a netstring is followed by 'x' instead of a comma"),
        (b"0:\n", "a netstring is followed by '\\n' instead of a comma"),
    ];
    for (input, error) in cases {
        let input = [b"4:rose,", input, b"4:lily,"].concat();
        let whole = calls::<Netstring>(1000, &[&input]);
        assert_eq!(whole.0, ["'rose'", error], "{}", input.escape_ascii());
        assert!(whole.1.is_closed());
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(calls::<Netstring>(1000, &bytes).0, whole.0);
    }
}

#[test]
fn w14_a_length_over_the_limit_is_refused_by_its_digits() {
    let exactly = [b"1000:".as_slice(), &[b'x'; 1000], b","].concat();
    assert_eq!(calls::<Netstring>(1000, &[&exactly]).0.len(), 1);
    let text = "a string of 1001 bytes or more was announced, the limit is 1000";
    assert_eq!(calls::<Netstring>(1000, &[b"1001"]).0, [text]);
    let endless = vec![b'9'; 100_000];
    let text = "a string of 9999 bytes or more was announced, the limit is 1000";
    assert_eq!(calls::<Netstring>(1000, &[&endless]).0, [text]);
    // With no limit at all nothing overflows.
    let (calls, _) = calls::<Netstring>(usize::MAX, &[&endless]);
    assert_eq!(calls, Vec::<String>::new());
}

#[test]
fn w15_prefixes_of_each_size_are_understood() {
    let cases: [(&[u8], usize); 3] =
        [(b"\x05tulip\0", 1), (b"\0\x05tulip\0\0", 2), (b"\0\0\0\x05tulip\0\0\0\0", 4)];
    for (input, size) in cases {
        let found = match size {
            1 => calls::<Int8String>(100, &[input]),
            2 => calls::<Int16String>(100, &[input]),
            _ => calls::<Int32String>(100, &[input]),
        };
        assert_eq!(found.0, ["'tulip'", "''"]);
    }
    assert_eq!(calls::<IntString<3>>(100, &[b"\0\0\x01x"]).0, ["'x'"]);
    assert_eq!(calls::<IntString<8>>(100, &[b"\0\0\0\0\0\0\0\x01x"]).0, ["'x'"]);
}

#[test]
fn w15_a_length_over_the_limit_is_refused_before_the_string_comes() {
    let refused = |length: usize| {
        vec![format!("a string of {length} bytes or more was announced, the limit is 99999")]
    };
    let (calls_of_four, transport) = calls::<Int32String>(99_999, &[b"\0\x01\x86\xA0"]);
    assert_eq!(calls_of_four, refused(100_000));
    assert_eq!(transport.take_requests(), [Request::Close]);
    assert_eq!(calls::<Int32String>(99_999, &[b"\0\x01\x86\x9F"]).0, Vec::<String>::new());
    assert_eq!(calls::<Int32String>(99_999, &[b"\xFF\xFF\xFF\xFF"]).0, refused(u32::MAX as usize));
    assert_eq!(calls::<IntString<8>>(99_999, &[&[0xFF; 8]]).0, refused(usize::MAX));
    let none = calls::<IntString<8>>(usize::MAX, &[&[0xFF; 8], b"x"]).0;
    assert_eq!(none, Vec::<String>::new());
}

#[test]
fn w15_what_is_announced_reserves_no_memory() {
    let transport = RecordingTransport::new();
    let receiver = Int32StringReceiver::new(noting(&Notes::default()));
    let mut receiver = receiver.max_length(Bytes(usize::MAX));
    receiver.data_received(&transport, b"\x7F\xFF\xFF\xFFx");
    assert!(receiver.memory_held() < Bytes(100));
    // And what one large string took is given back.
    let mut receiver = Int32StringReceiver::new(noting(&Notes::default()));
    receiver.data_received(&transport, b"\0\x01\0\0");
    receiver.data_received(&transport, &[b'x'; 65_536]);
    assert_eq!(receiver.memory_held(), Bytes(0));
}

#[test]
fn w15_a_string_that_is_too_long_for_its_prefix_is_not_sent() {
    let transport = RecordingTransport::new();
    assert_eq!(Int8String::send_string(&transport, &[b'x'; 255]), Ok(WriteState::Taken));
    assert_eq!(transport.take_written().len(), 256);
    let error = Int8String::send_string(&transport, &[b'x'; 256]).unwrap_err();
    assert_eq!((error.length(), error.longest()), (256, 255));
    let error = Int16String::send_string(&transport, &[b'x'; 65_536]).unwrap_err();
    assert_eq!(error.to_string(), "a string of 65536 bytes is too long: its prefix can tell 65535");
    assert_eq!(transport.take_written(), b"");
    Int32String::send_string(&transport, b"").unwrap();
    Netstring::send_string(&transport, b"").unwrap();
    assert_eq!(transport.take_written(), b"\0\0\0\x000:,");
    transport.close();
    let refused = Netstring::send_string(&transport, b"late").unwrap();
    assert!(!refused.is_taken());
}

#[test]
fn w15_the_end_within_a_string_is_told() {
    let (notes, transport) = (Notes::default(), RecordingTransport::new());
    let mut receiver = Int16StringReceiver::new(noting(&notes));
    receiver.data_received(&transport, b"\0\x01x\0\x05tul");
    assert_eq!(receiver.eof_received(&transport), Eof::Close);
    assert_eq!(notes.list(), ["'x'", "the stream ended 5 bytes into a string", "the end"]);
    // Not at its end.
    let (notes, transport) = (Notes::default(), RecordingTransport::new());
    let mut receiver = Int16StringReceiver::new(noting(&notes));
    receiver.data_received(&transport, b"\0\x01x");
    receiver.eof_received(&transport);
    assert_eq!(notes.list(), ["'x'", "the end"]);
}

#[test]
fn n54_w15_what_had_begun_before_a_handshake_is_forgotten() {
    let (notes, transport) = (Notes::default(), RecordingTransport::new());
    let mut receiver = Int16StringReceiver::new(noting(&notes));
    receiver.data_received(&transport, b"\0\x05inj");
    receiver.handshake_completed(&transport);
    assert_eq!(receiver.memory_held(), Bytes(0));
    receiver.data_received(&transport, b"\0\x05tulip");
    assert_eq!(notes.list(), ["'tulip'"]);
}

/// Strings that make a handler do something.
const COMMANDS: [&[u8]; 8] =
    [b"echo", b"pause", b"later", b"both", b"close", b"abort", b"lines", b"eof"];

fn obey(transport: &dyn Transport, string: &[u8]) {
    let resume = |transport: &dyn Transport| {
        let handle = transport.handle();
        move || handle.resume_reading()
    };
    match string {
        b"echo" => _ = transport.write(b"echo"),
        b"pause" => {
            transport.pause_reading();
            drop(futures::current().call_soon(resume(transport)));
        }
        b"later" => {
            transport.pause_reading();
            drop(futures::current().call_later(std::time::Duration::ZERO, resume(transport)));
        }
        b"both" => {
            transport.pause_reading();
            transport.resume_reading();
        }
        b"close" => transport.close(),
        b"abort" => transport.abort(),
        b"eof" => transport.write_eof(),
        _ => {}
    }
}

/// Takes what follows as it comes.
struct Raw(Notes);

impl Protocol for Raw {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.0.bytes(data);
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.0.note("lost raw");
    }
}

/// Obeys, and hands over to raw data at "lines".
struct Obeying(Noting);

impl StringHandler for Obeying {
    fn string_received(&mut self, transport: &dyn Transport, string: &[u8]) {
        self.0.string_received(transport, string);
        obey(transport, string);
        if string == b"lines" {
            transport.set_protocol(Raw(self.0.notes.clone()));
        }
    }

    fn broken_peer(&mut self, transport: &dyn Transport, error: FramingError) {
        self.0.broken_peer(transport, error);
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        self.0.connection_lost(transport, reason);
    }
}

fn check<F: StringFraming>(input: &[u8], seed: u64, runs: u32) {
    let check = Chunking::new(|notes| {
        let handler = Obeying(noting(&notes));
        StringReceiver::<F, _>::new(handler).max_length(Bytes(20))
    });
    let closes = |run: &ChunkingRun| {
        let notes = run.notes();
        let closed = notes.iter().position(|note| note == "'close'" || note == "'abort'");
        assert!(closed.is_none_or(|at| notes.len() <= at + 2), "called after the end: {notes:?}");
        assert!(run.most_held() <= Bytes(64));
    };
    let check = check.input(input).seed(seed).runs(runs).invariant(closes);
    match input.windows(5).any(|part| part == b"abort") {
        true => check.replies_may_be_lost().check(),
        false => check.check(),
    }
}

#[test]
fn w16_each_receiver_calls_the_same_however_its_input_is_cut() {
    fn of<F: StringFraming>(strings: &[&[u8]], broken: &[u8]) {
        let mut input: Vec<u8> = strings.iter().flat_map(|it| F::encode(it).unwrap()).collect();
        input.extend_from_slice(broken);
        check::<F>(&input, 1, 60);
    }
    let endings: [&[&[u8]]; 4] = [
        &[b"tulip", b"", b"echo", b"pause", b"later", b"both", b"x", b"rose"],
        &[b"pause", b"pause", b"close", b"never"],
        &[b"later", b"both", b"abort", b"never"],
        &[b"pause", b"lines", b"these", b"are raw"],
    ];
    for strings in endings {
        of::<Netstring>(strings, b"21:");
        of::<Netstring>(strings, b"3:abc;4:");
        of::<Int8String>(strings, b"\x15twenty-one");
        of::<Int16String>(strings, b"\x01\x00");
        of::<Int32String>(strings, b"\0\0\0\x05unf");
    }
}

/// What should be found in `input`, by the simplest means.
fn model(input: &[u8], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut rest, mut found) = (input, Vec::new());
    while rest.len() >= 2 {
        let length = usize::from(rest[0]) * 256 + usize::from(rest[1]);
        if length > limit {
            return (found, true);
        }
        if rest.len() < 2 + length {
            break;
        }
        found.push(rest[2..2 + length].to_vec());
        rest = &rest[2 + length..];
    }
    (found, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn w15_w16_any_bytes_give_what_a_plain_parser_finds(
        strings in vec(vec(any::<u8>(), 0..30), 0..8),
        noise in vec(any::<u8>(), 0..10),
        limit in 0..30_usize,
    ) {
        let mut input: Vec<u8> =
            strings.iter().flat_map(|it| Int16String::encode(it).unwrap()).collect();
        input.extend_from_slice(&noise);
        let (found, too_long) = model(&input, limit);
        let (calls, _) = calls::<Int16String>(limit, &[&input]);
        let mut expected: Vec<String> =
            found.iter().map(|it| format!("'{}'", it.escape_ascii())).collect();
        if too_long {
            prop_assert!(calls.last().is_some_and(|last| last.contains("was announced")));
            expected.push(calls.last().unwrap().clone());
        }
        prop_assert_eq!(calls, expected);
    }

    #[test]
    fn w16_any_commands_in_any_pieces_give_the_same_calls(
        commands in vec(0..COMMANDS.len(), 1..8),
        noise in vec(any::<u8>(), 0..6),
        seed in any::<u64>(),
    ) {
        let mut input: Vec<u8> =
            commands.iter().flat_map(|it| Netstring::encode(COMMANDS[*it]).unwrap()).collect();
        input.extend_from_slice(&noise);
        check::<Netstring>(&input, seed, 10);
    }
}

#[test]
fn w11_w15_a_handler_that_pauses_gets_the_rest_when_reading_goes_on() {
    let event_loop = TestLoop::new();
    let notes = Notes::default();
    let handler = Noting { act: |transport, _| transport.pause_reading(), ..noting(&notes) };
    let receiver = NetstringReceiver::new(handler);
    let pair = event_loop.memory_pair(receiver, Raw(Notes::default()), MemoryOptions::default());
    pair.right.write(b"1:a,1:b,1:c,");
    pair.right.write_eof();
    event_loop.run_until_idle();
    let mut expected = vec!["made", "'a'"];
    assert_eq!(notes.list(), expected);
    for next in ["'b'", "'c'"] {
        pair.left.resume_reading();
        assert_eq!(notes.list(), expected, "not inside the call");
        event_loop.run_until_idle();
        expected.push(next);
        assert_eq!(notes.list(), expected);
    }
    pair.left.resume_reading();
    event_loop.run_until_idle();
    assert_eq!(notes.list()[4..], ["the end", "lost"]);
}

#[test]
fn w15_pausing_at_every_one_of_many_strings_stays_cheap() {
    let event_loop = TestLoop::new();
    let notes = Notes::default();
    let handler = Noting { act: |transport, _| obey(transport, b"pause"), ..noting(&notes) };
    let receiver = Int8StringReceiver::new(handler);
    let pair = event_loop.memory_pair(receiver, Raw(Notes::default()), MemoryOptions::default());
    pair.right.write(&b"\x01x".repeat(50_000));
    pair.right.close();
    event_loop.run_until_idle();
    assert_eq!(notes.list().len(), 50_003);
}

#[test]
fn w16_a_handler_that_panics_ends_its_own_connection() {
    let event_loop = TestLoop::new();
    let notes = Notes::default();
    let handler = Noting { act: |_, _| panic!("no strings today"), ..noting(&notes) };
    let receiver = NetstringReceiver::new(handler);
    let pair = event_loop.memory_pair(receiver, Raw(Notes::default()), MemoryOptions::default());
    pair.right.write(b"1:a,1:b,");
    event_loop.run_until_idle();
    assert_eq!(notes.list(), ["made", "'a'", "lost"]);
    assert!(pair.left.is_closing());
    let panic = event_loop.take_first_panic().expect("it was reported");
    assert!(panic.to_string().contains("no strings today"));
}

#[test]
fn w15_the_handler_is_reached_from_outside() {
    let event_loop = TestLoop::new();
    let notes = Notes::default();
    let receiver = Int32StringReceiver::new(noting(&notes));
    let pair = event_loop.memory_pair(receiver, Raw(Notes::default()), MemoryOptions::default());
    event_loop.run_until_idle();
    let reached = pair.left.with_protocol(|receiver: &mut Int32StringReceiver<Noting>, _| {
        receiver.handler_mut().notes.note("reached");
        receiver.handler().notes.list().len()
    });
    assert_eq!(reached, Ok(2));
    pair.left.close();
    event_loop.run_until_idle();
}
