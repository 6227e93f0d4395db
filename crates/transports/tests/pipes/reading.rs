//! The read end.

use crate::support::*;
use crate::{others, reading, settle};
use eventloop::TestLoop;
use std::io::Write;
use tulipa_transports::testing::ProtocolCall;
use tulipa_transports::{Eof, WriteRefusal, WriteState};

#[test]
fn p5_x40_data_then_the_end_of_file_then_the_loss() {
    for answer in [Eof::Close, Eof::KeepOpen] {
        let _others = others();
        let event_loop = TestLoop::new();
        let (protocol, log) = Hooks::new().eof(move |_| answer).recorded();
        let (transport, mut peer) = reading(&event_loop, protocol);
        assert!(transport.is_reading() && !transport.is_closing() && !transport.can_write_eof());
        peer.write_all(b"tulip").unwrap();
        settle(&event_loop);
        peer.write_all(b"bulb").unwrap();
        drop(peer);
        settle(&event_loop);
        assert_eq!(
            log.calls(),
            [
                ProtocolCall::ConnectionMade,
                ProtocolCall::DataReceived(5),
                ProtocolCall::DataReceived(4),
                ProtocolCall::EofReceived,
                ProtocolCall::ConnectionLost(None)
            ],
            "the answer {answer:?} does not matter"
        );
    }
}

#[test]
fn x40_the_end_and_the_loss_have_turns_of_their_own() {
    use eventloop::prelude::*;
    let _others = others();
    let event_loop = TestLoop::new();
    let order: Slot<Vec<&str>> = Slot::new();
    let (eof, soon, lost) = (order.clone(), order.clone(), order.clone());
    let handle = event_loop.handle();
    let hooks = Hooks::new()
        .eof(move |_| {
            eof.update(|order| order.push("eof"));
            let soon = soon.clone();
            handle.call_soon(move || soon.update(|order| order.push("soon")));
            Eof::Close
        })
        .lost(move |_, _| lost.update(|order| order.push("lost")));
    let (_transport, peer) = reading(&event_loop, hooks);
    drop(peer);
    settle(&event_loop);
    assert_eq!(order.take(), ["eof", "soon", "lost"]);
}

#[test]
fn x10_x11_pausing_holds_back_data_and_the_end() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = reading(&event_loop, protocol);
    transport.pause_reading();
    transport.pause_reading();
    peer.write_all(b"tulip").unwrap();
    drop(peer);
    settle(&event_loop);
    assert_eq!((log.calls().len(), transport.is_reading()), (1, false));
    transport.resume_reading();
    settle(&event_loop);
    assert_eq!((log.bytes(), log.lost_reason()), (5, Some(None)));
}

#[test]
fn x42_p5_a_pipe_that_only_reads_refuses_what_would_write() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = reading(&event_loop, protocol);
    assert_eq!(transport.write(b"x"), WriteState::Refused(WriteRefusal::ReadOnly));
    assert_eq!(transport.writelines(&[b"x"]), WriteState::Refused(WriteRefusal::ReadOnly));
    transport.write_eof();
    settle(&event_loop);
    assert!(!transport.is_closing(), "there was no such direction to end");
    assert!(transport.drained().done());
    transport.close();
    settle(&event_loop);
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn x39_what_was_not_read_is_left_to_others() {
    use std::io::Read;
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut copy = reader.try_clone().unwrap();
    let (protocol, log) = Hooks::new().made(|transport| transport.pause_reading()).recorded();
    let opening = {
        use tulipa_transports::NetworkLoop;
        event_loop.connect_read_pipe(move || protocol, reader)
    };
    let transport = event_loop.run_until_complete(&opening).unwrap();
    writer.write_all(b"tulip").unwrap();
    transport.close();
    settle(&event_loop);
    assert_eq!(log.lost_reason(), Some(None));
    let mut left = [0; 5];
    copy.read_exact(&mut left).unwrap(); // it would block for ever if it had been thrown away
    assert_eq!(&left, b"tulip");
}
