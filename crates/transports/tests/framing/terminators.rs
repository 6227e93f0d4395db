//! `TerminatorReceiver`: what ends what, limits, stops, and requests from inside (W-16, P-20).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use proptest::collection::vec;
use proptest::prelude::*;
use std::borrow::Cow;
use tulipa_transports::protocols::{Terminator, TerminatorHandler, TerminatorReceiver};
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions, RecordingTransport};
use tulipa_transports::{
    Bytes, Eof, NetworkLoop, Protocol, ProtocolUnavailable, Transport, TransportExt,
};

/// Messages of a length in digits, a semicolon, and so many bytes.
struct Messages {
    seen: Slot<Vec<String>>,
    collected: String,
    in_body: bool,
    pauses: bool,
    goes_on: bool,
}

impl Messages {
    fn new() -> (Self, Slot<Vec<String>>) {
        let seen = Slot::new();
        let collected = String::new();
        let goes_on = false;
        (Self { seen: seen.clone(), collected, in_body: false, pauses: false, goes_on }, seen)
    }

    fn receiver(self) -> TerminatorReceiver<Self> {
        TerminatorReceiver::new(self, ";")
    }

    fn note(&self, what: &str) {
        let note = format!("{what} {}", self.collected).trim_end().to_owned();
        self.seen.update(|seen| seen.push(note));
    }
}

impl TerminatorHandler for Messages {
    fn collect_incoming_data(&mut self, _: &dyn Transport, data: &[u8]) {
        assert!(!data.is_empty());
        self.collected.push_str(std::str::from_utf8(data).unwrap());
    }

    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator {
        self.note(if self.in_body { "body" } else { "head" });
        let collected = std::mem::take(&mut self.collected);
        if self.in_body {
            if self.pauses {
                transport.pause_reading();
            }
            match collected.as_str() {
                "close" => transport.close(),
                "leave" => transport.set_protocol(Self::new().0.receiver()),
                "all" => return Terminator::Never,
                _ => {}
            }
        }
        self.in_body = !self.in_body;
        match self.in_body {
            true => Terminator::Count(collected.parse().unwrap_or(0)),
            false => Terminator::from(";"),
        }
    }

    fn max_length(&self) -> Bytes {
        Bytes(4)
    }

    fn terminator_too_far(&mut self, transport: &dyn Transport) {
        self.note("too far");
        if !self.goes_on {
            transport.close();
        }
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.note("eof");
        Eof::Close
    }

    fn memory_held(&self) -> Bytes {
        Bytes(self.collected.capacity())
    }
}

/// What is seen when `pieces` are sent one after the other.
fn seen(pieces: &[&[u8]], pauses: bool, options: MemoryOptions) -> Vec<String> {
    let event_loop = TestLoop::new();
    let (mut messages, seen) = Messages::new();
    messages.pauses = pauses;
    let (receiver, log) = LifeCycle::new(messages.receiver());
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
    log.check();
    seen.take()
}

#[test]
fn w16_data_end_with_bytes_or_a_count_or_never() {
    let whole = |input: &str| seen(&[input.as_bytes()], false, MemoryOptions::default());
    assert_eq!(
        whole("5;tulip0;3;a;b;;1234;x"),
        [
            "head 5",
            "body tulip",
            "head 0",
            "body",
            "head 3",
            "body a;b",
            "head",
            "body",
            "head",
            "body",
            "head 1234",
            "eof x",
        ]
    );
    assert_eq!(whole("3;alla;b;c"), ["head 3", "body all", "eof a;b;c"]);
    assert_eq!(whole("12"), ["eof 12"]);
}

#[test]
fn w11_w16_after_a_close_or_with_another_protocol_nothing_more_comes() {
    let whole = |input: &str| seen(&[input.as_bytes()], false, MemoryOptions::default());
    assert_eq!(whole("5;close1;a"), ["head 5", "body close"]);
    assert_eq!(whole("5;leave1;a"), ["head 5", "body leave"]);
}

#[test]
fn w16_r4_a_terminator_that_is_too_far_away_closes_unless_somebody_says_otherwise() {
    let whole = |input: &str| seen(&[input.as_bytes()], false, MemoryOptions::default());
    assert_eq!(whole("0001;x00001;x"), ["head 0001", "body x", "too far 0000"]);
    let (mut messages, seen) = Messages::new();
    messages.goes_on = true;
    let mut receiver = messages.receiver();
    for piece in b"000000000;".chunks(3) {
        receiver.data_received(&RecordingTransport::new(), piece);
    }
    assert_eq!(seen.take(), ["too far 0000", "too far 00000000", "head 000000000", "body"]);
}

