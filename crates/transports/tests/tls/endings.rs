//! How encrypted connections end, and how much they hold (X-26, X-47…X-52).

use crate::kit::*;
use crate::support::*;
use eventloop::TestLoop;
use std::io::ErrorKind;
use std::time::Duration;
use tulipa_transports::testing::{MemoryOptions, MemoryTlsLoop, ProtocolCall};
use tulipa_transports::tls::Truncation;
use tulipa_transports::{
    Buffered, BufferedProtocol, Bytes, Eof, Transport, WriteRefusal, WriteState,
};

#[test]
fn x47_x49_a_close_sends_all_says_goodbye_and_delivers_nothing_more() {
    let event_loop = TestLoop::new();
    // It goes on talking when it is told of the end.
    let right = Hooks::new().eof(|transport| {
        transport.write(&pattern(100_000));
        Eof::KeepOpen // it cannot be
    });
    let (recorded, left, right) = connect(&event_loop, Hooks::new(), right);
    let data = pattern(500_000);
    left.write(&data);
    left.close();
    assert!(left.is_closing());
    right.write(b"not delivered");
    event_loop.run_until_idle();
    assert_eq!(recorded.left.bytes(), 0);
    assert_eq!(recorded.left.lost_reason(), Some(None));
    assert_eq!(recorded.right.bytes(), 500_000);
    assert_eq!(recorded.right.lost_reason(), Some(None));
    for transport in [&left, &right] {
        assert_eq!(transport.write(b"late"), WriteState::Refused(WriteRefusal::Closed));
        assert_eq!(transport.dropped_writes(), 1);
    }
    recorded.finish(&event_loop);
}

#[test]
fn x45_x47_a_peer_that_never_says_goodbye_is_waited_for_so_long() {
    let event_loop = TestLoop::new();
    let (recorded, left, right) = connect(&event_loop, Hooks::new(), Hooks::new());
    right.pause_reading();
    left.write(b"tulip");
    let before = event_loop.time();
    left.close();
    event_loop.run_ready_now();
    assert_eq!(recorded.left.lost_reason(), None, "it waits");
    event_loop.run_until_idle();
    assert_eq!(event_loop.time() - before, Duration::from_secs(10));
    let reason = recorded.left.lost_reason().flatten().expect("an error");
    assert!(reason.contains("shutdown"), "{reason}");
    right.resume_reading();
    recorded.finish(&event_loop);
    assert_eq!(recorded.right.bytes(), 5, "it was said before");
    assert_eq!(recorded.right.lost_reason(), Some(None), "and so was the goodbye");
}

#[test]
fn x4_x47_an_abort_cuts_at_once_also_while_goodbyes_are_exchanged() {
    let event_loop = TestLoop::new();
    let (recorded, left, right) = connect(&event_loop, Hooks::new(), Hooks::new());
    right.pause_reading();
    left.close();
    event_loop.run_ready_now();
    left.abort();
    event_loop.run_ready_now();
    assert_eq!(recorded.left.lost_reason(), Some(None));
    right.resume_reading();
    recorded.finish(&event_loop);
}

#[test]
fn x48_r13_a_stream_that_is_cut_is_an_error_unless_the_protocol_knows_better() {
    for truncation in [Truncation::IsError, Truncation::IsEnd] {
        let event_loop = TestLoop::new();
        let (client, server) = configs();
        let (client, server) = (client.truncation(truncation), server.truncation(truncation));
        let (left, log) = Hooks::new().recorded();
        let options = MemoryOptions::default();
        let pair = event_loop.memory_tls_pair(left, (client, NAME), Hooks::new(), server, options);
        event_loop.run_until_complete(&pair.left).unwrap();
        let right = event_loop.run_until_complete(&pair.right).unwrap();
        right.write(b"tulip");
        event_loop.run_ready_now();
        right.abort();
        event_loop.run_until_idle();
        assert_eq!(log.bytes(), 5);
        let ended = log.calls().contains(&ProtocolCall::EofReceived);
        assert_eq!(ended, truncation == Truncation::IsEnd);
        match log.lost_reason().unwrap() {
            Some(reason) => {
                assert_eq!(truncation, Truncation::IsError);
                assert!(reason.contains("without a goodbye"), "{reason}");
            }
            None => assert_eq!(truncation, Truncation::IsEnd),
        }
        check_empty(&event_loop);
    }
}

