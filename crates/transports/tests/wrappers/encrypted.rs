//! Wrappers and TLS: a connection that is upgraded inside of wrappers keeps them, above the encryption; and
//! they go around what is encrypted from the beginning (W-7, N-54).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use std::net::SocketAddr;
use std::rc::Rc;
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions, ProtocolCall};
use tulipa_transports::tls::{Early, StartTls, TlsRole};
use tulipa_transports::wrappers::{
    ConnectionLimits, ProxyHeader, ProxyProtocol, Throttle, TrafficLog, TrustedProxies,
};
use tulipa_transports::{
    Address, Bytes, Factory, NetworkLoop, Protocol, ServerOptions, Transport, TransportExt,
};

/// Speaks in clear until it is told to encrypt.
struct Session {
    role: TlsRole,
    awaits: &'static [u8],
    answers: &'static [u8],
    heard: Slot<Vec<String>>,
}

impl Session {
    fn note(&self, what: String, transport: &dyn Transport) {
        let peer = transport.extra_info().peername.unwrap();
        self.heard.update(|all| all.push(format!("{peer} {what}")));
    }
}

impl Protocol for Session {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.note(data.escape_ascii().to_string(), transport);
        if data != self.awaits {
            return;
        }
        transport.write(self.answers);
        drop(transport.start_tls(self.role.clone(), Early::Refuse, Vec::new()));
        // The old transport is over: it changes nothing any more.
        assert!(transport.is_closing());
        transport.set_protocol(Hooks::new());
        transport.write(b"never in clear");
        transport.close();
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.note("is encrypted".to_owned(), transport);
        transport.write(b"secret");
    }
}

#[test]
fn w7_n54_an_upgrade_inside_of_wrappers_keeps_them_above_the_encryption() {
    let event_loop = TestLoop::new();
    let client: SocketAddr = "192.0.2.7:50123".parse().unwrap();
    let service: SocketAddr = "192.0.2.1:25".parse().unwrap();
    let (server_heard, client_heard): (Slot<Vec<String>>, Slot<Vec<String>>) =
        (Slot::new(), Slot::new());
    let logged: Slot<Vec<String>> = Slot::new();
    let (heard, sink) = (server_heard.clone(), logged.clone());
    let limits = ConnectionLimits::new().per_peer(1);
    let log = TrafficLog::new().to(move |event| sink.update(|all| all.push(event.to_owned())));
    let mut session =
        Some(Session { role: as_server(), awaits: b"STARTTLS", answers: b"go", heard });
    let (protocol, life) = LifeCycle::new(session.take().unwrap());
    let mut protocol = Some(protocol);
    let proxy = ProxyProtocol::new(TrustedProxies::none().unix(true));
    let throttled = Throttle::new().read(Bytes::mib(1)).write(Bytes::mib(1));
    let mut factory =
        proxy.wrap_factory(limits.wrap(throttled.wrap(log.wrap(move || protocol.take()))));
    let heard = client_heard.clone();
    let connecting = Session { role: as_client(), awaits: b"go", answers: b"", heard };
    let pair = event_loop.memory_pair(
        connecting,
        factory.build_protocol(&Address::Unnamed),
        MemoryOptions::default(),
    );
    pair.left.write(&ProxyHeader::new(client, service).to_v2().unwrap());
    event_loop.advance(std::time::Duration::ZERO);
    pair.left.write(b"STARTTLS");
    event_loop.run_until_idle();

    assert_eq!(
        server_heard.take(),
        ["192.0.2.7:50123 STARTTLS", "192.0.2.7:50123 is encrypted", "192.0.2.7:50123 secret",]
    );
    let heard = client_heard.take();
    assert_eq!(heard, ["(unnamed) go", "(unnamed) is encrypted", "(unnamed) secret"]);
    assert_eq!(limits.open_from(&Address::from(client)), 1);
    let lines: Vec<String> = logged
        .take()
        .iter()
        .filter_map(|event| {
            Some(event.lines().next()?.strip_prefix("#1 192.0.2.7:50123 ")?.to_owned())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "connected",
            "received 8 bytes",
            "written 2 bytes",
            "encrypted from here on",
            "written 6 bytes",
            "received 6 bytes",
        ]
    );
    pair.break_left_output();
    pair.reset();
    event_loop.run_until_idle();
    assert_eq!(limits.open(), 0);
    life.check_ended();
    let upgrades =
        life.calls().iter().filter(|call| **call == ProtocolCall::HandshakeCompleted).count();
    assert_eq!(upgrades, 1);
    check_empty(&event_loop);
}

