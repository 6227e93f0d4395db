//! Servers whose connections are encrypted: their counts, their end.

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tulipa_transports::testing::ProtocolCall;
use tulipa_transports::{Address, ConnectOptions, Factory, NetworkLoop, Server, ServerOptions};

#[test]
fn n24_a_connection_in_its_handshake_is_there_when_the_server_closes() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::echo);
    let socket = plain(&server);
    run_until(&event_loop, || server.connection_count() == 1);
    server.close();
    assert!(logs.get().is_empty());
    let options = ConnectOptions::from(socket).tls(client).server_name("localhost");
    let connecting = event_loop.create_connection(Hooks::new, options);
    let transport = event_loop.run_until_complete(&connecting).unwrap();
    run_until(&event_loop, || logs.get().len() == 1);
    assert!(!transport.is_closing());
    transport.close();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    end(&event_loop, &server, &logs);
}

#[test]
fn n24_the_factory_is_dropped_when_the_last_handshake_is_over() {
    let event_loop = TestLoop::new();
    let (_, config) = configs();
    let dropped = Slot::<bool>::new();
    struct Tell(Slot<bool>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let tell = Tell(dropped.clone());
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let factory = move || {
        let _kept = &tell;
        Hooks::new()
    };
    let server = event_loop.create_server(factory, options).result().unwrap();
    let peer = plain(&server);
    run_until(&event_loop, || server.connection_count() == 1);
    server.close();
    assert!(!dropped.get(), "somebody will need it");
    drop(peer);
    run_until(&event_loop, || server.connection_count() == 0);
    assert!(dropped.get());
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n26_x47_close_clients_says_goodbye() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let (_transport, log) = connect(&event_loop, &server, &client, Hooks::new());
    let silent = plain(&server);
    run_until(&event_loop, || server.connection_count() == 2 && logs.get().len() == 1);
    server.close_clients();
    run_until(&event_loop, || server.connection_count() == 0);
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None), "it was told, so it was no cut");
    assert!(log.calls().contains(&ProtocolCall::EofReceived));
    drop(silent);
    end(&event_loop, &server, &logs);
    log.check_ended();
}

#[test]
fn n26_abort_clients_cuts() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let (_transport, log) = connect(&event_loop, &server, &client, Hooks::new());
    run_until(&event_loop, || logs.get().len() == 1);
    server.abort_clients();
    run_until(&event_loop, || log.is_lost() && server.connection_count() == 0);
    assert!(matches!(log.lost_reason(), Some(Some(_))), "a cut is told apart");
    assert_eq!(logs.get()[0].lost_reason(), Some(None), "our own abort is no error");
    end(&event_loop, &server, &logs);
}

#[test]
fn n30_a_shutdown_asks_protocols_and_calls_off_handshakes() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, || {
        Hooks::new().shutdown(|transport| {
            transport.write(b"we close");
            transport.close();
        })
    });
    let heard: Slot<Vec<u8>> = Slot::new();
    let hear = heard.clone();
    let hooks = Hooks::new().data(move |_, data| hear.update(|all| all.extend_from_slice(data)));
    let (_transport, log) = connect(&event_loop, &server, &client, hooks);
    let silent = plain(&server);
    run_until(&event_loop, || server.connection_count() == 2 && logs.get().len() == 1);
    let ending = server.shutdown(Duration::from_secs(5));
    let report = event_loop.run_until_complete(&ending).unwrap();
    assert_eq!((report.drained, report.aborted), (2, 0));
    assert_eq!(heard.get(), b"we close");
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None));
    assert_eq!(logs.get().len(), 1, "who has not finished the handshake gets no protocol");
    drop(silent);
    end(&event_loop, &server, &logs);
}

#[test]
fn n30_a_peer_that_does_not_answer_is_cut_at_the_deadline() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, || Hooks::new().shutdown(|_| ()));
    let (transport, log) = connect(&event_loop, &server, &client, Hooks::new());
    run_until(&event_loop, || logs.get().len() == 1);
    let ending = server.shutdown(Duration::from_secs(5));
    event_loop.advance(Duration::from_secs(6));
    let report = event_loop.run_until_complete(&ending).unwrap();
    assert_eq!((report.drained, report.aborted), (0, 1));
    run_until(&event_loop, || log.is_lost());
    drop(transport);
    end(&event_loop, &server, &logs);
}

