//! Opening endpoints: what is refused, what is named, and that nothing is left (N-34, N-35, P-23).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{
    Address, DatagramOptions, DatagramProtocol, DatagramSocket, EndpointError, Family, NetworkLoop,
    WriteBufferLimits,
};

/// How opening fails.
#[track_caller]
fn refused(event_loop: &TestLoop, options: impl Into<DatagramOptions>) -> Exception {
    let opening = event_loop.create_datagram_endpoint(Hooks::new, options);
    let before = event_loop.open_connections();
    let exception = event_loop.run_until_complete(&opening).err().expect("it was opened");
    assert_eq!(event_loop.open_connections(), before);
    exception
}

#[test]
fn n35_contradicting_options_are_errors_that_name_what_does_not_fit() {
    let event_loop = TestLoop::new();
    let socket = || DatagramOptions::from(plain().0);
    let unix = || DatagramOptions::from(Path::new("/nonexistent/socket"));
    let rows = [
        (DatagramOptions::default(), "neither an address nor a family nor a socket was given"),
        (
            socket().local_addr(("127.0.0.1", 0)).reuse_port(true),
            "a socket is given, so these cannot be: local_addr, reuse_port",
        ),
        (
            socket().remote_addr(("127.0.0.1", 9)).family(Family::V4).allow_broadcast(true),
            "a socket is given, so these cannot be: remote_addr, family, allow_broadcast",
        ),
        (unix().family(Family::V4), "are not for Unix sockets"),
        (unix().reuse_port(true), "are not for Unix sockets"),
        (unix().remote_addr(("127.0.0.1", 9)), "no addresses of one family"),
        (
            DatagramOptions::from(("127.0.0.1", 0)).remote_addr(("::1", 9)),
            "no addresses of one family for 127.0.0.1:0 and ::1:9",
        ),
        (DatagramOptions::from(("127.0.0.1", 0)).cleanup_socket(true), "cleanup_socket"),
        (
            DatagramOptions::from(("127.0.0.1", 0)).write_buffer_limits(marks(1, 2)),
            "must not be above the high mark",
        ),
    ];
    for (options, wanted) in rows {
        let exception = refused(&event_loop, options);
        assert_eq!(exception.io_kind(), Some(ErrorKind::InvalidInput), "{exception}");
        assert!(exception.to_string().contains(wanted), "{exception}");
    }
    let _: WriteBufferLimits = marks(2, 1);
}

