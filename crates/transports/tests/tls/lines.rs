//! Protocols that cut the stream into messages, and become encrypted between two of them (N-54, N-55).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use futures::{Exception, Future};
use std::io::ErrorKind;
use std::rc::Rc;
use tulipa_transports::protocols::{
    LineHandler, LineMode, LineReceiver, Terminator, TerminatorHandler, TerminatorReceiver,
};
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions};
use tulipa_transports::tls::{Early, StartTls};
use tulipa_transports::{Transport, TransportExt};

type Upgrade = Slot<Option<Future<Rc<dyn Transport>>>>;

/// Encrypts at a line that says so.
struct Server {
    early: Early,
    seen: Slot<Vec<String>>,
    upgrade: Upgrade,
}

impl Server {
    fn new(early: Early) -> (Self, Slot<Vec<String>>, Upgrade) {
        let (seen, upgrade) = (Slot::new(), Slot::new());
        (Self { early, seen: seen.clone(), upgrade: upgrade.clone() }, seen, upgrade)
    }

    fn note(&self, what: impl Into<String>) {
        self.seen.update(|seen| seen.push(what.into()));
    }

    fn message(&mut self, transport: &dyn Transport, message: &[u8]) {
        self.note(String::from_utf8_lossy(message));
        if message == b"STARTTLS" {
            self.upgrade.set(Some(transport.start_tls(as_server(), self.early, Vec::new())));
            assert!(!transport.can_deliver());
        }
    }
}

impl LineHandler for Server {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.message(transport, line);
        LineMode::Lines
    }

    fn handshake_completed(&mut self, _: &dyn Transport) {
        self.note("<encrypted>");
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        self.note(format!("lost {}", reason.is_some()));
    }
}

/// The same, for messages that end with a semicolon.
struct Collecting(Server, Vec<u8>);

impl TerminatorHandler for Collecting {
    fn collect_incoming_data(&mut self, _: &dyn Transport, data: &[u8]) {
        self.1.extend_from_slice(data);
    }

    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator {
        let message = std::mem::take(&mut self.1);
        self.0.message(transport, &message);
        Terminator::from("\r\n")
    }

    fn handshake_completed(&mut self, _: &dyn Transport) {
        self.1.clear();
        self.0.note("<encrypted>");
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        self.0.note(format!("lost {}", reason.is_some()));
    }
}

#[test]
fn n54_n55_a_hello_behind_the_line_that_asks_for_it_is_fed_to_the_handshake() {
    for lines in [true, false] {
        let event_loop = TestLoop::new();
        let (server, seen, upgrade) = Server::new(Early::Feed);
        let (client, log) = Hooks::new().recorded();
        let options = MemoryOptions::default();
        let pair = match lines {
            true => event_loop.memory_pair(client, LineReceiver::new(server), options),
            false => {
                let collecting = TerminatorReceiver::new(Collecting(server, Vec::new()), "\r\n");
                event_loop.memory_pair(client, collecting, options)
            }
        };
        event_loop.run_ready_now();
        pair.left.write(b"hello\r\nSTARTTLS\r\n");
        let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
        let left = event_loop.run_until_complete(&client).unwrap();
        left.write(b"one\r\ntwo\r\nthr");
        event_loop.run_ready_now();
        left.close();
        event_loop.run_until_idle();
        let expected = ["hello", "STARTTLS", "<encrypted>", "one", "two", "lost false"];
        assert_eq!(seen.take(), expected);
        assert!(upgrade.take().unwrap().result().is_ok());
        log.check_ended();
        check_empty(&event_loop);
    }
}

#[test]
fn n55_a_line_in_clear_behind_the_one_that_asks_for_tls_ends_the_connection() {
    let clear: [&[u8]; 3] =
        [b"STARTTLS\r\nEVIL\r\n", b"STARTTLS\r\nE", b"STARTTLS\r\n\x16\x03\x01"];
    for injected in clear {
        for lines in [true, false] {
            let event_loop = TestLoop::new();
            let (server, seen, upgrade) = Server::new(Early::Refuse);
            let options = MemoryOptions::default();
            let pair = match lines {
                true => event_loop.memory_pair(Hooks::new(), LineReceiver::new(server), options),
                false => {
                    let collecting =
                        TerminatorReceiver::new(Collecting(server, Vec::new()), "\r\n");
                    event_loop.memory_pair(Hooks::new(), collecting, options)
                }
            };
            event_loop.run_ready_now();
            pair.left.write(injected);
            event_loop.run_ready_now();
            event_loop.run_ready_now();
            assert_eq!(seen.take(), ["STARTTLS", "lost true"], "{injected:?}");
            let error = upgrade.take().unwrap().result().err().expect("it was refused");
            assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData));
            assert!(error.to_string().contains("not encrypted"), "{error}");
            pair.left.abort();
            check_empty(&event_loop);
        }
    }
}

#[test]
fn n55_the_beginning_of_a_line_in_clear_is_no_part_of_an_encrypted_one() {
    let event_loop = TestLoop::new();
    let (server, seen, _) = Server::new(Early::Refuse);
    let (receiver, log) = LifeCycle::new(LineReceiver::new(server));
    let pair = event_loop.memory_pair(Hooks::new(), receiver, MemoryOptions::default());
    event_loop.run_ready_now();
    pair.left.write(b"one\r\nMAIL FROM:<evil> ");
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    let server = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let left = event_loop.run_until_complete(&client).unwrap();
    event_loop.run_until_complete(&server).unwrap();
    left.write(b"two\r\n");
    event_loop.run_ready_now();
    left.close();
    event_loop.run_until_idle();
    assert_eq!(seen.take(), ["one", "<encrypted>", "two", "lost false"]);
    log.check_ended();
    check_empty(&event_loop);
}

#[test]
fn n55_what_is_pushed_back_on_the_old_transport_later_reaches_nobody() {
    let event_loop = TestLoop::new();
    let (server, seen, upgrade) = Server::new(Early::Feed);
    let pair =
        event_loop.memory_pair(Hooks::new(), LineReceiver::new(server), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.left.write(b"STARTTLS\r\n");
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    pair.right.push_back(b"no handshake".to_vec());
    let client = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let left = event_loop.run_until_complete(&client).unwrap();
    pair.right.push_back(b"no record".to_vec());
    left.write(b"one\r\n");
    event_loop.run_ready_now();
    assert_eq!(seen.take(), ["STARTTLS", "<encrypted>", "one"]);
    let right = upgrade.take().unwrap().result().unwrap();
    right.push_back(b"again\r\n".to_vec());
    event_loop.run_ready_now();
    assert_eq!(seen.take(), ["again"]);
    let reached = right.with_protocol(|_: &mut LineReceiver<Server>, _| ());
    reached.unwrap();
    left.close();
    event_loop.run_until_idle();
    check_empty(&event_loop);
}
