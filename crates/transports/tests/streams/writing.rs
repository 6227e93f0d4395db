//! Writing (X-14…X-19).

use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{LifeCycleLog, MemoryLoop, MemoryOptions};
use tulipa_transports::{Bytes, NetworkLoop, WriteRefusal, WriteState};

#[test]
fn x14_writes_keep_order_and_do_not_keep_the_callers_buffer() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    let mut buffer = *b"first ";
    assert_eq!(transport.write(&buffer), WriteState::Taken);
    buffer.copy_from_slice(b"second");
    assert_eq!(transport.write(b""), WriteState::Taken);
    transport.write(&buffer);
    transport.write_vec(b" third".to_vec());
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"first second third");
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x15_d8_small_writes_of_one_turn_leave_together() {
    let event_loop = TestLoop::new();
    let (left, _) = Hooks::new().recorded();
    let (right, right_log) = Hooks::new().recorded();
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
    event_loop.run_ready_now();
    for _ in 0..100 {
        pair.left.write(b"tulip");
    }
    assert_eq!(pair.left.get_write_buffer_size(), Bytes(500));
    assert_eq!(event_loop.output_total(), Bytes(500));
    event_loop.run_ready_now();
    assert_eq!(pair.left.get_write_buffer_size(), Bytes(0));
    let data = tulipa_transports::testing::ProtocolCall::DataReceived(500);
    assert_eq!(right_log.calls()[1..], [data]);
    pair.left.close();
    event_loop.run_ready_now();
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn x15_d8_a_write_over_the_high_mark_is_sent_at_once_with_what_waited() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    transport.write(b"small, ");
    assert_eq!(transport.get_write_buffer_size(), Bytes(7));
    let large = pattern(70_000);
    assert_eq!(transport.write(&large), WriteState::Taken);
    assert_eq!(transport.get_write_buffer_size(), Bytes(0), "the system took it all");
    transport.close();
    let received = read_to_end(&event_loop, &mut peer);
    assert!(received == [b"small, ", &large[..]].concat());
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x15_a_large_write_is_sent_at_once_with_what_waited() {
    const LARGE: usize = 16 * 1024;
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    let data = pattern(3 * LARGE);
    transport.write(&data[..LARGE - 1]);
    assert_eq!(transport.get_write_buffer_size(), Bytes(LARGE - 1), "to be sent with others");
    assert_eq!(transport.write(&data[LARGE - 1..2 * LARGE - 1]), WriteState::Taken);
    assert_eq!(transport.get_write_buffer_size(), Bytes(0), "the system took it all");
    transport.writelines(&[&data[2 * LARGE - 1..2 * LARGE], &data[2 * LARGE..]]);
    assert_eq!(transport.get_write_buffer_size(), Bytes(0));
    transport.close();
    assert!(read_to_end(&event_loop, &mut peer) == data);
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x16_writelines_is_one_write_of_all_parts_joined() {
    for size in [0, 1, 10, 500, 4000] {
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
        let data = pattern(size * 100);
        // More parts than one call of the system takes, and empty ones in between.
        let parts: Vec<&[u8]> = data.chunks(50).flat_map(|part| [part, &b""[..]]).collect();
        transport.write(b"<");
        transport.writelines(&parts);
        transport.write(b">");
        transport.close();
        let received = read_to_end(&event_loop, &mut peer);
        assert!(received == [b"<", &data[..], b">"].concat(), "{size}");
        run_until(&event_loop, || log.is_lost());
        assert_eq!(
            transport.writelines(&[b"late"]),
            WriteState::Refused(WriteRefusal::Closed),
            "as write does after the end"
        );
    }
}

#[test]
fn x16_r4_every_way_to_write_is_counted_alike() {
    let event_loop = TestLoop::new();
    let mut sizes = Vec::new();
    let mut logs = Vec::new();
    for way in 0..3 {
        let (left, left_log) = Hooks::new().recorded();
        let (right, right_log) = Hooks::new().recorded();
        let stuck = MemoryOptions::default().capacity(Bytes(10));
        let pair = event_loop.memory_pair(left, right, stuck);
        pair.right.pause_reading();
        event_loop.run_ready_now();
        let data = pattern(100_000);
        let state = match way {
            0 => pair.left.write(&data),
            1 => pair.left.write_vec(data),
            _ => pair.left.writelines(&data.chunks(333).collect::<Vec<_>>()),
        };
        assert_eq!(state, WriteState::OverHighMark);
        event_loop.run_ready_now();
        assert!(left_log.is_paused());
        sizes.push(pair.left.get_write_buffer_size());
        pair.left.abort();
        pair.right.abort();
        logs.extend([left_log, right_log]);
    }
    assert_eq!(sizes, [Bytes(99_990); 3]);
    event_loop.run_ready_now();
    logs.iter().for_each(LifeCycleLog::check_ended);
}

#[test]
fn x17_partial_sends_continue_with_exactly_the_rest() {
    for capacity in [1, 7, 1000] {
        let event_loop = TestLoop::new();
        let (left, left_log) = Hooks::new().recorded();
        let (right, right_log) = Hooks::new().recorded();
        let options = MemoryOptions::default().capacity(Bytes(capacity)).trouble(capacity as u64);
        let pair = event_loop.memory_pair(left, right, options);
        let data = pattern(5000);
        for chunk in data.chunks(113) {
            pair.left.write(chunk);
        }
        pair.left.close();
        event_loop.run_until_idle();
        left_log.check_ended();
        right_log.check_ended();
        assert_eq!(right_log.checksum(), LifeCycleLog::checksum_of(&data));
    }
}

#[test]
fn x18_writing_after_write_eof_is_refused() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    transport.write(b"all");
    transport.write_eof();
    let refused = transport.write(b"more");
    assert_eq!(refused, WriteState::Refused(WriteRefusal::AfterEof));
    assert_eq!(refused.into_result().unwrap_err().to_string(), "write after write_eof");
    assert_eq!(read_to_end(&event_loop, &mut peer), b"all");
    transport.close();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn x19_writes_after_the_end_are_dropped_and_counted() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = tcp(&event_loop, protocol);
    transport.close();
    for _ in 0..3 {
        assert!(!transport.write(b"x").is_taken());
    }
    assert_eq!(transport.dropped_writes(), 3);
    event_loop.run_ready_now();
    for _ in 0..3 {
        assert!(!transport.write_vec(b"x".to_vec()).is_taken());
    }
    assert_eq!(transport.dropped_writes(), 6);
    log.check_ended();
}

#[test]
fn x19_while_a_closed_transport_still_sends_it_takes_more() {
    let event_loop = TestLoop::new();
    let hooks = Hooks::new().resume(|transport| {
        assert!(transport.is_closing());
        assert!(transport.write(b"!").is_taken());
    });
    let (protocol, log) = hooks.recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    let data = pattern(3_000_000);
    transport.write(&data);
    event_loop.run_ready_now();
    assert!(log.is_paused());
    transport.close();
    let received = read_to_end(&event_loop, &mut peer);
    assert_eq!(received.len(), data.len() + 1);
    assert_eq!(received.last(), Some(&b'!'));
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x15_drained_is_done_when_all_is_sent_and_fails_if_the_connection_is_lost() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    event_loop.run_until_complete(&transport.drained()).unwrap();
    transport.write(&pattern(1_000_000));
    let drained = transport.drained();
    event_loop.run_ready_now();
    assert!(!drained.done());
    read_while(&event_loop, &mut peer, |all| all.len() < 1_000_000);
    run_until(&event_loop, || drained.done());
    drained.result().unwrap();

    transport.write(&pattern(5_000_000));
    let failed = transport.drained();
    transport.abort();
    assert!(event_loop.run_until_complete(&failed).is_err());
    event_loop.run_ready_now();
    assert!(event_loop.run_until_complete(&transport.drained()).is_err());
    log.check_ended();
}
