//! Pausing and resuming the transport under a reader.

use crate::support::{block_on, now, run_until_all_closed, waiting};
use eventloop::TestLoop;
use tulipa_transports::streams::{StreamReader, StreamReaderProtocol, StreamWriter};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, RecordingTransport, Request};
use tulipa_transports::{Bytes, Protocol, Transport};

/// A reader with a limit of ten, its protocol, and the transport that notes what it is asked.
fn recorded() -> (StreamReader, StreamReaderProtocol, RecordingTransport) {
    let reader = StreamReader::new(Bytes(10)).unwrap();
    let mut protocol = StreamReaderProtocol::new(&reader);
    let transport = RecordingTransport::new();
    protocol.connection_made(&transport);
    (reader, protocol, transport)
}

#[test]
fn y6_reading_is_paused_above_twice_the_limit_and_resumed_at_the_limit() {
    let (mut reader, mut protocol, transport) = recorded();
    protocol.data_received(&transport, &[7; 20]);
    assert_eq!(transport.take_requests(), []);
    protocol.data_received(&transport, &[7]);
    assert_eq!(transport.take_requests(), [Request::PauseReading]);
    protocol.data_received(&transport, &[7]);
    assert_eq!(transport.take_requests(), [], "it is paused already");
    assert_eq!(now(reader.read(11)).unwrap().len(), 11);
    assert_eq!(transport.take_requests(), []);
    assert_eq!(now(reader.read(1)).unwrap().len(), 1);
    assert_eq!(transport.take_requests(), [Request::ResumeReading], "ten are left");
    assert_eq!(now(reader.read(10)).unwrap().len(), 10);
    assert_eq!(transport.take_requests(), []);
}

#[test]
fn y6_bytes_that_the_reader_has_only_looked_at_count_as_well() {
    let (mut reader, mut protocol, transport) = recorded();
    protocol.data_received(&transport, &[7; 11]);
    assert_eq!(now(reader.fill_buf()).unwrap().len(), 11);
    protocol.data_received(&transport, &[7; 10]);
    assert_eq!(transport.take_requests(), [Request::PauseReading]);
    reader.consume(11);
    assert_eq!(transport.take_requests(), [Request::ResumeReading]);
}

#[test]
fn y6_who_has_to_wait_resumes_reading_so_that_more_than_the_limit_can_be_asked_for() {
    let event_loop = TestLoop::new();
    let (mut reader, mut protocol, transport) = recorded();
    let reading = waiting(&event_loop, async move { reader.readexactly(70).await });
    for _ in 0..3 {
        protocol.data_received(&transport, &[7; 21]);
        assert_eq!(transport.take_requests(), [Request::PauseReading]);
        event_loop.run_ready_now();
        assert_eq!(transport.take_requests(), [Request::ResumeReading]);
    }
    protocol.data_received(&transport, &[7; 7]);
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap().unwrap(), [7; 70]);
    protocol.connection_lost(&transport, None);
}

#[test]
fn y6_without_a_reader_nothing_is_paused() {
    let (reader, mut protocol, transport) = recorded();
    protocol.data_received(&transport, &[7; 21]);
    drop(reader);
    assert_eq!(transport.take_requests(), [Request::PauseReading, Request::ResumeReading]);
    protocol.data_received(&transport, &[7; 100]);
    assert_eq!(transport.take_requests(), []);
}

/// Sends a lot, then closes.
struct Flood(usize);
impl Protocol for Flood {
    fn connection_made(&mut self, transport: &dyn Transport) {
        for index in 0..self.0 {
            transport.write(&[(index % 251) as u8; 1000]);
        }
        transport.close();
    }
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

#[test]
fn y6_a_reader_that_is_slow_holds_no_more_than_its_bounds() {
    let event_loop = TestLoop::new();
    let reader = StreamReader::new(Bytes(500)).unwrap();
    let options = MemoryOptions::default().capacity(Bytes(700));
    let pair = event_loop.memory_pair(StreamReaderProtocol::new(&reader), Flood(300), options);
    let writer = StreamWriter::new(pair.left.clone(), &reader);
    event_loop.run_ready_now();
    assert!(!pair.left.is_reading(), "it is paused");
    let mut reader = reader;
    let total = block_on(&event_loop, async move {
        let mut total = 0;
        loop {
            // Whatever is there: never more than twice the limit, and one read of the transport.
            let size = reader.fill_buf().await.unwrap().len();
            assert!(size <= 1000 + 700, "{size}");
            if size == 0 {
                return total;
            }
            reader.consume(1.max(size / 2));
            total += 1.max(size / 2);
            futures::yield_now().await.unwrap();
        }
    });
    assert_eq!(total, 300_000);
    drop(writer);
    run_until_all_closed(&event_loop);
}