#[test]
fn x48_x50_a_cut_that_comes_during_a_pause_waits_for_what_was_sent_before() {
    let event_loop = TestLoop::new();
    let kind: Slot<Option<ErrorKind>> = Slot::new();
    let seen = kind.clone();
    let left = Hooks::new().lost(move |_, reason| seen.set(reason.and_then(|r| r.io_kind())));
    let (recorded, left, right) = connect(&event_loop, left, Hooks::new());
    left.pause_reading();
    right.write(&pattern(3000));
    event_loop.run_ready_now();
    right.abort();
    event_loop.run_until_idle();
    assert_eq!((recorded.left.bytes(), recorded.left.is_lost()), (0, false));
    left.resume_reading();
    assert_eq!(recorded.left.bytes(), 0, "in a turn of its own");
    event_loop.run_until_idle();
    assert_eq!(recorded.left.bytes(), 3000);
    assert_eq!(kind.get(), Some(ErrorKind::UnexpectedEof));
    recorded.finish(&event_loop);
}

#[test]
fn x50_what_is_decrypted_already_is_held_back_by_a_pause() {
    let event_loop = TestLoop::new();
    let hooks = Hooks::new().data(|transport, _| transport.pause_reading());
    let (recorded, left, right) = connect(&event_loop, hooks, Hooks::new());
    for _ in 0..3 {
        right.write(&pattern(60_000)); // each is sent by itself
        event_loop.run_ready_now();
    }
    let first = recorded.left.bytes();
    assert!((1..180_000).contains(&first), "{first}");
    for _ in 0..100 {
        if recorded.left.bytes() == 180_000 {
            break;
        }
        let before = recorded.left.bytes();
        left.resume_reading();
        assert_eq!(recorded.left.bytes(), before);
        event_loop.run_ready_now();
    }
    assert_eq!(recorded.left.bytes(), 180_000);
    left.close();
    left.resume_reading();
    recorded.finish(&event_loop);
}

#[test]
fn x26_the_marks_count_plain_and_cipher_text_and_a_reader_that_pauses_stops_the_writer() {
    let event_loop = TestLoop::new();
    let (recorded, left, right) = connect(&event_loop, Hooks::new(), Hooks::new());
    right.pause_reading();
    let mut written = 0;
    while left.get_write_buffer_size() < Bytes::mib(1) {
        assert!(left.write(&pattern(50_000)).is_taken());
        event_loop.run_ready_now();
        written += 50_000;
        assert!(written < 4_000_000, "nobody stops it");
    }
    assert!(recorded.left.is_paused());
    // What neither the wire nor the reader's side holds waits here, plain or encrypted.
    let waiting = left.get_write_buffer_size().0;
    assert!(written - waiting < 256 * 1024 + 64 * 1024 + 64 * 1024, "{written} {waiting}");
    let drained = left.drained();
    event_loop.run_ready_now();
    assert!(!drained.done());
    right.resume_reading();
    event_loop.run_ready_now();
    assert!(drained.done() && !recorded.left.is_paused());
    assert_eq!(left.get_write_buffer_size(), Bytes(0));
    assert_eq!(recorded.right.bytes(), written as u64);
    left.close();
    recorded.finish(&event_loop);
}

#[test]
fn x26_x14_drained_waits_for_cipher_text_below() {
    let event_loop = TestLoop::new();
    let (recorded, left, right) = connect(&event_loop, Hooks::new(), Hooks::new());
    recorded.below().set_capacity(Bytes(0));
    left.write(b"tulip");
    event_loop.run_ready_now();
    assert!(left.get_write_buffer_size() > Bytes(5), "it is encrypted, and waits below");
    let drained = left.drained();
    event_loop.run_ready_now();
    assert!(!drained.done());
    recorded.below().set_capacity(Bytes::kib(64));
    event_loop.run_ready_now();
    assert!(drained.result().is_ok());
    recorded.below().set_capacity(Bytes(0));
    left.write(b"more");
    event_loop.run_ready_now();
    let failing = left.drained();
    left.abort();
    event_loop.run_ready_now();
    assert!(failing.result().is_err());
    right.abort();
    recorded.finish(&event_loop);
}

