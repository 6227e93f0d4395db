//! What is before `connection_made` (X-44…X-46).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use std::io::ErrorKind;
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryTlsLoop, ProtocolCall};
use tulipa_transports::tls::{Early, StartTls, TlsError};
use tulipa_transports::{Bytes, WriteRefusal, WriteState};

#[test]
fn x44_x53_the_protocol_is_told_when_the_handshake_is_done() {
    let event_loop = TestLoop::new();
    let made = Slot::new();
    let seen = made.clone();
    let left = Hooks::new().made(move |transport| {
        let info = transport.extra_info().tls.expect("it is known by then");
        seen.update(|all: &mut Vec<_>| all.push(info.server_name.clone()));
        transport.write(b"tulip");
    });
    let (recorded, left, right) = connect(&event_loop, left, Hooks::echo());
    assert_eq!(made.take(), [Some(NAME.to_owned())]);
    event_loop.run_ready_now();
    assert_eq!(recorded.left.bytes(), 5);
    assert_eq!(recorded.right.bytes(), 5);
    assert!(!left.is_closing() && !right.is_closing());
    left.close();
    recorded.finish(&event_loop);
    assert_eq!(recorded.left.lost_reason(), Some(None));
    assert_eq!(recorded.right.lost_reason(), Some(None));
    assert!(left.extra_info().tls.is_some(), "it stays known (X-1)");
}

/// More batches than a handshake in memory takes.
const ALL_OF_IT: usize = 30;

#[test]
fn x44_r13_a_server_that_is_not_trusted_is_an_error_for_both_and_a_call_for_nobody() {
    let event_loop = TestLoop::new();
    let ((left, left_log), (right, right_log)) =
        (Hooks::new().recorded(), Hooks::echo().recorded());
    let (_, server) = configs();
    let (client, _) = strangers();
    let options = MemoryOptions::default();
    let pair = event_loop.memory_tls_pair(left, (client, NAME), right, server, options);
    let error = event_loop.run_until_complete(&pair.left).err().unwrap();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData));
    let tls = error.downcast_ref::<std::io::Error>().unwrap().get_ref().unwrap();
    let tls = tls.downcast_ref::<TlsError>().unwrap();
    assert!(tls.is_certificate_error() && tls.to_string().contains(NAME), "{tls}");
    let error = event_loop.run_until_complete(&pair.right).err().unwrap();
    assert!(error.to_string().contains("handshake failed"), "{error}: the alert came");
    check_empty(&event_loop);
    assert!(!left_log.is_made() && !right_log.is_made());
}

#[test]
fn x44_an_end_in_the_handshake_is_a_reset_for_the_creator() {
    for batches in 0..ALL_OF_IT {
        let event_loop = TestLoop::new();
        let recorded = begin(&event_loop, Hooks::new(), Hooks::new(), MemoryOptions::default());
        run_batches(&event_loop, batches);
        recorded.below().reset();
        event_loop.run_until_idle();
        let error = recorded.pair.left.result().err();
        assert_eq!(error.is_none(), recorded.left.is_made());
        // What is on the way then still arrives, and may be the rest of it.
        if let Some(error) = error {
            assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionReset), "{error}");
        }
        drop(recorded.pair.right.result().err());
        recorded.finish(&event_loop);
    }
}

#[test]
fn x45_r13_a_handshake_that_stands_still_is_given_up_after_its_time() {
    let event_loop = TestLoop::new();
    let options = MemoryOptions::default().capacity(Bytes(100));
    let recorded = begin(&event_loop, Hooks::new(), Hooks::new(), options);
    recorded.below().set_capacity(Bytes(0));
    let before = event_loop.time();
    event_loop.run_until_idle();
    for opened in [&recorded.pair.left, &recorded.pair.right] {
        let error = opened.result().err().unwrap();
        assert_eq!(error.io_kind(), Some(ErrorKind::TimedOut), "{error}");
        assert!(error.to_string().contains("20 seconds"), "{error}");
    }
    assert_eq!(event_loop.time() - before, Duration::from_secs(20));
    recorded.finish(&event_loop);
}

#[test]
fn x46_closing_during_the_handshake_aborts() {
    let event_loop = TestLoop::new();
    let recorded = begin(&event_loop, Hooks::new(), Hooks::new(), MemoryOptions::default());
    recorded.below().set_capacity(Bytes(0));
    run_batches(&event_loop, 2);
    recorded.below().request_shutdown_of_left();
    event_loop.run_ready_now();
    let error = recorded.pair.left.result().err().unwrap();
    assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionAborted), "{error}");
    assert!(recorded.pair.right.result().is_err());
    recorded.finish(&event_loop);
    assert!(!recorded.left.is_made() && !recorded.right.is_made());
}

