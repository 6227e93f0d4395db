//! Half-close, for kinds that have two halves (X-27, X-28, P-12).

use crate::kinds::{LARGE, each, each_with_halves, finish};
use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{LifeCycleLog, ProtocolCall};

#[test]
fn x27_p12_our_end_is_sent_after_the_data_and_the_other_direction_goes_on() {
    each_with_halves(|kind| {
        let event_loop = TestLoop::new();
        let right = Hooks::new().keep_open();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), right);
        let data = pattern(LARGE);
        pair.left.write(&data);
        assert!(pair.left.can_write_eof());
        pair.left.write_eof();
        pair.left.write_eof();
        run_until(&event_loop, || right.calls().contains(&ProtocolCall::EofReceived));
        assert_eq!(right.checksum(), LifeCycleLog::checksum_of(&data));
        assert!(!pair.left.is_closing() && !pair.right.is_closing() && !pair.right.is_reading());
        pair.right.write(&data);
        run_until(&event_loop, || left.bytes() == LARGE as u64);
        pair.right.write_eof();
        run_until(&event_loop, || left.is_lost() && right.is_lost());
        assert_eq!((left.lost_reason(), right.lost_reason()), (Some(None), Some(None)));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x28_both_ends_at_once_end_the_connection() {
    each_with_halves(|kind| {
        let event_loop = TestLoop::new();
        let keep = || Hooks::new().keep_open();
        let (pair, left, right) = kind.recorded(&event_loop, keep(), keep());
        pair.left.write(b"l");
        pair.right.write(b"r");
        pair.left.write_eof();
        pair.right.write_eof();
        run_until(&event_loop, || left.is_lost() && right.is_lost());
        for log in [&left, &right] {
            assert_eq!((log.bytes(), log.lost_reason()), (1, Some(None)));
        }
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn p12_x3_the_default_answer_sends_the_rest_then_closes() {
    each_with_halves(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        let data = pattern(LARGE);
        pair.right.write(&data);
        pair.left.write_eof();
        run_until(&event_loop, || left.is_lost() && right.is_lost());
        assert_eq!(left.checksum(), LifeCycleLog::checksum_of(&data));
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x27_x11_an_end_that_comes_while_reading_is_paused_waits() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.right.pause_reading();
        pair.left.write(b"tulip");
        kind.end_output(&*pair.left);
        for _ in 0..20 {
            event_loop.run_ready_now();
        }
        assert_eq!(right.calls(), [ProtocolCall::ConnectionMade]);
        pair.right.resume_reading();
        run_until(&event_loop, || right.is_lost() && left.is_lost());
        assert_eq!(right.bytes(), 5);
        finish(&event_loop, [&left, &right]);
    });
}
