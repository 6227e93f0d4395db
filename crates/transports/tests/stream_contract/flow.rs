//! Flow control (X-20…X-24, P-6, P-15), and the hard limit behind it.

use crate::kinds::{LARGE, each, finish};
use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{LifeCycleLog, ProtocolCall};
use tulipa_transports::{
    Bytes, CapPolicy, WriteBufferCap, WriteBufferLimits, WriteRefusal, WriteState,
};

fn flow(log: &LifeCycleLog) -> String {
    let letter = |call: &ProtocolCall| match call {
        ProtocolCall::PauseWriting => Some('P'),
        ProtocolCall::ResumeWriting => Some('R'),
        _ => None,
    };
    log.calls().iter().filter_map(letter).collect()
}

#[test]
fn x20_x21_p6_p15_a_peer_that_does_not_read_pauses_and_its_reading_resumes() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        assert_eq!(pair.left.get_write_buffer_limits(), marks(65_536, 16_384));
        for round in 1..4 {
            pair.right.pause_reading();
            assert_eq!(pair.left.write(&pattern(LARGE)), WriteState::OverHighMark);
            assert!(pair.left.write(b"more").is_taken(), "a mark is no limit");
            event_loop.run_ready_now();
            event_loop.run_ready_now();
            assert_eq!(flow(&left), "PR".repeat(round - 1) + "P");
            pair.right.resume_reading();
            run_until(&event_loop, || right.bytes() == (round * (LARGE + 4)) as u64);
            assert_eq!(flow(&left), "PR".repeat(round));
        }
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn x20_x22_marks_can_be_set_and_are_looked_at_at_once() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.right.pause_reading();
        pair.left.set_write_buffer_limits(marks(10_000_000, 5_000_000)).unwrap();
        assert_eq!(pair.left.write(&pattern(LARGE)), WriteState::Taken);
        event_loop.run_ready_now();
        assert_eq!(flow(&left), "");
        pair.left.set_write_buffer_limits(WriteBufferLimits::from_high(Bytes(400))).unwrap();
        assert_eq!(pair.left.get_write_buffer_limits(), marks(400, 100));
        event_loop.run_ready_now();
        assert_eq!(flow(&left), "P");
        assert!(pair.left.set_write_buffer_limits(marks(10, 11)).is_err());
        pair.left.set_write_buffer_limits(marks(10_000_000, 5_000_000)).unwrap();
        event_loop.run_ready_now();
        assert_eq!(flow(&left), "PR");
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn x23_p20_resume_writing_may_write_itself_over_the_mark_again_and_close() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let mut left_over = 4;
        let hooks = Hooks::new().resume(move |transport| {
            left_over -= 1;
            match left_over {
                0 => transport.close(),
                _ => drop(transport.write(&pattern(LARGE))),
            }
        });
        let (pair, left, right) = kind.recorded(&event_loop, hooks, Hooks::new());
        pair.left.write(&pattern(LARGE));
        run_until(&event_loop, || right.is_lost());
        assert_eq!(flow(&left), "PRPRPRPR");
        assert_eq!(right.bytes(), 4 * LARGE as u64);
        assert_eq!(left.lost_reason(), Some(None));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x24_a_closing_transport_resumes_while_it_drains_and_never_after_the_end() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.right.pause_reading();
        pair.left.write(&pattern(LARGE));
        event_loop.run_ready_now();
        pair.left.close();
        event_loop.run_ready_now();
        assert_eq!(flow(&left), "P");
        pair.right.resume_reading();
        run_until(&event_loop, || right.is_lost());
        assert_eq!(flow(&left), "PR");
        assert_eq!(left.calls().last(), Some(&ProtocolCall::ConnectionLost(None)));
        finish(&event_loop, [&left, &right]);

        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.right.pause_reading();
        pair.left.write(&pattern(LARGE));
        event_loop.run_ready_now();
        pair.end(&event_loop, [&left, &right]);
        assert_eq!(flow(&left), "P", "lost while paused");
    });
}

#[test]
fn r4_the_hard_limit_refuses_or_aborts() {
    for policy in [CapPolicy::Refuse, CapPolicy::PauseReading, CapPolicy::Abort] {
        each(|kind| {
            let event_loop = TestLoop::new();
            let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
            pair.left.set_write_buffer_cap(WriteBufferCap { size: Bytes::kib(100), policy });
            pair.right.pause_reading();
            assert!(pair.left.write(&pattern(LARGE)).is_taken(), "one may overshoot");
            let refused = WriteState::Refused(WriteRefusal::OverCap);
            assert_eq!(pair.left.write(b"x"), refused);
            event_loop.run_ready_now();
            if policy == CapPolicy::Abort {
                run_until(&event_loop, || left.is_lost());
                let reason = left.lost_reason().unwrap().unwrap();
                assert!(reason.contains("hard limit"), "{reason}");
            } else {
                pair.right.resume_reading();
                run_until(&event_loop, || right.bytes() == LARGE as u64);
                assert!(pair.left.write(b"x").is_taken());
            }
            pair.end(&event_loop, [&left, &right]);
        });
    }
}