#[test]
fn x44_n12_a_creator_may_be_cancelled_at_every_point() {
    for batches in 0..ALL_OF_IT {
        for side in [0, 1] {
            let event_loop = TestLoop::new();
            let recorded = begin(&event_loop, Hooks::new(), Hooks::new(), MemoryOptions::default());
            run_batches(&event_loop, batches);
            let opened = [&recorded.pair.left, &recorded.pair.right];
            let cancelled = opened[side].cancel();
            event_loop.run_ready_now();
            let log = [&recorded.left, &recorded.right][side];
            assert_eq!(cancelled, !log.is_made(), "after {batches} batches");
            if !cancelled {
                opened[side].result().unwrap().close();
            }
            drop(opened[1 - side].result().err());
            recorded.finish(&event_loop);
        }
    }
}

#[test]
fn l30_r6_a_loop_may_be_closed_at_every_point() {
    for batches in 0..ALL_OF_IT {
        let mut event_loop = TestLoop::new();
        event_loop.allow_leftovers();
        let kept = std::rc::Rc::new(());
        let (left, right) = (kept.clone(), kept.clone());
        let left = Hooks::new().made(move |_| drop(left.clone()));
        let right = Hooks::new().data(move |_, _| drop(right.clone()));
        let recorded = begin(&event_loop, left, right, MemoryOptions::default());
        run_batches(&event_loop, batches);
        let handle = recorded.pair.left.done().then(|| recorded.pair.left.result().unwrap());
        drop(event_loop);
        assert_eq!(std::rc::Rc::strong_count(&kept), 1, "after {batches} batches");
        if let Some(handle) = handle {
            assert!(handle.is_closing());
            assert_eq!(handle.write(b"late"), WriteState::Refused(WriteRefusal::Closed));
        }
    }
}

#[test]
fn x44_r8_a_verifier_that_panics_fails_its_own_connection() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (_, server) = configs();
    let ((left, left_log), (right, right_log)) = (Hooks::new().recorded(), Hooks::new().recorded());
    let options = MemoryOptions::default();
    let pair = event_loop.memory_tls_pair(left, (panicking(), NAME), right, server, options);
    event_loop.run_until_idle();
    let error = pair.left.result().err().unwrap();
    assert!(error.panicked().is_some(), "{error}");
    assert!(pair.right.result().is_err());
    check_empty(&event_loop);
    assert_eq!(errors.take().len(), 1);
    assert!(!left_log.is_made() && !right_log.is_made());
}

#[test]
fn x44_what_comes_along_with_the_last_of_the_handshake_is_delivered_after_connection_made() {
    for seed in 0..50 {
        let event_loop = TestLoop::new();
        let left = Hooks::new().made(|transport| {
            transport.write(b"tulip");
            transport.close();
        });
        let options = MemoryOptions::default().trouble(seed);
        let recorded = begin(&event_loop, left, Hooks::new(), options);
        event_loop.run_until_idle();
        let calls = recorded.right.calls();
        assert_eq!(calls.first(), Some(&ProtocolCall::ConnectionMade));
        assert_eq!(calls.last(), Some(&ProtocolCall::ConnectionLost(None)));
        assert_eq!(recorded.right.bytes(), 5);
        recorded.finish(&event_loop);
    }
}

#[test]
fn x44_garbage_in_place_of_a_handshake_is_an_error_at_once() {
    let event_loop = TestLoop::new();
    let garbage = Hooks::new().made(|transport| {
        transport.write(b"GET / HTTP/1.1\r\nhost: tulip.example\r\n\r\n");
    });
    let (right, right_log) = Hooks::new().made(|transport| transport.pause_reading()).recorded();
    let pair = event_loop.memory_pair(garbage, right, MemoryOptions::default());
    event_loop.run_ready_now();
    let opened = pair.right.start_tls(as_server(), Early::Refuse, Vec::new());
    let before = event_loop.time();
    let error = event_loop.run_until_complete(&opened).err().unwrap();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData), "{error}");
    assert_eq!(event_loop.time(), before);
    check_empty(&event_loop);
    right_log.check_ended();
    assert!(right_log.lost_reason().flatten().is_some());
}

#[test]
fn x44_n6_a_connection_that_is_cut_before_its_handshake_begins_is_an_error_for_its_creator() {
    let event_loop = TestLoop::new();
    let recorded = begin(&event_loop, Hooks::new(), Hooks::new(), MemoryOptions::default());
    recorded.below().left.abort();
    event_loop.run_until_idle();
    for opened in [&recorded.pair.left, &recorded.pair.right] {
        assert!(opened.done());
        assert!(opened.result().is_err());
    }
    recorded.finish(&event_loop);
}
