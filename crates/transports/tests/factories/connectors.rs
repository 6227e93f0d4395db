//! Connectors and the factories that they tell (W-2, W-3).

use crate::support::*;
use eventloop::{EventLoop, TestLoop};
use futures::Exception;
use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use tulipa_transports::{Connector, ConnectorState, NetworkLoop, StreamSocket};

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Somebody who accepts connections by hand.
fn somebody() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A listener whose queue is full: connecting to it takes for ever.
fn black_hole() -> (TcpListener, Vec<socket2::Socket>, SocketAddr) {
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
    let full = (0..4).map(|_| fill()).collect();
    (listener.into(), full, address.as_socket().unwrap())
}

#[test]
fn w2_a_factory_is_told_of_each_attempt_and_of_the_loss_after_its_protocol() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (listener, address) = somebody();
    let connector = event_loop.create_connector(Noting::new(&trace), address);
    assert_eq!((connector.state(), trace.len()), (ConnectorState::Connecting, 0));
    run_until(&event_loop, || connector.state() == ConnectorState::Connected);
    assert_eq!(trace.take(), ["start", "connecting", "build 127.0.0.1", "guest made"]);
    assert!(connector.transport().is_some());
    drop(listener.accept().unwrap());
    run_until(&event_loop, || connector.state() == ConnectorState::Disconnected);
    assert_eq!(trace.take(), ["guest lost", "lost", "stop"]);
    assert!(connector.transport().is_none());
}

#[test]
fn w2_the_factory_is_told_the_reason_that_the_protocol_was_told() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (_listener, address) = somebody();
    let connector = event_loop.create_connector(Noting::new(&trace), address);
    run_until(&event_loop, || connector.state() == ConnectorState::Connected);
    let transport = connector.transport().unwrap();
    assert!(transport.lost_reason().is_none());
    transport.abort_with(Exception::msg("enough"));
    event_loop.run_until_idle();
    assert!(trace.has("lost enough"));
    assert_eq!(transport.lost_reason().unwrap().to_string(), "enough");
}

#[test]
fn w2_a_factory_is_told_that_an_attempt_has_failed() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let connector = event_loop.create_connector(Noting::new(&trace), nobody());
    run_until(&event_loop, || trace.has("stop"));
    let failed = format!("failed {:?}", Some(io::ErrorKind::ConnectionRefused));
    assert_eq!(trace.take(), ["start", "connecting", &failed, "stop"]);
    assert_eq!(connector.state(), ConnectorState::Disconnected);
}

#[test]
fn w1_w2_a_factory_that_refuses_the_connection_is_told_that_it_failed() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (listener, address) = somebody();
    let connector = event_loop.create_connector(Noting::new(&trace).refusing(), address);
    run_until(&event_loop, || trace.has("stop"));
    let failed = format!("failed {:?}", Some(io::ErrorKind::ConnectionAborted));
    assert_eq!(trace.take(), ["start", "connecting", "build 127.0.0.1", &failed, "stop"]);
    assert_eq!((connector.state(), event_loop.open_connections()), {
        (ConnectorState::Disconnected, 0)
    });
    drop(listener);
}

#[test]
fn w3_connecting_again_from_the_failure_or_the_loss_keeps_the_factory_started() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let mut more = 2;
    let factory = Noting::new(&trace).then("failed", move |connector| {
        more -= 1;
        if more > 0 {
            connector.connect().unwrap();
        }
    });
    event_loop.create_connector(factory, nobody());
    run_until(&event_loop, || trace.has("stop"));
    let refused = format!("failed {:?}", Some(io::ErrorKind::ConnectionRefused));
    assert_eq!(trace.take(), ["start", "connecting", &refused, "connecting", &refused, "stop"]);

    let (listener, address) = somebody();
    let mut more = true;
    let factory = Noting::new(&trace).then("lost", move |connector| {
        if std::mem::take(&mut more) {
            connector.connect().unwrap();
        }
    });
    let connector = event_loop.create_connector(factory, address);
    for round in 1..=2 {
        run_until(&event_loop, || trace.count("guest made") == round);
        drop(listener.accept().unwrap());
        run_until(&event_loop, || trace.count("lost") == round);
    }
    let once = ["connecting", "build 127.0.0.1", "guest made", "guest lost", "lost"];
    assert_eq!(trace.take(), [&["start"][..], &once, &once, &["stop"]].concat());
    assert_eq!(connector.state(), ConnectorState::Disconnected);
    // Later it is a new start.
    connector.connect().unwrap();
    run_until(&event_loop, || trace.has("guest made"));
    assert_eq!(trace.take()[..2], ["start", "connecting"]);
    connector.disconnect();
    run_until(&event_loop, || trace.has("stop"));
}