/// Upgrades at once, and leaves the new transport to somebody else.
struct Upgrading(TlsRole, Slot<Option<futures::Future<Rc<dyn Transport>>>>);

impl Protocol for Upgrading {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        if data == b"STARTTLS" {
            self.1.set(Some(transport.start_tls(self.0.clone(), Early::Refuse, Vec::new())));
        }
    }
}

#[test]
fn w7_n54_the_transport_of_an_upgrade_inside_of_wrappers_is_inside_of_them_too() {
    let event_loop = TestLoop::new();
    let client: SocketAddr = "192.0.2.7:50123".parse().unwrap();
    let upgraded: Slot<Option<futures::Future<Rc<dyn Transport>>>> = Slot::new();
    let mut protocol = Some(Upgrading(as_server(), upgraded.clone()));
    let logged: Slot<Vec<String>> = Slot::new();
    let sink = logged.clone();
    let log = TrafficLog::new().to(move |event| sink.update(|all| all.push(event.to_owned())));
    let proxy = ProxyProtocol::new(TrustedProxies::none().unix(true));
    let mut factory = proxy.wrap_factory(log.wrap(move || protocol.take()));
    let (heard, answered): (Slot<Vec<u8>>, Slot<Vec<u8>>) = (Slot::new(), Slot::new());
    let into = answered.clone();
    let other = Hooks::new().data(move |_, data| into.update(|all| all.extend_from_slice(data)));
    let server = factory.build_protocol(&Address::Unnamed);
    let pair = event_loop.memory_pair(other, server, MemoryOptions::default());
    pair.left.write(&ProxyHeader::new(client, client).to_v2().unwrap());
    event_loop.advance(std::time::Duration::ZERO);
    pair.left.write(b"STARTTLS");
    run_until(&event_loop, || {
        upgraded.take().is_some_and(|future| {
            upgraded.set(Some(future));
            true
        })
    });
    let connecting = pair.left.start_tls(as_client(), Early::Refuse, Vec::new());
    let future = upgraded.take().unwrap();
    let server = event_loop.run_until_complete(&future).unwrap();
    let client_end = event_loop.run_until_complete(&connecting).unwrap();
    assert_eq!(server.extra_info().peername, Some(client.into()));
    assert!(server.extra_info().tls.is_some());
    logged.take();
    server.write(b"tulip");
    let all = heard.clone();
    // What is set there is wrapped as the one before.
    server.set_protocol(Hooks::new().data(move |transport, data| {
        assert_eq!(transport.extra_info().peername, Some(client.into()));
        all.update(|all| all.extend_from_slice(data));
    }));
    client_end.write(b"bulb");
    event_loop.run_until_idle();
    assert_eq!((heard.take(), answered.take()), (b"bulb".to_vec(), b"tulip".to_vec()));
    let lines: Vec<String> =
        logged.take().iter().filter_map(|event| Some(event.lines().next()?.to_owned())).collect();
    assert_eq!(
        lines,
        ["#1 192.0.2.7:50123 written 5 bytes", "#1 192.0.2.7:50123 received 4 bytes"]
    );
    server.close();
    event_loop.run_until_idle();
    assert!(client_end.is_closing());
    check_empty(&event_loop);
}

/// Upgrades when it hears something; once encrypted, says so much, and closes.
struct Parting {
    role: TlsRole,
    answers: &'static [u8],
    says: usize,
    received: Slot<usize>,
    lost: Slot<Option<Option<String>>>,
}

