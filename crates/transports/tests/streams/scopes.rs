//! Transports and servers that belong to a scope (D18).

use crate::support::*;
use eventloop::TestLoop;
use futures::{SchedulerExt, Scope};
use std::net::TcpStream;
use std::time::Duration;
use tulipa_transports::testing::{
    LifeCycleLog, MemoryLoop, MemoryOptions, MemoryPair, RecordingTransport,
};
use tulipa_transports::{BaseTransport, Bytes, NetworkLoop, Transport};

const DEADLINE: Duration = Duration::from_secs(10);

/// Two connected ends, the left one of which belongs to the scope. The wire takes so much.
fn pair_in(
    event_loop: &TestLoop,
    scope: &Scope,
    right: Hooks,
    capacity: Bytes,
) -> (MemoryPair, LifeCycleLog, LifeCycleLog) {
    let (left, left_log) = Hooks::new().recorded();
    let (right, right_log) = right.recorded();
    let options = MemoryOptions::default().capacity(capacity);
    let pair = event_loop.memory_pair(left, right, options);
    scope.own(pair.left.clone()).expect("the scope is open");
    event_loop.run_ready_now();
    (pair, left_log, right_log)
}

#[test]
fn a_scope_that_ends_closes_its_transports_in_good_order() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    let received = Slot::new();
    let all = received.clone();
    let right = Hooks::new()
        .data(move |_, data| all.update(|all: &mut Vec<u8>| all.extend_from_slice(data)));
    let (pair, left_log, right_log) = pair_in(&event_loop, &scope, right, Bytes::kib(1));
    let sent = pattern(50_000);
    pair.left.write(&sent);
    let closed = scope.close();
    assert!(pair.left.is_closing() && !closed.done());
    event_loop.run_until_idle();
    let report = closed.result().unwrap();
    assert_eq!((report.ended, report.aborted), (1, 0));
    assert_eq!(received.take(), sent);
    left_log.check_ended();
    right_log.check_ended();
}

#[test]
fn a_transport_that_takes_too_long_is_aborted() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    let (pair, left_log, _) = pair_in(&event_loop, &scope, Hooks::new(), Bytes::kib(1));
    pair.right.pause_reading();
    pair.left.write(&pattern(50_000));
    let lost = pair.left.wait_closed();
    let closed = scope.close_within(DEADLINE);
    event_loop.advance(DEADLINE - Duration::from_millis(1));
    assert!(!closed.done() && !left_log.is_lost());
    event_loop.advance(Duration::from_millis(1));
    let report = closed.result().unwrap();
    assert_eq!((report.ended, report.aborted), (0, 1));
    assert!(left_log.is_lost() && lost.done());
    left_log.check_ended();
    pair.right.abort();
    event_loop.run_until_idle();
}

#[test]
fn a_connection_that_ends_by_itself_leaves_its_scope() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    for round in 0..20 {
        let (pair, left_log, _) = pair_in(&event_loop, &scope, Hooks::new(), Bytes::kib(1));
        assert_eq!(scope.member_count(), 1);
        match round % 3 {
            0 => pair.left.close(),
            1 => pair.right.abort(),
            _ => pair.reset(),
        }
        event_loop.run_until_idle();
        assert_eq!(scope.member_count(), 0);
        left_log.check_ended();
    }
    let (pair, ..) = pair_in(&event_loop, &scope, Hooks::new(), Bytes::kib(1));
    drop(scope);
    event_loop.run_until_idle();
    assert!(pair.left.wait_closed().done() && pair.right.wait_closed().done());
}

#[test]
fn a_scope_that_has_ended_aborts_what_it_is_given() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    scope.abort();
    let pair = event_loop.memory_pair(Hooks::new(), Hooks::new(), MemoryOptions::default());
    assert!(scope.own(pair.left.clone()).is_err());
    event_loop.run_until_idle();
    assert!(pair.left.wait_closed().done());
    // One without a loop belongs to a scope as well.
    let recording = RecordingTransport::new();
    let scope = event_loop.create_scope();
    scope.own(recording.handle()).unwrap();
    drop(scope);
    assert!(recording.is_closing() && recording.wait_closed().done());
}

#[test]
fn a_scope_is_told_of_the_end_after_connection_lost() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    let order = Slot::new();
    let (lost, told) = (order.clone(), order.clone());
    let left = Hooks::new()
        .lost(move |_, _| lost.update(|order: &mut Vec<&'static str>| order.push("lost")));
    let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
    scope.own(pair.left.clone()).unwrap();
    event_loop.run_ready_now();
    scope.closed().add_done_callback(move |_| told.update(|order| order.push("the scope")));
    scope.abort();
    event_loop.run_until_idle();
    assert_eq!(order.take(), ["lost", "the scope"]);
}

#[test]
fn r14_a_scope_shuts_its_servers_down() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    let logs: Slot<Vec<LifeCycleLog>> = Slot::new();
    let made = logs.clone();
    // The first says goodbye when it is asked to come to an end, the second does not care.
    let mut first = true;
    let factory = move || {
        let hooks = match std::mem::take(&mut first) {
            true => Hooks::new().shutdown(|transport| {
                transport.write(b"goodbye");
                transport.close();
            }),
            false => Hooks::new().shutdown(|_| {}),
        };
        let (protocol, log) = hooks.recorded();
        made.update(|logs| logs.push(log));
        protocol
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    scope.own(server.clone()).unwrap();
    let mut peers = Vec::new();
    for count in 1..=2 {
        peers.push(TcpStream::connect(address).unwrap());
        run_until(&event_loop, || logs.get().len() == count);
    }
    let closed = scope.close_within(DEADLINE);
    event_loop.run_ready_now();
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(read_to_end(&event_loop, &mut peers[0]), b"goodbye");
    assert_eq!((server.connection_count(), closed.done()), (1, false));
    event_loop.advance(DEADLINE);
    run_until(&event_loop, || server.connection_count() == 0);
    let report = closed.result().unwrap();
    assert_eq!((report.ended, report.aborted), (0, 1));
    logs.get().iter().for_each(LifeCycleLog::check_ended);
}
