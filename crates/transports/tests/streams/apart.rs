//! Protocols and transports as parts of their own (I-3, I-16, P-24).

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::io::ErrorKind;
use tulipa_transports::testing::{
    MemoryLoop, MemoryOptions, ProtocolCall, RecordingTransport, Request,
};
use tulipa_transports::{NetworkLoop, Protocol, Transport};

/// Answers each line with its length; "bye" ends it. It knows the transport's interface only.
#[derive(Default)]
struct Lengths {
    line: Vec<u8>,
}

impl Protocol for Lengths {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write(b"hello\n");
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        for byte in data {
            match byte {
                b'\n' if self.line == b"bye" => return transport.close(),
                b'\n' => {
                    transport.write(format!("{}\n", self.line.len()).as_bytes());
                    self.line.clear();
                }
                other => self.line.push(*other),
            }
        }
    }
}

const LINES: &[u8] = b"tulip\n\nover any wire\nbye\n";
const ANSWERS: &[u8] = b"hello\n5\n0\n13\n";

#[test]
fn i3_one_protocol_runs_unchanged_over_memory_sockets_and_any_loop() {
    // In memory, whole and byte by byte with trouble on the wire.
    for options in [MemoryOptions::default(), MemoryOptions::default().trouble(3)] {
        let event_loop = TestLoop::new();
        let answers: Slot<Vec<u8>> = Slot::new();
        let seen = answers.clone();
        let client = Hooks::new()
            .made(|transport| assert!(transport.write(LINES).is_taken()))
            .data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
        let _pair = event_loop.memory_pair(client, Lengths::default(), options);
        event_loop.run_until_idle();
        assert_eq!(answers.get(), ANSWERS);
    }
    // TCP and Unix sockets.
    let event_loop = TestLoop::new();
    let (_transport, mut peer) = tcp(&event_loop, Lengths::default());
    send(&mut peer, LINES);
    assert_eq!(read_to_end(&event_loop, &mut peer), ANSWERS);
    // Other loops, with both ways to wait.
    for driver in [eventloop::DriverKind::Default, eventloop::DriverKind::Portable] {
        let event_loop = eventloop::EventLoop::builder().driver(driver).build().unwrap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let opening = event_loop.create_unix_connection(Lengths::default, ours);
        std::io::Write::write_all(&mut theirs, LINES).unwrap();
        let transport = event_loop.run_until_complete(&opening).unwrap();
        while !transport.is_closing() {
            event_loop.run_once(None).unwrap();
        }
        event_loop.run_once(Some(std::time::Duration::ZERO)).unwrap();
        let mut answers = Vec::new();
        std::io::Read::read_to_end(&mut theirs, &mut answers).unwrap();
        assert_eq!(answers, ANSWERS);
    }
}

#[test]
fn i16_protocol_and_transport_are_tested_each_without_the_other() {
    // A protocol without a socket, and without a loop.
    let transport = RecordingTransport::new();
    let mut protocol = Lengths::default();
    protocol.connection_made(&transport);
    protocol.data_received(&transport, LINES);
    let requests = transport.take_requests();
    let (last, writes) = requests.split_last().unwrap();
    let written: Vec<u8> = writes
        .iter()
        .flat_map(|request| match request {
            Request::Write(data) => data.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((&written[..], last), (ANSWERS, &Request::Close));

    // A transport without anybody's protocol: one that records stands in.
    let event_loop = TestLoop::new();
    let (recorder, log) = Hooks::new().recorded();
    let (other, _) = Hooks::new().recorded();
    let pair = event_loop.memory_pair(recorder, other, MemoryOptions::default());
    pair.right.write(b"ab");
    pair.right.close();
    event_loop.run_until_idle();
    log.check_ended();
    let calls = log.calls();
    assert_eq!(calls.first(), Some(&ProtocolCall::ConnectionMade));
    assert!(calls.contains(&ProtocolCall::EofReceived));
    assert_eq!((log.bytes(), log.lost_reason()), (2, Some(None)));
}

#[test]
fn p24_every_kind_of_ending_can_be_told_from_the_others() {
    let reason_of = |ending: &dyn Fn(&dyn Transport, std::net::TcpStream)| {
        let event_loop = TestLoop::new();
        let reason: Slot<Option<Option<Exception>>> = Slot::new();
        let told = reason.clone();
        let hooks = Hooks::new().lost(move |_, reason| told.set(Some(reason)));
        let (transport, peer) = tcp(&event_loop, hooks);
        ending(&*transport, peer);
        run_until(&event_loop, || reason.get().is_some());
        reason.take().unwrap()
    };
    // loseConnection, and the peer's own: clean, without a reason.
    assert!(reason_of(&|transport, _peer| transport.close()).is_none());
    assert!(reason_of(&|_, peer| drop(peer)).is_none());
    assert!(reason_of(&|transport, _peer| transport.abort()).is_none());
    // Aborted for a reason: that very one.
    #[derive(Debug)]
    struct Bored;
    impl std::fmt::Display for Bored {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bored")
        }
    }
    impl std::error::Error for Bored {}
    let given = reason_of(&|transport, _peer| transport.abort_with(Bored.into())).unwrap();
    assert!(given.downcast_ref::<Bored>().is_some());
    // Lost: the system's error.
    let lost = reason_of(&|_, peer| reset(peer)).unwrap();
    assert_eq!(lost.io_kind(), Some(ErrorKind::ConnectionReset));

    // The two directions end one by one, and each end is seen.
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().keep_open().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    run_until(&event_loop, || log.calls().contains(&ProtocolCall::EofReceived));
    assert!(!transport.is_closing());
    transport.write(b"still here");
    transport.write_eof();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"still here");
    assert_eq!(log.lost_reason(), Some(None));
}
