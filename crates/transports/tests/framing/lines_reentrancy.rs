//! Every request inside every method of a handler, and panics in each (P-20, P-14, W-11).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::rc::Rc;
use tulipa_transports::protocols::{LineHandler, LineMode, LineReceiver, LongLine, RawData};
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions};
use tulipa_transports::{
    Bytes, Eof, NetworkLoop, Protocol, ProtocolUnavailable, Transport, TransportExt,
};

const METHODS: [&str; 10] = [
    "connection_made",
    "line_received",
    "raw_data_received",
    "line_too_long",
    "line_piece_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "shutdown_requested",
    "connection_lost",
];

type Action = fn(&dyn Transport);

const ACTIONS: [(&str, Action); 12] = [
    ("close", |transport| transport.close()),
    ("abort", |transport| transport.abort()),
    ("abort_with", |transport| transport.abort_with(Exception::msg("enough"))),
    ("write", |transport| {
        transport.write(&[7; 300]);
    }),
    ("write much", |transport| {
        transport.write(&[7; 300_000]);
    }),
    ("write_eof", |transport| transport.write_eof()),
    ("pause_reading", |transport| transport.pause_reading()),
    ("resume_reading", |transport| transport.resume_reading()),
    ("push_back", |transport| transport.push_back(b"back\r\n".to_vec())),
    ("set_protocol", |transport| transport.set_protocol(Hooks::new())),
    ("with_protocol", |transport| {
        let again = transport.with_protocol(|_: &mut LineReceiver<Actor>, _| ());
        assert_eq!(again, Err(ProtocolUnavailable::Running));
    }),
    ("panic", |_| panic!("in a method")),
];

struct Actor {
    method: &'static str,
    action: Action,
    done: Slot<bool>,
    /// Lines after a stop are a mistake.
    stopped: bool,
}

impl Actor {
    fn reached(&mut self, method: &str, transport: &dyn Transport) {
        assert!(!self.stopped, "{method} after the connection was stopped in {}", self.method);
        if self.method == method && !self.done.get() {
            self.done.set(true);
            (self.action)(transport);
            // What follows in the same buffer must not come.
            self.stopped = !transport.can_deliver() && transport.is_closing();
        }
    }
}

impl LineHandler for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.reached("connection_made", transport);
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.reached("line_received", transport);
        if line == b"raw" { LineMode::Raw } else { LineMode::Lines }
    }

    fn raw_data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> RawData {
        self.reached("raw_data_received", transport);
        RawData::EndsAfter(1)
    }

    fn max_length(&self) -> Bytes {
        Bytes(8)
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        self.reached("line_too_long", transport);
        LongLine::Pieces
    }

    fn line_piece_received(&mut self, transport: &dyn Transport, _: &[u8], _: bool) {
        self.reached("line_piece_received", transport);
    }

    fn eof_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Eof {
        self.reached("eof_received", transport);
        Eof::Close
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.stopped = false;
        self.reached("pause_writing", transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.stopped = false;
        self.reached("resume_writing", transport);
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        self.reached("shutdown_requested", transport);
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<Exception>) {
        self.stopped = false;
        self.reached("connection_lost", transport);
    }
}

fn run_row(method: &'static str, (name, action): (&'static str, Action)) {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let done = Slot::new();
    let actor = Actor { method, action, done: done.clone(), stopped: false };
    let receiver = LineReceiver::new(actor);
    let options = MemoryOptions::default().capacity(Bytes::kib(4));
    let ended = Slot::<usize>::new();
    let notes_end = |ended: &Slot<usize>| {
        let ended = ended.clone();
        Hooks::new().lost(move |_, _| ended.update(|count| *count += 1))
    };
    let pair = event_loop.memory_pair(receiver, notes_end(&ended), options);
    let (others, others_log) = LifeCycle::new(Hooks::new());
    let other = event_loop.memory_pair(others, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    if matches!(method, "pause_writing" | "resume_writing") {
        pair.left.write(&[1; 200_000]);
    }
    pair.right.write(b"one\r\nraw\r\nxtwo\r\n0123456789\r\nthree\r\nfour\r\nfi");
    for _ in 0..8 {
        event_loop.run_ready_now();
    }
    if method == "shutdown_requested" {
        pair.request_shutdown_of_left();
    }
    event_loop.run_ready_now();
    pair.right.close();
    run_until(&event_loop, || {
        pair.left.resume_reading();
        if done.get() {
            pair.left.close();
        }
        ended.get() == 1 && pair.left.is_closing() && event_loop.open_connections() <= 2
    });
    assert!(done.get(), "{method} was not reached");
    let reported = errors.take().len();
    assert_eq!(reported, usize::from(name == "panic"), "{name} in {method}");
    assert!(!other.left.is_closing(), "others go on");
    other.left.abort();
    other.right.abort();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    others_log.check_ended();
    assert_eq!(Rc::strong_count(&pair.left), 1);
}

#[test]
fn w11_w12_p14_p20_p21_every_request_in_every_method_of_a_handler_is_safe() {
    for method in METHODS {
        for action in ACTIONS {
            let row = std::panic::AssertUnwindSafe(|| run_row(method, action));
            let outcome = std::panic::catch_unwind(row);
            assert!(outcome.is_ok(), "{} in {method}", action.0);
        }
    }
}

#[test]
fn p14_a_handler_that_takes_no_raw_data_or_pieces_but_asks_for_them_loses_its_connection() {
    struct Asks(LineMode);
    impl LineHandler for Asks {
        fn line_received(&mut self, _: &dyn Transport, _: &[u8]) -> LineMode {
            self.0
        }
        fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
            LongLine::Pieces
        }
        fn max_length(&self) -> Bytes {
            Bytes(1)
        }
    }
    for (mode, missing) in [(LineMode::Raw, "raw_data"), (LineMode::Lines, "line_piece")] {
        let event_loop = TestLoop::new();
        let errors = collect_errors(&event_loop);
        let receiver = LineReceiver::new(Asks(mode));
        let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
        event_loop.run_ready_now();
        pair.right.write(b"a\r\nbcdef\r\n");
        run_until(&event_loop, || event_loop.open_connections() == 0);
        let message = panic_message(&errors.take()[0]);
        assert!(message.contains(&format!("{missing}_received()")), "{message}");
    }
}

#[test]
fn w9_more_raw_data_than_there_was_is_the_handlers_mistake() {
    struct Greedy;
    impl LineHandler for Greedy {
        fn line_received(&mut self, _: &dyn Transport, _: &[u8]) -> LineMode {
            LineMode::Lines
        }
        fn raw_data_received(&mut self, _: &dyn Transport, data: &[u8]) -> RawData {
            RawData::EndsAfter(data.len() + 1)
        }
    }
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let receiver = LineReceiver::new(Greedy).begin_with(LineMode::Raw);
    assert_eq!(receiver.memory_held(), Bytes(0));
    let pair = event_loop.memory_pair(receiver, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.write(b"x");
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert_eq!(panic_message(&errors.take()[0]), "more was raw data than there was");
}
