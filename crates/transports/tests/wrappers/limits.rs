//! Limits of connections: places are counted exactly, whatever becomes of the connection (W-7).

use crate::support::*;
use eventloop::TestLoop;
use std::io::Read;
use std::net::TcpStream;
use tulipa_transports::wrappers::{ConnectionLimits, ProxyHeader, ProxyProtocol, TrustedProxies};
use tulipa_transports::{Address, Factory, NetworkLoop, Server, TransportExt};

fn serve(event_loop: &TestLoop, factory: impl Factory) -> Server {
    event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap()
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap()
}

fn is_ended(peer: &mut TcpStream) -> bool {
    peer.set_nonblocking(true).unwrap();
    match peer.read(&mut [0; 100]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn w7_connections_beyond_the_limit_are_aborted_and_their_protocols_never_made() {
    let event_loop = TestLoop::new();
    let limits = ConnectionLimits::new().total(2);
    let (made, count) = counter();
    let server = serve(
        &event_loop,
        limits.wrap(move || {
            count();
            Hooks::new()
        }),
    );
    let first = connect(&server);
    let _second = connect(&server);
    run_until(&event_loop, || limits.open() == 2);
    let mut third = connect(&server);
    run_until(&event_loop, || limits.refused() == 1);
    run_until(&event_loop, || is_ended(&mut third));
    assert_eq!(made.get(), 2);
    // A place that is free is given again.
    drop(first);
    run_until(&event_loop, || limits.open() == 1);
    let _fourth = connect(&server);
    run_until(&event_loop, || limits.open() == 2);
    assert_eq!((made.get(), limits.refused()), (3, 1));
    server.close();
    server.abort_clients();
    run_until(&event_loop, || limits.open() == 0);
}

#[test]
fn w7_each_peer_has_places_of_its_own() {
    let event_loop = TestLoop::new();
    let limits = ConnectionLimits::new().per_peer(2);
    let proxy = ProxyProtocol::new(TrustedProxies::everybody());
    let server = serve(&event_loop, proxy.wrap_factory(limits.wrap(Hooks::new)));
    // The limits are inside, so they count the clients of the proxy.
    let mut peers = Vec::new();
    let mut from = |address: &str| {
        let source: std::net::SocketAddr = address.parse().unwrap();
        let header = ProxyHeader::new(source, source).to_v1();
        let mut peer = connect(&server);
        send(&mut peer, &header);
        peers.push(peer);
        let of_peer = Address::from(source);
        let refused = limits.refused();
        let before = limits.open_from(&of_peer);
        run_until(&event_loop, || {
            limits.open_from(&of_peer) > before || limits.refused() > refused
        });
        limits.refused() == refused
    };
    assert!(from("192.0.2.1:1") && from("192.0.2.1:2") && !from("192.0.2.1:3"));
    assert!(from("192.0.2.2:1"));
    assert!(from("[::ffff:192.0.2.2]:2") && !from("[::ffff:192.0.2.2]:3"), "they are the same");
    // Of IPv6, a customer has a network.
    assert!(from("[2001:db8::1]:1") && from("[2001:db8::2]:1") && !from("[2001:db8::3]:1"));
    assert!(from("[2001:db8:0:1::1]:1"));
    peers.clear();
    run_until(&event_loop, || limits.open() == 0);
    server.close();
    let nobody: std::net::SocketAddr = "192.0.2.1:1".parse().unwrap();
    assert_eq!(limits.open_from(&nobody.into()), 0);
}

#[test]
fn w7_those_who_are_too_many_can_be_told_but_not_without_end() {
    let event_loop = TestLoop::new();
    let full = || {
        Hooks::new().made(|transport| {
            transport.write(b"full");
        })
    };
    let limits = ConnectionLimits::new().total(1).overflow(1, full);
    let server = serve(&event_loop, limits.wrap(Hooks::new));
    let _inside = connect(&server);
    run_until(&event_loop, || limits.open() == 1);
    let mut told = connect(&server);
    assert_eq!(read_while(&event_loop, &mut told, |all| all.len() < 4), b"full");
    let mut more = connect(&server);
    run_until(&event_loop, || is_ended(&mut more));
    assert_eq!((limits.open(), limits.refused()), (1, 2));
    // The place for telling is free again when that connection is over.
    drop(told);
    run_until(&event_loop, || server.connection_count() == 1);
    event_loop.run_ready_now();
    let mut again = connect(&server);
    assert_eq!(read_while(&event_loop, &mut again, |all| all.len() < 4), b"full");
    server.close();
    server.abort_clients();
    run_until(&event_loop, || limits.open() == 0);
}

#[test]
fn w7_a_place_is_kept_until_the_connection_is_over_whatever_protocol_it_has() {
    let event_loop = TestLoop::new();
    let limits = ConnectionLimits::new().total(1);
    let (lost, on_lost) = counter();
    let server = serve(
        &event_loop,
        limits.wrap(move || {
            let on_lost = on_lost.clone();
            Hooks::new().made(move |transport| {
                let on_lost = on_lost.clone();
                transport.set_protocol(Hooks::new().lost(move |_, _| on_lost()));
            })
        }),
    );
    let peer = connect(&server);
    run_until(&event_loop, || limits.open() == 1);
    for _ in 0..5 {
        event_loop.run_ready_now();
    }
    assert_eq!(limits.open(), 1);
    drop(peer);
    run_until(&event_loop, || limits.open() == 0);
    assert_eq!(lost.get(), 1);
    server.close();
}

#[test]
fn w7_n27_a_factory_that_refuses_or_fails_takes_no_place() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let limits = ConnectionLimits::new().total(1);
    let mut answers = 0;
    let refusing = limits.wrap(move || -> Result<Option<Hooks>, std::io::Error> {
        answers += 1;
        match answers {
            1 => Ok(None),
            2 => Err(std::io::Error::other("no protocol today")),
            3 => panic!("the factory panics"),
            _ => Ok(Some(Hooks::new())),
        }
    });
    let server = serve(&event_loop, refusing);
    for _ in 0..3 {
        let mut peer = connect(&server);
        run_until(&event_loop, || is_ended(&mut peer));
        assert_eq!(limits.open(), 0);
    }
    let _peer = connect(&server);
    run_until(&event_loop, || limits.open() == 1);
    let told: Vec<String> = errors.take().iter().map(|context| context.to_string()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("no protocol today"), "{told:?}");
    assert!(told[1].contains("the factory panics"), "{told:?}");
    server.close();
    server.abort_clients();
    run_until(&event_loop, || limits.open() == 0);
}

#[test]
fn w7_a_loop_that_closes_leaves_no_places_taken() {
    let limits = ConnectionLimits::new().total(1);
    let event_loop = TestLoop::new();
    let (_transport, _peer) =
        tcp(&event_loop, limits.wrap(Hooks::new).build_protocol(&Address::Unnamed));
    run_until(&event_loop, || limits.open() == 1);
    event_loop.close().unwrap();
    assert_eq!(limits.open(), 0);
}