#[test]
fn w11_w12_from_outside_another_terminator_looks_again_at_what_is_held() {
    let event_loop = TestLoop::new();
    let (messages, seen) = Messages::new();
    let receiver = TerminatorReceiver::new(messages, "-end-");
    let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b"4-en");
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    let set = pair.left.with_protocol(|receiver: &mut TerminatorReceiver<Messages>, transport| {
        assert_eq!(receiver.terminator(), &Terminator::from("-end-"));
        assert!(receiver.memory_held().0 >= 3);
        receiver.set_terminator(transport, "-");
    });
    set.unwrap();
    assert!(seen.get().is_empty(), "nothing is delivered from inside of the call");
    pair.right.write(b"d-");
    for _ in 0..4 {
        event_loop.run_ready_now();
    }
    assert_eq!(seen.take(), ["head 4", "body end-"]);
    pair.left.abort();
    pair.right.abort();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn p14_an_empty_terminator_is_a_mistake_of_the_handler() {
    struct Empty;
    impl TerminatorHandler for Empty {
        fn collect_incoming_data(&mut self, _: &dyn Transport, _: &[u8]) {}
        fn found_terminator(&mut self, _: &dyn Transport) -> Terminator {
            Terminator::After(Cow::Borrowed(b""))
        }
    }
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let receiver = TerminatorReceiver::new(Empty, 1);
    let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b"ab");
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(panic_message(&errors.take()[0]), "a terminator has at least one byte");
}

type Action = fn(&dyn Transport);

const ACTIONS: [(&str, Action); 9] = [
    ("close", |transport| transport.close()),
    ("abort_with", |transport| transport.abort_with(Exception::msg("enough"))),
    ("write", |transport| {
        transport.write(&[7; 300]);
    }),
    ("write_eof", |transport| transport.write_eof()),
    ("pause_reading", |transport| transport.pause_reading()),
    ("push_back", |transport| transport.push_back(b"1;".to_vec())),
    ("set_protocol", |transport| transport.set_protocol(Hooks::new())),
    ("with_protocol", |transport| {
        let again = transport.with_protocol(|_: &mut TerminatorReceiver<Actor>, _| ());
        assert_eq!(again, Err(ProtocolUnavailable::Running));
    }),
    ("panic", |_| panic!("in a method")),
];

const METHODS: [&str; 5] = [
    "connection_made",
    "collect_incoming_data",
    "found_terminator",
    "eof_received",
    "connection_lost",
];

struct Actor {
    method: &'static str,
    action: Action,
    done: Slot<bool>,
    closed: bool,
}

impl Actor {
    fn reached(&mut self, method: &str, transport: &dyn Transport) {
        assert!(!self.closed || method == "connection_lost", "{method} after a close");
        if self.method == method && !self.done.get() {
            self.done.set(true);
            (self.action)(transport);
            self.closed = transport.is_closing();
        }
    }
}

impl TerminatorHandler for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.reached("connection_made", transport);
    }

    fn collect_incoming_data(&mut self, transport: &dyn Transport, _: &[u8]) {
        self.reached("collect_incoming_data", transport);
    }

    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator {
        self.reached("found_terminator", transport);
        Terminator::from(2)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.reached("eof_received", transport);
        Eof::Close
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<Exception>) {
        self.reached("connection_lost", transport);
    }
}

#[test]
fn p14_p20_p21_every_request_in_every_method_of_a_handler_is_safe() {
    for method in METHODS {
        for (name, action) in ACTIONS {
            let event_loop = TestLoop::new();
            let errors = collect_errors(&event_loop);
            let done = Slot::new();
            let actor = Actor { method, action, done: done.clone(), closed: false };
            let receiver = TerminatorReceiver::new(actor, ";;");
            let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
            event_loop.run_ready_now();
            pair.right.write(b"head;;0123456;");
            for _ in 0..6 {
                event_loop.run_ready_now();
            }
            pair.right.close();
            run_until(&event_loop, || {
                pair.left.resume_reading();
                event_loop.open_connections() == 0
            });
            assert!(done.get(), "{method} was not reached");
            let reported = errors.take().len();
            assert_eq!(reported, usize::from(name == "panic"), "{name} in {method}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn w11_w16_cutting_pausing_and_trouble_change_no_message(
        pieces in vec("[0-3;x]{1,4}", 0..16),
        seed in any::<u64>(),
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let expected = seen(&[&pieces.concat()], false, MemoryOptions::default());
        let options = MemoryOptions::default().trouble(seed >> 1);
        prop_assert_eq!(seen(&pieces, true, options), expected);
    }
}
