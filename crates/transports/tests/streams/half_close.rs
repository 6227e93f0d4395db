//! Half-close (X-27…X-29).

use crate::support::*;
use eventloop::TestLoop;
use std::net::Shutdown;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, ProtocolCall};

#[test]
fn x27_write_eof_sends_what_waits_then_ends_our_direction_only() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    assert!(transport.can_write_eof());
    let data = pattern(500_000);
    transport.write(&data);
    transport.write_eof();
    transport.write_eof();
    assert!(read_to_end(&event_loop, &mut peer) == data);
    assert!(!transport.is_closing() && transport.is_reading());
    send_blocking(&mut peer, b"answer");
    run_until(&event_loop, || log.bytes() == 6);
    drop(peer);
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None));
    transport.write_eof();
}

fn send_blocking(peer: &mut std::net::TcpStream, data: &[u8]) {
    peer.set_nonblocking(false).unwrap();
    send(peer, data);
}

#[test]
fn x28_our_end_first_then_the_peers_ends_the_connection() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().keep_open().recorded();
    let (transport, peer) = tcp(&event_loop, protocol);
    transport.write_eof();
    event_loop.run_ready_now();
    assert!(!transport.is_closing());
    peer.shutdown(Shutdown::Write).unwrap();
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn x28_the_peers_end_first_then_ours_ends_the_connection() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().keep_open().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    peer.shutdown(Shutdown::Write).unwrap();
    run_until(&event_loop, || log.calls().contains(&ProtocolCall::EofReceived));
    event_loop.run_ready_now();
    assert!(!transport.is_closing());
    transport.write(b"the rest");
    transport.write_eof();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"the rest");
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn x28_both_ends_at_once() {
    let event_loop = TestLoop::new();
    let (left, left_log) = Hooks::new().keep_open().recorded();
    let (right, right_log) = Hooks::new().keep_open().recorded();
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    pair.left.write(b"l");
    pair.right.write(b"r");
    pair.left.write_eof();
    pair.right.write_eof();
    event_loop.run_ready_now();
    for log in [left_log, right_log] {
        assert_eq!((log.bytes(), log.lost_reason()), (1, Some(None)));
    }
}

#[test]
fn x29_write_eof_on_a_connection_that_was_reset_raises_nothing() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().keep_open().recorded();
    let (transport, peer) = tcp(&event_loop, protocol);
    transport.pause_reading();
    event_loop.run_ready_now();
    reset(peer);
    transport.write_eof();
    event_loop.run_ready_now();
    transport.resume_reading();
    run_until(&event_loop, || log.is_lost());
    assert!(log.lost_reason().unwrap().is_some());
}
