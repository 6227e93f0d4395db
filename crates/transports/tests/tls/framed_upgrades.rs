//! Upgrades with framers and wrappers between the transport and the user's code: all of them are told, and
//! forget what they hold (N-54, N-55).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::protocols::{
    Int8StringReceiver, LineHandler, LineMode, LineReceiver, StringHandler, Terminator,
    TerminatorHandler, TerminatorReceiver,
};
use tulipa_transports::testing::{LifeCycle, LifeCycleLog, MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::tls::{Early, StartTls};
use tulipa_transports::wrappers::{ConnectionLimits, ProtocolWrapper, Wrapped};
use tulipa_transports::{Address, Factory, Protocol, TimeoutProtocol, Transport};

/// Notes its lines; upgrades when it is told to, and notes that too.
struct Lines(Slot<Vec<u8>>);

impl Lines {
    fn new() -> (Self, Slot<Vec<u8>>) {
        let said = Slot::new();
        (Self(said.clone()), said)
    }

    fn note(&self, what: &[u8]) {
        self.0.update(|said| said.extend_from_slice(&[what, b";"].concat()));
    }
}

impl LineHandler for Lines {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.note(line);
        if line == b"STARTTLS" {
            drop(transport.start_tls(as_server(), Early::Refuse, Vec::new()));
        }
        LineMode::Lines
    }

    fn handshake_completed(&mut self, _: &dyn Transport) {
        self.note(b"<encrypted>");
    }
}

/// A client that speaks in clear, and a server.
fn pair(event_loop: &TestLoop, server: impl Protocol) -> (MemoryPair, [LifeCycleLog; 2]) {
    let (left, left_log) = LifeCycle::new(Hooks::new());
    let (right, right_log) = LifeCycle::new(server);
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    event_loop.run_ready_now();
    (pair, [left_log, right_log])
}

fn finish(event_loop: &TestLoop, logs: &[LifeCycleLog]) {
    event_loop.run_until_idle();
    logs.iter().for_each(LifeCycleLog::check_ended);
    check_empty(event_loop);
}

/// Encrypts the client's side, and says `plain` then.
fn go_on(event_loop: &TestLoop, pair: &MemoryPair, plain: &[u8]) -> Rc<dyn Transport> {
    let opened = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let encrypted = event_loop.run_until_complete(&opened).unwrap();
    encrypted.write(plain);
    event_loop.run_ready_now();
    encrypted
}

/// Notes what it is told.
struct Notes(Slot<Vec<u8>>);

impl StringHandler for Notes {
    fn string_received(&mut self, _: &dyn Transport, string: &[u8]) {
        self.0.update(|said| said.extend_from_slice(string));
    }
    fn handshake_completed(&mut self, _: &dyn Transport) {
        self.0.update(|said| said.extend_from_slice(b"<encrypted>"));
    }
}

impl TerminatorHandler for Notes {
    fn collect_incoming_data(&mut self, _: &dyn Transport, data: &[u8]) {
        self.0.update(|said| said.extend_from_slice(data));
    }
    fn found_terminator(&mut self, _: &dyn Transport) -> Terminator {
        "end".into()
    }
    fn handshake_completed(&mut self, _: &dyn Transport) {
        self.0.update(|said| said.extend_from_slice(b"<encrypted>"));
    }
}

#[test]
fn n54_every_framer_is_told_and_forgets() {
    let said = Slot::new();
    let (strings, terminated) = (Notes(said.clone()), Notes(said.clone()));
    check_framer(&said, Int8StringReceiver::new(strings), b"\x09evil", b"\x02ok");
    check_framer(&said, TerminatorReceiver::new(terminated, "end"), b"en", b"okend");
}

fn check_framer(said: &Slot<Vec<u8>>, framer: impl Protocol, before: &[u8], after: &[u8]) {
    let event_loop = TestLoop::new();
    said.set(Vec::new());
    let (pair, logs) = pair(&event_loop, framer);
    pair.left.write(before);
    event_loop.run_ready_now();
    let opened = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let encrypted = go_on(&event_loop, &pair, after);
    assert_eq!(said.get(), b"<encrypted>ok");
    drop(opened);
    encrypted.close();
    finish(&event_loop, &logs);
}

struct Nothing;
impl ProtocolWrapper for Nothing {}

#[test]
fn n54_every_wrapper_passes_it_on_and_goes_on() {
    let event_loop = TestLoop::new();
    let (server, said) = Lines::new();
    let limits = ConnectionLimits::new().total(1);
    let mut server = Some(server);
    let mut limited = limits.wrap(move || {
        let lines = LineReceiver::new(server.take().expect("one connection"));
        Wrapped::new(Nothing, TimeoutProtocol::new(lines, Duration::from_secs(5)))
    });
    let (pair, logs) = pair(&event_loop, limited.build_protocol(&Address::Unnamed));
    assert_eq!(limits.open(), 1);
    let opened = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let encrypted = go_on(&event_loop, &pair, b"one\r\n");
    event_loop.advance(Duration::from_secs(4));
    encrypted.write(b"two\r\n");
    event_loop.advance(Duration::from_secs(4));
    assert_eq!(said.get(), b"<encrypted>;one;two;");
    assert_eq!((limits.open(), encrypted.is_closing()), (1, false));
    // The time-out has the new transport.
    event_loop.advance(Duration::from_secs(2));
    event_loop.run_ready_now();
    assert!(encrypted.is_closing());
    drop(opened);
    finish(&event_loop, &logs);
    assert_eq!(limits.open(), 0);
}

#[test]
fn n54_w25_a_time_out_that_expires_during_the_handshake_begins_anew() {
    let event_loop = TestLoop::new();
    let (server, said) = Lines::new();
    let server = TimeoutProtocol::new(LineReceiver::new(server), Duration::from_secs(5));
    let (pair, logs) = pair(&event_loop, server);
    pair.left.write(b"STARTTLS\r\n");
    event_loop.advance(Duration::from_secs(7)); // it takes its time
    let encrypted = go_on(&event_loop, &pair, b"NOOP\r\n");
    assert_eq!(said.get(), b"STARTTLS;<encrypted>;NOOP;");
    event_loop.advance(Duration::from_secs(7));
    event_loop.run_ready_now();
    assert!(encrypted.is_closing());
    finish(&event_loop, &logs);
}
