//! What every transport offers, and how it ends (X-1… …X-32).

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::io::ErrorKind;
use std::time::Duration;
use tulipa_transports::testing::{LifeCycleLog, MemoryLoop, MemoryOptions};
use tulipa_transports::{
    Address, Bytes, ConnectOptions, ExtraValue, NetworkLoop, Transport, WriteRefusal, WriteState,
};

#[test]
fn x1_extra_info_is_typed_and_named_and_stays_after_the_end() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, peer) = tcp(&event_loop, protocol);
    let peername = Address::Ip(peer.local_addr().unwrap());
    let sockname = Address::Ip(peer.peer_addr().unwrap());
    let info = transport.extra_info();
    assert_eq!(info.peername, Some(peername.clone()));
    assert_eq!(info.sockname, Some(sockname.clone()));
    assert!(transport.get_extra_info("cipher").is_none());
    match transport.get_extra_info("peername") {
        Some(ExtraValue::Address(address)) => assert_eq!(address, peername),
        other => panic!("{other:?}"),
    }
    let socket = info.socket.unwrap();
    assert_eq!(socket.local_addr().unwrap(), sockname);

    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
    assert_eq!(transport.extra_info().peername, Some(peername));
    assert_eq!(transport.extra_info().sockname, Some(sockname));
    assert!(transport.extra_info().socket.is_none());
    assert_eq!(socket.local_addr().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn x2_close_and_abort_are_idempotent_in_any_order() {
    type Request = fn(&dyn Transport);
    let close: Request = |transport| transport.close();
    let abort: Request = |transport| transport.abort();
    for requests in [[close, close], [close, abort], [abort, close], [abort, abort]] {
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (transport, _peer) = tcp(&event_loop, protocol);
        assert!(!transport.is_closing());
        for request in requests {
            request(&*transport);
            assert!(transport.is_closing());
        }
        event_loop.run_ready_now();
        requests.iter().for_each(|request| request(&*transport));
        event_loop.run_ready_now();
        assert_eq!(log.lost_reason(), Some(None));
    }
}

#[test]
fn x3_w38_close_sends_what_was_written_and_reads_no_more() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    let data = pattern(500_000);
    transport.write(&data);
    transport.close();
    assert!(!transport.is_reading());
    let received = read_while(&event_loop, &mut peer, |all| all.len() < data.len());
    assert!(received == data);
    run_until(&event_loop, || log.is_lost());
    assert_eq!((log.bytes(), log.lost_reason()), (0, Some(None)));
}

#[test]
fn x3_r2_unread_input_does_not_cost_the_peer_what_was_sent_last() {
    let event_loop = TestLoop::new();
    let hooks = Hooks::new().data(|transport, _| {
        transport.write(b"400 bad request");
        transport.close();
    });
    let (protocol, log) = hooks.recorded();
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, &pattern(100_000)); // more than is read in one go
    run_until(&event_loop, || log.is_lost());
    event_loop.run_ready_now();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut peer, &mut answer).expect("no reset");
    assert_eq!(answer, b"400 bad request");
}

#[test]
fn x3_with_nothing_to_send_the_end_is_queued_at_once() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = tcp(&event_loop, protocol);
    transport.close();
    let lost = log.clone();
    event_loop.call_soon(move || assert!(lost.is_lost(), "it was queued before this"));
    assert!(!log.is_lost());
    event_loop.run_ready_now();
}

#[test]
fn x4_abort_drops_the_output_also_after_close() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    transport.write(&pattern(5_000_000));
    transport.close();
    event_loop.run_ready_now();
    assert!(!log.is_lost() && transport.get_write_buffer_size() > Bytes(0));
    transport.abort();
    assert_eq!(transport.get_write_buffer_size(), Bytes(0));
    event_loop.run_ready_now();
    assert_eq!(log.lost_reason(), Some(None));
    assert!(read_to_end(&event_loop, &mut peer).len() < 5_000_000);
}

#[test]
fn x4_p16_abort_with_tells_the_reason() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = tcp(&event_loop, protocol);
    transport.abort_with(Exception::msg("bad greeting"));
    transport.abort_with(Exception::msg("too late"));
    event_loop.run_ready_now();
    assert_eq!(log.lost_reason(), Some(Some("bad greeting".into())));
}

#[test]
fn x5_a_close_that_takes_too_long_is_cut_off_by_the_linger_limit() {
    let event_loop = TestLoop::new();
    let (ours, _peer) = tcp_sockets();
    let (protocol, log) = Hooks::new().recorded();
    let options = ConnectOptions::from(ours).linger(Some(Duration::from_secs(30)));
    let opening = event_loop.create_connection(move || protocol, options);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.write(&pattern(10_000_000));
    transport.close();
    event_loop.advance(Duration::from_secs(29));
    assert!(!log.is_lost());
    event_loop.advance(Duration::from_secs(2));
    let reason = log.lost_reason().unwrap().unwrap();
    assert!(reason.contains("sending the rest after close"), "{reason}");
}

