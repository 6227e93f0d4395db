//! Anything in any order, on a real socket: nothing is lost, doubled or out of order, and the life of
//! the protocol is kept (P-3, P-6, X-33, X-36).

use crate::support::*;
use eventloop::TestLoop;
use proptest::collection::vec;
use proptest::prelude::*;
use std::os::unix::net::UnixDatagram;
use tulipa_transports::{Bytes, DatagramOptions, NetworkLoop, SendState};

#[derive(Clone, Debug)]
enum Op {
    Send { count: u8, size: u16 },
    PeerReads(u8),
    PeerSends(u8),
    Reading(bool),
    Marks(u16),
    Run,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..20_u8, 0..300_u16).prop_map(|(count, size)| Op::Send { count, size }),
        3 => (1..30_u8).prop_map(Op::PeerReads),
        2 => (1..5_u8).prop_map(Op::PeerSends),
        1 => any::<bool>().prop_map(Op::Reading),
        1 => (0..2000_u16).prop_map(Op::Marks),
        4 => Just(Op::Run),
    ]
}

fn run(ops: &[Op], closes: bool) {
    let event_loop = TestLoop::new();
    let (ours, peer) = UnixDatagram::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let (transport, log) = open(&event_loop, Hooks::new(), DatagramOptions::from(ours));
    let (mut taken, mut said, mut heard) = (0_u32, 0_u32, 0_u32);
    let mut buffer = [0; 512];
    let mut hear = |most: usize, heard: &mut u32| {
        for _ in 0..most {
            let Ok(count) = peer.recv(&mut buffer) else { return };
            assert!(count >= 4);
            assert_eq!(u32::from_le_bytes(buffer[..4].try_into().unwrap()), *heard, "in order");
            *heard += 1;
        }
    };
    for op in ops {
        match *op {
            Op::Send { count, size } => {
                for _ in 0..count {
                    let mut data = taken.to_le_bytes().to_vec();
                    data.resize(4 + usize::from(size), 0);
                    let before = transport.get_write_buffer_size();
                    let state = transport.send(&data);
                    assert!(state == SendState::Sent || before < transport.get_write_buffer_size());
                    taken += 1;
                }
            }
            Op::PeerReads(most) => hear(usize::from(most), &mut heard),
            Op::PeerSends(count) => {
                for _ in 0..count {
                    said += u32::from(peer.send(&said.to_le_bytes()).is_ok());
                }
            }
            Op::Reading(true) => transport.resume_reading(),
            Op::Reading(false) => transport.pause_reading(),
            Op::Marks(high) => {
                let high = usize::from(high);
                transport.set_write_buffer_limits(marks(high, high / 3)).unwrap();
            }
            Op::Run => event_loop.run_ready_now(),
        }
    }
    if closes {
        transport.close();
    }
    transport.resume_reading();
    run_until(&event_loop, || {
        hear(1000, &mut heard);
        heard == taken && (closes || log.count("data") == said as usize)
    });
    let numbers: Vec<u32> =
        log.data().iter().map(|data| u32::from_le_bytes(data[..].try_into().unwrap())).collect();
    assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
    run_until(&event_loop, || transport.get_write_buffer_size() == Bytes(0));
    assert_eq!((transport.stats().sent, transport.stats().dropped), (u64::from(taken), 0));
    event_loop.run_ready_now();
    if !closes {
        assert_eq!(log.count("pause"), log.count("resume"), "nothing waits any more");
        transport.close();
    }
    event_loop.run_ready_now();
    assert!(log.is_lost());
    assert_eq!(event_loop.output_total(), Bytes(0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn p3_p6_x33_x36_anything_in_any_order_loses_nothing(
        ops in vec(any_op(), 0..60),
        closes: bool,
    ) {
        run(&ops, closes);
    }
}
