//! What a connection costs: memory while it is idle, allocations while it works.
//!
//! One test in a process of its own, since it counts every allocation.

mod counting;

use counting::{BYTES, allocations};
use eventloop::TestLoop;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use tulipa_transports::{NetworkLoop, Protocol, Transport};

/// An echo with a word of state, so that its box is not free.
struct Echo {
    received: usize,
}

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.received += data.len();
        transport.write(data);
    }
}

fn exchange(event_loop: &TestLoop, peers: &mut [TcpStream]) {
    let mut answer = [0; 5];
    for peer in peers {
        peer.write_all(b"tulip").unwrap();
        event_loop.run_ready_now();
        peer.read_exact(&mut answer).unwrap();
    }
}

#[test]
fn r4_an_idle_connection_costs_at_most_192_bytes_and_a_request_no_allocation() {
    const CONNECTIONS: usize = 1000;
    let event_loop = TestLoop::new();
    let server = event_loop.create_server(|| Echo { received: 0 }, ("127.0.0.1", 0));
    let server = server.result().unwrap();
    let address = server.addresses()[0].as_ip().unwrap();
    let mut peers = Vec::with_capacity(CONNECTIONS + 1);
    // The first one makes what all share.
    peers.push(TcpStream::connect(address).unwrap());
    exchange(&event_loop, &mut peers);
    let before = BYTES.load(Relaxed);
    for _ in 0..CONNECTIONS {
        peers.push(TcpStream::connect(address).unwrap());
        event_loop.run_ready_now();
    }
    exchange(&event_loop, &mut peers);
    assert_eq!(server.connection_count(), CONNECTIONS + 1);
    let each = (BYTES.load(Relaxed) - before).div_ceil(CONNECTIONS);
    println!("an idle connection costs {each} bytes, its protocol's box of 8 included");
    assert!(each <= 192, "{each} bytes");

    let before = allocations();
    for _ in 0..10 {
        exchange(&event_loop, &mut peers[..10]);
    }
    assert_eq!(allocations() - before, 0, "allocations in 100 requests");

    drop(peers);
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}
