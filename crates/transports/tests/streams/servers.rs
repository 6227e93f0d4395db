//! Servers (N-16…N-33).

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::LifeCycleLog;
use tulipa_transports::{
    Address, Family, NetworkLoop, Protocol, Server, ServerOptions, StreamSocket, Transport,
};

/// A server whose protocols' logs are collected.
fn recording_server(
    event_loop: &TestLoop,
    options: impl Into<ServerOptions>,
    mut hooks: impl FnMut() -> Hooks + 'static,
) -> (Server, Slot<Vec<LifeCycleLog>>) {
    let logs: Slot<Vec<LifeCycleLog>> = Slot::new();
    let made = logs.clone();
    let factory = move || {
        let (protocol, log) = hooks().recorded();
        made.update(|logs| logs.push(log));
        protocol
    };
    let server = event_loop.create_server(factory, options).result().unwrap();
    (server, logs)
}

fn address(server: &Server) -> SocketAddr {
    server.addresses()[0].as_ip().unwrap()
}

/// Closes the server and sees the last connection gone, with every promise kept.
fn end(event_loop: &TestLoop, server: &Server, logs: &Slot<Vec<LifeCycleLog>>) {
    server.close();
    server.abort_clients();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    logs.get().iter().for_each(LifeCycleLog::check_ended);
    assert_eq!((server.connection_count(), event_loop.open_connections()), (0, 0));
}

#[test]
fn n16_w39_all_interfaces_several_hosts_and_free_ports() {
    let event_loop = TestLoop::new();
    let everywhere = event_loop.create_server(Hooks::new, 0).result().unwrap();
    let families: Vec<bool> =
        everywhere.addresses().iter().map(|a| a.as_ip().unwrap().is_ipv4()).collect();
    assert!(families == [true, false] || families == [true], "{families:?}");
    assert!(everywhere.addresses().iter().all(|address| address.port() != Some(0)));
    let empty = event_loop.create_server(Hooks::new, ("", 0)).result().unwrap();
    assert_eq!(empty.addresses().len(), everywhere.addresses().len());

    let options = ServerOptions::from(("127.0.0.1", 0)).host("127.0.0.2").host("127.0.0.1");
    let several = event_loop.create_server(Hooks::new, options).result().unwrap();
    assert_eq!(several.addresses().len(), 2, "equal addresses are used once");
    for server in [everywhere, empty, several] {
        server.close();
    }
    event_loop.run_ready_now();
}

#[test]
fn n16_n1_a_host_name_is_looked_up() {
    let event_loop = TestLoop::new();
    let creation = event_loop.create_server(Hooks::new, ("localhost", 0));
    assert!(!creation.done());
    let server = event_loop.run_until_complete(&creation).unwrap();
    assert!(server.is_serving() && !server.addresses().is_empty());
    server.close();
    event_loop.run_ready_now();
}

#[test]
fn n17_only_stream_sockets_are_taken() {
    let datagrams: OwnedFd = UdpSocket::bind("127.0.0.1:0").unwrap().into();
    let error = StreamSocket::from_descriptor(datagrams).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let stream: OwnedFd = tcp_sockets().0.into();
    assert!(StreamSocket::from_descriptor(stream).is_ok());
}

#[test]
fn n17_a_listening_socket_can_be_handed_over() {
    let event_loop = TestLoop::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, logs) = recording_server(&event_loop, listener, Hooks::echo);
    let mut peer = TcpStream::connect(address(&server)).unwrap();
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    end(&event_loop, &server, &logs);
}

#[test]
fn n18_options_of_the_listener() {
    let event_loop = TestLoop::new();
    let keeps_alive: Slot<Option<bool>> = Slot::new();
    let seen = keeps_alive.clone();
    let hooks = move || {
        let seen = seen.clone();
        Hooks::new().made(move |transport| {
            seen.set(Some(transport.extra_info().socket.unwrap().keepalive().unwrap()));
        })
    };
    let options = ServerOptions::from(("127.0.0.1", 0)).keep_alive(true).reuse_port(true);
    let (server, logs) = recording_server(&event_loop, options, hooks);
    let socket = &server.sockets()[0];
    assert!(socket.reuse_address().unwrap() && socket.reuse_port().unwrap());
    let twin = ServerOptions::from(address(&server)).reuse_port(true);
    let twin = event_loop.create_server(Hooks::new, twin).result().unwrap();
    twin.close();
    let _peer = TcpStream::connect(address(&server)).unwrap();
    run_until(&event_loop, || keeps_alive.get() == Some(true));
    end(&event_loop, &server, &logs);

    let plain = event_loop.create_server(Hooks::new, ("127.0.0.1", 0)).result().unwrap();
    assert!(!plain.sockets()[0].reuse_port().unwrap());
    plain.close();
    if let Ok(six) = event_loop.create_server(Hooks::new, ("::1", 0)).result() {
        assert!(six.sockets()[0].only_v6().unwrap());
        six.close();
    }
    event_loop.run_ready_now();
}

