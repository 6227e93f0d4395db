//! What a protocol is called, and when (P-1…P-23).

use crate::support::*;
use eventloop::TestLoop;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use tulipa_transports::testing::{LifeCycle, LifeCycleLog, ProtocolCall};
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
