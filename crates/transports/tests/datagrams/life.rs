//! Endpoints and their loop (L-30, R-6), and as members of a scope.

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{Bytes, NetworkLoop};

#[test]
fn l30_r6_closing_the_loop_calls_nothing_and_closes_the_descriptor() {
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let alive = Rc::new(());
    let held = alive.clone();
    let hooks = Hooks::new().data(move |_, _, _| drop(held.clone()));
    let (transport, address, log) = udp(&event_loop, hooks);
    let never = transport.wait_closed();
    event_loop.close().unwrap();
    assert_eq!(log.events(), ["made"]);
    assert_eq!(Rc::strong_count(&alive), 1, "the protocol was dropped");
    assert!(UdpSocket::bind(address).is_ok(), "the descriptor is closed");
    assert!(!never.done());

    // The handle is inert, and still knows what it knew.
    assert!(transport.is_closing() && !transport.is_reading());
    assert!(!transport.sendto(b"x", Some(&ip(address))).is_taken());
    transport.close();
    transport.abort();
    transport.resume_reading();
    transport.handle().close();
    assert_eq!(transport.extra_info().sockname, Some(ip(address)));
    assert_eq!(transport.stats().dropped, 1);
}

#[test]
fn r6_a_thousand_endpoints_leave_nothing() {
    let event_loop = TestLoop::new();
    let alive = Rc::new(());
    for round in 0..20 {
        let opened: Vec<_> = (0..50)
            .map(|_| {
                let held = alive.clone();
                udp(&event_loop, Hooks::new().data(move |_, _, _| drop(held.clone())))
            })
            .collect();
        let (_, first, _) = &opened[0];
        for (index, (transport, ..)) in opened.iter().enumerate() {
            transport.sendto(b"to one of us", Some(&ip(*first)));
            match (round + index) % 3 {
                0 => transport.close(),
                1 => transport.abort(),
                _ => transport.abort_with(futures::Exception::msg("enough")),
            }
        }
        event_loop.run_ready_now();
        assert!(opened.iter().all(|(_, _, log)| log.is_lost()));
    }
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(event_loop.open_connections(), 0);
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn r6_creators_that_wait_when_the_loop_closes_leave_nothing() {
    let alive = Rc::new(());
    for _ in 0..20 {
        let mut event_loop = TestLoop::new();
        event_loop.allow_leftovers();
        let held = alive.clone();
        let factory = move || {
            drop(held.clone());
            Hooks::new()
        };
        let pending = (
            event_loop.create_datagram_endpoint(factory.clone(), ("localhost", 0)),
            event_loop.create_datagram_endpoint(factory, ("127.0.0.1", 0)),
        );
        drop(event_loop);
        drop(pending);
    }
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn an_endpoint_can_be_a_member_of_a_scope() {
    let event_loop = TestLoop::new();
    let scope = event_loop.create_scope();
    let (transport, _, log) = udp(&event_loop, Hooks::new());
    scope.own(transport.clone()).unwrap();
    scope.cancel();
    let report = event_loop.run_until_complete(&scope.closed()).unwrap();
    assert_eq!((report.ended, report.aborted), (1, 0));
    assert!(log.is_lost() && transport.is_closing());
}

#[test]
fn x1_the_socket_can_be_asked_and_set_through_its_view() {
    let event_loop = TestLoop::new();
    let (transport, address, log) = udp(&event_loop, Hooks::new());
    let view = transport.extra_info().socket.unwrap();
    assert_eq!(view.local_addr().unwrap(), ip(address));
    view.set_recv_buffer_size(100_000).unwrap();
    assert!(view.recv_buffer_size().unwrap() >= 100_000);
    view.set_ttl_v4(3).unwrap();
    assert!(transport.get_extra_info("sockname").is_some());
    assert!(transport.get_extra_info("peername").is_none());
    close(&event_loop, &transport, &log);
    assert!(view.local_addr().is_err());
    let _ = Duration::ZERO;
}
