//! What happens when the process has no descriptors left (N-22). One test in a process of its own.

use eventloop::TestLoop;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{NetworkLoop, Protocol, Server, ServerOptions, Transport};

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }
}

fn server(event_loop: &TestLoop) -> (Server, SocketAddr) {
    let options = ServerOptions::from(("127.0.0.1", 0)).max_connections(usize::MAX);
    let server = event_loop.create_server(|| Echo, options).result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    (server, address)
}

/// Takes every descriptor that is left, but for `keep`.
fn exhaust(keep: usize) -> Vec<File> {
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - keep);
    taken
}

#[test]
fn n22_r3_out_of_descriptors_is_one_report_a_pause_and_a_recovery() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limits }).unwrap();
    let event_loop = TestLoop::new();
    let reports = Rc::new(Cell::new(0));
    let seen = reports.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        assert_eq!(context.message, "socket.accept() out of system resource");
        assert!(context.exception.is_some() && context.socket.is_some());
        seen.set(seen.get() + 1);
    })));
    let (server, address) = self::server(&event_loop);
    let mut living = TcpStream::connect(address).unwrap();
    event_loop.run_ready_now();

    let taken = exhaust(3);
    let mut waiting: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    event_loop.run_ready_now();
    assert_eq!(reports.get(), 1);
    let events = event_loop.stats().io_events;
    for _ in 0..20 {
        event_loop.run_ready().unwrap();
    }
    assert_eq!(event_loop.stats().io_events, events, "it spins");

    // The connection that is there is unharmed.
    let mut answer = [0; 1];
    living.write_all(b"x").unwrap();
    event_loop.run_ready_now();
    living.read_exact(&mut answer).unwrap();

    // Still none after a second: one more report. Then they are freed, and service resumes by itself.
    event_loop.advance(Duration::from_secs(1));
    assert_eq!(reports.get(), 2);
    drop(taken);
    event_loop.advance(Duration::from_secs(1));
    assert_eq!((reports.get(), server.connection_count()), (2, 4));
    for peer in &mut waiting {
        peer.write_all(b"y").unwrap();
        event_loop.run_ready_now();
        peer.read_exact(&mut answer).unwrap();
    }

    // A close in between cancels the retry.
    let taken = exhaust(1);
    let _more = TcpStream::connect(address).unwrap();
    event_loop.run_ready_now();
    assert_eq!(reports.get(), 3);
    server.close();
    server.abort_clients();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    assert!(event_loop.leftovers().is_empty(), "{:?}", event_loop.leftovers());
    event_loop.advance(Duration::from_secs(10));
    drop(taken);
    setrlimit(Resource::Nofile, limits).unwrap();
}
