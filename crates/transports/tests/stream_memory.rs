//! What streams cost: allocations for each line, memory for waits that were given up.

mod counting;

use counting::{BYTES, allocations};
use eventloop::TestLoop;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use tulipa_transports::streams::{StreamLoop, StreamReader, StreamWriter};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};

/// Held by the test that counts.
static COUNTS: Mutex<()> = Mutex::new(());

#[test]
fn r4_a_line_through_streams_costs_two_allocations() {
    const LINES: usize = 100;
    let _counts = COUNTS.lock();
    let event_loop = TestLoop::new();
    let handler = async |mut reader: StreamReader, writer: StreamWriter| {
        loop {
            let line = reader.readline().await?;
            if line.is_empty() {
                return Ok::<(), futures::Exception>(());
            }
            writer.write(&line);
            writer.drain().await?;
        }
    };
    let server = event_loop.start_server(handler, ("127.0.0.1", 0)).result().unwrap();
    let mut peers = [TcpStream::connect(server.addresses()[0].as_ip().unwrap()).unwrap()];
    let mut answer = [0; 6];
    let mut exchange = |count| {
        for _ in 0..count {
            peers[0].write_all(b"tulip\n").unwrap();
            event_loop.run_ready_now();
            peers[0].read_exact(&mut answer).unwrap();
        }
    };
    exchange(10);
    let before = allocations();
    exchange(LINES);
    let each = (allocations() - before) / LINES;
    assert_eq!(each, 2, "the line, and the wait for it");
    server.abort_clients();
    server.close();
    event_loop.run_ready_now();
}

#[test]
fn r4_waits_that_were_given_up_are_not_kept() {
    const WAITS: usize = 1000;
    let _counts = COUNTS.lock();
    let event_loop = TestLoop::new();
    let server = event_loop.start_server(|_, _| (), ("127.0.0.1", 0));
    let server = server.result().unwrap();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    let (_reader, writer) = streams.left;
    streams.right.1.transport().pause_reading();
    writer.write(&[7; 1_000_000]);
    event_loop.run_ready_now();
    let give_up = |count| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..count {
            writer.transport().drained().cancel();
            assert!(writer.clone().poll_flush(&mut context).is_pending());
            server.wait_closed().cancel();
            event_loop.run_ready_now();
        }
    };
    give_up(10);
    let before = BYTES.load(Relaxed);
    give_up(WAITS);
    let kept = BYTES.load(Relaxed).saturating_sub(before);
    assert!(kept < 10 * WAITS, "{kept} bytes for {WAITS} waits");
    server.close();
    streams.pair.left.abort();
    streams.pair.right.abort();
    event_loop.run_ready_now();
}
