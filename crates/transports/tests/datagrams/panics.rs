//! Panics in user code stay in their place (P-14, P-17, R-8).

use crate::support::*;
use eventloop::TestLoop;
use std::os::unix::net::UnixDatagram;
use tulipa_transports::{
    Address, DatagramOptions, DatagramProtocol, DatagramTransport, NetworkLoop, SendState,
};

#[test]
fn p3_p14_p17_r8_a_panic_in_a_method_ends_its_endpoint_and_is_reported() {
    let methods = [
        "connection_made",
        "datagram_received",
        "error_received",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ];
    for method in methods {
        let event_loop = TestLoop::new();
        let reports = collect_errors(&event_loop);
        let (other, other_address, other_log) = udp(&event_loop, Hooks::echo());
        let hooks = match method {
            "connection_made" => Hooks::new().made(|_| panic!("no")),
            "datagram_received" => Hooks::new().data(|_, _, _| panic!("no")),
            "error_received" => Hooks::new().error(|_, _| panic!("no")),
            "pause_writing" => Hooks::new().pause(|_| panic!("no")),
            "resume_writing" => Hooks::new().resume(|_| panic!("no")),
            _ => Hooks::new().lost(|_, _| panic!("no")),
        };
        let log = hooks.log();
        let (ours, peer) = UnixDatagram::pair().unwrap();
        peer.set_nonblocking(true).unwrap();
        let options = DatagramOptions::from(ours).write_buffer_limits(marks(0, 0));
        let opening = event_loop.create_datagram_endpoint(move || hooks, options);
        event_loop.run_ready_now();
        let opened = opening.result();
        assert_eq!(opened.is_err(), method == "connection_made");
        if let Ok(transport) = opened {
            match method {
                "datagram_received" => {
                    peer.send(b"1").unwrap();
                    peer.send(b"2").unwrap();
                }
                "error_received" => {
                    transport.send(&[0; 4 << 20]);
                }
                "pause_writing" | "resume_writing" => {
                    while transport.send(b"x") == SendState::Sent {}
                }
                _ => transport.close(),
            }
        }
        run_until(&event_loop, || {
            while method == "resume_writing" && peer.recv(&mut [0; 8]).is_ok() {}
            log.is_lost()
        });
        let seen = reports.take();
        assert_eq!(seen.len(), 1, "{method}: {seen:?}");
        assert_eq!(panic_message(&seen[0]), "no");
        assert_eq!(seen[0].message, format!("protocol.{method}() panicked"));
        assert!(seen[0].protocol.unwrap().contains("Hooks"));
        assert!(seen[0].transport.as_ref().unwrap().contains("Unix datagram endpoint"));
        if method != "connection_lost" {
            assert_eq!(log.reason().unwrap(), "panicked: no");
        }
        assert!(log.count("data") <= 1, "nothing is delivered after it");

        // The other endpoint does not notice.
        let (sender, _) = plain();
        sender.send_to(b"fine?", other_address).unwrap();
        run_until(&event_loop, || other_log.count("data") == 1);
        close(&event_loop, &other, &other_log);
        assert_eq!(event_loop.open_connections(), 0);
    }
}

#[test]
fn p17_r8_a_panic_in_the_protocols_destructor_stays_in_its_place() {
    struct Fragile;
    impl DatagramProtocol for Fragile {
        fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) {}
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("broken");
        }
    }
    let event_loop = TestLoop::new();
    let reports = collect_errors(&event_loop);
    let opening = event_loop.create_datagram_endpoint(|| Fragile, ("127.0.0.1", 0));
    let transport = event_loop.run_until_complete(&opening).unwrap();
    let ended = transport.wait_closed();
    transport.set_boxed_protocol(Box::new(Fragile));
    transport.close();
    event_loop.run_until_complete(&ended).unwrap();
    let reports = reports.take();
    assert_eq!(reports.iter().map(panic_message).collect::<Vec<_>>(), ["broken", "broken"]);
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn r8_a_panic_of_a_caller_from_outside_is_the_callers_own() {
    use tulipa_transports::DatagramTransportExt;
    let event_loop = TestLoop::new();
    let (transport, _, log) = udp(&event_loop, Hooks::new());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = transport.with_protocol(|_: &mut Hooks, _| panic!("mine"));
    }));
    assert!(outcome.is_err());
    assert!(transport.with_protocol(|_: &mut Hooks, _| ()).is_ok(), "it lives");
    close(&event_loop, &transport, &log);
}
