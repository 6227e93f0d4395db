//! Upgrades with a framer or a wrapper between the transport and the code that asks for them: what came
//! early is in the framer's hands then, and all of them are told (N-54, N-55).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use futures::{Exception, Future};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::protocols::{
    Int8StringReceiver, LineHandler, LineMode, LineReceiver, StringHandler, Terminator,
    TerminatorHandler, TerminatorReceiver,
};
use tulipa_transports::testing::{LifeCycle, LifeCycleLog, MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::tls::{Early, StartTls};
use tulipa_transports::wrappers::{ConnectionLimits, ProtocolWrapper, Wrapped};
use tulipa_transports::{Protocol, TimeoutProtocol, Transport};

type Upgrade = Slot<Option<Future<Rc<dyn Transport>>>>;

/// Notes its lines; upgrades when it is told to, and notes that too.
struct Lines {
    early: Early,
    said: Slot<Vec<u8>>,
    upgrade: Upgrade,
}

impl Lines {
    fn new(early: Early) -> (Self, Slot<Vec<u8>>, Upgrade) {
        let (said, upgrade) = (Slot::new(), Upgrade::new());
        (Self { early, said: said.clone(), upgrade: upgrade.clone() }, said, upgrade)
    }

    fn note(&self, what: &[u8]) {
        self.said.update(|said| said.extend_from_slice(&[what, b";"].concat()));
    }
}

impl LineHandler for Lines {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.note(line);
        if line == b"STARTTLS" {
            // The receiver has the rest of what came.
            let opened = transport.start_tls(as_server(), self.early, Vec::new());
            self.upgrade.set(Some(opened));
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

fn failure(upgrade: &Upgrade) -> Exception {
    upgrade.get().expect("it began").result().err().expect("an error")
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

#[test]
fn n55_w9_lines_behind_the_command_refuse_the_upgrade() {
    for behind in ["RCPT TO:<mallory@example.org>\r\n", "R", "\r\n", "STARTTLS\r\n"] {
        let event_loop = TestLoop::new();
        let (server, said, upgrade) = Lines::new(Early::Refuse);
        let (pair, logs) = pair(&event_loop, LineReceiver::new(server));
        pair.left.write(format!("EHLO\r\nSTARTTLS\r\n{behind}").as_bytes());
        event_loop.run_ready_now();
        assert_eq!(said.get(), b"EHLO;STARTTLS;", "{behind:?}");
        let error = failure(&upgrade);
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData));
        assert!(error.to_string().contains("not encrypted"), "{error}");
        assert!(logs[1].lost_reason().flatten().is_some(), "it is over");
        finish(&event_loop, &logs);
    }
}

#[test]
fn n55_w9_a_hello_behind_the_command_is_fed_or_refused() {
    for early in [Early::Feed, Early::Refuse] {
        let event_loop = TestLoop::new();
        let (server, said, upgrade) = Lines::new(early);
        let (pair, logs) = pair(&event_loop, LineReceiver::new(server));
        // Both leave together.
        pair.left.write(b"STARTTLS\r\n");
        let opened = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
        event_loop.run_ready_now();
        if early == Early::Feed {
            let encrypted = opened.result().unwrap();
            encrypted.write(b"MAIL\r\n");
            event_loop.run_ready_now();
            assert_eq!(said.get(), b"STARTTLS;<encrypted>;MAIL;");
            encrypted.close();
        } else {
            assert_eq!(said.get(), b"STARTTLS;");
            drop((failure(&upgrade), opened.result().err().expect("it was cut")));
        }
        finish(&event_loop, &logs);
    }
}

#[test]
fn n54_n55_what_a_framer_holds_is_never_the_beginning_of_what_is_encrypted() {
    let event_loop = TestLoop::new();
    let (server, said, _) = Lines::new(Early::Refuse);
    let (pair, logs) = pair(&event_loop, LineReceiver::new(server));
    pair.left.write(b"EVIL");
    event_loop.run_ready_now();
    // From outside, by somebody who does not know of it.
    let opened = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let encrypted = go_on(&event_loop, &pair, b"NOOP\r\n");
    assert_eq!(said.get(), b"<encrypted>;NOOP;");
    drop(opened);
    encrypted.close();
    finish(&event_loop, &logs);
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
    let (server, said, _) = Lines::new(Early::Refuse);
    let limits = ConnectionLimits::new().total(1);
    let mut server = Some(server);
    let mut limited = limits.wrap(move || {
        let lines = LineReceiver::new(server.take().expect("one connection"));
        Wrapped::new(Nothing, TimeoutProtocol::new(lines, Duration::from_secs(5)))
    });
    let (pair, logs) = pair(&event_loop, limited());
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
