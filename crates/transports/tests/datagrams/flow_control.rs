//! What happens when the system takes no more. Unix sockets show it at once: a receiver that does not
//! read is full after a few datagrams.

use crate::support::*;
use eventloop::TestLoop;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{
    Address, Bytes, CapPolicy, DatagramOptions, DatagramTransport, NetworkLoop, SendRefusal,
    SendState, WriteBufferCap,
};

/// An endpoint with a fixed peer that does not read, filled until the first datagram is queued; and
/// how many were sent.
fn filled(
    event_loop: &TestLoop,
    hooks: Hooks,
) -> (Rc<dyn DatagramTransport>, Log, UnixDatagram, u64) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let (transport, log) = open(event_loop, hooks, ours);
    let mut sent: u64 = 0;
    while transport.send(&sent.to_le_bytes()) == SendState::Sent {
        sent += 1;
    }
    (transport, log, theirs, sent)
}

/// Reads a number, if one is there.
fn number(peer: &UnixDatagram) -> Option<u64> {
    peer.set_nonblocking(true).unwrap();
    let mut buffer = [0; 8];
    peer.recv(&mut buffer).ok().map(|_| u64::from_le_bytes(buffer))
}

#[test]
fn x33_x35_x37_what_the_system_does_not_take_waits_in_order() {
    let event_loop = TestLoop::new();
    let (transport, log, peer, sent) = filled(&event_loop, Hooks::new());
    assert_eq!(transport.get_write_buffer_size(), Bytes(16), "eight bytes and a header");
    transport.set_write_buffer_limits(marks(100, 50)).unwrap();
    for next in sent + 1..sent + 6 {
        assert_eq!(
            transport.send(&next.to_le_bytes()),
            SendState::Queued { over_high_mark: false }
        );
    }
    event_loop.run_ready_now();
    assert_eq!(log.count("pause"), 0);
    let state = transport.send(&(sent + 6).to_le_bytes());
    assert_eq!(state, SendState::Queued { over_high_mark: true });
    assert_eq!(log.count("pause"), 0, "not from inside the call");
    event_loop.run_ready_now();
    assert_eq!(log.count("pause"), 1);
    let drained = transport.drained();
    assert!(!drained.done());

    let mut expected = 0;
    run_until(&event_loop, || {
        while let Some(found) = number(&peer) {
            assert_eq!(found, expected);
            expected += 1;
        }
        expected == sent + 7
    });
    run_until(&event_loop, || drained.done());
    assert_eq!((log.count("pause"), log.count("resume")), (1, 1));
    assert_eq!(transport.get_write_buffer_size(), Bytes(0));
    assert_eq!((transport.stats().sent, transport.stats().dropped), (sent + 7, 0));
    assert_eq!(transport.send(b"at once"), SendState::Sent);
    assert!(transport.drained().done());
    close(&event_loop, &transport, &log);
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn x36_closing_sends_what_is_queued_and_refuses_more() {
    let event_loop = TestLoop::new();
    let (transport, log, peer, sent) = filled(&event_loop, Hooks::new());
    transport.close();
    assert_eq!(transport.send(b"late"), SendState::Dropped(SendRefusal::Closed));
    event_loop.run_ready_now();
    assert!(!log.is_lost(), "something is left to be sent");
    let mut last = None;
    run_until(&event_loop, || {
        last = number(&peer).or(last);
        log.is_lost() && last == Some(sent)
    });
    assert_eq!(log.reason(), None);
    assert_eq!((transport.stats().sent, transport.stats().dropped), (sent + 1, 1));
}

#[test]
fn x36_aborting_drops_what_is_queued() {
    let event_loop = TestLoop::new();
    let (transport, log, peer, sent) = filled(&event_loop, Hooks::new());
    let drained = transport.drained();
    transport.close();
    transport.abort();
    event_loop.run_ready_now();
    assert!(log.is_lost());
    assert!(drained.done() && drained.result().is_err());
    assert_eq!(std::iter::from_fn(|| number(&peer)).count() as u64, sent);
    assert_eq!(transport.stats().dropped, 1);
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn x36_a_close_may_take_only_so_long() {
    let event_loop = TestLoop::new();
    let (transport, log, _peer, _) = filled(&event_loop, Hooks::new());
    transport.close();
    event_loop.advance(Duration::from_secs(29));
    assert!(!log.is_lost());
    event_loop.advance(Duration::from_secs(2));
    assert!(log.is_lost());
    assert!(log.reason().unwrap().contains("after close"), "{:?}", log.reason());
}

#[test]
fn r4_the_hard_limit_refuses_holds_back_or_aborts() {
    for policy in [CapPolicy::Refuse, CapPolicy::PauseReading, CapPolicy::Abort] {
        let event_loop = TestLoop::new();
        let (transport, log, peer, _) = filled(&event_loop, Hooks::new());
        transport.set_write_buffer_cap(WriteBufferCap { size: Bytes(2000), policy });
        let mut queued = 0;
        while transport.send(b"").is_taken() {
            queued += 1;
            assert!(queued < 100, "empty datagrams count too");
        }
        assert!(queued > 5, "{queued}");
        event_loop.run_ready_now();
        match policy {
            CapPolicy::Refuse => {
                assert_eq!(transport.send(b""), SendState::Dropped(SendRefusal::OverCap));
                peer.send(b"hello").unwrap();
                run_until(&event_loop, || log.count("data") == 1);
            }
            CapPolicy::PauseReading => {
                peer.send(b"hello").unwrap();
                event_loop.run_ready_now();
                event_loop.run_ready_now();
                assert_eq!(log.count("data"), 0);
                run_until(&event_loop, || {
                    let _ = number(&peer);
                    log.count("data") == 1
                });
            }
            CapPolicy::Abort => {
                assert!(log.reason().unwrap().contains("hard limit"));
                continue;
            }
            _ => unreachable!("there is no other"),
        }
        transport.abort();
        event_loop.run_ready_now();
    }
}

#[test]
fn r4_the_loops_budget_drops_the_largest_queue_and_its_endpoint_lives() {
    let event_loop = TestLoop::new();
    let (large, large_log, peer, _) = filled(&event_loop, Hooks::new());
    let (small, small_log, _peer, _) = filled(&event_loop, Hooks::new());
    assert!(large.send(&[0; 100_000]).is_taken());
    let drained = large.drained();
    event_loop.set_output_budget(Bytes(50_000));
    assert!(small.send(b"one more").is_taken());
    event_loop.run_ready_now();
    assert_eq!(large_log.count("error"), 1);
    assert_eq!(large.get_write_buffer_size(), Bytes(0));
    assert!(drained.result().is_err());
    assert_eq!(large.stats().dropped, 2);
    assert!(small.get_write_buffer_size() > Bytes(0));
    while number(&peer).is_some() {}
    assert_eq!(large.send(b"alive"), SendState::Sent);
    close(&event_loop, &large, &large_log);
    small.abort();
    event_loop.run_ready_now();
    assert!(small_log.is_lost());
}

#[test]
fn r4_in_the_middle_of_a_burst_too_the_largest_queue_is_dropped() {
    let event_loop = TestLoop::new();
    let (small, small_log, _peer, _) = filled(&event_loop, Hooks::new());
    let sender = small.clone();
    let hooks = Hooks::new().data(move |transport, data, _| match data {
        b"fill" => while transport.send(&[0; 100_000]) == SendState::Sent {},
        b"send" => assert!(sender.send(b"one more").is_taken()),
        _ => {}
    });
    let (ours, peer) = UnixDatagram::pair().unwrap();
    let (large, large_log) = open(&event_loop, hooks, ours);
    event_loop.set_output_budget(Bytes(50_000));
    for count in 1..=8 {
        peer.send(b"from now on two are read in a turn").unwrap();
        run_until(&event_loop, || large_log.count("data") == count);
    }
    peer.send(b"fill").unwrap();
    peer.send(b"send").unwrap();
    run_until(&event_loop, || large_log.count("data") == 10);
    event_loop.run_ready_now();
    assert_eq!(large_log.count("error"), 1);
    assert_eq!(large.get_write_buffer_size(), Bytes(0));
    assert!(small.get_write_buffer_size() > Bytes(0));
    large.abort();
    small.abort();
    event_loop.run_ready_now();
    assert!(large_log.is_lost() && small_log.is_lost());
}

#[test]
fn x33_r5_a_receiver_that_does_not_read_holds_up_no_other() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let bind = |name: &str| {
        let path = folder.path().join(name);
        (UnixDatagram::bind(&path).unwrap(), Address::Path(path))
    };
    let (deaf, deaf_address) = bind("deaf");
    let (other, other_address) = bind("other");
    let (server, log) = open(&event_loop, Hooks::new(), folder.path().join("server"));
    let mut sent: u64 = 0;
    while server.sendto(&sent.to_le_bytes(), Some(&deaf_address)) == SendState::Sent {
        sent += 1;
    }
    for _ in 0..100 {
        sent += 1;
        assert!(server.sendto(&sent.to_le_bytes(), Some(&deaf_address)).is_taken());
    }
    assert_eq!(server.sendto(b"you", Some(&other_address)), SendState::Sent);
    assert_eq!(other.recv(&mut [0; 8]).unwrap(), 3);
    // It is tried again by a timer, ever less often: such a socket always says that it is ready.
    let before = event_loop.stats().callbacks;
    event_loop.advance(Duration::from_secs(10));
    let tries = event_loop.stats().callbacks - before;
    assert!((50..400).contains(&tries), "{tries} callbacks in ten seconds");

    let mut expected = 0;
    run_until(&event_loop, || {
        while let Some(found) = number(&deaf) {
            assert_eq!(found, expected);
            expected += 1;
        }
        event_loop.advance(Duration::from_millis(100));
        expected == sent + 1
    });
    assert_eq!(server.get_write_buffer_size(), Bytes(0));
    close(&event_loop, &server, &log);
}

#[test]
fn x34_an_error_of_a_queued_datagram_is_told_and_the_queue_moves_on() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deaf");
    let deaf = UnixDatagram::bind(&path).unwrap();
    let to = Address::Path(path);
    let (server, log) = open(&event_loop, Hooks::new(), folder.path().join("server"));
    while server.sendto(b"x", Some(&to)) == SendState::Sent {}
    assert!(server.sendto(b"y", Some(&to)).is_taken());
    drop(deaf);
    run_until(&event_loop, || {
        event_loop.advance(Duration::from_millis(100));
        log.count("error") == 2
    });
    assert!(log.errors().iter().all(|(_, address)| *address == Some(to.clone())));
    assert_eq!(server.get_write_buffer_size(), Bytes(0));
    assert_eq!(server.stats().dropped, 2);
    close(&event_loop, &server, &log);
}

#[test]
fn p6_x37_pauses_and_resumes_alternate_and_a_resume_may_send() {
    let event_loop = TestLoop::new();
    let options = |socket| DatagramOptions::from(socket).write_buffer_limits(marks(0, 0));
    let (ours, peer) = UnixDatagram::pair().unwrap();
    let again: Slot<usize> = Slot::new();
    let counted = again.clone();
    let hooks = Hooks::new().resume(move |transport| {
        counted.update(|count| *count += 1);
        if counted.get() < 5 {
            while transport.send(b"12345678") == SendState::Sent {}
        }
    });
    let (transport, log) = open(&event_loop, hooks, options(ours));
    while transport.send(b"12345678") == SendState::Sent {}
    run_until(&event_loop, || {
        while number(&peer).is_some() {}
        again.get() == 5
    });
    assert_eq!((log.count("pause"), log.count("resume")), (5, 5));
    close(&event_loop, &transport, &log);
}