impl Protocol for Parting {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        if transport.extra_info().tls.is_some() {
            return self.received.update(|all| *all += data.len());
        }
        transport.write(self.answers);
        drop(transport.start_tls(self.role.clone(), Early::Refuse, Vec::new()));
    }
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        if self.says > 0 {
            transport.write(&pattern(self.says));
            transport.close();
        }
    }
    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<futures::Exception>) {
        self.lost.set(Some(reason.map(|reason| reason.to_string())));
    }
}

#[test]
fn w7_x5_x47_what_is_encrypted_later_keeps_to_the_bandwidth_and_is_not_cut() {
    let event_loop = TestLoop::new();
    let (received, lost) = (Slot::<usize>::new(), Slot::<Option<Option<String>>>::new());
    let theirs: Slot<Option<Option<String>>> = Slot::new();
    let slow = Throttle::new().write(Bytes(10_000)).read(Bytes(10_000));
    let (count, end) = (received.clone(), lost.clone());
    let factory = slow.wrap(move || Parting {
        role: as_server(),
        answers: b"go",
        says: 50_000,
        received: count.clone(),
        lost: end.clone(),
    });
    let second = std::time::Duration::from_secs(1);
    let options = ServerOptions::from(("127.0.0.1", 0)).linger(Some(second));
    let server = event_loop.create_server(factory, options).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let client = Parting {
        role: as_client(),
        answers: b"",
        says: 0,
        received: received.clone(),
        lost: theirs.clone(),
    };
    let client = event_loop.create_connection(move || client, address);
    let client = event_loop.run_until_complete(&client).unwrap();
    client.write(b"STARTTLS");
    let began = event_loop.time();
    run_until(&event_loop, || {
        event_loop.advance(std::time::Duration::from_millis(10));
        lost.get().is_some() && theirs.get().is_some()
    });
    let took = event_loop.time() - began;
    assert_eq!((received.get(), lost.take(), theirs.take()), (50_000, Some(None), Some(None)));
    assert!(took > 4 * second && took < 8 * second, "{took:?}");
    server.close();
}

#[test]
fn w7_wrappers_go_around_what_is_encrypted_from_the_beginning() {
    let event_loop = TestLoop::new();
    let logged: Slot<Vec<String>> = Slot::new();
    let sink = logged.clone();
    let log = TrafficLog::new().to(move |event| sink.update(|all| all.push(event.to_owned())));
    let limits = ConnectionLimits::new().total(1);
    let throttle = Throttle::new().read(Bytes(100_000));
    let received: Slot<usize> = Slot::new();
    let count = received.clone();
    let mut server = throttle.wrap(limits.wrap(log.wrap(move || {
        let count = count.clone();
        Hooks::new().data(move |_, data| count.update(|all| *all += data.len()))
    })));
    let (client_config, server_config) = configs();
    let pair = {
        use tulipa_transports::testing::MemoryTlsLoop;
        let server = server.build_protocol(&Address::Unnamed).unwrap().unwrap();
        let client = (client_config, NAME);
        event_loop.memory_tls_pair(
            Hooks::new(),
            client,
            server,
            server_config,
            MemoryOptions::default(),
        )
    };
    let client = event_loop.run_until_complete(&pair.left).unwrap();
    let server = event_loop.run_until_complete(&pair.right).unwrap();
    assert_eq!(limits.open(), 1);
    client.write(&pattern(300_000));
    event_loop.advance(std::time::Duration::from_secs(1));
    assert!(received.get().abs_diff(110_000) <= 20_000, "{}", received.get());
    event_loop.advance(std::time::Duration::from_secs(3));
    assert_eq!(received.get(), 300_000);
    assert!(logged.take().iter().any(|event| event.contains("00 01 02 03 04")), "it is in clear");
    client.close();
    event_loop.run_until_idle();
    assert!(server.is_closing());
    assert_eq!(limits.open(), 0);
    check_empty(&event_loop);
}
