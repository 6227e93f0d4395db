//! Reading (X-9…X-13).

use crate::support::*;
use eventloop::TestLoop;
use std::net::Shutdown;
use tulipa_transports::testing::{LifeCycleLog, MemoryLoop, MemoryOptions, ProtocolCall};

#[test]
fn x9_r5_a_busy_peer_cannot_starve_a_quiet_one() {
    let event_loop = TestLoop::new();
    let (busy, busy_log) = Hooks::new().recorded();
    let (_busy, mut busy_peer) = tcp(&event_loop, busy);
    let (quiet, quiet_log) = Hooks::new().recorded();
    let (_quiet, mut quiet_peer) = tcp(&event_loop, quiet);
    busy_peer.set_nonblocking(true).unwrap();
    let chunk = pattern(1_000_000);
    use std::io::Write;
    while let Ok(count) = busy_peer.write(&chunk) {
        if count < chunk.len() {
            break;
        }
    }
    send(&mut quiet_peer, b"me too");
    let before = busy_log.bytes();
    event_loop.run_ready().unwrap();
    assert_eq!(quiet_log.bytes(), 6);
    let read = busy_log.bytes() - before;
    assert!(read <= 256 * 1024 + 64 * 1024, "{read} bytes in one turn");
    drop((busy_peer, quiet_peer));
    run_until(&event_loop, || busy_log.is_lost() && quiet_log.is_lost());
}

#[test]
fn x10_pausing_is_idempotent_and_does_nothing_when_closing() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    assert!(transport.is_reading());
    transport.pause_reading();
    transport.pause_reading();
    assert!(!transport.is_reading());
    send(&mut peer, b"x");
    event_loop.run_ready_now();
    assert_eq!(log.bytes(), 0);
    transport.resume_reading();
    transport.resume_reading();
    assert!(transport.is_reading());
    run_until(&event_loop, || log.bytes() == 1);
    transport.close();
    transport.resume_reading();
    assert!(!transport.is_reading());
    transport.pause_reading();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn x11_r3_while_paused_end_of_file_and_reset_go_unnoticed_and_wake_nobody() {
    for cut in [false, true] {
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (transport, peer) = tcp(&event_loop, protocol);
        transport.pause_reading();
        if cut {
            reset(peer);
        } else {
            peer.shutdown(Shutdown::Both).unwrap();
        }
        event_loop.run_ready_now();
        let before = event_loop.stats().io_events;
        for _ in 0..10 {
            event_loop.run_ready().unwrap();
        }
        assert_eq!(event_loop.stats().io_events, before, "the poller reports it for nothing");
        assert_eq!(log.calls(), [ProtocolCall::ConnectionMade]);
        transport.resume_reading();
        run_until(&event_loop, || log.is_lost());
        assert_eq!(log.lost_reason().unwrap().is_some(), cut);
    }
}

#[test]
fn x12_nothing_is_read_if_connection_made_closed() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_sockets();
    send(&mut theirs, b"early");
    let (protocol, log) = Hooks::new().made(|transport| transport.close()).recorded();
    let opening = tulipa_transports::NetworkLoop::connect_accepted_socket(
        &***event_loop,
        move || protocol,
        ours,
    );
    event_loop.run_until_complete(&opening).unwrap();
    event_loop.run_ready_now();
    assert_eq!(log.calls(), [ProtocolCall::ConnectionMade, ProtocolCall::ConnectionLost(None)]);
}

#[test]
fn x13_readiness_that_turns_out_to_be_none_is_not_an_error() {
    for seed in 0..50 {
        let event_loop = TestLoop::new();
        let (left, left_log) = Hooks::new().recorded();
        let (right, right_log) = Hooks::new().recorded();
        let pair = event_loop.memory_pair(left, right, MemoryOptions::default().trouble(seed));
        let data = pattern(10_000);
        pair.left.write(&data);
        pair.left.close();
        event_loop.run_until_idle();
        assert_eq!(right_log.checksum(), LifeCycleLog::checksum_of(&data));
        assert_eq!(left_log.lost_reason(), Some(None));
        assert_eq!(right_log.lost_reason(), Some(None), "seed {seed}: {right_log:?}");
    }
}
