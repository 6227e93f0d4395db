//! Reading (X-9…X-13).

use crate::support::*;
use eventloop::{Clock, TestLoop};
use rustix::net::SendFlags;
use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;
use tulipa_transports::testing::{LifeCycleLog, MemoryLoop, MemoryOptions, ProtocolCall};
use tulipa_transports::{
    BudgetPolicy, Buffered, BufferedProtocol, Bytes, ConnectionBudget, NetworkLoop, Transport,
    TransportExt,
};

#[test]
fn x9_r5_a_busy_peer_cannot_starve_a_quiet_one() {
    let event_loop = TestLoop::new();
    let (busy, busy_log) = Hooks::new().recorded();
    let (_busy, mut busy_peer) = tcp(&event_loop, busy);
    let (quiet, quiet_log) = Hooks::new().recorded();
    let (_quiet, mut quiet_peer) = tcp(&event_loop, quiet);
    busy_peer.set_nonblocking(true).unwrap();
    let chunk = pattern(1_000_000);
    use std::io::Write;
    while let Ok(count) = busy_peer.write(&chunk) {
        if count < chunk.len() {
            break;
        }
    }
    send(&mut quiet_peer, b"me too");
    let before = busy_log.bytes();
    event_loop.run_ready().unwrap();
    assert_eq!(quiet_log.bytes(), 6);
    let read = busy_log.bytes() - before;
    assert!(read <= 256 * 1024 + 64 * 1024, "{read} bytes in one turn");
    drop((busy_peer, quiet_peer));
    run_until(&event_loop, || busy_log.is_lost() && quiet_log.is_lost());
}

#[test]
fn x9_l44_what_stands_behind_urgent_data_arrives() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (_transport, mut peer) = tcp(&event_loop, protocol);
    for round in 1..=3 {
        // A read stops before an urgent byte, and leaves that out.
        send(&mut peer, b"ab");
        rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
        send(&mut peer, b"cd");
        run_until(&event_loop, || log.bytes() == round * 4);
    }
    drop(peer);
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x9_l44_an_end_is_noticed_whenever_it_comes() {
    for (cut, reads_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (_transport, mut peer) = tcp(&event_loop, protocol);
        send(&mut peer, b"data");
        if reads_first {
            run_until(&event_loop, || log.bytes() == 4);
        }
        match cut {
            true => reset(peer),
            false => drop(peer),
        }
        run_until(&event_loop, || log.is_lost());
        log.check_ended();
    }
}

#[test]
fn r3_l37_l44_a_connection_that_has_taken_all_is_at_rest() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().keep_open().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    let is_at_rest = |state| {
        (0..3).for_each(|_| event_loop.run_ready_now());
        let before = event_loop.stats().io_events;
        (0..20).for_each(|_| event_loop.run_ready_now());
        assert_eq!(event_loop.stats().io_events, before, "{state}");
    };
    send(&mut peer, b"data");
    run_until(&event_loop, || log.bytes() == 4);
    is_at_rest("data");
    rustix::net::send(&peer, b"ab!", SendFlags::OOB).unwrap();
    run_until(&event_loop, || log.bytes() == 6);
    is_at_rest("an urgent byte, and nothing behind it");
    transport.pause_reading();
    transport.resume_reading();
    is_at_rest("paused and resumed");
    transport.pause_reading();
    send(&mut peer, b"data");
    peer.shutdown(Shutdown::Write).unwrap();
    is_at_rest("paused, with data and the end to be read");
    transport.resume_reading();
    run_until(&event_loop, || log.bytes() == 10);
    is_at_rest("kept open after the peer's end");
    let _ = transport.write(b"more");
    is_at_rest("written to");
    transport.close();
    run_until(&event_loop, || log.is_lost());
}

#[test]
fn x10_x11_what_came_while_another_turn_paused_and_resumed_is_read() {
    let event_loop = TestLoop::new();
    let (second, second_log) = Hooks::new().recorded();
    let (second, mut second_peer) = tcp(&event_loop, second);
    let (first, first_log) = Hooks::new()
        .data(move |_, data| {
            // Its own turn may be next in this iteration.
            second.pause_reading();
            if data != b"pause" {
                second.resume_reading();
            }
        })
        .recorded();
    let (_first, mut first_peer) = tcp(&event_loop, first);
    for round in 1..=3 {
        send(&mut second_peer, b"x");
        send(&mut first_peer, b"pause");
        run_until(&event_loop, || first_log.bytes() == round * 11 - 6);
        send(&mut second_peer, b"y");
        send(&mut first_peer, b"resume");
        run_until(&event_loop, || second_log.bytes() == round * 2);
    }
    drop((first_peer, second_peer));
    run_until(&event_loop, || first_log.is_lost() && second_log.is_lost());
}

