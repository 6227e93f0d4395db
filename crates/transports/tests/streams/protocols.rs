//! What a protocol is called, and when (P-1…P-23).

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use tulipa_transports::testing::{
    LifeCycle, LifeCycleLog, MemoryLoop, MemoryOptions, ProtocolCall, RecordingTransport, Request,
};
use tulipa_transports::{
    Buffered, BufferedProtocol, Eof, NetworkLoop, Protocol, Transport, TransportExt, WriteState,
};

#[test]
fn p1_p7_a_connection_is_made_fed_ended_and_lost_once_each() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"one");
    run_until(&event_loop, || log.bytes() == 3);
    send(&mut peer, b"two");
    drop(peer);
    run_until(&event_loop, || log.is_lost());
    let calls = log.calls();
    assert_eq!(calls.first(), Some(&ProtocolCall::ConnectionMade));
    assert_eq!(
        calls[calls.len() - 2..],
        [ProtocolCall::EofReceived, ProtocolCall::ConnectionLost(None)]
    );
    assert_eq!(log.checksum(), LifeCycleLog::checksum_of(b"onetwo"));
}

/// Collects into buffers of its own.
struct Collect {
    buffer: Vec<u8>,
    all: Slot<Vec<u8>>,
}

impl Collect {
    fn new(size: usize) -> (Self, Slot<Vec<u8>>) {
        let all = Slot::new();
        (Self { buffer: vec![0; size], all: all.clone() }, all)
    }
}

impl BufferedProtocol for Collect {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        let (all, buffer) = (&self.all, &self.buffer);
        all.update(|all| all.extend_from_slice(&buffer[..count]));
    }
}

#[test]
fn p2_a_buffered_protocol_gets_its_own_buffers_filled() {
    let event_loop = TestLoop::new();
    let (collect, all) = Collect::new(7);
    let (protocol, log) = LifeCycle::new(Buffered(collect));
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    let data = pattern(1000);
    send(&mut peer, &data);
    drop(peer);
    run_until(&event_loop, || log.is_lost());
    assert_eq!(all.get(), data);
    assert_eq!(log.bytes(), 1000);
    assert!(log.calls().contains(&ProtocolCall::GetBuffer));
    assert!(!log.calls().iter().any(|call| matches!(call, ProtocolCall::DataReceived(_))));
}

#[test]
fn p2_a_buffered_protocol_can_be_fed_as_a_plain_one() {
    let (collect, all) = Collect::new(3);
    let transport = tulipa_transports::testing::RecordingTransport::new();
    Buffered(collect).data_received(&transport, b"tulips");
    assert_eq!(all.get(), b"tulips");
}

#[test]
fn p9_connection_made_comes_in_a_turn_of_its_own_and_before_any_data() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_sockets();
    send(&mut theirs, b"early");
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    assert!(!log.is_made() && !opening.done());
    run_until(&event_loop, || log.bytes() == 5);
    assert_eq!(log.calls(), [ProtocolCall::ConnectionMade, ProtocolCall::DataReceived(5)]);
    drop(theirs);
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn p9_x12_pausing_in_connection_made_holds_back_every_byte() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_sockets();
    send(&mut theirs, b"early");
    let (protocol, log) = Hooks::new().made(|transport| transport.pause_reading()).recorded();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    event_loop.run_ready_now();
    assert!(!transport.is_reading());
    assert_eq!(log.calls(), [ProtocolCall::ConnectionMade]);
    transport.resume_reading();
    run_until(&event_loop, || log.bytes() == 5);
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn p11_data_is_never_empty_and_never_more_than_256_kib() {
    let event_loop = TestLoop::new();
    let largest: Slot<usize> = Slot::new();
    let seen = largest.clone();
    let hooks = Hooks::new().data(move |_, data| seen.update(|most| *most = data.len().max(*most)));
    let (protocol, log) = hooks.recorded();
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    let data = pattern(3_000_000);
    let expected = LifeCycleLog::checksum_of(&data);
    let sender = std::thread::spawn(move || send(&mut peer, &data));
    run_until(&event_loop, || log.is_lost());
    sender.join().unwrap();
    assert_eq!((log.bytes(), log.checksum()), (3_000_000, expected));
    assert!((1..=256 * 1024).contains(&largest.get()));
}

