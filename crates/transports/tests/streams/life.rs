//! Connections and their loop (L-30, R-6).

use crate::support::*;
use eventloop::TestLoop;
use std::net::TcpStream;
use std::rc::Rc;
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions};
use tulipa_transports::{Address, NetworkLoop, Protocol, Transport};

/// Notes its own end.
struct Mortal(#[expect(dead_code, reason = "its count is what is looked at")] Rc<()>);

impl Protocol for Mortal {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

#[test]
fn l30_r6_closing_the_loop_calls_nothing_and_closes_every_descriptor() {
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let alive = Rc::new(());
    let (protocol, log) = LifeCycle::new(Mortal(alive.clone()));
    let (transport, mut peer) = tcp(&event_loop, protocol);
    let (left, left_log) = LifeCycle::new(Mortal(alive.clone()));
    let (right, right_log) = LifeCycle::new(Mortal(alive.clone()));
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    let server = event_loop.create_server(Hooks::new, ("127.0.0.1", 0)).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    event_loop.run_ready_now();
    transport.write(b"never sent");
    let drained = transport.drained();
    let never = server.wait_closed();

    event_loop.close().unwrap();
    for log in [&log, &left_log, &right_log] {
        assert!(log.is_made() && !log.is_lost());
        log.check();
    }
    assert_eq!(Rc::strong_count(&alive), 1, "the protocols were dropped");
    peer.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(std::io::Read::read(&mut peer, &mut buffer).unwrap_or(0), 0);
    assert!(TcpStream::connect(address).is_err());
    assert!(!drained.done() && !never.done());

    // Every handle is inert, and still knows what it knew.
    for transport in [&transport, &pair.left, &pair.right] {
        assert!(transport.is_closing() && !transport.is_reading());
        assert!(!transport.write(b"x").is_taken());
        transport.close();
        transport.abort();
        transport.pause_reading();
        transport.write_eof();
        transport.handle().close();
    }
    let peername = transport.extra_info().peername;
    assert_eq!(peername, Some(Address::Ip(peer.local_addr().unwrap())));
    assert!(!server.is_serving());
    server.close();
    server.close_clients();
    drop(server.shutdown(std::time::Duration::ZERO));
    assert!(event_loop.create_server(Hooks::new, ("127.0.0.1", 0)).result().is_err());
    let refused = event_loop.connect_accepted_socket(Hooks::new, tcp_sockets().0);
    assert!(refused.result().is_err());
}

#[test]
fn transports_are_listed_by_the_loop_that_owns_them() {
    let event_loop = TestLoop::new();
    let (transport, _peer) = tcp(&event_loop, Hooks::new());
    let text = event_loop.dump();
    assert!(text.contains("TCP transport 127.0.0.1"), "{text}");
    assert_eq!(event_loop.stats().transports, 1);
    transport.close();
    event_loop.run_ready_now();
    assert_eq!(event_loop.stats().transports, 0);
}

#[test]
fn l30_r6_creators_that_wait_when_the_loop_closes_leave_nothing() {
    let alive = Rc::new(());
    for _ in 0..20 {
        let mut event_loop = TestLoop::new();
        event_loop.allow_leftovers();
        let protocol = || {
            let alive = alive.clone();
            move || Mortal(alive.clone())
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pending = (
            event_loop.create_connection(protocol(), address),
            event_loop.create_connection(protocol(), ("localhost", address.port())),
            event_loop.create_server(protocol(), ("localhost", 0)),
            event_loop.create_unix_connection(protocol(), "\0tulipa-nobody"),
        );
        let server = event_loop.create_server(protocol(), ("127.0.0.1", 0)).result().unwrap();
        let _waiting = TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap();
        drop(event_loop);
        drop((pending, server));
    }
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn r6_two_thousand_connections_leave_nothing() {
    let event_loop = TestLoop::new();
    let alive = Rc::new(());
    for _ in 0..20 {
        for _ in 0..50 {
            let (left, right) = (Mortal(alive.clone()), Mortal(alive.clone()));
            let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
            pair.left.write(b"x");
            pair.right.abort();
        }
        event_loop.run_until_idle();
        for _ in 0..50 {
            let (transport, _peer) = tcp(&event_loop, Mortal(alive.clone()));
            transport.abort();
            event_loop.run_ready_now();
        }
    }
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(event_loop.open_connections(), 0);
    assert_eq!(event_loop.output_total(), tulipa_transports::Bytes(0));
}

#[test]
fn l30_r6_a_server_that_its_own_factory_or_futures_hold_goes_with_its_loop() {
    use std::cell::RefCell;
    use tulipa_transports::Server;
    let alive = Rc::new(());
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let own: Rc<RefCell<Option<Server>>> = Rc::default();
    let (held, count) = (own.clone(), alive.clone());
    let factory = move || {
        assert!(held.borrow().is_some());
        Mortal(count.clone())
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    *own.borrow_mut() = Some(server.clone());
    let (closed, count) = (server.clone(), alive.clone());
    server.wait_closed().add_done_callback(move |_| drop((closed, count)));
    let (forever, count) = (server.clone(), alive.clone());
    server.serve_forever().add_done_callback(move |_| drop((forever, count)));
    let server = Rc::new(server);
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&alive), 1);
    assert!(!server.is_serving());
}