#[test]
fn w3_what_makes_no_sense_is_an_error_that_names_the_state() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (_listener, address) = somebody();
    let connector = event_loop.create_connector(Noting::new(&trace), address);
    let told = |error: tulipa_transports::ConnectorError| error.to_string();
    assert_eq!(
        told(connector.connect().unwrap_err()),
        "connect() on a connector that is connecting"
    );
    run_until(&event_loop, || connector.state() == ConnectorState::Connected);
    assert_eq!(connector.connect().unwrap_err().state(), ConnectorState::Connected);
    assert_eq!(
        told(connector.stop_connecting().unwrap_err()),
        "stop_connecting() on a connector that is connected"
    );
    connector.disconnect();
    connector.disconnect();
    run_until(&event_loop, || connector.state() == ConnectorState::Disconnected);
    assert_eq!(
        told(connector.stop_connecting().unwrap_err()),
        "stop_connecting() on a connector that is disconnected"
    );
    connector.disconnect(); // nothing to do
    assert_eq!(trace.take().iter().filter(|one| *one == "lost").count(), 1);
}

#[test]
fn w3_an_attempt_is_called_off_at_any_moment() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (_listener, _full, address) = black_hole();
    // Before it has begun.
    let connector = event_loop.create_connector(Noting::new(&trace), address);
    connector.stop_connecting().unwrap();
    event_loop.run_ready_now();
    assert_eq!(trace.take(), ["start", "connecting", "failed cancelled", "stop"]);
    // While it is under way.
    connector.connect().unwrap();
    event_loop.run_ready_now();
    assert_eq!(connector.state(), ConnectorState::Connecting);
    connector.disconnect();
    connector.disconnect();
    event_loop.run_ready_now();
    assert_eq!(trace.take(), ["start", "connecting", "failed cancelled", "stop"]);
    assert_eq!(event_loop.open_connections(), 0);
    // From inside of the factory.
    let factory =
        Noting::new(&trace).then("connecting", |connector| connector.stop_connecting().unwrap());
    event_loop.create_connector(factory, address);
    event_loop.run_ready_now();
    assert_eq!(trace.take(), ["start", "connecting", "failed cancelled", "stop"]);
}

#[test]
fn w3_an_attempt_that_is_called_off_too_late_is_ended() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (_listener, address) = somebody();
    let own: Slot<Option<Connector>> = Slot::new();
    let connector = own.clone();
    // By then it is connected.
    let factory = Noting::new(&trace).on("build", move || {
        connector.take().unwrap().stop_connecting().unwrap();
    });
    own.set(Some(event_loop.create_connector(factory, address)));
    run_until(&event_loop, || trace.has("stop"));
    event_loop.run_until_idle();
    assert!(trace.has("failed cancelled") && !trace.has("lost"));
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn w2_w3_a_panic_in_any_method_is_reported_and_the_connector_goes_on() {
    let event_loop = TestLoop::new();
    let (listener, address) = somebody();
    for method in ["start", "connecting", "build", "failed", "lost", "stop"] {
        let (errors, trace) = (collect_errors(&event_loop), Trace::new());
        let target = if method == "failed" { nobody() } else { address };
        let factory = Noting::new(&trace).on(method, move || panic!("{method}"));
        let alive = Rc::downgrade(&factory.alive);
        let connector = event_loop.create_connector(factory, target);
        let connects = ["connecting", "lost", "stop"].contains(&method);
        if connects {
            run_until(&event_loop, || connector.state() == ConnectorState::Connected);
            connector.transport().unwrap().close();
        }
        let ended = if connects { "lost" } else { "failed" };
        let disconnected = || connector.state() == ConnectorState::Disconnected;
        run_until(&event_loop, || {
            disconnected() && trace.take().iter().any(|one| one.starts_with(ended))
        });
        event_loop.run_ready_now();
        assert_eq!(errors.len(), usize::from(!["start", "build"].contains(&method)), "{method}");
        assert!(errors.take().iter().all(|error| error.contains("of a client's factory panicked")));
        drop(connector);
        assert_eq!(alive.strong_count(), 0, "{method}");
    }
    drop(listener);
}

