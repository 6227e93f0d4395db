//! What an encrypted connection has to do with the one below it, at any time (X-21, X-26, X-52, N-54).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use futures::Future;
use std::rc::Rc;
use std::sync::Arc;
use tulipa_transports::testing::{
    LifeCycleLog, MemoryLoop, MemoryOptions, MemoryTlsLoop, ProtocolCall,
};
use tulipa_transports::tls::{Early, StartTls, TlsClientConfig, TlsRole};
use tulipa_transports::{Bytes, Transport, WriteBufferLimits, WriteRefusal, WriteState};

#[test]
fn x21_x26_writing_resumes_when_no_more_than_the_low_mark_waits_below() {
    let event_loop = TestLoop::new();
    let waiting = Slot::new();
    let seen = waiting.clone();
    let left = Hooks::new().resume(move |transport| {
        seen.update(|all: &mut Vec<usize>| all.push(transport.get_write_buffer_size().0));
    });
    let (recorded, left, right) = connect(&event_loop, left, Hooks::new());
    left.set_write_buffer_limits(WriteBufferLimits { high: Bytes(2000), low: Bytes(0) }).unwrap();
    recorded.below().set_capacity(Bytes(0));
    left.write(&pattern(3000));
    event_loop.run_ready_now();
    assert!(recorded.left.is_paused());
    recorded.below().set_capacity(Bytes(2500));
    right.pause_reading();
    event_loop.run_ready_now();
    left.write(b"x");
    event_loop.run_ready_now();
    recorded.below().set_capacity(Bytes::kib(64));
    right.resume_reading();
    event_loop.run_ready_now();
    assert!(waiting.take().iter().all(|waiting| *waiting == 0));
    assert!(!recorded.left.is_paused());
    left.close();
    recorded.finish(&event_loop);
}

#[test]
fn n54_x21_a_protocol_that_was_told_to_pause_before_the_upgrade_goes_on_after_it() {
    let event_loop = TestLoop::new();
    let (left, log) = Hooks::new().recorded();
    let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    pair.right.pause_reading();
    pair.left.write(&pattern(300_000));
    event_loop.run_ready_now();
    assert!(log.is_paused());
    let server = pair.left.start_tls(as_server(), Early::Refuse, Vec::new());
    // All of it has left before the other side begins.
    pair.right.resume_reading();
    event_loop.run_ready_now();
    let client = pair.right.start_tls(as_client(), Early::Refuse, Vec::new());
    let client = event_loop.run_until_complete(&client).unwrap();
    event_loop.run_ready_now();
    let calls = log.calls();
    let end = [ProtocolCall::HandshakeCompleted, ProtocolCall::ResumeWriting];
    assert_eq!(calls[calls.len() - 2..], end);
    client.close();
    event_loop.run_until_idle();
    assert!(server.result().is_ok());
    log.check_ended();
    check_empty(&event_loop);
}

type Inner = Slot<Option<Future<Rc<dyn Transport>>>>;

/// A protocol that does `what` as soon as it can.
fn hasty(what: &'static str, role: fn() -> TlsRole) -> (Hooks, Inner) {
    let inner = Inner::new();
    let begun = inner.clone();
    let hooks = Hooks::new().made(move |transport| match what {
        "close" => transport.close(),
        "abort" => transport.abort(),
        "say and close" => {
            transport.write(b"tulip");
            transport.close();
        }
        _ => begun.set(Some(transport.start_tls(role(), Early::Refuse, Vec::new()))),
    });
    (hooks, inner)
}

#[test]
fn x46_x47_connection_made_may_end_the_connection() {
    for what in ["close", "abort", "say and close"] {
        for side in [0, 1] {
            let event_loop = TestLoop::new();
            let before = event_loop.time();
            let (hooks, _) = hasty(what, as_client);
            let (left, right) = match side {
                0 => (hooks, Hooks::new()),
                _ => (Hooks::new(), hooks),
            };
            let recorded = begin(&event_loop, left, right, MemoryOptions::default());
            event_loop.run_until_idle();
            assert!(recorded.pair.left.result().is_ok() && recorded.pair.right.result().is_ok());
            assert!(recorded.left.is_lost() && recorded.right.is_lost());
            let said = if what == "say and close" { 5 } else { 0 };
            assert_eq!(recorded.left.bytes() + recorded.right.bytes(), said);
            assert_eq!(event_loop.time(), before, "nobody waits for anything");
            recorded.finish(&event_loop);
        }
    }
}

