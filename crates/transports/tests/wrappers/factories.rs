//! Wrappers around factories: they are started, stopped and told who connects as if they were alone (W-1,
//! W-7).

use crate::support::*;
use eventloop::TestLoop;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::wrappers::{
    ConnectionLimits, ProtocolWrapper, ProxyHeader, ProxyProtocol, Throttle, TrafficLog,
    TrustedProxies, wrap,
};
use tulipa_transports::{
    Address, Bytes, ClientFactory, Connector, Factory, NetworkLoop, Server, SharedFactory,
    TimeoutProtocol, Transport, TransportExt,
};

/// Notes what it is told.
#[derive(Clone)]
struct Noting {
    told: Slot<Vec<String>>,
    panics: &'static str,
}

fn noting() -> (Noting, Slot<Vec<String>>) {
    let told: Slot<Vec<String>> = Slot::new();
    (Noting { told: told.clone(), panics: "never" }, told)
}

impl Noting {
    fn note(&self, what: &str) {
        assert!(what != self.panics, "{what} panics");
        self.told.update(|all| all.push(what.to_owned()));
    }
}

impl Factory for Noting {
    type Protocol = Hooks;
    fn start_factory(&mut self) {
        self.note("start");
    }
    fn build_protocol(&mut self, peer: &Address) -> Hooks {
        self.note(&peer.to_string());
        Hooks::new().made(|transport| {
            transport.write(b"hello");
        })
    }
    fn stop_factory(&mut self) {
        self.note("stop");
    }
}

struct Around;
impl ProtocolWrapper for Around {}

fn proxy() -> ProxyProtocol {
    ProxyProtocol::new(TrustedProxies::everybody())
}

fn serve(event_loop: &TestLoop, factory: impl Factory) -> Server {
    event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap()
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap()
}

fn end(event_loop: &TestLoop, server: &Server) {
    server.close();
    server.abort_clients();
    run_until(event_loop, || server.connection_count() == 0);
    event_loop.run_ready_now();
}

#[test]
fn w1_w7_a_factory_in_wrappers_is_started_told_who_connects_and_stopped() {
    let event_loop = TestLoop::new();
    let (factory, told) = noting();
    let limits = ConnectionLimits::new().total(10);
    let inside = wrap(|| Around, TrafficLog::new().to(|_| {}).wrap(factory));
    let limited = limits.wrap(Throttle::new().write(Bytes::mib(1)).wrap(inside));
    let server = serve(&event_loop, limited);
    assert_eq!(told.take(), ["start"]);
    let mut peer = connect(&server);
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.len() < 5), b"hello");
    assert_eq!(told.take(), [peer.local_addr().unwrap().to_string()]);
    server.close();
    assert_eq!(told.take(), ["stop"]);
    end(&event_loop, &server);
}

#[test]
fn w1_w7_behind_a_proxy_the_factory_is_told_the_client() {
    let event_loop = TestLoop::new();
    let (factory, told) = noting();
    let limits = ConnectionLimits::new().total(10);
    let server = serve(&event_loop, proxy().wrap_factory(limits.wrap(factory)));
    let client: SocketAddr = "192.0.2.7:50123".parse().unwrap();
    let mut passed_on = connect(&server);
    send(&mut passed_on, &ProxyHeader::new(client, client).to_v1());
    read_while(&event_loop, &mut passed_on, |all| all.len() < 5);
    assert_eq!(told.take(), ["start", "192.0.2.7:50123"]);
    // Without an address in the header, it is what it seems.
    let mut own = connect(&server);
    send(&mut own, &ProxyHeader::local().to_v2().unwrap());
    read_while(&event_loop, &mut own, |all| all.len() < 5);
    assert_eq!(told.take(), [own.local_addr().unwrap().to_string()]);
    end(&event_loop, &server);
    assert_eq!(told.take(), ["stop"]);
}

#[test]
fn w1_n24_a_factory_is_not_stopped_while_a_header_is_awaited() {
    let event_loop = TestLoop::new();
    let (factory, told) = noting();
    let server = serve(&event_loop, proxy().wrap_factory(factory));
    let (mut late, never) = (connect(&server), connect(&server));
    run_until(&event_loop, || server.connection_count() == 2);
    event_loop.run_ready_now();
    server.close();
    assert_eq!(told.take(), ["start"]);
    send(&mut late, &ProxyHeader::local().to_v1());
    read_while(&event_loop, &mut late, |all| all.len() < 5);
    assert_eq!(told.take(), [late.local_addr().unwrap().to_string()]);
    drop(never);
    run_until(&event_loop, || server.connection_count() == 1);
    event_loop.run_ready_now();
    assert_eq!(told.take(), ["stop"]);
    end(&event_loop, &server);
    assert!(told.take().is_empty());
}