#[test]
fn n19_an_address_in_use_is_named_and_nothing_is_kept() {
    let event_loop = TestLoop::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = ServerOptions::from(("127.0.0.2", port)).host("127.0.0.1");
    let Err(exception) = event_loop.create_server(Hooks::new, options).result() else {
        panic!("it succeeded");
    };
    assert_eq!(exception.io_kind(), Some(ErrorKind::AddrInUse));
    assert_eq!(exception.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
    TcpListener::bind(("127.0.0.2", port)).expect("the other address was given back");
    assert!(event_loop.leftovers().is_empty());
}

#[test]
fn n19_addresses_that_the_system_does_not_have_are_left_out() {
    let event_loop = TestLoop::new();
    let options = ServerOptions::from(("203.0.113.1", 0)).host("127.0.0.1");
    let server = event_loop.create_server(Hooks::new, options).result().unwrap();
    assert_eq!(server.addresses().len(), 1);
    server.close();
    let options = ServerOptions::from(("203.0.113.1", 0)).host("203.0.113.2");
    let Err(exception) = event_loop.create_server(Hooks::new, options).result() else {
        panic!("it succeeded");
    };
    let text = exception.to_string();
    assert!(text.contains("203.0.113.1:0") && text.contains("203.0.113.2:0"), "{text}");
    event_loop.run_ready_now();
}

#[test]
fn n20_a_server_that_does_not_serve_yet_is_bound_and_refuses() {
    let event_loop = TestLoop::new();
    let options = ServerOptions::from(("127.0.0.1", 0)).start_serving(false);
    let (server, logs) = recording_server(&event_loop, options, Hooks::new);
    assert!(!server.is_serving());
    let refused = TcpStream::connect(address(&server)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    server.start_serving().unwrap();
    server.start_serving().unwrap();
    assert!(server.is_serving());
    let _peer = TcpStream::connect(address(&server)).unwrap();
    run_until(&event_loop, || logs.get().len() == 1);
    end(&event_loop, &server, &logs);
    assert!(server.start_serving().is_err());
}

#[test]
fn n21_r5_one_turn_accepts_only_so_many() {
    let event_loop = TestLoop::new();
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::new);
    let peers: Vec<TcpStream> =
        (0..150).map(|_| TcpStream::connect(address(&server)).unwrap()).collect();
    let mut before = 0;
    while before < 150 {
        event_loop.run_ready().unwrap();
        let accepted = server.stats().accepted;
        assert!((before + 1..=before + 64).contains(&accepted), "{before}, then {accepted}");
        before = accepted;
    }
    run_until(&event_loop, || logs.get().len() == 150);
    drop(peers);
    end(&event_loop, &server, &logs);
}

#[test]
fn n21_r4_more_connections_than_allowed_are_shed_and_counted() {
    let event_loop = TestLoop::new();
    let options = ServerOptions::from(("127.0.0.1", 0)).max_connections(2);
    let (server, logs) = recording_server(&event_loop, options, Hooks::echo);
    let mut peers: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(address(&server)).unwrap()).collect();
    assert_eq!(read_to_end(&event_loop, &mut peers[2]), b"");
    assert_eq!((server.stats().accepted, server.stats().shed), (3, 1));
    drop(peers);
    run_until(&event_loop, || server.connection_count() == 0);
    let mut peer = TcpStream::connect(address(&server)).unwrap();
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    end(&event_loop, &server, &logs);
}

#[test]
fn n23_sockets_are_restricted_views_and_gone_after_close() {
    let event_loop = TestLoop::new();
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::new);
    let view = server.sockets().remove(0);
    assert_eq!(view.local_addr().unwrap(), Address::Ip(address(&server)));
    assert_eq!(server.get_loop().id(), event_loop.id());
    end(&event_loop, &server, &logs);
    assert!(server.sockets().is_empty() && server.addresses().is_empty());
    assert_eq!(view.local_addr().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn n24_n25_close_stops_listening_at_once_and_leaves_connections_alone() {
    let event_loop = TestLoop::new();
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::echo);
    let place = address(&server);
    let mut peer = TcpStream::connect(place).unwrap();
    run_until(&event_loop, || logs.get().len() == 1);
    let waiters = [server.wait_closed(), server.wait_closed()];
    server.close();
    server.close();
    assert!(!server.is_serving());
    assert_eq!(TcpStream::connect(place).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    send(&mut peer, b"still here");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.len() < 10), b"still here");
    assert!(waiters.iter().all(|waiter| !waiter.done()));
    drop(peer);
    run_until(&event_loop, || waiters.iter().all(|waiter| waiter.done()));
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    logs.get()[0].check_ended();
}