#[test]
fn n35_the_family_restricts_the_addresses() {
    let event_loop = TestLoop::new();
    let options = DatagramOptions::from("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap());
    let exception = refused(&event_loop, options.family(Family::V6));
    assert!(exception.to_string().contains("family V6"), "{exception}");

    let (transport, log) =
        open(&event_loop, Hooks::new(), DatagramOptions::from(0).family(Family::V4));
    assert!(transport.extra_info().sockname.unwrap().as_ip().unwrap().is_ipv4());
    close(&event_loop, &transport, &log);

    // Neither local nor remote: a socket that is bound when it first sends.
    let (transport, log) =
        open(&event_loop, Hooks::new(), DatagramOptions::default().family(Family::V4));
    let (peer, peer_address) = plain();
    transport.sendto(b"x", Some(&ip(peer_address)));
    let (_, from) = peer.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(transport.extra_info().sockname.unwrap().port(), Some(from.port()));
    close(&event_loop, &transport, &log);
}

#[test]
fn n35_only_datagram_sockets_are_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = DatagramSocket::from_descriptor(listener.into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(TcpStream::connect(address).is_err(), "what is refused is closed");

    let (socket, address) = plain();
    let socket = DatagramSocket::from_descriptor(socket.into()).unwrap();
    assert!(UdpSocket::bind(address).is_err());
    drop(socket);
    UdpSocket::bind(address).expect("what is dropped is closed");
}

#[test]
fn n35_an_address_that_is_taken_is_named_with_its_cause() {
    let event_loop = TestLoop::new();
    let (_taken, address) = plain();
    let exception = refused(&event_loop, address);
    assert_eq!(exception.io_kind(), Some(ErrorKind::AddrInUse));
    assert_eq!(exception.to_string(), format!("cannot open a datagram endpoint at {address}"));
    let error = EndpointError::of(&exception).unwrap();
    assert_eq!((error.local(), error.remote()), (Some(&ip(address)), None));
    assert!(std::error::Error::source(error).is_some());

    let options = DatagramOptions::from(address).remote_addr(("127.0.0.1", 9));
    let exception = refused(&event_loop, options);
    let wanted = format!("cannot open a datagram endpoint at {address} to 127.0.0.1:9");
    assert_eq!(exception.to_string(), wanted);
}

#[test]
fn n35_a_name_that_does_not_exist_is_an_error_of_the_look_up() {
    let event_loop = TestLoop::new();
    let exception = refused(&event_loop, ("no such name", 1));
    assert!(exception.to_string().contains("no such name"), "{exception}");
    let exception = refused(&event_loop, DatagramOptions::to(("", 1)));
    assert!(exception.to_string().contains("cannot resolve"), "{exception}");
}

#[test]
fn n37_sharing_a_port_is_an_option() {
    let event_loop = TestLoop::new();
    let (first, log) =
        open(&event_loop, Hooks::new(), DatagramOptions::from(("127.0.0.1", 0)).reuse_port(true));
    let address = first.extra_info().sockname.unwrap();
    assert!(first.extra_info().socket.unwrap().reuse_port().unwrap());
    assert!(!first.extra_info().socket.unwrap().reuse_address().unwrap());
    let options = DatagramOptions::from(address.clone()).reuse_port(true);
    let (second, second_log) = open(&event_loop, Hooks::new(), options);
    assert_eq!(second.extra_info().sockname, Some(address.clone()));
    assert_eq!(refused(&event_loop, address).io_kind(), Some(ErrorKind::AddrInUse));
    close(&event_loop, &first, &log);
    close(&event_loop, &second, &second_log);
}

#[test]
fn n34_n12_a_creator_that_is_cancelled_leaves_nothing() {
    let event_loop = TestLoop::new();
    let hooks = Hooks::new();
    let log = hooks.log();
    let opening = event_loop.create_datagram_endpoint(move || hooks, ("127.0.0.1", 0));
    assert_eq!(event_loop.open_connections(), 1);
    opening.cancel();
    event_loop.run_ready_now();
    assert_eq!(log.events(), [""; 0], "never made, never lost");
    assert_eq!(event_loop.open_connections(), 0);

    // While a name is being looked up.
    let opening = event_loop.create_datagram_endpoint(Hooks::new, ("localhost", 0));
    opening.cancel();
    event_loop.run_until_idle();
    assert_eq!(event_loop.open_connections(), 0);

    // From inside connection_made: then the end follows.
    let own: Slot<Option<futures::Future<_>>> = Slot::new();
    let canceller = own.clone();
    let hooks = Hooks::new().made(move |_| {
        canceller.take().unwrap().cancel();
    });
    let log = hooks.log();
    let opening = event_loop.create_datagram_endpoint(move || hooks, ("127.0.0.1", 0));
    own.set(Some(opening));
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    assert_eq!(log.events(), ["made", "lost"]);
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn n34_p23_a_factory_that_fails_fails_the_creator_and_the_socket_is_closed() {
    let event_loop = TestLoop::new();
    let address = nobody();
    let errors = [
        event_loop.create_datagram_endpoint(|| None::<Hooks>, address),
        event_loop
            .create_datagram_endpoint(|| Err::<Hooks, _>(Exception::msg("not today")), address),
        event_loop.create_datagram_endpoint(|| -> Hooks { panic!("broken factory") }, address),
    ]
    .map(|opening| opening.result().err().expect("it failed at once").to_string());
    assert!(errors[0].contains("called the endpoint off"), "{errors:?}");
    assert_eq!(errors[1], "not today");
    assert!(errors[2].contains("broken factory"), "{errors:?}");
    assert!(UdpSocket::bind(address).is_ok(), "the socket is closed");
    let boxed: Box<dyn DatagramProtocol> = Box::new(Hooks::new());
    let opening = event_loop.create_datagram_endpoint(move || Some(boxed), ("127.0.0.1", 0));
    event_loop.run_until_complete(&opening).unwrap().abort();
    event_loop.run_ready_now();
}

#[test]
fn n34_the_deadline_ends_a_look_up() {
    let event_loop = TestLoop::new();
    let options = DatagramOptions::from(("localhost", 0)).deadline(Duration::ZERO);
    let opening = event_loop.create_datagram_endpoint(Hooks::new, options);
    match event_loop.run_until_complete(&opening) {
        // The look-up may be faster than no time at all.
        Ok(transport) => transport.abort(),
        Err(exception) => assert!(exception.to_string().contains("datagram"), "{exception}"),
    }
    event_loop.run_until_idle();
}

#[test]
fn n34_given_sockets_are_taken_over() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let (transport, log) = open(&event_loop, Hooks::echo(), ours);
    assert_eq!(transport.extra_info().peername, Some(Address::Unnamed));
    theirs.send(b"hello").unwrap();
    run_until(&event_loop, || log.count("data") == 1);
    let mut buffer = [0; 8];
    assert_eq!(theirs.recv(&mut buffer).unwrap(), 5, "an answer to the peer without a name");
    close(&event_loop, &transport, &log);
    assert_eq!(theirs.send(b"x").unwrap_err().kind(), ErrorKind::ConnectionRefused, "it is closed");
}

#[test]
fn n34_a_closed_loop_opens_nothing() {
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    event_loop.close().unwrap();
    let alive = Rc::new(());
    let held = alive.clone();
    let factory = move || {
        drop(held);
        Hooks::new()
    };
    let opening = event_loop.create_datagram_endpoint(factory, ("127.0.0.1", 0));
    assert!(opening.result().is_err());
    assert_eq!(Rc::strong_count(&alive), 1);
}
