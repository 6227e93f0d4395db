//! Reading (X-9…X-13, P-9, P-11, P-12).

use crate::kinds::{LARGE, each, finish};
use crate::support::*;
use eventloop::TestLoop;
use std::rc::Rc;
use tulipa_transports::testing::{LifeCycleLog, ProtocolCall};

#[test]
fn p1_p9_p11_p12_the_life_of_a_connection_is_told_in_order() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let greets = Hooks::new().made(|transport| {
            transport.write(b"tulip");
        });
        let (pair, left, right) = kind.recorded(&event_loop, greets, Hooks::new());
        run_until(&event_loop, || right.bytes() == 5);
        pair.left.close();
        run_until(&event_loop, || right.is_lost() && left.is_lost());
        let calls = right.calls();
        assert_eq!(calls.first(), Some(&ProtocolCall::ConnectionMade));
        let end = [ProtocolCall::EofReceived, ProtocolCall::ConnectionLost(None)];
        assert_eq!(calls[calls.len() - 2..], end);
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(b"tulip"));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn p9_x12_a_pause_in_connection_made_holds_back_every_byte_and_the_end() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let paused = Hooks::new().made(|transport| transport.pause_reading());
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), paused);
        pair.left.write(b"tulip");
        pair.left.close();
        run_until(&event_loop, || left.is_lost() || !kind.half_close);
        for _ in 0..20 {
            event_loop.run_ready_now();
        }
        assert_eq!(right.calls(), [ProtocolCall::ConnectionMade]);
        assert!(!pair.right.is_reading() && !pair.right.is_closing());
        pair.right.resume_reading();
        assert!(pair.right.is_reading());
        run_until(&event_loop, || right.is_lost());
        assert_eq!((right.bytes(), right.lost_reason()), (5, Some(None)));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x10_p20_a_pause_in_data_received_takes_effect_at_once_again_and_again() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let pauses = Hooks::new().data(|transport, _| transport.pause_reading());
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), pauses);
        let data = pattern(200_000);
        pair.left.write(&data);
        let mut seen = 0;
        while seen < data.len() as u64 {
            run_until(&event_loop, || right.bytes() > seen);
            seen = right.bytes();
            let entries = right.calls().len();
            event_loop.run_ready_now();
            event_loop.run_ready_now();
            assert_eq!(right.calls().len(), entries, "data after pause_reading");
            pair.right.pause_reading();
            pair.right.resume_reading();
            pair.right.resume_reading();
        }
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(&data));
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn p20_x3_nothing_is_read_after_a_close_in_data_received() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let closes = Hooks::new().data(|transport, _| {
            transport.close();
            assert!(transport.is_closing() && !transport.is_reading());
            transport.resume_reading();
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), closes);
        pair.left.write(&pattern(LARGE));
        run_until(&event_loop, || right.is_lost());
        let data = |call: &&ProtocolCall| matches!(call, ProtocolCall::DataReceived(_));
        assert_eq!(right.calls().iter().filter(data).count(), 1);
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn x17_r2_much_data_arrives_whole_and_in_order() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        let data = pattern(LARGE);
        for part in data.chunks(9_973) {
            assert!(pair.left.write(part).is_taken());
        }
        pair.left.close();
        run_until(&event_loop, || right.is_lost());
        assert_eq!(right.bytes(), LARGE as u64);
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(&data));
        assert_eq!((left.lost_reason(), right.lost_reason()), (Some(None), Some(None)));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn r3_a_connection_at_rest_has_no_turns() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.left.write(b"tulip");
        run_until(&event_loop, || right.bytes() == 5);
        pair.right.pause_reading();
        event_loop.run_ready_now();
        event_loop.run_ready_now();
        let turns = event_loop.stats().callbacks;
        for _ in 0..20 {
            event_loop.run_ready_now();
        }
        assert_eq!(event_loop.stats().callbacks, turns);
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn r6_protocols_are_dropped_when_their_connection_is_lost() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let token = Rc::new(());
        let (on_left, on_right) = (token.clone(), token.clone());
        let (pair, left, right) = kind.recorded(
            &event_loop,
            Hooks::new().lost(move |_, _| drop(Rc::downgrade(&on_left))),
            Hooks::new().lost(move |_, _| drop(Rc::downgrade(&on_right))),
        );
        assert_eq!(Rc::strong_count(&token), 3);
        pair.left.close();
        run_until(&event_loop, || left.is_lost() && right.is_lost());
        assert_eq!(Rc::strong_count(&token), 1, "kept by the handles");
        finish(&event_loop, [&left, &right]);
    });
}
