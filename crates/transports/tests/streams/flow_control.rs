//! Flow control (X-20…X-25), and the hard limits behind it.

use crate::support::*;
use eventloop::TestLoop;
use std::io::ErrorKind;
use tulipa_transports::testing::{
    LifeCycleLog, MemoryLoop, MemoryOptions, MemoryPair, ProtocolCall,
};
use tulipa_transports::{
    Bytes, CapPolicy, NetworkLoop, WriteBufferCap, WriteBufferLimits, WriteRefusal, WriteState,
};

/// A pair whose wire takes nothing, so that what is written waits.
fn stuck(event_loop: &TestLoop, hooks: Hooks) -> (MemoryPair, LifeCycleLog, LifeCycleLog) {
    let (left, left_log) = hooks.recorded();
    let (right, right_log) = Hooks::new().recorded();
    let pair = event_loop.memory_pair(left, right, MemoryOptions::default().capacity(Bytes(0)));
    event_loop.run_ready_now();
    (pair, left_log, right_log)
}

fn flow(log: &LifeCycleLog) -> String {
    let letter = |call: &ProtocolCall| match call {
        ProtocolCall::PauseWriting => Some('P'),
        ProtocolCall::ResumeWriting => Some('R'),
        _ => None,
    };
    log.calls().iter().filter_map(letter).collect()
}

fn end(event_loop: &TestLoop, pair: &MemoryPair, logs: [&LifeCycleLog; 2]) {
    pair.left.abort();
    pair.right.abort();
    event_loop.run_ready_now();
    logs.iter().for_each(|log| log.check_ended());
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn x20_x25_the_marks_are_64_and_16_kib_and_can_be_set() {
    let event_loop = TestLoop::new();
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    let transport = &pair.left;
    assert_eq!(transport.get_write_buffer_limits(), marks(65_536, 16_384));
    transport.set_write_buffer_limits(WriteBufferLimits::from_high(Bytes(400))).unwrap();
    assert_eq!(transport.get_write_buffer_limits(), marks(400, 100));
    transport.set_write_buffer_limits(WriteBufferLimits::from_low(Bytes(50))).unwrap();
    assert_eq!(transport.get_write_buffer_limits(), marks(200, 50));
    let error = transport.set_write_buffer_limits(marks(10, 11)).unwrap_err();
    assert!(error.to_string().contains("the low mark (11 bytes)"), "{error}");
    assert_eq!(transport.get_write_buffer_limits(), marks(200, 50));
    end(&event_loop, &pair, [&left, &right]);
}

#[test]
fn x20_a_high_mark_of_zero_pauses_at_the_first_byte_that_has_to_wait() {
    let event_loop = TestLoop::new();
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    pair.left.set_write_buffer_limits(marks(0, 0)).unwrap();
    assert_eq!(pair.left.write(b"x"), WriteState::OverHighMark);
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "P");
    pair.set_capacity(Bytes(100));
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "PR");
    assert_eq!(right.bytes(), 1);
    end(&event_loop, &pair, [&left, &right]);
}

#[test]
fn x21_p6_pauses_once_above_high_and_resumes_once_at_low() {
    let event_loop = TestLoop::new();
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    pair.right.pause_reading();
    pair.left.set_write_buffer_limits(marks(100, 40)).unwrap();
    pair.left.write(&[0; 100]);
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "", "not above");
    pair.left.write(&[0; 1]);
    pair.left.write(&[0; 50]);
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "P", "once per crossing");
    pair.set_capacity(Bytes(110));
    event_loop.run_ready_now();
    assert_eq!((flow(&left), pair.left.get_write_buffer_size()), ("P".into(), Bytes(41)));
    pair.set_capacity(Bytes(111));
    event_loop.run_ready_now();
    assert_eq!((flow(&left), pair.left.get_write_buffer_size()), ("PR".into(), Bytes(40)));
    pair.left.write(&[0; 61]);
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "PRP");
    end(&event_loop, &pair, [&left, &right]);
}

#[test]
fn x22_new_marks_are_looked_at_at_once_for_pause_and_resume() {
    let event_loop = TestLoop::new();
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    pair.left.write(&[0; 500]);
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "");
    pair.left.set_write_buffer_limits(marks(100, 10)).unwrap();
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "P");
    pair.left.set_write_buffer_limits(marks(1000, 500)).unwrap();
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "PR");
    end(&event_loop, &pair, [&left, &right]);
}

#[test]
fn x23_resume_writing_may_write_itself_over_the_mark_again() {
    let event_loop = TestLoop::new();
    let mut left_over = 5;
    let hooks = Hooks::new().resume(move |transport| {
        left_over -= 1;
        match left_over {
            0 => transport.close(),
            _ => drop(transport.write(&[7; 200])),
        }
    });
    let (left, left_log) = hooks.recorded();
    let (right, right_log) = Hooks::new().recorded();
    let narrow = MemoryOptions::default().capacity(Bytes(64));
    let pair = event_loop.memory_pair(left, right, narrow);
    pair.left.set_write_buffer_limits(marks(100, 10)).unwrap();
    pair.left.write(&[7; 200]);
    event_loop.run_until_idle();
    assert_eq!(flow(&left_log), "PRPRPRPRPR");
    assert_eq!(right_log.bytes(), 1000);
    assert_eq!(left_log.lost_reason(), Some(None));
    right_log.check_ended();
}

