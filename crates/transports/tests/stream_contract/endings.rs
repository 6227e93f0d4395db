//! The end, in all its forms (X-1…, P-7, P-16, L-30).

use crate::kinds::{LARGE, each, finish};
use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use std::io::ErrorKind;
use std::rc::Rc;
use tulipa_transports::testing::ProtocolCall;
use tulipa_transports::{Transport, WriteRefusal, WriteState};

type Request = fn(&dyn Transport);

const ENDINGS: [(&str, Request); 5] = [
    ("close", |transport| transport.close()),
    ("abort", |transport| transport.abort()),
    ("abort_with", |transport| transport.abort_with(Exception::msg("enough"))),
    ("write_eof", |transport| transport.write_eof()),
    ("write", |transport| {
        transport.write(b"more");
    }),
];

#[test]
fn x2_p7_endings_in_any_order_and_number_end_it_once() {
    each(|kind| {
        for waiting in [0, LARGE] {
            for (first, one) in ENDINGS {
                for (second, two) in ENDINGS {
                    for turn_between in [false, true] {
                        let event_loop = TestLoop::new();
                        let (pair, left, right) =
                            kind.recorded(&event_loop, Hooks::new(), Hooks::new());
                        pair.left.write(&pattern(waiting));
                        one(&*pair.left);
                        if turn_between {
                            event_loop.run_ready_now();
                        }
                        two(&*pair.left);
                        pair.left.close();
                        pair.left.close();
                        assert!(pair.left.is_closing(), "{first}, {second}");
                        run_until(&event_loop, || left.is_lost() && right.is_lost());
                        pair.left.abort();
                        pair.left.close();
                        let aborts = [first, second].iter().any(|name| name.contains("abort"));
                        if !aborts {
                            assert_eq!(left.lost_reason(), Some(None), "{first}, {second}");
                            assert!(right.bytes() >= waiting as u64, "{first}, {second}");
                        }
                        let lost = |c: &&ProtocolCall| matches!(c, ProtocolCall::ConnectionLost(_));
                        assert_eq!(left.calls().iter().filter(lost).count(), 1);
                        finish(&event_loop, [&left, &right]);
                    }
                }
            }
        }
    });
}

#[test]
fn x4_p16_abort_drops_what_waits_and_tells_in_a_turn_of_its_own() {
    for reason in [None, Some("enough")] {
        each(|kind| {
            let event_loop = TestLoop::new();
            let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
            pair.right.pause_reading();
            pair.left.write(&pattern(LARGE));
            event_loop.run_ready_now();
            match reason {
                None => pair.left.abort(),
                Some(reason) => pair.left.abort_with(Exception::msg(reason)),
            }
            assert!(pair.left.is_closing() && !left.is_lost(), "not inside of abort");
            let refused = WriteState::Refused(WriteRefusal::Closed);
            assert_eq!(pair.left.write(b"x"), refused);
            run_until(&event_loop, || left.is_lost());
            assert_eq!(left.lost_reason(), Some(reason.map(str::to_owned)));
            pair.right.resume_reading();
            run_until(&event_loop, || right.is_lost());
            assert!(right.bytes() < LARGE as u64);
            finish(&event_loop, [&left, &right]);
        });
    }
}

#[test]
fn x6_x32_a_peer_that_goes_away_while_output_waits_is_an_error() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let found: Slot<Option<ErrorKind>> = Slot::new();
        let seen = found.clone();
        let hooks = Hooks::new().lost(move |_, reason| seen.set(reason.and_then(|r| r.io_kind())));
        let (pair, left, right) = kind.recorded(&event_loop, hooks.keep_open(), Hooks::new());
        pair.right.pause_reading();
        pair.left.write(&pattern(LARGE));
        event_loop.run_ready_now();
        pair.right.abort();
        run_until(&event_loop, || left.is_lost());
        // Over TLS an end without a goodbye is one too.
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
        assert!(kinds.contains(&found.get().expect("an error")), "{found:?}", found = found.get());
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x1_p16_a_handle_still_answers_after_the_end() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        let peername = pair.left.extra_info().peername;
        let closed = pair.left.wait_closed();
        assert!(!closed.done());
        pair.left.close();
        run_until(&event_loop, || left.is_lost() && right.is_lost());
        run_until(&event_loop, || closed.done());
        assert!(pair.left.wait_closed().done());
        assert_eq!(pair.left.extra_info().peername, peername);
        assert!(pair.left.get_extra_info("nonsense").is_none());
        assert!(pair.left.get_extra_info("socket").is_none());
        assert!(pair.left.is_closing() && !pair.left.is_reading());
        let handle = pair.left.handle();
        drop(pair);
        assert!(handle.handle().is_closing());
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn x8_dropping_every_handle_changes_nothing() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.left.write(b"tulip");
        let right_handle = pair.right.clone();
        drop(pair);
        run_until(&event_loop, || right.bytes() == 5);
        assert!(!left.is_lost() && !right.is_lost());
        right_handle.close();
        run_until(&event_loop, || left.is_lost() && right.is_lost());
        finish(&event_loop, [&left, &right]);
    });
}

#[test]
fn l30_r6_a_loop_that_closes_drops_the_protocols_without_a_call() {
    each(|kind| {
        let token = Rc::new(());
        let test_loop = TestLoop::new();
        let (on_left, on_right) = (token.clone(), token.clone());
        let lost = Slot::<usize>::new();
        let (from_left, from_right) = (lost.clone(), lost.clone());
        let (pair, left, right) = kind.recorded(
            &test_loop,
            Hooks::new().lost(move |_, _| from_left.set(Rc::strong_count(&on_left))),
            Hooks::new().lost(move |_, _| from_right.set(Rc::strong_count(&on_right))),
        );
        pair.left.write(&pattern(LARGE));
        test_loop.run_ready_now();
        test_loop.close().unwrap();
        assert_eq!(Rc::strong_count(&token), 1, "the protocols are dropped");
        assert_eq!(lost.get(), 0);
        assert!(!left.is_lost() && !right.is_lost());
        assert!(pair.left.is_closing());
        assert_eq!(pair.left.write(b"x"), WriteState::Refused(WriteRefusal::Closed));
    });
}
