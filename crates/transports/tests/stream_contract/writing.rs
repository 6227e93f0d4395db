//! Writing (X-14…X-19).

use crate::kinds::{LARGE, each, finish};
use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::LifeCycleLog;
use tulipa_transports::{Bytes, WriteRefusal, WriteState};

#[test]
fn x14_x16_every_way_to_write_keeps_the_order_and_not_the_buffer() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        let mut expected = Vec::new();
        for round in 0..40u8 {
            let size = usize::from(round) * 997 % 30_000;
            let mut data = vec![round; size];
            expected.extend_from_slice(&data);
            match round % 3 {
                0 => drop(pair.left.write(&data)),
                1 => drop(pair.left.write_vec(data.clone())),
                _ => {
                    let (first, rest) = data.split_at(size / 3);
                    pair.left.writelines(&[first, b"", rest]);
                }
            }
            data.fill(255); // ours again
            if round % 7 == 0 {
                event_loop.run_ready_now();
            }
        }
        pair.left.write(b"");
        pair.left.writelines(&[]);
        pair.left.writelines(&[b"", b""]);
        pair.left.write_vec(Vec::new());
        pair.left.close();
        run_until(&event_loop, || right.is_lost());
        assert_eq!(right.bytes(), expected.len() as u64);
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(&expected));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x16_more_parts_than_one_call_takes() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        let data = pattern(90_000);
        let parts: Vec<&[u8]> = data.chunks(30).collect();
        assert!(parts.len() > 2 * 1024);
        pair.left.writelines(&parts);
        pair.left.close();
        run_until(&event_loop, || right.is_lost());
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(&data));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x15_x3_what_was_written_before_a_close_is_sent_without_another_turn_of_the_user() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        let data = pattern(LARGE);
        assert_eq!(pair.left.write(&data), WriteState::OverHighMark);
        assert!(pair.left.get_write_buffer_size() > Bytes(0));
        pair.left.close();
        assert!(pair.left.is_closing());
        run_until(&event_loop, || right.is_lost() && left.is_lost());
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(&data));
        assert_eq!(left.lost_reason(), Some(None));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x19_writes_after_the_end_are_refused_and_counted() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.left.close();
        let refused = WriteState::Refused(WriteRefusal::Closed);
        assert_eq!(pair.left.write(b"late"), refused);
        run_until(&event_loop, || left.is_lost());
        assert_eq!(pair.left.write_vec(vec![1]), refused);
        assert_eq!(pair.left.writelines(&[b"a", b"b"]), refused);
        assert_eq!(pair.left.dropped_writes(), 3);
        pair.left.write_eof();
        pair.left.pause_reading();
        pair.left.resume_reading();
        assert_eq!(pair.left.get_write_buffer_size(), Bytes(0));
        run_until(&event_loop, || right.is_lost());
        assert_eq!(right.bytes(), 0);
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x18_nothing_is_taken_after_write_eof() {
    each(|kind| {
        if !kind.half_close {
            return;
        }
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.left.write(b"tulip");
        pair.left.write_eof();
        let WriteState::Refused(refusal) = pair.left.write(b"late") else { panic!("it was taken") };
        let expected = if kind.duplex { WriteRefusal::AfterEof } else { WriteRefusal::Closed };
        assert_eq!(refusal, expected);
        run_until(&event_loop, || right.is_lost());
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(b"tulip"));
        run_until(&event_loop, || left.is_lost());
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x14_drained_tells_when_nothing_waits_and_fails_with_the_connection() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        assert!(pair.left.drained().result().is_ok(), "nothing waits");
        pair.left.write(&pattern(LARGE));
        let drained = pair.left.drained();
        let given_up = pair.left.drained();
        given_up.cancel();
        run_until(&event_loop, || drained.done());
        assert!(drained.result().is_ok());
        assert_eq!(pair.left.get_write_buffer_size(), Bytes(0));
        pair.right.pause_reading();
        pair.left.write(&pattern(LARGE));
        let drained = pair.left.drained();
        pair.left.abort();
        run_until(&event_loop, || drained.done());
        assert!(drained.result().is_err());
        assert!(pair.left.drained().result().is_err());
        pair.end(&event_loop, [&left, &right]);
    });
}
