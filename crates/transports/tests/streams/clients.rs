//! Outgoing connections (N-1…N-13, N-32).

use crate::support::*;
use eventloop::TestLoop;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tulipa_transports::testing::ProtocolCall;
use tulipa_transports::{Address, ConnectError, ConnectOptions, Family, NetworkLoop, Transport};

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose queue is full: connecting to it takes for ever.
fn black_hole() -> (TcpListener, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fill = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address); // in progress, or in the queue
        socket
    };
    (listener.into(), (0..4).map(|_| fill()).collect())
}

#[test]
fn n1_n5_names_are_looked_up_apart_from_the_executor() {
    let event_loop = TestLoop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.create_connection(move || protocol, ("localhost", port));
    let transport = event_loop.run_until_complete(&opening).unwrap();
    assert_eq!(event_loop.stats().executor_threads, 0); // it has threads of its own
    assert_eq!(transport.extra_info().peername.unwrap().port(), Some(port));
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn n2_addresses_are_not_looked_up() {
    let event_loop = TestLoop::new();
    for (host, family) in [("127.0.0.1", Family::V4), ("::1", Family::V6)] {
        let Ok(listener) = TcpListener::bind((host, 0)) else { continue };
        let port = listener.local_addr().unwrap().port();
        let options = ConnectOptions::from((host, port)).family(family);
        let opening = event_loop.create_connection(Hooks::new, options);
        let transport = event_loop.run_until_complete(&opening).unwrap();
        transport.close();
        event_loop.run_ready_now();
    }
    assert_eq!(event_loop.stats().executor_threads, 0);
}

#[test]
fn n3_n13_a_name_without_an_address_of_the_family_is_an_error_that_names_it() {
    let event_loop = TestLoop::new();
    let options = ConnectOptions::from(("127.0.0.1", 1)).family(Family::V6);
    let opening = event_loop.create_connection(Hooks::new, options);
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.to_string(), "cannot resolve \"127.0.0.1\"");
    let opening = event_loop.create_connection(Hooks::new, ("no\0body", 1));
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::InvalidInput));
}

#[test]
fn n4_cancelling_during_the_look_up_returns_at_once() {
    let event_loop = TestLoop::new();
    let opening =
        event_loop.create_connection(|| -> Hooks { panic!("not wanted") }, ("localhost", 1));
    assert!(opening.cancel());
    event_loop.run_ready_now();
    assert!(opening.cancelled());
    assert_eq!(event_loop.open_connections(), 0);
    run_until(&event_loop, || event_loop.leftovers().is_empty());
}

#[test]
fn n5_the_factory_is_called_only_after_the_connect_succeeded() {
    let event_loop = TestLoop::new();
    let (called, note) = counter();
    let factory = move || {
        note();
        Hooks::new()
    };
    let opening = event_loop.create_connection(factory, nobody());
    assert!(event_loop.run_until_complete(&opening).is_err());
    assert_eq!(called.get(), 0);
}

#[test]
fn n6_the_future_is_done_after_connection_made() {
    let event_loop = TestLoop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let address = listener.local_addr().unwrap();
    let opening = event_loop.create_connection(move || protocol, address);
    let seen = log.clone();
    opening.add_done_callback(move |_| assert_eq!(seen.calls(), [ProtocolCall::ConnectionMade]));
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn n7_n8_n32_a_given_socket_is_owned_from_here_on() {
    let event_loop = TestLoop::new();
    let (ours, mut peer) = tcp_sockets();
    let (protocol, log) = Hooks::echo().recorded();
    let opening = event_loop.create_connection(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    assert_eq!(transport.extra_info().peername, Some(Address::Ip(peer.local_addr().unwrap())));
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"");
    run_until(&event_loop, || log.is_lost());
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn n9_the_local_address_is_used_or_named() {
    let event_loop = TestLoop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let from = |local: &str| ConnectOptions::from(target).local_addr(local.parse().unwrap());
    let opening = event_loop.create_connection(Hooks::new, from("127.0.0.9:0"));
    let transport = event_loop.run_until_complete(&opening).unwrap();
    let (_, seen) = listener.accept().unwrap();
    assert_eq!(seen.ip().to_string(), "127.0.0.9");
    transport.close();
    event_loop.run_ready_now();

    let opening = event_loop.create_connection(Hooks::new, from("203.0.113.1:0"));
    let text = format!("{:?}", event_loop.run_until_complete(&opening).err().unwrap());
    assert!(text.contains("cannot bind to the local address 203.0.113.1:0"), "{text}");
    let opening = event_loop.create_connection(Hooks::new, from("[::1]:0"));
    let text = format!("{:?}", event_loop.run_until_complete(&opening).err().unwrap());
    assert!(text.contains("no matching local address"), "{text}");
}

#[test]
fn n10_n11_n13_a_refused_connection_names_the_address_and_leaves_nothing() {
    let event_loop = TestLoop::new();
    let address = nobody();
    let opening = event_loop.create_connection(Hooks::new, address);
    let exception = event_loop.run_until_complete(&opening).err().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::ConnectionRefused));
    assert!(exception.to_string().contains(&address.to_string()), "{exception}");
    let error = ConnectError::of(&exception).unwrap();
    assert_eq!(error.errors().map(|(a, _)| a.clone()).collect::<Vec<_>>(), [Address::Ip(address)]);
    assert_eq!(event_loop.open_connections(), 0);
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n12_cancelling_at_any_point_leaves_nothing() {
    // While the connect is under way.
    let event_loop = TestLoop::new();
    let (listener, _fill) = black_hole();
    let address = listener.local_addr().unwrap();
    let opening = event_loop.create_connection(|| -> Hooks { panic!("not wanted") }, address);
    event_loop.run_ready_now();
    assert_eq!(event_loop.open_connections(), 1);
    opening.cancel();
    event_loop.run_ready_now();
    assert_eq!(event_loop.open_connections(), 0);

    // Connected, but connection_made did not come yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let (ours, mut theirs) = tcp_sockets();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    opening.cancel();
    assert_eq!(read_to_end(&event_loop, &mut theirs), b"");
    assert!(!log.is_made() && !log.is_lost());

    // From inside connection_made: connection_lost follows.
    let future: Slot<Option<futures::Future<std::rc::Rc<dyn Transport>>>> = Slot::new();
    let inside = future.clone();
    let hooks = Hooks::new().made(move |_| {
        assert!(inside.take().unwrap().cancel());
    });
    let (protocol, log) = hooks.recorded();
    let opening = event_loop.create_connection(move || protocol, address);
    future.set(Some(opening.clone()));
    run_until(&event_loop, || log.is_lost());
    assert!(opening.cancelled());
    assert_eq!(event_loop.open_connections(), 0);
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n10_the_deadline_ends_a_connect_that_goes_nowhere() {
    let event_loop = TestLoop::new();
    let (listener, _fill) = black_hole();
    let options = ConnectOptions::from(listener.local_addr().unwrap());
    let opening =
        event_loop.create_connection(Hooks::new, options.deadline(Duration::from_secs(30)));
    event_loop.advance(Duration::from_secs(29));
    assert!(!opening.done());
    event_loop.advance(Duration::from_secs(1));
    let exception = opening.exception().unwrap().unwrap();
    assert_eq!(exception.io_kind(), Some(ErrorKind::TimedOut));
    assert!(exception.to_string().ends_with("within 30s"), "{exception}");
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn n32_an_accepted_socket_becomes_a_transport() {
    let event_loop = TestLoop::new();
    let (ours, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let (protocol, log) = Hooks::echo().recorded();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    std::io::Write::write_all(&mut peer, b"x").unwrap();
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
}