#[test]
fn x10_pausing_is_idempotent_and_does_nothing_when_closing() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    assert!(transport.is_reading());
    transport.pause_reading();
    transport.pause_reading();
    assert!(!transport.is_reading());
    send(&mut peer, b"x");
    event_loop.run_ready_now();
    assert_eq!(log.bytes(), 0);
    transport.resume_reading();
    transport.resume_reading();
    assert!(transport.is_reading());
    run_until(&event_loop, || log.bytes() == 1);
    transport.close();
    transport.resume_reading();
    assert!(!transport.is_reading());
    transport.pause_reading();
    event_loop.run_ready_now();
    log.check_ended();
}

#[test]
fn x11_r3_while_paused_end_of_file_and_reset_go_unnoticed_and_wake_nobody() {
    for cut in [false, true] {
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().recorded();
        let (transport, peer) = tcp(&event_loop, protocol);
        transport.pause_reading();
        if cut {
            reset(peer);
        } else {
            peer.shutdown(Shutdown::Both).unwrap();
        }
        event_loop.run_ready_now();
        let before = event_loop.stats().io_events;
        for _ in 0..10 {
            event_loop.run_ready().unwrap();
        }
        assert_eq!(event_loop.stats().io_events, before, "the poller reports it for nothing");
        assert_eq!(log.calls(), [ProtocolCall::ConnectionMade]);
        transport.resume_reading();
        run_until(&event_loop, || log.is_lost());
        assert_eq!(log.lost_reason().unwrap().is_some(), cut);
    }
}

#[test]
fn x12_nothing_is_read_if_connection_made_closed() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_sockets();
    send(&mut theirs, b"early");
    let (protocol, log) = Hooks::new().made(|transport| transport.close()).recorded();
    let opening = tulipa_transports::NetworkLoop::connect_accepted_socket(
        &***event_loop,
        move || protocol,
        ours,
    );
    event_loop.run_until_complete(&opening).unwrap();
    event_loop.run_ready_now();
    assert_eq!(log.calls(), [ProtocolCall::ConnectionMade, ProtocolCall::ConnectionLost(None)]);
}

#[test]
fn x13_readiness_that_turns_out_to_be_none_is_not_an_error() {
    for seed in 0..50 {
        let event_loop = TestLoop::new();
        let (left, left_log) = Hooks::new().recorded();
        let (right, right_log) = Hooks::new().recorded();
        let pair = event_loop.memory_pair(left, right, MemoryOptions::default().trouble(seed));
        let data = pattern(10_000);
        pair.left.write(&data);
        pair.left.close();
        event_loop.run_until_idle();
        assert_eq!(right_log.checksum(), LifeCycleLog::checksum_of(&data));
        assert_eq!(left_log.lost_reason(), Some(None));
        assert_eq!(right_log.lost_reason(), Some(None), "seed {seed}: {right_log:?}");
    }
}

/// What a protocol does with the first piece that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtFirst {
    Nothing,
    Pause,
    Close,
    Abort,
    Panic,
    GiveBack,
    GiveBackAndPause,
    Replace,
    ReplaceByBuffered,
    GiveBackAndReplace,
    Slow,
}

/// Reads into a buffer of its own.
struct OwnBuffer(Vec<u8>, Slot<Vec<u8>>);

impl BufferedProtocol for OwnBuffer {
    fn get_buffer(&mut self, _: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        &mut self.0
    }

    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        self.1.update(|all| all.extend_from_slice(&self.0[..count]));
    }
}

/// Does something in `get_buffer`, the second time.
struct InGetBuffer<F>(Vec<u8>, usize, F, Slot<Vec<u8>>);

impl<F: Fn(&dyn Transport) + 'static> BufferedProtocol for InGetBuffer<F> {
    fn get_buffer(&mut self, transport: &dyn Transport, _: Option<usize>) -> &mut [u8] {
        self.1 += 1;
        if self.1 == 2 {
            (self.2)(transport);
        }
        &mut self.0
    }

    fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
        self.3.update(|all| all.extend_from_slice(&self.0[..count]));
    }
}

#[test]
fn x9_p2_what_is_given_back_in_get_buffer_comes_before_what_is_there_already() {
    let event_loop = TestLoop::new();
    let got = Slot::<Vec<u8>>::new();
    let give_back = |transport: &dyn Transport| transport.push_back(b"early".to_vec());
    let protocol = Buffered(InGetBuffer(vec![0; 100], 0, give_back, got.clone()));
    let (transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"first ");
    run_until(&event_loop, || got.get() == b"first ");
    send(&mut peer, b" late");
    run_until(&event_loop, || got.get() == b"first early late");
    transport.abort();
    event_loop.run_ready_now();
}