#[test]
fn n25_wait_closed_waits_for_the_close_too() {
    let event_loop = TestLoop::new();
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::new);
    let waiter = server.wait_closed();
    event_loop.run_ready_now();
    assert!(!waiter.done(), "no connection, but it is open");
    end(&event_loop, &server, &logs);
    assert!(waiter.done());
}

#[test]
fn n26_close_clients_sends_the_rest_and_abort_clients_does_not() {
    for abort in [false, true] {
        let event_loop = TestLoop::new();
        let hooks = || {
            Hooks::new().made(|transport| {
                transport.write(&pattern(8_000_000));
            })
        };
        let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), hooks);
        let mut peers: Vec<TcpStream> =
            (0..3).map(|_| TcpStream::connect(address(&server)).unwrap()).collect();
        run_until(&event_loop, || logs.get().len() == 3);
        event_loop.run_ready_now();
        match abort {
            true => server.abort_clients(),
            false => server.close_clients(),
        }
        for peer in &mut peers {
            let received = read_to_end(&event_loop, peer);
            assert_eq!(received.len() == 8_000_000, !abort);
        }
        run_until(&event_loop, || server.connection_count() == 0);
        assert!(server.is_serving());
        end(&event_loop, &server, &logs);
    }
}

#[test]
fn n27_a_failing_factory_drops_only_its_connection_and_is_reported_in_moderation() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let mut calls = 0;
    type Made = Result<Option<Hooks>, Exception>;
    let factory = move || -> Made {
        calls += 1;
        match calls {
            1..=15 => Err(Exception::msg("no")),
            16 => panic!("never"),
            17 => Ok(None),
            _ => Ok(Some(Hooks::echo())),
        }
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    for _ in 0..17 {
        let mut peer = TcpStream::connect(address(&server)).unwrap();
        assert_eq!(read_to_end(&event_loop, &mut peer), b"");
    }
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.failed, stats.refused), (17, 16, 1));
    let seen = errors.take();
    assert_eq!(seen.len(), 10, "ten a second");
    assert!(seen[0].server.as_ref().unwrap().contains("127.0.0.1"));
    let mut peer = TcpStream::connect(address(&server)).unwrap();
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    server.close();
    server.close_clients();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n27_a_factory_may_close_its_own_server() {
    let event_loop = TestLoop::new();
    let own: Slot<Option<Server>> = Slot::new();
    let server_in_factory = own.clone();
    let factory = move || {
        server_in_factory.take().unwrap().close();
        Hooks::echo()
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    own.set(Some(server.clone()));
    let mut peer = TcpStream::connect(address(&server)).unwrap();
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    drop(peer);
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n28_serve_forever_ends_by_cancel_or_close() {
    let event_loop = TestLoop::new();
    let options = || ServerOptions::from(("127.0.0.1", 0)).start_serving(false);
    let (server, logs) = recording_server(&event_loop, options(), Hooks::new);
    let forever = server.serve_forever();
    assert!(server.is_serving(), "it starts if needed");
    let second = server.serve_forever();
    assert!(event_loop.run_until_complete(&second).is_err());
    event_loop.run_ready_now();
    assert!(!forever.done());
    forever.cancel();
    event_loop.run_ready_now();
    assert!(!server.is_serving());
    assert!(event_loop.run_until_complete(&server.serve_forever()).is_err());
    end(&event_loop, &server, &logs);

    let (server, logs) = recording_server(&event_loop, options(), Hooks::new);
    let forever = server.serve_forever();
    server.close();
    assert!(forever.cancelled());
    end(&event_loop, &server, &logs);
}

#[test]
fn n29_dropping_the_server_object_stops_nothing() {
    let event_loop = TestLoop::new();
    let (server, _logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::echo);
    let place = address(&server);
    let again = server.clone();
    let weak = Rc::new(());
    drop(server);
    drop(weak);
    let mut peer = TcpStream::connect(place).unwrap();
    send(&mut peer, b"x");
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.is_empty()), b"x");
    again.close();
    drop(again);
    drop(peer);
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn n30_connections_that_were_not_accepted_yet_are_reset_by_the_close() {
    let event_loop = TestLoop::new();
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::new);
    let mut waiting = TcpStream::connect(address(&server)).unwrap();
    server.close();
    event_loop.run_ready_now();
    use std::io::Read;
    assert_eq!(waiting.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(logs.get().is_empty());
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n31_n33_a_connection_counts_from_its_creation_to_the_end_of_connection_lost() {
    let event_loop = TestLoop::new();
    let counts: Slot<Vec<usize>> = Slot::new();
    let own: Slot<Option<Server>> = Slot::new();
    let (in_hook, seen) = (own.clone(), counts.clone());
    let hooks = move || {
        let (made, lost) = (in_hook.clone(), in_hook.clone());
        let (seen_made, seen_lost) = (seen.clone(), seen.clone());
        Hooks::new()
            .made(move |_| {
                let count = made.get().unwrap().connection_count();
                seen_made.update(|all| all.push(count));
            })
            .lost(move |_, _| {
                let count = lost.get().unwrap().connection_count();
                seen_lost.update(|all| all.push(count));
            })
    };
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), hooks);
    own.set(Some(server.clone()));
    let peer = TcpStream::connect(address(&server)).unwrap();
    run_until(&event_loop, || logs.get().len() == 1 && logs.get()[0].is_made());
    drop(peer);
    run_until(&event_loop, || server.connection_count() == 0);
    assert_eq!(counts.get(), [1, 1]);

    // Closed between accept and connection_made: it counts, and is told nothing (P-7).
    let _peer = TcpStream::connect(address(&server)).unwrap();
    let closing = server.clone();
    run_until(&event_loop, || {
        if server.connection_count() == 1 {
            closing.close_clients();
        }
        server.stats().accepted == 2 && server.connection_count() == 0
    });
    own.set(None);
    end(&event_loop, &server, &logs);
}