#[test]
fn n27_p23_factories_that_refuse_fail_or_panic_concern_one_connection() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (client, config) = configs();
    let mut number = 0;
    let factory = move || -> Result<Option<Hooks>, Exception> {
        number += 1;
        match number {
            1 => Ok(None),
            2 => Err(Exception::msg("no place")),
            3 => panic!("a factory"),
            _ => Ok(Some(Hooks::echo())),
        }
    };
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let server = event_loop.create_server(factory, options).result().unwrap();
    for _ in 0..3 {
        let (_, log) = connect(&event_loop, &server, &client, Hooks::new());
        run_until(&event_loop, || log.is_lost());
        log.check_ended();
    }
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.refused, stats.failed), (3, 1, 2));
    assert_eq!(stats.handshakes_failed, 0);
    assert_eq!(errors.take().len(), 2);
    let heard: Slot<Vec<u8>> = Slot::new();
    let hear = heard.clone();
    let hooks = Hooks::new()
        .made(|transport| {
            transport.write(b"tulip");
        })
        .data(move |_, data| hear.update(|all| all.extend_from_slice(data)));
    let (transport, _) = connect(&event_loop, &server, &client, hooks);
    run_until(&event_loop, || heard.get() == b"tulip");
    transport.abort();
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn n31_connections_in_their_handshake_count_against_the_limit() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config).max_connections(3);
    let server = event_loop.create_server(Hooks::new, options).result().unwrap();
    let silent: Vec<_> = (0..4).map(|_| plain(&server)).collect();
    run_until(&event_loop, || server.stats().accepted == 4);
    assert_eq!((server.connection_count(), server.stats().shed), (3, 1));
    drop(silent);
    run_until(&event_loop, || server.connection_count() == 0);
    let (transport, _) = connect(&event_loop, &server, &client, Hooks::new());
    transport.abort();
    server.close();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn l30_a_loop_that_closes_drops_handshakes_and_connections() {
    let (client, config) = configs();
    let event_loop = TestLoop::new();
    let (server, logs) = serve(&event_loop, &config, Hooks::echo);
    let (transport, log) = connect(&event_loop, &server, &client, Hooks::new());
    let silent = plain(&server);
    run_until(&event_loop, || server.connection_count() == 2 && logs.get().len() == 1);
    let mut event_loop = event_loop;
    event_loop.allow_leftovers();
    drop(event_loop);
    assert!(transport.is_closing());
    assert!(transport.extra_info().tls.is_some(), "it stays known");
    assert!(!log.is_lost(), "nothing is called any more");
    drop(silent);
}

#[test]
fn n24_a_closed_server_takes_nothing_more_though_a_handshake_is_under_way() {
    let event_loop = TestLoop::new();
    let (_, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::echo);
    let intake = server.intake();
    let silent = plain(&server);
    run_until(&event_loop, || server.connection_count() == 1);
    server.close();
    let (ours, theirs) = UnixStream::pair().unwrap();
    intake.give(theirs).unwrap();
    run_until(&event_loop, || intake.coming() == 0);
    assert_eq!(server.connection_count(), 1, "it is closed, and its factory kept for one only");
    ours.set_nonblocking(true).unwrap();
    assert_eq!((&ours).read(&mut [0; 1]).unwrap(), 0, "it was closed at once");
    drop(silent);
    end(&event_loop, &server, &logs);
}

#[test]
fn l30_w1_a_loop_that_closes_calls_no_factory_that_waits_for_a_handshake() {
    struct Telling(Slot<Vec<&'static str>>);
    impl Factory for Telling {
        type Protocol = Option<Hooks>;
        fn build_protocol(&mut self, _: &Address) -> Option<Hooks> {
            None
        }
        fn stop_factory(&mut self) {
            self.0.update(|told| told.push("stop"));
        }
    }
    impl Drop for Telling {
        fn drop(&mut self) {
            self.0.update(|told| told.push("drop"));
        }
    }
    let (_, config) = configs();
    for closed_before in [false, true] {
        let event_loop = TestLoop::new();
        let told: Slot<Vec<&str>> = Slot::new();
        let options = ServerOptions::from(("127.0.0.1", 0)).tls(config.clone());
        let server = event_loop.create_server(Telling(told.clone()), options).result().unwrap();
        let silent = plain(&server);
        run_until(&event_loop, || server.connection_count() == 1);
        if closed_before {
            server.close();
        }
        assert!(told.get().is_empty());
        let mut event_loop = event_loop;
        event_loop.allow_leftovers();
        drop(event_loop);
        assert_eq!(told.get(), ["drop"], "closed before: {closed_before}");
        drop(silent);
    }
}

#[test]
fn n24_w1_what_a_factory_does_in_its_last_call_finds_everything_in_order() {
    struct Busy(Slot<Option<Server>>);
    impl Factory for Busy {
        type Protocol = Option<Hooks>;
        fn build_protocol(&mut self, _: &Address) -> Option<Hooks> {
            None
        }
        fn stop_factory(&mut self) {
            let server = self.0.take().unwrap();
            server.close_clients();
            server.abort_clients();
            server.close();
            drop(server.shutdown(Duration::from_secs(1)));
        }
    }
    let event_loop = TestLoop::new();
    let (_, config) = configs();
    let own: Slot<Option<Server>> = Slot::new();
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let server = event_loop.create_server(Busy(own.clone()), options).result().unwrap();
    own.set(Some(server.clone()));
    let mut peer = plain(&server);
    run_until(&event_loop, || server.connection_count() == 1);
    server.close();
    peer.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    assert!(own.take().is_none());
    assert_eq!(server.stats().handshakes_failed, 1);
    run_until(&event_loop, || event_loop.open_connections() == 0);
}
