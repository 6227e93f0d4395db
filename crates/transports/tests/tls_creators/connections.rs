//! Connections that are made, and their names.

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tulipa_transports::testing::LifeCycleLog;
use tulipa_transports::tls::TlsClientConfig;
use tulipa_transports::{
    AcceptedOptions, ConnectOptions, NetworkLoop, StreamSocket, UnixConnectOptions,
    UnixServerOptions,
};

#[test]
fn x44_connection_made_comes_after_the_handshake_at_both_ends() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let (server, logs) = serve(&event_loop, &server, || {
        Hooks::echo().made(|transport| assert!(transport.extra_info().tls.is_some()))
    });
    let answer: Slot<Vec<u8>> = Slot::new();
    let heard = answer.clone();
    let hooks = Hooks::new()
        .made(|transport| {
            assert!(transport.extra_info().tls.is_some());
            transport.write(b"tulip");
        })
        .data(move |_, data| heard.update(|all| all.extend_from_slice(data)));
    let (transport, log) = connect(&event_loop, &server, &client, hooks);
    assert!(log.is_made() && !transport.is_closing() && !transport.can_write_eof());
    run_until(&event_loop, || answer.get() == b"tulip");
    assert_eq!((logs.get().len(), server.connection_count()), (1, 1));
    transport.close();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    run_until(&event_loop, || server.connection_count() == 0);
    assert_eq!(log.lost_reason(), Some(None), "both have said goodbye");
    assert_eq!(logs.get()[0].lost_reason(), Some(None));
    end(&event_loop, &server, &logs);
    log.check_ended();
}

#[test]
fn x54_the_host_is_the_servers_name_unless_another_is_set() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let port = address(&server).port();
    let asked = || logs.get().len();
    let connect = |options: ConnectOptions| {
        let connecting = event_loop.create_connection(Hooks::new, options.tls(client.clone()));
        let transport = event_loop.run_until_complete(&connecting)?;
        let name = transport.extra_info().tls.unwrap().server_name.clone();
        transport.close();
        event_loop.run_until_complete(&transport.wait_closed())?;
        Ok::<_, Exception>(name.unwrap())
    };
    assert_eq!(connect(("localhost", port).into()).unwrap(), "localhost");
    assert_eq!(connect(address(&server).into()).unwrap(), "127.0.0.1");
    let named = ConnectOptions::from(address(&server)).server_name("localhost");
    assert_eq!(connect(named).unwrap(), "localhost");
    let socket = TcpStream::connect(address(&server)).unwrap();
    let over_socket = ConnectOptions::from(socket).server_name("localhost");
    assert_eq!(connect(over_socket).unwrap(), "localhost");
    assert_eq!(asked(), 4);

    let other = ConnectOptions::from(address(&server)).server_name("example.org");
    let error = tls_error(&connect(other).unwrap_err());
    assert!(error.is_certificate_error() && error.to_string().contains("example.org"), "{error}");
    let none = ConnectOptions::from(address(&server)).server_name("not a name");
    assert_eq!(connect(none).unwrap_err().io_kind(), Some(ErrorKind::InvalidInput));
    let socket = TcpStream::connect(address(&server)).unwrap();
    let error = connect(socket.into()).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput), "nobody knows its name");
    end(&event_loop, &server, &logs);
}

#[test]
fn x44_unix_sockets_too() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let options = UnixServerOptions::from(&*path).tls(config);
    let server = event_loop.create_unix_server(Hooks::echo, options).result().unwrap();
    let heard: Slot<Vec<u8>> = Slot::new();
    let connect = |options: UnixConnectOptions| {
        let hear = heard.clone();
        let hooks = Hooks::new()
            .made(|transport| {
                transport.write(b"tulip");
            })
            .data(move |transport, data| {
                hear.update(|all| all.extend_from_slice(data));
                transport.close();
            });
        let connecting = event_loop.create_unix_connection(move || hooks, options);
        let transport = event_loop.run_until_complete(&connecting)?;
        event_loop.run_until_complete(&transport.wait_closed())?;
        Ok::<_, Exception>(heard.take())
    };
    let named = UnixConnectOptions::from(&*path).tls(client.clone()).server_name("localhost");
    assert_eq!(connect(named).unwrap(), b"tulip");
    let socket = UnixStream::connect(&path).unwrap();
    let named = UnixConnectOptions::from(socket).tls(client.clone()).server_name("localhost");
    assert_eq!(connect(named).unwrap(), b"tulip");
    let unnamed = connect(UnixConnectOptions::from(&*path).tls(client)).unwrap_err();
    assert_eq!(unnamed.io_kind(), Some(ErrorKind::InvalidInput));
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn x45_a_time_out_of_zero_fails_the_creators() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let never = TlsClientConfig::from_rustls(client.as_rustls().clone());
    let never = never.shutdown_timeout(Duration::ZERO);
    let error = refusal(&event_loop, ConnectOptions::from(address(&server)).tls(never));
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    let options = tulipa_transports::ServerOptions::from(("127.0.0.1", 0));
    let options = options.tls(config.handshake_timeout(Duration::ZERO));
    let error = event_loop.create_server(Hooks::new, options).result().unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    assert_eq!(server.stats().accepted, 0, "nobody has connected");
    end(&event_loop, &server, &logs);
}

#[test]
fn x46_closing_or_writing_in_connection_made_is_after_the_handshake() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let received: Slot<Vec<u8>> = Slot::new();
    let hear = received.clone();
    let (server, logs) = serve(&event_loop, &config, move || {
        let hear = hear.clone();
        Hooks::new().data(move |_, data| hear.update(|all| all.extend_from_slice(data)))
    });
    let hooks = Hooks::new().made(|transport| {
        transport.write(b"farewell");
        transport.close();
    });
    let (transport, log) = connect(&event_loop, &server, &client, hooks);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    run_until(&event_loop, || received.get() == b"farewell");
    end(&event_loop, &server, &logs);
    log.check_ended();
}