#[test]
fn w2_w3_every_request_from_every_method() {
    type Ask = fn(&Connector);
    let asks: [Ask; 4] = [
        |connector| _ = connector.connect(),
        |connector| _ = connector.stop_connecting(),
        Connector::disconnect,
        |connector| {
            if let Some(transport) = connector.transport() {
                transport.abort();
            }
        },
    ];
    let (_listener, address) = somebody();
    for method in ["connecting", "failed", "lost"] {
        for ask in asks {
            let event_loop = TestLoop::new();
            let trace = Trace::new();
            let target = if method == "failed" { nobody() } else { address };
            let rounds = Cell::new(0);
            let factory = Noting::new(&trace).then(method, move |connector| {
                rounds.set(rounds.get() + 1);
                if rounds.get() < 4 {
                    ask(connector);
                }
            });
            let connector = event_loop.create_connector(factory, target);
            run_until(&event_loop, || {
                connector.disconnect();
                connector.state() == ConnectorState::Disconnected
            });
            event_loop.run_until_idle();
            let told = trace.take();
            let count = |what: &str| told.iter().filter(|one| one.starts_with(what)).count();
            assert_eq!((count("start"), count("stop")), (1, 1), "{method}: {told:?}");
            assert_eq!(count("connecting"), count("failed") + count("lost"), "{told:?}");
        }
    }
}

#[test]
fn w3_a_connection_of_a_socket_is_made_once() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let (listener, address) = somebody();
    let socket = StreamSocket::from(TcpStream::connect(address).unwrap());
    let connector = event_loop.create_connector(Noting::new(&trace), socket);
    run_until(&event_loop, || connector.state() == ConnectorState::Connected);
    connector.disconnect();
    run_until(&event_loop, || connector.state() == ConnectorState::Disconnected);
    trace.take();
    connector.connect().unwrap();
    run_until(&event_loop, || trace.has("stop"));
    assert!(trace.has(&format!("failed {:?}", Some(io::ErrorKind::InvalidInput))));
    drop(listener);
}

#[test]
fn w1_w2_servers_and_connectors_share_a_factory_over_unix_sockets() {
    let event_loop = TestLoop::new();
    let trace = Trace::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let factory = shared(Noting::new(&trace));
    let server = event_loop.create_unix_server(factory.clone(), &*path).result().unwrap();
    let connector = event_loop.create_unix_connector(factory.clone(), &*path);
    run_until(&event_loop, || server.connection_count() == 1 && trace.len() > 5);
    assert_eq!(factory.uses(), 2);
    connector.disconnect();
    run_until(&event_loop, || server.connection_count() == 0 && factory.uses() == 1);
    server.close();
    let told = trace.take();
    assert_eq!((&*told[0], &*told[told.len() - 1]), ("start", "stop"));
    assert_eq!(told.iter().filter(|one| *one == "start" || *one == "stop").count(), 2);
    assert_eq!(told.iter().filter(|one| one.starts_with("build")).count(), 2);
}

#[test]
fn w3_a_loop_that_closes_while_connecting_leaves_nothing() {
    let (_listener, _full, address) = black_hole();
    let event_loop = EventLoop::new().unwrap();
    let trace = Trace::new();
    let factory = Noting::new(&trace);
    let alive = Rc::downgrade(&factory.alive);
    let connector = event_loop.create_connector(factory, address);
    event_loop.run_once(Some(std::time::Duration::ZERO)).unwrap();
    assert_eq!(trace.take(), ["start", "connecting"]);
    drop(event_loop);
    assert_eq!((trace.len(), alive.strong_count()), (0, 0));
    assert_eq!(connector.state(), ConnectorState::Disconnected);
}

#[test]
fn w3_a_factory_that_keeps_its_connector_goes_with_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let trace = Trace::new();
    let own: Slot<Option<Connector>> = Slot::new();
    let keep = own.clone();
    let factory =
        Noting::new(&trace).then("connecting", move |connector| keep.set(Some(connector.clone())));
    drop(own);
    let alive = Rc::downgrade(&factory.alive);
    drop(event_loop.create_connector(factory, nobody()));
    while !trace.has("stop") {
        event_loop.run_once(None).unwrap();
    }
    event_loop.run_once(Some(std::time::Duration::ZERO)).unwrap();
    assert_eq!(alive.strong_count(), 1); // it may connect again
    drop(event_loop);
    assert_eq!(alive.strong_count(), 0);
}

#[test]
fn w3_on_a_closed_loop_a_connector_stays_disconnected() {
    let event_loop = EventLoop::new().unwrap();
    let trace = Trace::new();
    let connector = event_loop.create_connector(Noting::new(&trace), nobody());
    let handle = event_loop.to_event_loop();
    drop(event_loop);
    assert_eq!(connector.state(), ConnectorState::Disconnected);
    let refused = connector.connect().map_err(|error| error.to_string());
    assert_eq!(refused, Err("connect() on a connector whose loop is closed".to_owned()));
    assert_eq!(connector.state(), ConnectorState::Disconnected);
    let too_late = handle.create_connector(Noting::new(&trace), nobody());
    assert_eq!((too_late.state(), trace.len()), (ConnectorState::Disconnected, 0));
}
