//! Panics in user code stay in their place (P-10, P-14, P-17, R-8).

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use tulipa_transports::testing::{LifeCycle, LifeCycleLog};
use tulipa_transports::{
    Buffered, BufferedProtocol, Eof, NetworkLoop, Protocol, Transport, WriteState,
};

/// Panics in the method of this name.
struct PanicIn(&'static str, [u8; 8]);

impl PanicIn {
    fn check(&self, method: &str) {
        assert!(self.0 != method, "panic in {method}");
    }
}

impl BufferedProtocol for PanicIn {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        self.check("get_buffer");
        &mut self.1
    }

    fn buffer_updated(&mut self, _: &dyn Transport, _: usize) {
        self.check("buffer_updated");
    }
}

impl Protocol for PanicIn {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {
        self.check("data_received");
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.check("eof_received");
        Eof::Close
    }

    fn pause_writing(&mut self, _: &dyn Transport) {
        self.check("pause_writing");
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.check("connection_lost");
    }
}

#[test]
fn p10_a_panic_in_connection_made_ends_that_connection_only() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let logs: Slot<Vec<LifeCycleLog>> = Slot::new();
    let made = logs.clone();
    let factory = move || {
        let first = made.get().is_empty();
        let hooks = Hooks::echo().made(move |_| assert!(!first, "the first one fails"));
        let (protocol, log) = hooks.recorded();
        made.update(|logs| logs.push(log));
        protocol
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    run_until(&event_loop, || logs.get().len() == 1 && logs.get()[0].is_lost());
    let mut second = std::net::TcpStream::connect(address).unwrap();
    send(&mut second, b"hi");
    assert_eq!(read_while(&event_loop, &mut second, |all| all.len() < 2), b"hi");
    let errors = errors.take();
    assert_eq!(errors.len(), 1);
    assert_eq!(panic_message(&errors[0]), "the first one fails");
    assert!(errors[0].protocol.is_some() && errors[0].transport.is_some());
    server.close();
    drop(second);
    run_until(&event_loop, || server.connection_count() == 0);
}

#[test]
fn p10_a_panic_in_connection_made_fails_the_creator() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (ours, _theirs) = tcp_sockets();
    let (protocol, log) = Hooks::new().made(|_| panic!("no")).recorded();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    let Err(exception) = event_loop.run_until_complete(&opening.map(|_| ()).or_else(|e| {
        let failed = futures::current().create_future();
        failed.set_exception(Exception::msg(e.to_string())).unwrap();
        failed
    })) else {
        panic!("it succeeded");
    };
    assert_eq!(exception.to_string(), "panicked: no");
    event_loop.run_ready_now();
    log.check_ended();
    assert_eq!(errors.take().len(), 1);
}

#[test]
fn p14_p15_p17_r8_a_panic_in_a_method_ends_its_connection_and_is_reported() {
    let methods = [
        "data_received",
        "eof_received",
        "pause_writing",
        "connection_lost",
        "get_buffer",
        "buffer_updated",
    ];
    for method in methods {
        let event_loop = TestLoop::new();
        let errors = collect_errors(&event_loop);
        let log = LifeCycleLog::default();
        let buffered = method.contains("buffer");
        let protocol: Box<dyn Protocol> = match buffered {
            true => Box::new(LifeCycle::with_log(Buffered(PanicIn(method, [0; 8])), log.clone())),
            false => Box::new(LifeCycle::with_log(PanicIn(method, [0; 8]), log.clone())),
        };
        let (ours, mut peer) = tcp_sockets();
        let opening = event_loop.connect_accepted_socket(move || protocol, ours);
        let transport = event_loop.run_until_complete(&opening).unwrap();
        let (other, other_log) = Hooks::echo().recorded();
        let (_other, mut other_peer) = tcp(&event_loop, other);

        match method {
            "pause_writing" => {
                transport.set_write_buffer_limits(marks(0, 0)).unwrap();
                while transport.write(&[0; 100_000]) == WriteState::Taken {}
            }
            "eof_received" => peer.shutdown(std::net::Shutdown::Write).unwrap(),
            "connection_lost" => transport.close(),
            _ => send(&mut peer, b"data"),
        }
        run_until(&event_loop, || log.is_lost());
        log.check_ended();
        let seen = errors.take();
        assert_eq!(seen.len(), 1, "{method}: {seen:?}");
        assert_eq!(panic_message(&seen[0]), format!("panic in {method}"));
        assert_eq!(seen[0].message, format!("protocol.{method}() panicked"));
        assert!(seen[0].protocol.unwrap().contains("PanicIn"));
        assert!(seen[0].transport.as_ref().unwrap().contains("TCP transport 127.0.0.1"));
        if method != "connection_lost" {
            assert_eq!(log.lost_reason(), Some(Some(format!("panicked: panic in {method}"))));
        }

        // The other connection does not notice.
        send(&mut other_peer, b"fine");
        assert_eq!(read_while(&event_loop, &mut other_peer, |all| all.len() < 4), b"fine");
        drop(other_peer);
        run_until(&event_loop, || other_log.is_lost());
    }
}

#[test]
fn p17_n33_after_a_panic_in_connection_lost_the_server_is_told() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let factory = || Hooks::new().lost(|_, _| panic!("never mind"));
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let peer = std::net::TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap();
    run_until(&event_loop, || server.connection_count() == 1);
    drop(peer);
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    assert_eq!(panic_message(&errors.take()[0]), "never mind");
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn p17_r8_a_panic_in_the_protocols_destructor_stays_in_its_place() {
    struct Fragile;
    impl Protocol for Fragile {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("broken");
        }
    }
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let factory = || Fragile;
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let peer = std::net::TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap();
    run_until(&event_loop, || server.connection_count() == 1);
    drop(peer);
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    let errors = errors.take();
    assert_eq!(panic_message(&errors[0]), "broken");
    assert!(errors[0].protocol.unwrap().contains("Fragile"));
    assert_eq!(event_loop.open_connections(), 0);
}
