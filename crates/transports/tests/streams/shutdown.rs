//! Shutting a server down in good order.

use crate::support::*;
use eventloop::TestLoop;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tulipa_transports::NetworkLoop;
use tulipa_transports::testing::{LifeCycleLog, ProtocolCall};

const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn r14_n24_shutdown_asks_drains_cuts_off_and_counts() {
    let event_loop = TestLoop::new();
    let logs: Slot<Vec<LifeCycleLog>> = Slot::new();
    let made = logs.clone();
    // The first closes by default, the second says goodbye first, the third ignores the request, the
    // fourth has more to send than its peer takes, the fifth's peer has ended its direction.
    let mut kind = 0;
    let factory = move || {
        kind += 1;
        let hooks = match kind {
            2 => Hooks::new().shutdown(|transport| {
                transport.write(b"goodbye");
                transport.close();
            }),
            3 => Hooks::new().shutdown(|_| {}),
            4 => Hooks::new().made(|transport| {
                transport.write(&pattern(15_000_000));
            }),
            5 => Hooks::new().keep_open(),
            _ => Hooks::new(),
        };
        let (protocol, log) = hooks.recorded();
        made.update(|logs| logs.push(log));
        protocol
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let mut peers = Vec::new();
    for count in 1..=5 {
        peers.push(TcpStream::connect(address).unwrap());
        run_until(&event_loop, || logs.get().len() == count);
    }
    peers[4].shutdown(Shutdown::Write).unwrap();
    run_until(&event_loop, || logs.get()[4].calls().contains(&ProtocolCall::EofReceived));

    let gone = server.shutdown(DEADLINE);
    event_loop.run_ready_now();
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(read_to_end(&event_loop, &mut peers[1]), b"goodbye");
    assert_eq!(server.connection_count(), 2);
    event_loop.advance(DEADLINE - Duration::from_millis(1));
    assert!(!gone.done());
    event_loop.advance(Duration::from_millis(1));
    let report = gone.result().expect("done at the deadline");
    assert_eq!((report.drained, report.aborted), (3, 2));
    for (index, log) in logs.get().iter().enumerate() {
        log.check_ended();
        let reason = log.lost_reason().unwrap();
        assert_eq!(reason.is_some(), [2, 3].contains(&index), "{index}: {reason:?}");
        assert!(log.calls().contains(&ProtocolCall::ShutdownRequested));
    }
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn r14_shutdown_without_connections_is_done_at_once_and_may_be_repeated() {
    let event_loop = TestLoop::new();
    let server = event_loop.create_server(Hooks::new, ("127.0.0.1", 0)).result().unwrap();
    for _ in 0..2 {
        let gone = server.shutdown(DEADLINE);
        assert!(gone.done());
        assert_eq!(gone.result().unwrap().drained, 0);
    }
    assert!(event_loop.leftovers().iter().all(|left| !left.to_string().contains("timer")));
    event_loop.run_ready_now();
}

#[test]
fn r14_shutdown_from_inside_a_protocol_reaches_that_protocol_too() {
    let event_loop = TestLoop::new();
    let own: Slot<Option<tulipa_transports::Server>> = Slot::new();
    let in_hook = own.clone();
    let hooks = Hooks::new().data(move |_, _| {
        drop(in_hook.take().unwrap().shutdown(DEADLINE));
    });
    let (protocol, log) = hooks.recorded();
    let mut protocol = Some(protocol);
    let server = event_loop.create_server(move || protocol.take(), ("127.0.0.1", 0));
    let server = server.result().unwrap();
    own.set(Some(server.clone()));
    let mut peer = TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap();
    send(&mut peer, b"stop");
    assert_eq!(read_to_end(&event_loop, &mut peer), b"");
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    assert_eq!(
        log.calls()[2..],
        [ProtocolCall::ShutdownRequested, ProtocolCall::ConnectionLost(None)]
    );
    event_loop.advance(DEADLINE);
}

#[test]
fn n26_r14_a_factory_may_shut_its_own_server_down() {
    let event_loop = TestLoop::new();
    let own: Slot<Option<tulipa_transports::Server>> = Slot::new();
    let reports = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (server_in_factory, reports_in_factory) = (own.clone(), reports.clone());
    let asked = Slot::new();
    let asked_in_protocol = asked.clone();
    let factory = move || {
        let server = server_in_factory.take().unwrap();
        reports_in_factory.borrow_mut().push(server.shutdown(Duration::from_secs(5)));
        let asked = asked_in_protocol.clone();
        Hooks::new().shutdown(move |transport| {
            asked.set(true);
            transport.close();
        })
    };
    let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result().unwrap();
    own.set(Some(server.clone()));
    let address = server.addresses()[0].as_ip().unwrap();
    let _peer = TcpStream::connect(address).unwrap();
    run_until(&event_loop, || !reports.borrow().is_empty());
    let report = reports.borrow()[0].clone();
    event_loop.run_until_complete(&report).unwrap();
    assert!(asked.get(), "the connection that was just coming was asked too");
    assert_eq!(server.connection_count(), 0);
}
