//! Bytes that a protocol gives back come once more, in order, before all that follows (P-20).

use crate::kinds::{each, each_duplex, finish};
use crate::support::*;
use eventloop::TestLoop;
use tulipa_transports::testing::{LifeCycleLog, ProtocolCall};
use tulipa_transports::{Buffered, BufferedProtocol, Eof, NetworkLoop, Transport, TransportExt};

/// Consumes so much at a time, stops, and gives the rest back.
fn sips(count: usize, consumed: &Slot<Vec<u8>>) -> Hooks {
    let consumed = consumed.clone();
    Hooks::new().data(move |transport, data| {
        let (wanted, rest) = data.split_at(count.min(data.len()));
        consumed.update(|all| all.extend_from_slice(wanted));
        transport.pause_reading();
        transport.push_back(rest.to_vec());
    })
}

#[test]
fn p20_p21_x11_what_is_given_back_comes_after_the_pause_and_before_the_end() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let consumed = Slot::new();
        let (left, left_log) = Hooks::new().recorded();
        let (quiet, log) = sips(3, &consumed).recorded();
        let pair = kind.connect(&event_loop, left, quiet);
        let data = pattern(3000);
        pair.left.write(&data);
        pair.left.close();
        let mut seen = 0;
        while seen < data.len() {
            run_until(&event_loop, || consumed.get().len() > seen);
            seen = consumed.get().len();
            event_loop.run_ready_now();
            event_loop.run_ready_now();
            assert_eq!(consumed.get().len(), seen, "data after pause_reading");
            assert!(!log.calls().contains(&ProtocolCall::EofReceived));
            pair.right.resume_reading();
        }
        assert!(consumed.get() == data);
        run_until(&event_loop, || log.is_lost());
        assert_eq!(log.lost_reason(), Some(None));
        finish(&event_loop, [&left_log, &log]);
    });
}

#[test]
fn p20_who_goes_on_reading_is_given_it_in_the_next_turn_before_what_follows() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pieces, noted) = (Slot::<Vec<Vec<u8>>>::new(), Slot::<Vec<Vec<u8>>>::new());
        let into = pieces.clone();
        let (right, log) = Hooks::new()
            .data(move |transport, data| {
                into.update(|all| all.push(data.to_vec()));
                if into.get().len() == 1 {
                    // In the order of the calls.
                    transport.push_back(b"tul".to_vec());
                    transport.push_back(Vec::new());
                    transport.push_back(b"ip".to_vec());
                }
            })
            .recorded();
        let (left, left_log) = Hooks::new().recorded();
        let pair = kind.connect(&event_loop, left, right);
        pair.left.write(b"seed");
        run_until(&event_loop, || log.bytes() > 0);
        pair.left.write(b"!");
        pair.left.close();
        run_until(&event_loop, || log.is_lost());
        noted.set(pieces.get());
        let all = noted.get().concat();
        let tulip = all.windows(5).position(|found| found == b"tulip");
        assert!(tulip.is_some() && all.ends_with(b"!"), "{:?}", noted.get());
        finish(&event_loop, [&left_log, &log]);
    });
}

/// Has a small buffer of its own.
struct InPieces {
    buffer: [u8; 7],
    into: Slot<Vec<u8>>,
}

impl BufferedProtocol for InPieces {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        self.into.update(|all| all.extend_from_slice(&self.buffer[..count]));
    }
}

#[test]
fn p21_what_is_given_back_goes_to_the_protocol_that_was_set() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let into: Slot<Vec<u8>> = Slot::new();
        let theirs = into.clone();
        let (right, log) = Hooks::new()
            .data(move |transport, data| {
                transport.set_protocol(Buffered(InPieces { buffer: [0; 7], into: theirs.clone() }));
                transport.push_back(data.to_vec());
            })
            .recorded();
        let (left, left_log) = Hooks::new().recorded();
        let pair = kind.connect(&event_loop, left, right);
        let data = pattern(30_000);
        pair.left.write(&data);
        pair.left.close();
        run_until(&event_loop, || event_loop.open_connections() == 0);
        assert!(into.get() == data);
        log.check();
        left_log.check_ended();
    });
}