#[test]
fn p12_by_default_the_end_of_file_closes_and_what_was_written_is_sent() {
    let event_loop = TestLoop::new();
    let hooks = Hooks::new().eof(|transport| {
        transport.write(b"bye");
        Eof::Close
    });
    let (protocol, log) = hooks.recorded();
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"bye");
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn p12_keep_open_keeps_writing_possible() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().keep_open().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    run_until(&event_loop, || log.calls().contains(&ProtocolCall::EofReceived));
    event_loop.run_ready_now();
    assert!(!transport.is_closing() && !log.is_lost());
    transport.write(b"still here");
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"still here");
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn p13_an_empty_buffer_ends_the_connection_with_an_error() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (collect, _) = Collect::new(0);
    let (protocol, log) = LifeCycle::new(Buffered(collect));
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"x");
    run_until(&event_loop, || log.is_lost());
    let reason = log.lost_reason().unwrap().unwrap();
    assert!(reason.contains("get_buffer() returned an empty buffer"), "{reason}");
    assert_eq!(errors.take().len(), 1);
}

#[test]
fn p15_pause_writing_comes_after_the_method_that_wrote_has_returned() {
    let event_loop = TestLoop::new();
    let trace: Slot<Vec<&'static str>> = Slot::new();
    let (inside, paused) = (trace.clone(), trace.clone());
    let hooks = Hooks::new()
        .data(move |transport, _| {
            inside.update(|trace| trace.push("begin"));
            transport.set_write_buffer_limits(marks(1000, 100)).unwrap();
            while transport.write(&[0; 100_000]) == WriteState::Taken {}
            inside.update(|trace| trace.push("end"));
        })
        .pause(move |_| paused.update(|trace| trace.push("pause")));
    let (protocol, log) = hooks.recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    send(&mut peer, b"go");
    run_until(&event_loop, || log.is_paused());
    assert_eq!(trace.get(), ["begin", "end", "pause"]);
    transport.abort();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn p16_connection_lost_is_never_called_from_inside_a_request() {
    let event_loop = TestLoop::new();
    let (in_method, watched): (Slot<bool>, Slot<bool>) = (Slot::new(), Slot::new());
    let (inside, outside) = (in_method.clone(), in_method.clone());
    let seen = watched.clone();
    let hooks = Hooks::new()
        .data(move |transport, _| {
            inside.set(true);
            transport.abort();
            transport.write(b"dropped");
            transport.close();
            inside.set(false);
        })
        .lost(move |transport, reason| {
            assert!(!outside.get() && reason.is_none());
            let info = transport.extra_info();
            seen.set(info.peername.is_some() && info.sockname.is_some());
        });
    let (protocol, log) = hooks.recorded();
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"x");
    run_until(&event_loop, || log.is_lost());
    assert!(watched.get(), "the addresses are still known in connection_lost");

    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = tcp(&event_loop, protocol);
    transport.abort();
    assert!(!log.is_lost() && transport.is_closing());
    event_loop.run_ready_now();
    assert!(log.is_lost());
}

#[test]
fn p20_after_close_or_pause_in_data_received_nothing_more_comes() {
    for pause in [false, true] {
        let event_loop = TestLoop::new();
        let hooks = Hooks::new().data(move |transport, _| match pause {
            true => transport.pause_reading(),
            false => transport.close(),
        });
        let (protocol, log) = hooks.recorded();
        let (transport, mut peer) = tcp(&event_loop, protocol);
        // More than one read takes.
        send(&mut peer, &pattern(150_000));
        run_until(&event_loop, || log.bytes() > 0);
        event_loop.run_ready_now();
        let calls = log.calls().into_iter().filter(|c| matches!(c, ProtocolCall::DataReceived(_)));
        assert_eq!(calls.count(), 1);
        transport.close();
        event_loop.run_ready_now();
        log.check_ended();
    }
}

