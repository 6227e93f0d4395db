//! The write end.

use crate::support::*;
use crate::{others, settle, writing};
use eventloop::TestLoop;
use std::io::{ErrorKind, Read};
use tulipa_transports::testing::ProtocolCall;
use tulipa_transports::{WriteRefusal, WriteState};

/// More than a pipe holds.
const LARGE: usize = 300_000;

fn kind_of_loss(hooks: Hooks) -> (Hooks, Slot<Option<Option<ErrorKind>>>) {
    let kind: Slot<Option<Option<ErrorKind>>> = Slot::new();
    let seen = kind.clone();
    (hooks.lost(move |_, reason| seen.set(Some(reason.and_then(|r| r.io_kind())))), kind)
}

#[test]
fn p5_x17_x20_what_is_written_arrives_with_flow_control() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = writing(&event_loop, protocol);
    assert!(!transport.is_reading() && transport.can_write_eof());
    transport.pause_reading();
    transport.resume_reading();
    let data = pattern(LARGE);
    assert_eq!(transport.write(&data), WriteState::OverHighMark);
    settle(&event_loop);
    let mut received = vec![0; LARGE];
    let mut got = 0;
    while got < LARGE {
        got += peer.read(&mut received[got..]).unwrap();
        settle(&event_loop);
    }
    assert!(received == data);
    let flow = [ProtocolCall::PauseWriting, ProtocolCall::ResumeWriting];
    assert_eq!(log.calls()[1..], flow);
    transport.abort();
    settle(&event_loop);
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn x41_a_reader_that_goes_away_is_noticed_with_nothing_to_write() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, peer) = writing(&event_loop, protocol);
    drop(peer);
    settle(&event_loop);
    assert!(transport.is_closing());
    assert_eq!(log.lost_reason(), Some(None));
    assert_eq!(transport.write(b"x"), WriteState::Refused(WriteRefusal::Closed));
}

#[test]
fn x41_x32_a_reader_that_goes_away_with_output_pending_is_a_broken_pipe() {
    for close_first in [false, true] {
        let _others = others();
        let event_loop = TestLoop::new();
        let (hooks, kind) = kind_of_loss(Hooks::new());
        let (transport, peer) = writing(&event_loop, hooks.recorded().0);
        transport.write(&pattern(LARGE));
        settle(&event_loop);
        if close_first {
            transport.close();
        }
        let drained = transport.drained();
        drop(peer);
        settle(&event_loop);
        assert_eq!(kind.get(), Some(Some(ErrorKind::BrokenPipe)));
        assert!(drained.result().is_err());
    }
}

#[test]
fn x42_close_and_write_eof_send_what_waits_and_take_no_more() {
    for by_eof in [false, true] {
        let _others = others();
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (transport, mut peer) = writing(&event_loop, protocol);
        let data = pattern(LARGE);
        transport.write(&data);
        if by_eof {
            transport.write_eof()
        } else {
            transport.close()
        }
        assert!(transport.is_closing());
        assert_eq!(transport.write(b"more"), WriteState::Refused(WriteRefusal::Closed));
        assert_eq!(transport.dropped_writes(), 1);
        let mut received = vec![0; LARGE];
        let mut got = 0;
        while got < LARGE {
            settle(&event_loop);
            got += peer.read(&mut received[got..]).unwrap();
        }
        settle(&event_loop);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "the end of file");
        assert!(received == data);
        assert_eq!(log.lost_reason(), Some(None));
    }
}

#[test]
fn x42_x4_abort_drops_what_waits_also_after_close() {
    for close_first in [false, true] {
        let _others = others();
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (transport, mut peer) = writing(&event_loop, protocol);
        transport.write(&pattern(LARGE));
        settle(&event_loop);
        if close_first {
            transport.close();
            settle(&event_loop);
        }
        assert!(!log.is_lost());
        transport.abort();
        transport.abort();
        settle(&event_loop);
        assert_eq!(log.lost_reason(), Some(None));
        let mut all = Vec::new();
        assert!(peer.read_to_end(&mut all).unwrap() < LARGE);
    }
}

#[test]
fn r3_a_write_pipe_at_rest_wakes_nobody() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = writing(&event_loop, protocol);
    transport.write(b"tulip");
    settle(&event_loop);
    let before = log.calls().len();
    peer.read_exact(&mut [0; 5]).unwrap();
    event_loop.advance(std::time::Duration::from_secs(10));
    assert_eq!(log.calls().len(), before);
    transport.close();
    settle(&event_loop);
    log.check_ended();
}