#[test]
fn x5_without_a_limit_a_close_waits_for_the_peer() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (ours, mut peer) = tcp_sockets();
    let opening = event_loop.create_connection(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    let data = pattern(10_000_000);
    transport.write(&data);
    transport.close();
    event_loop.advance(Duration::from_secs(3600));
    assert!(!log.is_lost());
    assert!(read_to_end(&event_loop, &mut peer) == data);
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x6_x32_a_reset_while_reading_is_told_and_not_reported() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let kind: Slot<Option<ErrorKind>> = Slot::new();
    let seen = kind.clone();
    let hooks = Hooks::new().lost(move |_, reason| seen.set(reason.and_then(|r| r.io_kind())));
    let (protocol, log) = hooks.recorded();
    let (transport, peer) = tcp(&event_loop, protocol);
    reset(peer);
    run_until(&event_loop, || log.is_lost());
    assert_eq!(kind.get(), Some(ErrorKind::ConnectionReset));
    assert!(errors.take().is_empty());
    assert_eq!(transport.write(b"x"), WriteState::Refused(WriteRefusal::Closed));
}

#[test]
fn x6_x32_writing_to_a_peer_that_is_gone_ends_with_an_error_and_no_signal() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let kind: Slot<Option<ErrorKind>> = Slot::new();
    let seen = kind.clone();
    let hooks = Hooks::new()
        .keep_open()
        .lost(move |_, reason| seen.set(reason.and_then(|reason| reason.io_kind())));
    let (protocol, log) = hooks.recorded();
    let (transport, peer) = tcp(&event_loop, protocol);
    drop(peer);
    run_until(&event_loop, || {
        transport.write(b"anybody there?");
        log.is_lost()
    });
    let kind = kind.get().unwrap();
    let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(expected.contains(&kind), "{kind:?}");
    assert!(errors.take().is_empty());
}

#[test]
fn x7_r2_what_was_received_before_sending_failed_is_still_delivered() {
    let event_loop = TestLoop::new();
    let (left, left_log) = Hooks::new().recorded();
    let (right, right_log) = Hooks::new().recorded();
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    event_loop.run_ready_now();
    let data = pattern(30_000);
    pair.right.write(&data);
    // The right end's bytes are on the wire; the left one cannot send any more.
    pair.break_left_output();
    pair.left.write(b"x");
    pair.left.set_write_buffer_limits(marks(0, 0)).unwrap();
    event_loop.run_ready_now();
    assert_eq!(left_log.checksum(), LifeCycleLog::checksum_of(&data));
    assert_eq!(left_log.lost_reason(), Some(Some("broken pipe".into())));
    pair.right.close();
    event_loop.run_ready_now();
    right_log.check_ended();
}

#[test]
fn x7_over_tcp_bytes_that_came_before_a_reset_are_delivered() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().made(|transport| transport.pause_reading()).recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"last words");
    transport.resume_reading();
    // Unread data on the peer's side turns its close into a reset.
    transport.write(b"unread");
    event_loop.run_ready_now();
    drop(peer);
    transport.write(b"more");
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.checksum(), LifeCycleLog::checksum_of(b"last words"));
}

#[test]
fn x8_dropping_a_handle_does_nothing_and_a_kept_one_keeps_nothing() {
    let event_loop = TestLoop::new();
    let kept: Slot<Option<std::rc::Rc<dyn Transport>>> = Slot::new();
    let keep = kept.clone();
    let (dropped, note_dropped) = counter();
    struct NoteDrop<F: Fn()>(F);
    impl<F: Fn()> Drop for NoteDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let guard = NoteDrop(note_dropped);
    let hooks = Hooks::echo().made(move |transport| {
        let _owned = &guard;
        keep.set(Some(transport.handle())); // a protocol that stores its own transport
    });
    let (transport, mut peer) = tcp(&event_loop, hooks);
    drop(transport);
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    drop(peer);
    run_until(&event_loop, || dropped.get() == 1);
    assert!(kept.take().unwrap().is_closing());
}

#[test]
fn x30_x31_tcp_sends_without_delay_and_keeps_alive_only_when_asked() {
    let event_loop = TestLoop::new();
    let accepted: Slot<Vec<(bool, bool)>> = Slot::new();
    let seen = accepted.clone();
    let factory = move || {
        let seen = seen.clone();
        Hooks::new().made(move |transport| {
            let socket = transport.extra_info().socket.unwrap();
            let pair = (socket.tcp_nodelay().unwrap(), socket.keepalive().unwrap());
            seen.update(|all| all.push(pair));
        })
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let client = event_loop.create_connection(Hooks::new, address);
    let transport = event_loop.run_until_complete(&client).unwrap();
    let socket = transport.extra_info().socket.unwrap();
    assert!(socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
    socket.set_keepalive(true).unwrap();
    assert!(socket.keepalive().unwrap());
    run_until(&event_loop, || accepted.get() == [(true, false)]);
    transport.close();
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn x5_n32_a_socket_that_was_accepted_elsewhere_has_the_same_limit_after_close() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = narrow_tcp(&event_loop, protocol);
    transport.write(&[1; 8_000_000]);
    transport.close();
    event_loop.advance(std::time::Duration::from_secs(29));
    assert!(!log.is_lost());
    event_loop.advance(std::time::Duration::from_secs(2));
    let reason = log.lost_reason().expect("it was cut").expect("with a reason");
    assert!(reason.contains("sending the rest after close"), "{reason}");
}