#[test]
fn x24_a_closing_transport_resumes_while_it_drains_and_never_after_the_end() {
    let event_loop = TestLoop::new();
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    pair.left.set_write_buffer_limits(marks(100, 10)).unwrap();
    pair.left.write(&[0; 500]);
    event_loop.run_ready_now();
    pair.left.close();
    event_loop.run_ready_now();
    assert_eq!(flow(&left), "P");
    pair.set_capacity(Bytes(1000));
    event_loop.run_ready_now();
    let calls = left.calls();
    assert_eq!(
        calls[calls.len() - 2..],
        [ProtocolCall::ResumeWriting, ProtocolCall::ConnectionLost(None)]
    );
    right.check_ended();

    // Lost while paused: the last resume is missing (P-6).
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    pair.left.set_write_buffer_limits(marks(100, 10)).unwrap();
    pair.left.write(&[0; 500]);
    event_loop.run_ready_now();
    end(&event_loop, &pair, [&left, &right]);
    assert_eq!(flow(&left), "P");
}

#[test]
fn r4_the_hard_cap_refuses_pauses_the_reader_or_aborts() {
    for policy in [CapPolicy::Refuse, CapPolicy::PauseReading, CapPolicy::Abort] {
        let event_loop = TestLoop::new();
        let (pair, left, right) = stuck(&event_loop, Hooks::new());
        pair.left.set_write_buffer_cap(WriteBufferCap { size: Bytes(1000), policy });
        assert!(pair.left.write(&[1; 999]).is_taken());
        assert!(pair.left.write(&[1; 5000]).is_taken(), "one may overshoot");
        let refused = WriteState::Refused(WriteRefusal::OverCap);
        assert_eq!(pair.left.write(&[1; 1]), refused);
        event_loop.run_ready_now();
        match policy {
            CapPolicy::Abort => {
                let reason = left.lost_reason().unwrap().unwrap();
                assert!(reason.contains("hard limit"), "{reason}");
            }
            _ => {
                assert_eq!(pair.left.get_write_buffer_size(), Bytes(5999));
                pair.set_capacity(Bytes(100_000));
                pair.right.pause_reading();
                pair.right.write(b"hello");
                event_loop.run_ready_now();
                assert_eq!(left.bytes(), 5, "read again once it drained");
                assert!(pair.left.write(&[1; 1]).is_taken());
                pair.right.resume_reading();
                event_loop.run_ready_now();
                assert_eq!(right.bytes(), 6000);
            }
        }
        end(&event_loop, &pair, [&left, &right]);
    }
}

#[test]
fn r4_over_the_loops_budget_the_largest_is_cut() {
    let event_loop = TestLoop::new();
    event_loop.set_output_budget(Bytes(10_000));
    let (small, small_left, small_right) = stuck(&event_loop, Hooks::new());
    let kind: Slot<Option<ErrorKind>> = Slot::new();
    let seen = kind.clone();
    let hooks = Hooks::new().lost(move |_, reason| seen.set(reason.and_then(|r| r.io_kind())));
    let (large, large_left, large_right) = stuck(&event_loop, hooks);
    small.left.write(&[1; 2000]);
    large.left.write(&[1; 9000]);
    event_loop.run_ready_now();
    assert_eq!(event_loop.output_total(), Bytes(11_000));
    assert!(small.left.write(&[1; 500]).is_taken());
    event_loop.run_ready_now();
    assert_eq!(kind.get(), Some(ErrorKind::OutOfMemory));
    assert!(large_left.is_lost() && !small_left.is_lost());
    end(&event_loop, &small, [&small_left, &small_right]);
    end(&event_loop, &large, [&large_left, &large_right]);
}

#[test]
fn x20_a_cap_below_the_marks_refuses_only_what_the_peer_does_not_take() {
    for policy in [CapPolicy::Refuse, CapPolicy::PauseReading, CapPolicy::Abort] {
        let event_loop = TestLoop::new();
        let (left, left_log) = Hooks::new().recorded();
        let (right, right_log) = Hooks::new().recorded();
        let pair = event_loop.memory_pair(left, right, MemoryOptions::default());
        event_loop.run_ready_now();
        pair.left.set_write_buffer_cap(WriteBufferCap { size: Bytes(10), policy });
        for _ in 0..100 {
            assert!(pair.left.write(&[1; 100]).is_taken());
        }
        event_loop.run_ready_now();
        assert_eq!(right_log.bytes(), 10_000);
        end(&event_loop, &pair, [&left_log, &right_log]);
    }
}

#[test]
fn x7_x20_reading_that_waits_for_the_cap_is_made_up_for_when_sending_fails() {
    let event_loop = TestLoop::new();
    let (pair, left, right) = stuck(&event_loop, Hooks::new());
    let policy = CapPolicy::PauseReading;
    pair.left.set_write_buffer_cap(WriteBufferCap { size: Bytes(1000), policy });
    pair.left.set_write_buffer_limits(marks(200, 50)).unwrap();
    pair.right.pause_reading();
    assert!(pair.left.write(&[1; 5000]).is_taken());
    assert!(!pair.left.write(&[1; 1]).is_taken());
    pair.right.write(b"last words");
    pair.set_capacity(Bytes(100));
    event_loop.run_ready_now();
    assert_eq!((left.bytes(), pair.right.get_write_buffer_size()), (0, Bytes(0)), "it is held");
    pair.break_left_output();
    pair.set_capacity(Bytes(200));
    event_loop.run_ready_now();
    assert_eq!(left.bytes(), 10);
    assert_eq!(left.lost_reason(), Some(Some("broken pipe".into())));
    end(&event_loop, &pair, [&left, &right]);
}