#[test]
fn x32_x48_a_reset_below_is_the_reason() {
    let event_loop = TestLoop::new();
    let (recorded, left, _right) = connect(&event_loop, Hooks::new(), Hooks::new());
    left.write(b"tulip");
    recorded.below().reset();
    event_loop.run_until_idle();
    for log in [&recorded.left, &recorded.right] {
        let reason = log.lost_reason().flatten().expect("an error");
        assert!(reason.contains("reset") || reason.contains("pipe"), "{reason}");
    }
    recorded.finish(&event_loop);
}

#[test]
fn x47_a_server_that_comes_to_its_end_says_goodbye() {
    let event_loop = TestLoop::new();
    let (recorded, _left, _right) = connect(&event_loop, Hooks::new(), Hooks::new());
    recorded.below().request_shutdown_of_left();
    event_loop.run_until_idle();
    assert!(recorded.left.calls().contains(&ProtocolCall::ShutdownRequested));
    assert_eq!(recorded.right.lost_reason(), Some(None));
    recorded.finish(&event_loop);
}

/// Takes a few bytes at a time.
struct Sips {
    buffer: [u8; 64],
    total: Slot<Vec<u8>>,
}

impl BufferedProtocol for Sips {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        self.total.update(|all| all.extend_from_slice(&self.buffer[..count]));
    }
}

#[test]
fn x26_x50_a_reader_that_takes_little_at_a_time_gets_all_of_it() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let total: Slot<Vec<u8>> = Slot::new();
    let right = Buffered(Sips { buffer: [0; 64], total: total.clone() });
    let options = MemoryOptions::default().capacity(Bytes::mib(2));
    let pair = event_loop.memory_tls_pair(Hooks::new(), (client, NAME), right, server, options);
    let left = event_loop.run_until_complete(&pair.left).unwrap();
    let data = pattern(3_000_000);
    left.write(&data);
    left.close();
    event_loop.run_until_idle();
    assert!(total.take() == data);
    check_empty(&event_loop);
}

#[test]
fn x45_x47_a_peer_that_takes_a_byte_now_and_then_does_not_hold_a_close_for_ever() {
    let event_loop = TestLoop::new();
    let (recorded, left, right) = connect(&event_loop, Hooks::new(), Hooks::new());
    right.pause_reading();
    event_loop.run_ready_now();
    left.write(&pattern(100_000));
    left.close();
    event_loop.run_ready_now();
    let mut capacity = 64 * 1024;
    for _ in 0..100 {
        event_loop.advance(Duration::from_secs(9));
        capacity += 1;
        recorded.below().set_capacity(Bytes(capacity));
        event_loop.run_ready_now();
    }
    assert!(recorded.left.is_lost());
    right.abort();
    recorded.finish(&event_loop);
}

#[test]
fn x47_a_peer_that_is_slow_but_goes_on_gets_all_of_it() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let client = client.shutdown_timeout(Duration::from_millis(100));
    let ((left, left_log), (right, right_log)) = (Hooks::new().recorded(), Hooks::new().recorded());
    let options = MemoryOptions::default();
    let pair = event_loop.memory_tls_pair(left, (client, NAME), right, server, options);
    let left = event_loop.run_until_complete(&pair.left).unwrap();
    let right = event_loop.run_until_complete(&pair.right).unwrap();
    right.pause_reading();
    event_loop.run_ready_now();
    let mut capacity = 0;
    pair.pair.set_capacity(Bytes(capacity));
    left.write(&pattern(5000));
    left.close();
    event_loop.run_ready_now();
    while left.get_write_buffer_size() > Bytes(0) {
        event_loop.advance(Duration::from_millis(90));
        capacity += 100;
        pair.pair.set_capacity(Bytes(capacity));
        event_loop.run_ready_now();
    }
    right.resume_reading();
    event_loop.run_ready_now();
    for log in [&left_log, &right_log] {
        assert_eq!(log.lost_reason(), Some(None));
    }
    assert_eq!(right_log.bytes(), 5000);
    check_empty(&event_loop);
}