#[test]
fn n33_many_connections_come_and_go_in_any_order() {
    let event_loop = TestLoop::new();
    let (server, logs) = recording_server(&event_loop, ("127.0.0.1", 0), Hooks::echo);
    let mut peers: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(address(&server)).unwrap()).collect();
    run_until(&event_loop, || server.connection_count() == 50);
    for step in [7, 3, 2, 1] {
        let keep = peers.len() / (step + 1);
        let left: Vec<TcpStream> = peers
            .into_iter()
            .enumerate()
            .filter(|(i, _)| i % (step + 1) == 0)
            .map(|p| p.1)
            .collect();
        peers = left;
        let expected = peers.len();
        assert!(expected >= keep);
        run_until(&event_loop, || server.connection_count() == expected);
    }
    end(&event_loop, &server, &logs);
}

#[test]
fn n27_boxed_protocols_are_taken_too() {
    let event_loop = TestLoop::new();
    let factory = || -> Box<dyn Protocol> { Box::new(Hooks::echo()) };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let client: futures::Future<Rc<dyn Transport>> = event_loop
        .create_connection(|| Box::new(Hooks::new()) as Box<dyn Protocol>, address(&server));
    let transport = event_loop.run_until_complete(&client).unwrap();
    transport.close();
    let report = event_loop.run_until_complete(&server.shutdown(Duration::from_secs(1))).unwrap();
    assert_eq!(report.aborted, 0);
}

#[test]
fn n20_r3_start_serving_is_all_or_nothing_and_names_the_address() {
    let event_loop = TestLoop::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = ServerOptions::from(("127.0.0.1", port)).host("127.0.0.2").start_serving(false);
    let server = event_loop.create_server(Hooks::new, options).result().unwrap();
    // Both are bound, and only the one who listens first may.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.set_reuse_address(true).unwrap();
    other.bind(&SocketAddr::from(([127, 0, 0, 2], port)).into()).unwrap();
    other.listen(1).unwrap();

    let error = server.start_serving().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.2:{port}"));
    assert!(!server.is_serving());
    let refused = TcpStream::connect(("127.0.0.1", port));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    event_loop.run_ready_now();

    drop(other);
    server.start_serving().unwrap();
    let _peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    run_until(&event_loop, || server.connection_count() == 1);
    server.close();
    server.abort_clients();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n16_an_empty_host_among_others_is_all_interfaces_of_the_family() {
    let event_loop = TestLoop::new();
    let options = ServerOptions::from(("127.0.0.1", 0)).host("").family(Family::V4);
    let server = event_loop.create_server(Hooks::new, options).result().unwrap();
    assert_eq!(server.addresses().len(), 2);
    assert!(server.addresses().iter().all(|address| address.as_ip().unwrap().is_ipv4()));
    server.close();
}