#[test]
fn w1_w7_the_factory_for_those_who_are_too_many_lives_as_long_as_the_servers() {
    let event_loop = TestLoop::new();
    let (overflow, told) = noting();
    let limits = ConnectionLimits::new().total(0).overflow(1, overflow);
    let factory = SharedFactory::new(limits.wrap(Hooks::new));
    let first = serve(&event_loop, factory.clone());
    let second = serve(&event_loop, limits.wrap(Hooks::new));
    let mut peer = connect(&second);
    assert_eq!(read_while(&event_loop, &mut peer, |all| all.len() < 5), b"hello");
    assert_eq!(told.take(), ["start".to_owned(), peer.local_addr().unwrap().to_string()]);
    end(&event_loop, &first);
    assert!(told.take().is_empty());
    end(&event_loop, &second);
    assert_eq!(told.take(), ["stop"]);
}

impl ClientFactory for Noting {
    fn started_connecting(&mut self, _: &Connector) {
        self.note("connecting");
    }
    fn client_connection_lost(&mut self, _: &Connector, reason: Option<futures::Exception>) {
        self.note(if reason.is_some() { "failed" } else { "lost" });
    }
}

#[test]
fn w2_w7_a_factory_of_clients_in_wrappers_is_told_how_its_connections_come_and_go() {
    let event_loop = TestLoop::new();
    let server = serve(&event_loop, || Hooks::new().data(|transport, _| transport.close()));
    let (factory, told) = noting();
    let inside = wrap(|| Around, TrafficLog::new().to(|_| {}).wrap(factory));
    let limited = ConnectionLimits::new().total(1).wrap(inside);
    let address = server.addresses()[0].as_ip().unwrap();
    let connector = event_loop.create_connector(limited, address);
    run_until(&event_loop, || told.get().last().is_some_and(|last| last == "stop"));
    let expected = ["start", "connecting", &address.to_string(), "lost", "stop"];
    assert_eq!(told.take(), expected);
    drop(connector);
    end(&event_loop, &server);
}

#[test]
fn w7_w25_a_protocol_with_a_time_out_finds_itself_inside_of_wrappers() {
    let event_loop = TestLoop::new();
    let minute = Duration::from_secs(60);
    let factory = move || TimeoutProtocol::new(Hooks::echo(), minute);
    let limited = ConnectionLimits::new().wrap(TrafficLog::new().to(|_| {}).wrap(factory));
    let mut proxied = proxy().wrap_factory(wrap(|| Around, limited));
    let protocol = proxied.build_protocol(&Address::Unnamed);
    let pair = event_loop.memory_pair(Hooks::new(), protocol, MemoryOptions::default());
    pair.left.write(&ProxyHeader::local().to_v1());
    event_loop.advance(minute / 2);
    pair.left.write(b"tulip");
    event_loop.advance(minute * 3 / 4);
    assert!(!pair.right.is_closing());
    let limit = |timeout: &mut TimeoutProtocol<Hooks>, _: &dyn Transport| {
        timeout.set_timeout(Some(2 * minute))
    };
    assert_eq!(pair.right.with_protocol(limit), Ok(Some(minute)));
    event_loop.advance(minute);
    assert!(!pair.right.is_closing());
    event_loop.advance(minute);
    assert!(pair.right.is_closing());
    event_loop.run_until_idle();
}

#[test]
fn w1_r8_a_panic_in_start_factory_starts_nothing() {
    for panics_inside in [true, false] {
        let event_loop = TestLoop::new();
        let ((mut inside, told), (mut overflow, overflow_told)) = (noting(), noting());
        let panicking = if panics_inside { &mut inside } else { &mut overflow };
        panicking.panics = "start";
        let limits = ConnectionLimits::new().overflow(1, overflow);
        let server = event_loop.create_server(limits.wrap(inside), ("127.0.0.1", 0));
        assert!(server.exception().unwrap().is_some());
        let (stopped, untouched) =
            if panics_inside { (overflow_told, told) } else { (told, overflow_told) };
        assert!(untouched.take().is_empty());
        let balanced = if panics_inside { vec!["start", "stop"] } else { vec![] };
        assert_eq!(stopped.take(), balanced);
    }
}

#[test]
fn w1_r8_a_panic_in_stop_factory_is_reported() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (mut factory, told) = noting();
    factory.panics = "stop";
    let server = serve(&event_loop, proxy().wrap_factory(factory));
    let mut waiting = connect(&server);
    run_until(&event_loop, || server.connection_count() == 1);
    event_loop.run_ready_now();
    server.close();
    server.abort_clients();
    run_until(&event_loop, || server.connection_count() == 0);
    event_loop.run_ready_now();
    assert_eq!(errors.take().iter().map(panic_message).collect::<Vec<_>>(), ["stop panics"]);
    assert_eq!(told.take(), ["start"]);
    assert_ne!(waiting.read(&mut [0; 10]).ok(), Some(1));
}
