//! Random users on both ends, trouble on the wire: every promise of holds.

use crate::support::*;
use eventloop::TestLoop;
use futures::Exception;
use proptest::collection::vec;
use proptest::prelude::*;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{Bytes, Transport};

#[derive(Clone, Debug)]
enum Step {
    Write { left: bool, size: usize },
    WriteLines { left: bool, parts: usize },
    WriteEof { left: bool },
    Pause { left: bool },
    Resume { left: bool },
    Limits { left: bool, high: usize },
    Close { left: bool },
    Abort { left: bool, reason: bool },
    Capacity(usize),
    BreakLeft,
    Reset,
    Run,
    RunOnce,
}

fn any_step() -> impl Strategy<Value = Step> {
    let left = any::<bool>();
    prop_oneof![
        10 => (left, 0..3000usize).prop_map(|(left, size)| Step::Write { left, size }),
        3 => (left, 0..30usize).prop_map(|(left, parts)| Step::WriteLines { left, parts }),
        1 => left.prop_map(|left| Step::WriteEof { left }),
        2 => left.prop_map(|left| Step::Pause { left }),
        3 => left.prop_map(|left| Step::Resume { left }),
        2 => (left, 0..2000usize).prop_map(|(left, high)| Step::Limits { left, high }),
        1 => left.prop_map(|left| Step::Close { left }),
        1 => (left, any::<bool>()).prop_map(|(left, reason)| Step::Abort { left, reason }),
        2 => (0..5000usize).prop_map(Step::Capacity),
        1 => Just(Step::BreakLeft),
        1 => Just(Step::Reset),
        6 => Just(Step::Run),
        8 => Just(Step::RunOnce),
    ]
}

/// What one end wrote, and what the other end got of it.
#[derive(Default)]
struct Stream {
    taken: Vec<u8>,
}

impl Stream {
    fn write(&mut self, transport: &dyn Transport, size: usize, parts: usize) {
        let data: Vec<u8> = (0..size).map(|i| ((self.taken.len() + i) % 251) as u8).collect();
        let state = match parts {
            0 => transport.write(&data),
            1 => transport.write_vec(data.clone()),
            _ => {
                transport.writelines(&data.chunks(size.div_ceil(parts).max(1)).collect::<Vec<_>>())
            }
        };
        if state.is_taken() {
            self.taken.extend(data);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn p1_p6_p7_r1_r2_whatever_users_and_wire_do_the_promises_hold(
        steps in vec(any_step(), 0..60),
        seed in any::<u64>(),
        left_keeps_open in any::<bool>(),
        right_keeps_open in any::<bool>(),
    ) {
        let event_loop = TestLoop::new();
        let end = |keeps_open: bool| {
            let received: Slot<Vec<u8>> = Slot::new();
            let seen = received.clone();
            let hooks = Hooks::new()
                .data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
            let hooks = if keeps_open { hooks.keep_open() } else { hooks };
            let (protocol, log) = hooks.recorded();
            (protocol, log, received)
        };
        let (left, left_log, left_received) = end(left_keeps_open);
        let (right, right_log, right_received) = end(right_keeps_open);
        let options = MemoryOptions::default().capacity(Bytes(1000)).trouble(seed);
        let pair = event_loop.memory_pair(left, right, options);
        let (mut from_left, mut from_right) = (Stream::default(), Stream::default());
        // Whether something happened that may cost bytes on their way.
        let mut cut = false;
        for step in &steps {
            let on = |left: bool| if left { &pair.left } else { &pair.right };
            match *step {
                Step::Write { left, size } => match left {
                    true => from_left.write(&*pair.left, size, size % 2),
                    false => from_right.write(&*pair.right, size, size % 2),
                },
                Step::WriteLines { left, parts } => match left {
                    true => from_left.write(&*pair.left, parts * 50, parts.max(2)),
                    false => from_right.write(&*pair.right, parts * 50, parts.max(2)),
                },
                Step::WriteEof { left } => on(left).write_eof(),
                Step::Pause { left } => on(left).pause_reading(),
                Step::Resume { left } => on(left).resume_reading(),
                Step::Limits { left, high } => {
                    on(left).set_write_buffer_limits(marks(high, high / 3)).unwrap();
                }
                // A close ends reading: what the other end still sends is lost, as promised.
                Step::Close { left } => {
                    cut = true;
                    on(left).close();
                }
                Step::Abort { left, reason } => {
                    cut = true;
                    match reason {
                        true => on(left).abort_with(Exception::msg("enough")),
                        false => on(left).abort(),
                    }
                }
                Step::Capacity(size) => pair.set_capacity(Bytes(size)),
                Step::BreakLeft => {
                    cut = true;
                    pair.break_left_output();
                }
                Step::Reset => {
                    cut = true;
                    pair.reset();
                }
                Step::Run => event_loop.run_ready_now(),
                Step::RunOnce => event_loop.run_ready().unwrap(),
            }
        }
        pair.set_capacity(Bytes(1000));
        pair.left.resume_reading();
        pair.right.resume_reading();
        event_loop.run_until_idle();
        // By default an end closes at the other's end of file, and then reads no more either.
        cut |= !left_keeps_open || !right_keeps_open;
        prop_assert!(from_left.taken.starts_with(&right_received.get()));
        prop_assert!(from_right.taken.starts_with(&left_received.get()));
        if !cut {
            prop_assert!(from_left.taken == right_received.get());
            prop_assert!(from_right.taken == left_received.get());
        }
        // An end that is closed reads no more: two of them wait for each other with what is left to
        // send, for as long as the wire is too small for it (X-5, no linger limit here).
        pair.set_capacity(Bytes::mib(1));
        pair.left.close();
        pair.right.close();
        event_loop.run_until_idle();
        left_log.check_ended();
        right_log.check_ended();
        prop_assert!(pair.left.is_closing() && pair.right.is_closing());
        use tulipa_transports::NetworkLoop;
        prop_assert_eq!(event_loop.open_connections(), 0);
        prop_assert_eq!(event_loop.output_total(), Bytes(0));
    }
}
