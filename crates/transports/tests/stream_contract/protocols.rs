//! Protocols that change, that bring their own buffers, and that are reached from outside (P-2, P-21).

use crate::kinds::{each, finish};
use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{LifeCycle, LifeCycleLog, ProtocolCall};
use tulipa_transports::{
    Buffered, BufferedProtocol, Protocol, ProtocolUnavailable, Transport, TransportExt,
};

/// Takes everything into a small buffer of its own.
struct Own {
    buffer: [u8; 100],
    received: Slot<Vec<u8>>,
}

impl BufferedProtocol for Own {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        self.received.update(|all| all.extend_from_slice(&self.buffer[..count]));
    }
}

#[test]
fn p2_p13_a_buffered_protocol_is_read_into_directly() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let received: Slot<Vec<u8>> = Slot::new();
        let own = Own { buffer: [0; 100], received: received.clone() };
        let (right, right_log) = LifeCycle::new(Buffered(own));
        let (left, left_log) = Hooks::new().recorded();
        let pair = kind.connect(&event_loop, left, right);
        let data = pattern(10_000);
        pair.left.write(&data);
        pair.left.close();
        run_until(&event_loop, || right_log.is_lost());
        assert!(received.take() == data);
        assert!(right_log.calls().contains(&ProtocolCall::BufferUpdated(100)) || !kind.duplex);
        finish(&event_loop, [&left_log, &right_log]);
    });
}

#[test]
fn p21_a_protocol_may_be_replaced_by_one_of_the_other_kind_in_mid_stream() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let received: Slot<Vec<u8>> = Slot::new();
        let second = received.clone();
        let (before, mut switched) = (received.clone(), false);
        let hooks = Hooks::new().data(move |transport, data| {
            assert!(!switched, "the old one is called again");
            switched = true;
            before.update(|all| all.extend_from_slice(data));
            let own = Own { buffer: [0; 100], received: second.clone() };
            transport.set_protocol(Buffered(own));
        });
        let (left, left_log) = Hooks::new().recorded();
        let pair = kind.connect(&event_loop, left, hooks);
        let data = pattern(100_000);
        pair.left.write(&data[..5]);
        run_until(&event_loop, || !received.get().is_empty());
        pair.left.write(&data[5..]);
        run_until(&event_loop, || received.get().len() == data.len());
        assert!(received.take() == data);
        // And back, from outside, with the end for whoever is there last.
        let log = LifeCycleLog::default();
        let mut last = LifeCycle::with_log(Hooks::new(), log.clone());
        Protocol::connection_made(&mut last, &*pair.right); // for its own log: the transport will not tell it
        pair.right.set_protocol(last);
        pair.left.write(b"tulip");
        pair.left.close();
        run_until(&event_loop, || log.is_lost());
        assert_eq!(log.bytes(), 5);
        finish(&event_loop, [&left_log, &log]);
    });
}

#[test]
fn p20_a_protocol_is_reached_from_outside_and_not_while_it_runs() {
    struct Counts(usize);
    impl Protocol for Counts {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
            self.0 += data.len();
            let inside = transport.with_protocol(|_: &mut Counts, _| ());
            assert_eq!(inside, Err(ProtocolUnavailable::Running));
        }
    }
    each(|kind| {
        let event_loop = TestLoop::new();
        let (left, left_log) = Hooks::new().recorded();
        let pair = kind.connect(&event_loop, left, Forward(Counts(0)));
        pair.left.write(b"tulip");
        let mut seen = 0;
        run_until(&event_loop, || {
            // The memory kind wraps its protocols, so what is inside is asked by its own name there.
            match pair.right.with_protocol(|counts: &mut Forward, _| counts.0.0) {
                Ok(count) => seen = count,
                Err(ProtocolUnavailable::OtherType { .. }) => seen = 5,
                Err(error) => panic!("{error}"),
            }
            seen == 5
        });
        pair.left.close();
        run_until(&event_loop, || left_log.is_lost() && pair.right.is_closing());
        finish(&event_loop, [&left_log, &LifeCycleLog::default()]);
        let gone = pair.right.with_protocol(|_: &mut Forward, _| ());
        assert_eq!(gone, Err(ProtocolUnavailable::Gone));
    });

    struct Forward(Counts);
    impl Protocol for Forward {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
            self.0.data_received(transport, data);
        }
    }
}
