//! Connections that are waited for, one after the other.

use crate::support::{at_most, block_on, run_until, run_until_all_closed, waiting};
use eventloop::{TestLoop, prelude::*};
use futures::InvalidStateError;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use tulipa_transports::streams::{StreamListener, listen, listen_unix};

fn listening(event_loop: &TestLoop) -> (StreamListener, u16) {
    let listener = block_on(event_loop, listen(("127.0.0.1", 0))).unwrap();
    let port = listener.server().addresses()[0].port().unwrap();
    (listener, port)
}

#[test]
fn y24_connections_can_be_waited_for_one_after_the_other() {
    let event_loop = TestLoop::new();
    let (mut listener, port) = listening(&event_loop);
    let accepting = waiting(&event_loop, async move {
        let mut ports = Vec::new();
        for _ in 0..3 {
            let (_, writer) = listener.accept().await.unwrap();
            ports.push(writer.extra_info().peername.unwrap().port().unwrap());
        }
        ports
    });
    let clients: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    run_until(&event_loop, || accepting.done());
    let ports: Vec<u16> =
        clients.iter().map(|client| client.local_addr().unwrap().port()).collect();
    assert_eq!(accepting.take().unwrap(), ports);
    run_until_all_closed(&event_loop);
}

#[test]
fn y4_y24_a_wait_that_is_cancelled_or_dropped_loses_no_connection() {
    let event_loop = TestLoop::new();
    let (mut listener, port) = listening(&event_loop);
    // Cancelled in the iteration in which the connection comes, which is when the future is done.
    let accepting = waiting(&event_loop, async move {
        assert!(at_most(1, listener.accept()).await.is_none());
        assert!(listener.accept().await.unwrap_err().is_cancelled());
        listener
    });
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let cancelled = accepting.clone();
    let stopper = event_loop.spawn(async move {
        while !format!("{cancelled:?}").contains("finished") {
            cancelled.cancel();
            futures::yield_now().await.unwrap();
        }
    });
    run_until(&event_loop, || stopper.done());
    let mut listener = accepting.take().unwrap();
    run_until(&event_loop, || listener.server().connection_count() == 1);
    let (_, writer) = block_on(&event_loop, async move { listener.accept().await }).unwrap();
    assert_eq!(
        writer.extra_info().peername.unwrap().port(),
        client.local_addr().ok().map(|a| a.port())
    );
    drop(writer);
    run_until_all_closed(&event_loop);
}

#[test]
fn y24_connections_that_nobody_accepts_wait_in_the_systems_queue() {
    let event_loop = TestLoop::new();
    let (mut listener, port) = listening(&event_loop);
    let clients: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    run_until(&event_loop, || listener.server().connection_count() >= 64);
    event_loop.run_ready_now();
    event_loop.run_ready_now();
    let taken = listener.server().connection_count();
    assert!(taken <= 128, "{taken}");
    let accepting = event_loop.spawn(async move {
        for _ in 0..300 {
            listener.accept().await.unwrap();
        }
    });
    run_until(&event_loop, || accepting.done());
    drop(clients);
    run_until_all_closed(&event_loop);
}

#[test]
fn y24_accepting_ends_with_the_server() {
    let event_loop = TestLoop::new();
    let (mut listener, port) = listening(&event_loop);
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    run_until(&event_loop, || listener.server().connection_count() == 1);
    event_loop.run_ready_now();
    let server = listener.server().clone();
    let accepting = waiting(&event_loop, async move {
        let first = listener.accept().await;
        (first.is_ok(), listener.accept().await.unwrap_err().is::<InvalidStateError>())
    });
    server.close();
    run_until(&event_loop, || accepting.done());
    assert_eq!(accepting.take().unwrap(), (true, true));
    run_until_all_closed(&event_loop);
}

#[test]
fn y24_dropping_a_listener_closes_what_nobody_accepted() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("listener");
    let mut listener = block_on(&event_loop, listen_unix(&*path)).unwrap();
    let _clients = [UnixStream::connect(&path).unwrap(), UnixStream::connect(&path).unwrap()];
    run_until(&event_loop, || listener.server().connection_count() == 2);
    event_loop.run_ready_now();
    let (listener, accepted) = block_on(&event_loop, async move {
        let accepted = listener.accept().await.unwrap();
        (listener, accepted)
    });
    let server = listener.server().clone();
    drop(listener);
    run_until(&event_loop, || server.connection_count() == 1);
    assert!(!server.is_serving() && !path.exists());
    drop(accepted);
    run_until_all_closed(&event_loop);
}
