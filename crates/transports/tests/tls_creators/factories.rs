//! Factories, connectors and clients that reconnect, over TLS: nothing of them knows of it.

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::net::TcpListener;
use std::time::Duration;
use tulipa_transports::{
    Address, Backoff, ClientFactory, ConnectOptions, Connector, ConnectorState, Factory,
    NetworkLoop, ReconnectOptions, ReconnectingClient, ServerOptions,
};

/// Notes what it is told; connects again `more` times.
struct Noting {
    told: Slot<Vec<String>>,
    more: u32,
}

impl Noting {
    fn note(&self, what: impl Into<String>) {
        self.told.update(|told| told.push(what.into()));
    }

    fn again(&mut self, connector: &Connector) {
        if self.more > 0 {
            self.more -= 1;
            connector.connect().unwrap();
        }
    }
}

impl Factory for Noting {
    type Protocol = Option<Hooks>;

    fn start_factory(&mut self) {
        self.note("start");
    }

    fn build_protocol(&mut self, peer: &Address) -> Option<Hooks> {
        self.note(format!("build {}", peer.as_ip().unwrap().ip()));
        let hooks = Hooks::new().made(|transport| assert!(transport.extra_info().tls.is_some()));
        Some(hooks)
    }

    fn stop_factory(&mut self) {
        self.note("stop");
    }
}

impl ClientFactory for Noting {
    fn client_connection_failed(&mut self, connector: &Connector, _reason: Exception) {
        self.note("failed");
        self.again(connector);
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: Option<Exception>) {
        self.note(reason.map_or("lost".to_owned(), |reason| format!("lost {reason}")));
        self.again(connector);
    }
}

#[test]
fn w1_w2_w3_factories_and_connectors_work_over_tls() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let told: Slot<Vec<String>> = Slot::new();
    let factory = Noting { told: told.clone(), more: 0 };
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let server = event_loop.create_server(factory, options).result().unwrap();

    let heard: Slot<Vec<String>> = Slot::new();
    let factory = Noting { told: heard.clone(), more: 1 };
    let options = ConnectOptions::from(address(&server)).tls(client);
    let connector = event_loop.create_connector(factory, options);
    for round in 1..=2 {
        run_until(&event_loop, || {
            connector.state() == ConnectorState::Connected && server.connection_count() == 1
        });
        let transport = connector.transport().unwrap();
        assert!(transport.extra_info().tls.is_some());
        match round {
            1 => server.close_clients(),
            _ => transport.abort_with(Exception::msg("enough")),
        }
        run_until(&event_loop, || {
            heard.get().iter().filter(|one| one.starts_with("lost")).count() == round
        });
    }
    let build = "build 127.0.0.1";
    assert_eq!(heard.take(), ["start", build, "lost", build, "lost enough", "stop"]);
    server.close();
    run_until(&event_loop, || server.connection_count() == 0);
    assert_eq!(told.take(), ["start", build, build, "stop"]);
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn w3_a_handshake_that_takes_for_ever_is_called_off() {
    let event_loop = TestLoop::new();
    let (client, _) = configs();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let heard: Slot<Vec<String>> = Slot::new();
    let factory = Noting { told: heard.clone(), more: 0 };
    let options = ConnectOptions::from(silent.local_addr().unwrap()).tls(client);
    let connector = event_loop.create_connector(factory, options);
    event_loop.run_ready_now();
    let (_peer, _) = silent.accept().unwrap();
    event_loop.run_ready_now();
    connector.stop_connecting().unwrap();
    run_until(&event_loop, || connector.state() == ConnectorState::Disconnected);
    assert_eq!(heard.take(), ["start", "failed", "stop"]);
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn w4_w6_a_client_reconnects_over_tls_and_knows_why_it_lost_the_connection() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let (server, logs) = serve(&event_loop, &config, Hooks::new);
    let target = address(&server);
    let connect = move |own: &ReconnectingClient| {
        let options = ConnectOptions::from(target).tls(client.clone());
        own.get_loop().create_connection(Hooks::new, options)
    };
    let options: ReconnectOptions = Backoff::default().initial_delay(Duration::ZERO).into();
    let client = event_loop.create_reconnecting_client(connect, options);
    for round in 1..=3 {
        let transport = event_loop.run_until_complete(&client.when_connected()).unwrap();
        assert!(transport.extra_info().tls.is_some());
        run_until(&event_loop, || logs.get().len() == round as usize);
        server.abort_clients(); // without a goodbye
        event_loop.run_until_complete(&transport.wait_closed()).unwrap();
        run_until(&event_loop, || client.retries() == round);
        assert!(transport.lost_reason().is_some(), "it was cut");
        assert!(client.last_error().is_some());
    }
    client.close();
    event_loop.run_until_complete(&client.wait_closed()).unwrap();
    end(&event_loop, &server, &logs);
}