#[test]
fn x3_p12_what_is_given_back_to_a_transport_that_closes_or_at_the_end_is_dropped() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let closes = Hooks::new().data(|transport, data| {
            transport.push_back(data.to_vec());
            transport.close();
            transport.push_back(data.to_vec());
            assert!(transport.take_pushed_back().is_empty());
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), closes);
        pair.left.write(b"tulip");
        run_until(&event_loop, || right.is_lost());
        assert_eq!(right.calls().len(), 3, "data came once");
        pair.right.push_back(b"late".to_vec());
        pair.end(&event_loop, [&left, &right]);

        let at_the_end = Hooks::new().eof(|transport| {
            transport.push_back(b"late".to_vec());
            Eof::KeepOpen
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), at_the_end);
        pair.left.write(b"tulip");
        kind.end_output(&*pair.left);
        run_until(&event_loop, || right.calls().contains(&ProtocolCall::EofReceived));
        event_loop.run_ready_now();
        pair.right.push_back(b"later".to_vec());
        event_loop.run_ready_now();
        assert_eq!(right.bytes(), 5);
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn p20_bytes_may_be_given_back_from_outside_and_taken_out_again() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), Hooks::new());
        pair.right.pause_reading();
        pair.right.push_back(b"behind".to_vec());
        pair.right.push_back(b"before ".to_vec());
        event_loop.run_ready_now();
        assert_eq!(right.bytes(), 0);
        assert_eq!(pair.right.take_pushed_back(), b"before behind");
        assert_eq!(pair.right.take_pushed_back(), b"");
        pair.right.push_back(b"tulip".to_vec());
        assert_eq!(right.bytes(), 0, "not from inside of the call");
        pair.right.resume_reading();
        assert_eq!(right.bytes(), 0, "not from inside of the call");
        event_loop.run_ready_now();
        event_loop.run_ready_now();
        assert_eq!((right.bytes(), right.checksum()), (5, LifeCycleLog::checksum_of(b"tulip")));
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn p14_a_panic_over_what_was_given_back_ends_this_connection_only() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let errors = collect_errors(&event_loop);
        let times = Slot::<usize>::new();
        let panics = Hooks::new().data(move |transport, data| {
            times.update(|times| *times += 1);
            transport.push_back(data.to_vec());
            assert!(times.get() < 2, "no more");
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), panics);
        pair.left.write(b"tulip");
        run_until(&event_loop, || right.is_lost());
        assert_eq!(errors.get().len(), 1);
        assert_eq!(panic_message(&errors.take()[0]), "no more");
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn n51_while_a_file_is_sent_what_was_given_back_waits() {
    each_duplex(|kind| {
        let event_loop = TestLoop::new();
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &pattern(200_000), 0).unwrap();
        let file = std::sync::Arc::new(file);
        let sent = Slot::new();
        let (sending, times) = (sent.clone(), Slot::<usize>::new());
        let sends = Hooks::new().data(move |transport, data| {
            times.update(|times| *times += 1);
            if times.get() == 1 {
                sending.set(Some(transport.send_file((&file).into())));
                transport.push_back(data.to_vec());
            }
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), sends);
        pair.left.write(b"tulip");
        run_until(&event_loop, || right.bytes() > 5);
        assert_eq!(sent.take().unwrap().result().unwrap(), 200_000);
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn p20_a_protocol_is_told_whether_it_may_go_on_with_the_rest() {
    type Ask = fn(&dyn Transport);
    let stops: [(&str, Ask); 6] = [
        ("pause_reading", |transport| transport.pause_reading()),
        ("close", |transport| transport.close()),
        ("abort", |transport| transport.abort()),
        ("set_protocol", |transport| transport.set_protocol(Hooks::new())),
        ("push_back", |transport| transport.push_back(b"x".to_vec())),
        ("nothing", |_| {}),
    ];
    each(|kind| {
        for (name, ask) in stops {
            let event_loop = TestLoop::new();
            let answer = Slot::<Option<bool>>::new();
            let answered = answer.clone();
            let (right, log) = Hooks::new()
                .data(move |transport, _| {
                    if answered.get().is_none() {
                        assert!(transport.can_deliver());
                        ask(transport);
                        answered.set(Some(transport.can_deliver()));
                    }
                })
                .recorded();
            let (left, left_log) = Hooks::new().recorded();
            let pair = kind.connect(&event_loop, left, right);
            pair.left.write(b"tulip");
            run_until(&event_loop, || answer.get().is_some());
            assert_eq!(answer.get(), Some(name == "nothing"), "{name}");
            pair.left.abort();
            pair.right.abort();
            run_until(&event_loop, || event_loop.open_connections() == 0);
            assert!(!pair.right.can_deliver());
            log.check();
            left_log.check_ended();
        }
    });
}

#[test]
fn p14_r4_who_gives_everything_back_for_ever_loses_its_connection() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let errors = collect_errors(&event_loop);
        let times = Slot::<usize>::new();
        let gives_back = Hooks::new().data(move |transport, data| {
            times.update(|times| *times += 1);
            assert!(times.get() < 10_000, "it goes on");
            transport.push_back(data.to_vec());
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), gives_back);
        pair.left.write(b"tulip");
        run_until(&event_loop, || right.is_lost());
        let reason = right.lost_reason().flatten().expect("a reason");
        assert!(reason.contains("does not pause reading"), "{reason}");
        assert_eq!(errors.take().len(), 1);
        pair.end(&event_loop, [&left, &right]);
    });
}

#[test]
fn p20_who_pauses_may_give_everything_back_as_often_as_it_likes() {
    each(|kind| {
        let event_loop = TestLoop::new();
        let times = Slot::<usize>::new();
        let count = times.clone();
        let waits = Hooks::new().data(move |transport, data| {
            count.update(|times| *times += 1);
            transport.pause_reading();
            transport.push_back(data.to_vec());
        });
        let (pair, left, right) = kind.recorded(&event_loop, Hooks::new(), waits);
        pair.left.write(b"tulip");
        run_until(&event_loop, || times.get() > 0);
        while times.get() < 3000 {
            pair.right.resume_reading();
            event_loop.run_ready_now();
        }
        assert!(!pair.right.is_closing());
        pair.end(&event_loop, [&left, &right]);
    });
}