#[test]
fn p2_p16_what_is_written_in_get_buffer_is_sent_though_there_was_nothing_to_read() {
    let event_loop = TestLoop::new();
    let got = Slot::<Vec<u8>>::new();
    let write = |transport: &dyn Transport| {
        let _ = transport.write(b"ok");
    };
    // The first read fills the buffer, so that a second one is tried.
    let protocol = Buffered(InGetBuffer(vec![0; 4], 0, write, got.clone()));
    let (transport, mut peer) = tcp(&event_loop, protocol);
    peer.set_nonblocking(true).unwrap();
    send(&mut peer, b"data");
    let mut answer = [0; 8];
    run_until(&event_loop, || peer.read(&mut answer).is_ok());
    assert_eq!(&answer[..2], b"ok");
    transport.abort();
    event_loop.run_ready_now();
}

#[test]
fn x9_p20_p21_p14_whatever_is_done_at_the_first_of_what_came_no_byte_is_lost() {
    use AtFirst::*;
    const BUFFER: usize = 64 * 1024;
    const TIME: Duration = Duration::from_millis(10);
    let all = [
        Nothing,
        Pause,
        Close,
        Abort,
        Panic,
        GiveBack,
        GiveBackAndPause,
        Replace,
        ReplaceByBuffered,
        GiveBackAndReplace,
        Slow,
    ];
    let sizes = [1, BUFFER - 1, BUFFER, BUFFER + 1, 4 * BUFFER, 5 * BUFFER, 700_000];
    let rows = sizes.iter().flat_map(|size| all.map(|action| (*size, action)));
    for (size, action, ends) in rows.flat_map(|(size, it)| [(size, it, false), (size, it, true)]) {
        let row = format!("{action:?} at the first of {size} bytes, then the end: {ends}");
        let event_loop = TestLoop::new();
        let errors = collect_errors(&event_loop);
        let (got, calls) = (Slot::<Vec<u8>>::new(), Slot::<usize>::new());
        let (later, into) = (got.clone(), got.clone());
        let (counted, clock) = (calls.clone(), event_loop.clock().clone());
        let first = Hooks::new().data(move |transport, data| {
            counted.update(|calls| *calls += 1);
            if counted.get() > 1 {
                return into.update(|all| all.extend_from_slice(data));
            }
            let successor = || {
                Hooks::new().data({
                    let into = later.clone();
                    move |_, data| into.update(|all| all.extend_from_slice(data))
                })
            };
            let gives_back = matches!(action, GiveBack | GiveBackAndPause | GiveBackAndReplace);
            match gives_back {
                true => transport.push_back(data.to_vec()),
                false => into.update(|all| all.extend_from_slice(data)),
            }
            match action {
                Nothing | GiveBack => {}
                Pause | GiveBackAndPause => transport.pause_reading(),
                Close => transport.close(),
                Abort => transport.abort(),
                Panic => panic!("at first"),
                Replace | GiveBackAndReplace => transport.set_protocol(successor()),
                ReplaceByBuffered => {
                    transport.set_protocol(Buffered(OwnBuffer(vec![0; 100], later.clone())));
                }
                Slow => clock.set(clock.now() + TIME),
            }
        });
        let budget = ConnectionBudget::new().longest_call(TIME / 2);
        let options = MemoryOptions::default().capacity(Bytes::mib(1));
        let options = match action {
            Slow => options.budget_of_left(budget.policy(BudgetPolicy::PauseReading)),
            _ => options,
        };
        let pair = event_loop.memory_pair(first, Hooks::new().keep_open(), options);
        event_loop.run_ready_now();
        let data = pattern(size);
        pair.right.write(&data);
        if ends {
            pair.right.write_eof();
        }
        event_loop.run_ready_now();
        let seen = size.min(BUFFER);
        match action {
            Pause => {
                assert_eq!((calls.get(), got.get().len()), (1, seen), "{row}");
                pair.left.resume_reading();
            }
            GiveBackAndPause => {
                assert_eq!((calls.get(), got.get().len()), (1, 0), "{row}");
                pair.left.resume_reading();
            }
            Slow => {
                assert_eq!((calls.get(), got.get().len()), (1, seen), "{row}");
                event_loop.advance(TIME);
            }
            Close | Abort | Panic => assert_eq!(calls.get(), 1, "{row}"),
            Nothing | GiveBack | Replace | ReplaceByBuffered | GiveBackAndReplace => {}
        }
        event_loop.run_ready_now();
        let whole = !matches!(action, Close | Abort | Panic);
        let expected = if whole { &data[..] } else { &data[..seen] };
        assert!(got.get() == expected, "{row}: {} bytes", got.get().len());
        assert_eq!(pair.left.is_closing(), ends || !whole, "{row}");
        assert_eq!(errors.get().len(), usize::from(action == Panic), "{row}");
        pair.left.abort();
        pair.right.abort();
        event_loop.run_ready_now();
        assert_eq!(
            (event_loop.open_connections(), event_loop.output_total()),
            (0, Bytes(0)),
            "{row}"
        );
    }
}