#[test]
fn p21_a_new_protocol_receives_from_then_on_and_is_told_the_end() {
    let event_loop = TestLoop::new();
    let (collect, all) = Collect::new(4);
    let collect: Slot<Option<Collect>> = {
        let slot = Slot::new();
        slot.set(Some(collect));
        slot
    };
    let handed_over: Slot<Vec<u8>> = Slot::new();
    let first = handed_over.clone();
    let hooks = Hooks::new()
        .data(move |transport, data| {
            first.update(|all| all.extend_from_slice(data));
            transport.set_protocol(Buffered(collect.take().expect("called once")));
        })
        .lost(|_, _| panic!("the old protocol is told nothing any more"));
    let (transport, mut peer) = tcp(&event_loop, hooks);
    send(&mut peer, b"old");
    run_until(&event_loop, || handed_over.get() == b"old");
    send(&mut peer, b"to the new one");
    run_until(&event_loop, || all.get() == b"to the new one");

    // And back to a plain one, from outside, in mid-connection.
    let (lost, note_lost) = counter();
    let received: Slot<Vec<u8>> = Slot::new();
    let third = received.clone();
    transport.set_protocol(
        Hooks::new()
            .made(|_| panic!("connection_made comes once only"))
            .data(move |_, data| third.update(|all| all.extend_from_slice(data)))
            .lost(move |_, _| note_lost()),
    );
    send(&mut peer, b"third");
    run_until(&event_loop, || received.get() == b"third");
    drop(peer);
    run_until(&event_loop, || lost.get() == 1);
    assert_eq!(all.get(), b"to the new one");
}

/// One object behind several connections.
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Protocol for Shared {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.0.borrow_mut().extend_from_slice(data);
        transport.write(b"ok");
    }
}

#[test]
fn p22_what_protocols_share_is_their_own_affair() {
    let event_loop = TestLoop::new();
    let all = Rc::new(RefCell::new(Vec::new()));
    let (one, mut first) = tcp(&event_loop, Shared(all.clone()));
    let (two, mut second) = tcp(&event_loop, Shared(all.clone()));
    for (peer, data) in [(&mut first, b"a"), (&mut second, b"b")] {
        send(peer, data);
        assert_eq!(read_while(&event_loop, peer, |got| got.len() < 2), b"ok");
    }
    assert_eq!(*all.borrow(), b"ab");
    one.close();
    two.close();
    event_loop.run_ready_now();
    assert_eq!(Rc::strong_count(&all), 1);
}

#[test]
fn p23_a_factory_that_fails_fails_the_creator_and_closes_the_socket() {
    type Made = Result<Option<Hooks>, std::io::Error>;
    let refuse: fn() -> Made = || Ok(None);
    let fail: fn() -> Made = || Err(ErrorKind::PermissionDenied.into());
    let panic: fn() -> Made = || panic!("no protocol");
    for (factory, text) in [
        (refuse, "the protocol factory refused the connection"),
        (fail, "permission denied"),
        (panic, "panicked: no protocol"),
    ] {
        let event_loop = TestLoop::new();
        let (ours, mut peer) = tcp_sockets();
        let opening = event_loop.connect_accepted_socket(factory, ours);
        event_loop.run_ready_now();
        assert_eq!(opening.exception().unwrap().unwrap().to_string(), text);
        assert_eq!(read_to_end(&event_loop, &mut peer), b"");
        assert_eq!(event_loop.open_connections(), 0);
    }
}

#[test]
fn p21_a_panic_of_the_caller_of_with_protocol_is_the_callers_own() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = tcp(&event_loop, protocol);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        transport.with_protocol(|_: &mut LifeCycle<Hooks>, _| panic!("mine"))
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
    assert!(!transport.is_closing());
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn p21_with_protocol_reaches_the_protocol_and_its_effects_are_delivered() {
    struct Named(&'static str);
    impl Protocol for Named {
        fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) {
            let inside = transport.with_protocol(|_: &mut Named, _| ());
            assert_eq!(inside, Err(tulipa_transports::ProtocolUnavailable::Running));
        }
    }
    let event_loop = TestLoop::new();
    let (transport, mut peer) = tcp(&event_loop, Named("tulip"));
    let name = transport.with_protocol(|named: &mut Named, transport| {
        transport.write(named.0.as_bytes());
        named.0
    });
    assert_eq!(name, Ok("tulip"));
    assert_eq!(read_while(&event_loop, &mut peer, |got| got.len() < 5), b"tulip");
    assert!(matches!(
        transport.with_protocol(|_: &mut Hooks, _| ()),
        Err(tulipa_transports::ProtocolUnavailable::OtherType { .. })
    ));
    send(&mut peer, b"x");
    event_loop.run_ready_now();
    transport.close();
    event_loop.run_ready_now();
    let gone = transport.with_protocol(|_: &mut Named, _| ());
    assert_eq!(gone, Err(tulipa_transports::ProtocolUnavailable::Gone));
}

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