#[test]
fn x52_connection_made_may_encrypt_once_more() {
    let event_loop = TestLoop::new();
    let ((left, client), (right, server)) =
        (hasty("encrypt", as_client), hasty("encrypt", as_server));
    let recorded = begin(&event_loop, left, right, MemoryOptions::default());
    event_loop.run_ready_now();
    let outer = recorded.pair.left.result().unwrap();
    assert_eq!(outer.write(b"x"), WriteState::Refused(WriteRefusal::Upgraded));
    let [client, server] = [client, server].map(|inner| inner.take().unwrap().result().unwrap());
    client.write(b"tulip");
    server.write(b"tulip");
    event_loop.run_ready_now();
    assert_eq!((recorded.left.bytes(), recorded.right.bytes()), (5, 5));
    client.close();
    recorded.finish(&event_loop);
}

#[test]
fn x4_x32_it_may_be_aborted_and_the_one_below_it_cut_at_every_point() {
    for batches in 0..60 {
        for (side, below) in [(0, false), (1, false), (0, true)] {
            let event_loop = TestLoop::new();
            let left = Hooks::new().made(|transport| {
                transport.write(&pattern(200_000));
            });
            let left = left.data(|transport, _| transport.close());
            let recorded = begin(&event_loop, left, Hooks::echo(), MemoryOptions::default());
            run_batches(&event_loop, batches);
            let opened = [&recorded.pair.left, &recorded.pair.right];
            if below {
                recorded.below().reset();
            } else if let Ok(transport) = opened[side].result() {
                transport.abort();
            }
            event_loop.run_until_idle();
            drop(opened.map(|opened| opened.result().err()));
            recorded.finish(&event_loop);
        }
    }
}

#[test]
fn l30_r6_a_loop_may_be_closed_in_the_middle_of_tls_in_tls_or_of_the_goodbyes() {
    for batches in 0..60 {
        for what in ["encrypt", "say and close"] {
            let mut event_loop = TestLoop::new();
            event_loop.allow_leftovers();
            let kept = Rc::new(());
            let ((mut left, client), (mut right, server)) =
                (hasty(what, as_client), hasty("encrypt", as_server));
            for hooks in [&mut left, &mut right] {
                let holder = kept.clone();
                hooks.data = Some(Box::new(move |transport, _| {
                    let _ = &holder;
                    transport.close();
                }));
            }
            let recorded = begin(&event_loop, left, right, MemoryOptions::default());
            run_batches(&event_loop, batches);
            let inner = client.get().and_then(|inner| inner.done().then(|| inner.result().ok()));
            if let Some(Some(inner)) = &inner {
                inner.write(b"tulip");
            }
            drop(event_loop);
            assert_eq!(Rc::strong_count(&kept), 1, "{what} after {batches} batches");
            if let Some(Some(inner)) = inner {
                assert!(inner.is_closing() && !inner.write(b"late").is_taken());
            }
            drop((recorded.pair.left.result().err(), recorded.pair.right.result().err(), server));
        }
    }
}

#[test]
fn x21_x26_a_write_that_leaves_at_once_pauses_nobody() {
    for size in [3000, 70_000, 200_000] {
        let event_loop = TestLoop::new();
        let left = Hooks::new().data(move |transport, _| {
            transport.write(&pattern(size));
        });
        let (recorded, left, right) = connect(&event_loop, left, Hooks::new());
        recorded.below().set_capacity(Bytes::mib(1));
        left.set_write_buffer_limits(WriteBufferLimits { high: Bytes(1000), low: Bytes(10) })
            .unwrap();
        left.write(&pattern(size));
        event_loop.run_ready_now();
        right.write(b"tulip");
        event_loop.run_ready_now();
        assert_eq!(recorded.right.bytes(), 2 * size as u64);
        let calls = recorded.left.calls();
        assert!(!calls.contains(&ProtocolCall::PauseWriting), "{size}: {calls:?}");
        left.close();
        recorded.finish(&event_loop);
    }
}

#[test]
fn x14_x16_x26_records_that_are_small_and_many_leave_whole_and_in_order() {
    for capacity in [Bytes(100), Bytes::kib(8), Bytes::mib(1)] {
        let event_loop = TestLoop::new();
        let (client, server) = configs();
        let mut client = (**client.as_rustls()).clone();
        client.max_fragment_size = Some(100);
        let client = TlsClientConfig::from_rustls(Arc::new(client));
        let (right, log) = Hooks::new().recorded();
        let options = MemoryOptions::default().capacity(capacity);
        let pair = event_loop.memory_tls_pair(Hooks::new(), (client, NAME), right, server, options);
        let left = event_loop.run_until_complete(&pair.left).unwrap();
        let data = pattern(150_000);
        let (first, second) = data.split_at(70_000);
        left.writelines(&[&first[..5_000], &first[5_000..]]);
        left.write(second);
        left.close();
        event_loop.run_until_idle();
        assert_eq!(log.checksum(), LifeCycleLog::checksum_of(&data), "{capacity:?}");
        check_empty(&event_loop);
    }
}