#[test]
fn n12_cancelling_in_the_handshake_leaves_nothing() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    // Somebody who listens, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dropped = Slot::<bool>::new();
    struct Tell(Slot<bool>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let tell = Tell(dropped.clone());
    let factory = move || {
        let _kept = &tell;
        Hooks::new()
    };
    let options = ConnectOptions::from(listener.local_addr().unwrap()).tls(client);
    let connecting = event_loop.create_connection(factory, options);
    run_until(&event_loop, || event_loop.open_connections() == 1);
    let (mut peer, _) = listener.accept().unwrap();
    run_until(&event_loop, || {
        peer.set_nonblocking(true).unwrap();
        peer.peek(&mut [0; 1]).is_ok_and(|count| count == 1)
    });
    assert!(!connecting.done());
    connecting.cancel();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    assert!(dropped.get(), "the factory is let go");
    peer.set_nonblocking(false).unwrap();
    let _ = std::io::Read::read_to_end(&mut peer, &mut Vec::new()); // an end, or a reset
    drop(config);
}

/// One iteration.
fn step(event_loop: &TestLoop) {
    event_loop.stop();
    event_loop.run_forever().unwrap();
}

#[test]
fn n12_l30_a_handshake_is_called_off_after_any_number_of_iterations() {
    let (client, config) = configs();
    let mut finished = false;
    for steps in 0.. {
        for closes in [false, true] {
            let event_loop = TestLoop::new();
            let (server, logs) = serve(&event_loop, &config, Hooks::echo);
            let options = ConnectOptions::from(address(&server)).tls(client.clone());
            let (protocol, log) = Hooks::new().recorded();
            let connecting = event_loop.create_connection(move || protocol, options);
            (0..steps).for_each(|_| step(&event_loop));
            finished = connecting.done();
            if closes {
                let mut event_loop = event_loop;
                event_loop.allow_leftovers();
                drop(event_loop);
                assert!(!log.is_lost(), "nothing is called any more");
                continue;
            }
            match finished {
                true => connecting.result().unwrap().abort(),
                false => assert!(connecting.cancel()),
            }
            run_until(&event_loop, || event_loop.open_connections() == 0);
            assert_eq!(server.connection_count(), 0, "after {steps}");
            assert_eq!(log.is_made(), log.is_lost(), "after {steps}");
            end(&event_loop, &server, &logs);
        }
        if finished {
            break;
        }
        assert!(steps < 100, "it comes to an end");
    }
}

#[test]
fn x44_p23_a_factory_that_refuses_or_fails_after_the_handshake() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let options = || ConnectOptions::from(address(&server)).tls(client.clone());
    let none = event_loop.create_connection(|| None::<Hooks>, options());
    let error = failure(&event_loop, &none);
    assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionAborted));
    let failed =
        event_loop.create_connection(|| Err::<Hooks, _>(Exception::msg("no place")), options());
    let error = failure(&event_loop, &failed);
    assert!(error.to_string().contains("no place"), "{error}");
    let panics = event_loop.create_connection(|| -> Hooks { panic!("a factory") }, options());
    run_until(&event_loop, || panics.done());
    let error = panics.exception().unwrap().expect("it failed");
    assert!(error.to_string().contains("a factory"), "{error}");
    run_until(&event_loop, || event_loop.open_connections() == 0);
    logs.get().iter().for_each(LifeCycleLog::check);
    end(&event_loop, &server, &logs);
}

#[test]
fn n32_x44_a_socket_that_was_accepted_elsewhere_speaks_tls_too() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (accepted, server_log) = Hooks::echo().recorded();
    let options = AcceptedOptions::from(ours).tls(server.clone());
    let accepting = event_loop.connect_accepted_socket(move || accepted, options);
    let heard: Slot<Vec<u8>> = Slot::new();
    let hear = heard.clone();
    let (connected, log) = Hooks::new()
        .made(|transport| {
            transport.write(b"tulip");
        })
        .data(move |_, data| hear.update(|all| all.extend_from_slice(data)))
        .recorded();
    let options = ConnectOptions::from(StreamSocket::from(theirs)).tls(client);
    let options = options.server_name("localhost");
    let connecting = event_loop.create_connection(move || connected, options);
    let transport = event_loop.run_until_complete(&connecting).unwrap();
    let served = event_loop.run_until_complete(&accepting).unwrap();
    assert!(served.extra_info().tls.is_some());
    run_until(&event_loop, || heard.get() == b"tulip");
    transport.close();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    log.check_ended();
    server_log.check_ended();

    // What is no handshake is told to who waits, and costs nothing.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let options = AcceptedOptions::from(ours).tls(server.clone());
    let accepting = event_loop.connect_accepted_socket(Hooks::new, options);
    theirs.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let error = failure(&event_loop, &accepting);
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData));
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let options = AcceptedOptions::from(ours).tls(server.clone());
    let accepting = event_loop.connect_accepted_socket(Hooks::new, options);
    event_loop.run_ready_now();
    accepting.cancel();
    run_until(&event_loop, || event_loop.open_connections() == 0);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let options = AcceptedOptions::from(ours).tls(server.handshake_timeout(Duration::ZERO));
    let accepting = event_loop.connect_accepted_socket(Hooks::new, options);
    assert_eq!(failure(&event_loop, &accepting).io_kind(), Some(ErrorKind::InvalidInput));
    assert_eq!(event_loop.open_connections(), 0);
}
