//! Sending a file over a transport (N-49…N-52).

use crate::support::*;
use eventloop::prelude::*;
use eventloop::{TestLoop, ThreadPoolExecutor, ThreadPoolOptions};
use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{
    Bytes, NetworkLoop, SendFile, SendFileError, SocketLoop, TransportExt, WriteRefusal, WriteState,
};

/// A file with these contents.
fn file_of(contents: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents).unwrap();
    file.rewind().unwrap();
    Arc::new(file)
}

fn position(file: &File) -> u64 {
    let mut file = file;
    file.stream_position().unwrap()
}

#[test]
fn n49_what_was_written_before_goes_first_then_the_file_then_what_follows() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    let contents = pattern(3 << 17);
    let file = file_of(&contents);
    let before = vec![b'<'; 1 << 17];
    transport.write(&before);
    let sending = event_loop.sendfile(&*transport, &file);
    let handle = transport.clone();
    sending.add_done_callback(move |sent| {
        assert_eq!(sent.result().unwrap(), 3 << 17);
        handle.write(b">");
        handle.close();
    });
    let received = read_to_end(&event_loop, &mut peer);
    assert!(received == [&before[..], &contents, b">"].concat(), "{} bytes", received.len());
    assert_eq!(position(&file), 3 << 17);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn n49_in_memory_blocks_are_copied_unless_that_is_forbidden() {
    for seed in 0..20 {
        let event_loop = TestLoop::new();
        let contents = pattern(300_000);
        let file = file_of(&contents);
        let received: Slot<Vec<u8>> = Slot::new();
        let seen = received.clone();
        let right =
            Hooks::new().data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
        let (left, log) = Hooks::new().recorded();
        let options = MemoryOptions::default().capacity(Bytes(5000)).trouble(seed);
        let pair = event_loop.memory_pair(left, right, options);
        event_loop.run_ready_now();
        pair.left.write(b"<");
        let forbidden = SendFile::from(&file).fallback(false);
        let error = event_loop.run_until_complete(&pair.left.send_file(forbidden)).unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::Unsupported));
        let part = SendFile::from(&file).offset(10).count(250_000);
        let sending = pair.left.send_file(part);
        assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 250_000);
        assert_eq!(position(&file), 250_010);
        assert_eq!(event_loop.output_total(), Bytes(0));
        pair.left.write(b">");
        pair.left.close();
        event_loop.run_until_complete(&pair.right.wait_closed()).unwrap();
        assert!(received.get() == [b"<", &contents[10..250_010], b">"].concat());
        log.check_ended();
    }
}

#[test]
fn n49_n51_where_the_system_cannot_copy_to_a_socket_blocks_are_copied() {
    let event_loop = TestLoop::new();
    let (ours, mut peer) = tcp_sockets();
    // No system copies to what is for appending.
    let flags = rustix::fs::fcntl_getfl(&ours).unwrap();
    rustix::fs::fcntl_setfl(&ours, flags | rustix::fs::OFlags::APPEND).unwrap();
    let opening = event_loop.connect_accepted_socket(Hooks::new, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    let contents = pattern(8 << 20);
    let file = file_of(&contents);
    let forbidden = transport.send_file(SendFile::from(&file).offset(7).fallback(false));
    let error = event_loop.run_until_complete(&forbidden).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::Unsupported));
    assert_eq!(position(&file), 7);
    transport.write(b"<");
    let sending = transport.send_file(SendFile::from(&file).offset(10).count(5 << 20));
    let handle = transport.clone();
    sending.add_done_callback(move |_| {
        handle.write(b">");
        handle.close();
    });
    let received = read_to_end(&event_loop, &mut peer);
    assert_eq!(sending.result().unwrap(), 5 << 20);
    assert_eq!(position(&file), 10 + (5 << 20));
    assert!(received == [b"<", &contents[10..10 + (5 << 20)], b">"].concat());
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn n50_an_offset_or_a_count_that_makes_no_sense_is_an_error() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = tcp(&event_loop, Hooks::new());
    let file = file_of(b"tulip");
    (&*file).seek(SeekFrom::Start(2)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (pipe, _other_end) = rustix::pipe::pipe().unwrap();
    for wrong in [
        SendFile::from(&file).count(0),
        SendFile::from(&file).offset(u64::MAX),
        SendFile::from(&file).offset(1).count(i64::MAX as u64),
        SendFile::from(File::open(folder.path()).unwrap()),
        SendFile::from(pipe),
    ] {
        let error = transport.send_file(wrong).result().unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        assert_eq!(SendFileError::of(&error).unwrap().sent(), 0);
    }
    assert_eq!(position(&file), 2, "nothing was touched");
    // Beyond the end there is nothing, which is no error.
    let sending = transport.send_file(SendFile::from(&file).offset(99));
    assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 0);
    assert_eq!(position(&file), 99);
    // So far beyond it that no file of this kind can have anything there.
    let sending = transport.send_file(SendFile::from(&file).offset(1 << 55));
    assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 0);
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"");
}

#[test]
fn n50_a_file_that_cannot_be_read_is_an_error_and_the_connection_goes_on() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = tcp(&event_loop, Hooks::new());
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("file")).unwrap();
    file.set_len(1000).unwrap(); // for writing only
    let sending = transport.send_file(file.into());
    let error = event_loop.run_until_complete(&sending).unwrap_err();
    assert!(SendFileError::of(&error).is_some(), "{error:?}");
    transport.write(b"sorry");
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"sorry");
}

#[test]
fn x18_n51_meanwhile_nothing_is_delivered_and_writes_are_refused_and_afterwards_all_is_as_before() {
    let event_loop = TestLoop::new();
    let received: Slot<Vec<u8>> = Slot::new();
    let seen = received.clone();
    let hooks = Hooks::new().data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
    let (protocol, log) = hooks.recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    let file = file_of(&pattern(8 << 17));
    let sending = event_loop.sendfile(&*transport, &file);
    send(&mut peer, b"early");
    event_loop.run_ready_now();
    assert!(!sending.done() && !transport.is_reading());
    assert_eq!(transport.write(b"x"), WriteState::Refused(WriteRefusal::SendingFile));
    assert_eq!(transport.writelines(&[b"x"]), WriteState::Refused(WriteRefusal::SendingFile));
    assert_eq!(transport.write_vec(vec![7; 9999]), WriteState::Refused(WriteRefusal::SendingFile));
    let second = event_loop.sendfile(&*transport, &file).result().unwrap_err();
    assert!(format!("{second:?}").contains("a file is being sent"), "{second:?}");
    assert_eq!(received.get(), b"");
    let all = read_while(&event_loop, &mut peer, |all| all.len() < 8 << 17);
    assert!(all == pattern(8 << 17));
    assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 8 << 17);
    assert!(transport.is_reading());
    run_until(&event_loop, || received.get() == b"early");
    assert!(transport.write(b"x").is_taken());
    transport.close();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn n51_reading_that_was_paused_before_or_meanwhile_stays_paused() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = tcp(&event_loop, Hooks::new());
    let file = file_of(b"tulip");
    transport.pause_reading();
    event_loop.run_until_complete(&transport.send_file((&file).into())).unwrap();
    assert!(!transport.is_reading());
    transport.resume_reading();
    let sending = transport.send_file((&file).into());
    assert!(!transport.is_reading());
    transport.pause_reading();
    event_loop.run_until_complete(&sending).unwrap();
    assert!(!transport.is_reading());
    let sending = transport.send_file((&file).into());
    transport.resume_reading();
    assert!(!transport.is_reading());
    event_loop.run_until_complete(&sending).unwrap();
    assert!(transport.is_reading());
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"tuliptuliptulip");
}

#[test]
fn n51_the_protocol_hears_of_the_marks_afterwards_only() {
    let event_loop = TestLoop::new();
    let calls: Slot<Vec<&str>> = Slot::new();
    let (paused, resumed) = (calls.clone(), calls.clone());
    let hooks = Hooks::new().pause(move |_| paused.update(|calls| calls.push("pause"))).resume(
        move |transport| {
            resumed.update(|calls| calls.push("resume"));
            assert!(transport.write(b">").is_taken(), "it may write at once (X-23)");
            transport.close();
        },
    );
    let (protocol, log) = hooks.recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    transport.write(&vec![b'<'; 8 << 17]);
    event_loop.run_ready_now();
    assert_eq!(calls.get(), ["pause"]);
    let file = file_of(&pattern(8 << 17));
    let sending = transport.send_file((&file).into());
    let halfway = read_while(&event_loop, &mut peer, |all| all.len() < 9 << 17);
    assert!(!sending.done());
    assert_eq!(calls.get(), ["pause"], "the output is gone, the file is not");
    let rest = read_to_end(&event_loop, &mut peer);
    assert_eq!(halfway.len() + rest.len(), (16 << 17) + 1);
    assert_eq!(calls.get(), ["pause", "resume"]);
    assert_eq!(sending.result().unwrap(), 8 << 17);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn n51_cancelling_stops_it_and_restores_everything() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = narrow_tcp(&event_loop, Hooks::echo());
    let contents = pattern(8 << 17);
    let file = file_of(&contents);
    let sending = transport.send_file(SendFile::from(&file).offset(5));
    event_loop.run_ready_now();
    assert!(!sending.done());
    assert!(sending.cancel());
    // At once, not when the loop gets to it.
    assert!(transport.write(b">").is_taken());
    assert!(transport.is_reading());
    let sent = position(&file) - 5;
    assert!(sent > 0 && sent < 8 << 17, "{sent}");
    event_loop.run_ready_now();
    transport.close();
    let received = read_to_end(&event_loop, &mut peer);
    let sent = usize::try_from(sent).unwrap();
    assert!(received == [&contents[5..5 + sent], b">"].concat());

    // A task that awaits it cancels it too.
    let (transport, _peer) = narrow_tcp(&event_loop, Hooks::new());
    let sending = transport.send_file((&file).into());
    let task = event_loop.create_task(sending.clone());
    event_loop.run_ready_now();
    task.cancel();
    event_loop.run_ready_now();
    assert!(task.cancelled() && sending.cancelled() && transport.is_reading());
    transport.abort();
    event_loop.run_ready_now();
}

#[test]
fn n51_cancelling_while_a_block_is_read_drops_what_was_read() {
    let event_loop = TestLoop::new();
    let pool = ThreadPoolExecutor::new(ThreadPoolOptions { max_threads: 1, ..Default::default() });
    event_loop.set_default_executor(Arc::new(pool));
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let busy = event_loop.run_in_executor(None, move || held.recv().is_err());
    let received: Slot<Vec<u8>> = Slot::new();
    let seen = received.clone();
    let right = Hooks::new().data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
    let pair = event_loop.memory_pair(Hooks::new(), right, MemoryOptions::default());
    event_loop.run_ready_now();
    let file = file_of(b"tulip");
    let sending = pair.left.send_file((&file).into());
    event_loop.run_ready_now();
    sending.cancel();
    assert!(pair.left.write(b"x").is_taken());
    drop(hold);
    event_loop.run_until_complete(&busy).unwrap();
    run_until(&event_loop, || received.get() == b"x");
    assert_eq!(position(&file), 0);
    pair.left.close();
    event_loop.run_until_complete(&pair.right.wait_closed()).unwrap();
    assert_eq!(received.get(), b"x");
}

#[test]
fn n52_a_file_that_is_shorter_sends_what_there_is() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = tcp(&event_loop, Hooks::new());
    let file = file_of(b"tulip");
    let sending = transport.send_file(SendFile::from(&file).offset(1).count(99));
    assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 4);
    assert_eq!(position(&file), 5);
    let empty = transport.send_file(SendFile::from(file_of(b"")));
    assert_eq!(event_loop.run_until_complete(&empty).unwrap(), 0);
    transport.close();
    assert_eq!(read_to_end(&event_loop, &mut peer), b"ulip");
}

#[test]
fn n52_a_file_that_is_cut_meanwhile_ends_earlier() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = narrow_tcp(&event_loop, Hooks::new());
    let file = file_of(&pattern(8 << 17));
    let sending = transport.send_file((&file).into());
    event_loop.run_ready_now();
    assert!(!sending.done());
    file.set_len(1000).unwrap();
    let handle = transport.clone();
    sending.add_done_callback(move |_| handle.close());
    let received = read_to_end(&event_loop, &mut peer);
    assert_eq!(sending.result().unwrap(), received.len() as u64);
}

#[test]
fn n52_a_peer_that_leaves_is_an_error_with_the_number_of_bytes() {
    let event_loop = TestLoop::new();
    for resets in [true, false] {
        let reason: Slot<Option<ErrorKind>> = Slot::new();
        let seen = reason.clone();
        let hooks = Hooks::new()
            .lost(move |_, reason| seen.set(reason.and_then(|reason| reason.io_kind())));
        let (protocol, log) = hooks.recorded();
        let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
        let file = file_of(&pattern(8 << 17));
        let sending = transport.send_file((&file).into());
        event_loop.run_ready_now();
        peer.read_exact(&mut [0; 1000]).unwrap();
        if resets {
            reset(peer)
        } else {
            drop(peer)
        }
        let error = event_loop.run_until_complete(&sending).unwrap_err();
        let kind = error.io_kind().unwrap();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
        let sent = SendFileError::of(&error).unwrap().sent();
        assert!((1000..8 << 17).contains(&sent), "{sent}");
        assert_eq!(position(&file), sent);
        event_loop.run_until_complete(&transport.wait_closed()).unwrap();
        assert_eq!(reason.get(), Some(kind));
        log.check_ended();
        let late = transport.send_file((&file).into()).result().unwrap_err();
        assert_eq!(late.io_kind(), Some(ErrorKind::NotConnected));
    }
}

#[test]
fn n52_x32_a_peer_that_is_gone_raises_no_signal() {
    let event_loop = TestLoop::new();
    // Rust's programs ignore SIGPIPE; a guest finds it as its host has it.
    let signals = Rc::new(Cell::new(0));
    let seen = signals.clone();
    let count = move || seen.set(seen.get() + 1);
    event_loop.add_signal_handler(eventloop::signal::SIGPIPE, count).unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let opening = event_loop.connect_accepted_socket(Hooks::new, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.pause_reading();
    drop(theirs);
    let file = file_of(b"tulip");
    let sending = transport.send_file((&file).into());
    let error = event_loop.run_until_complete(&sending).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::BrokenPipe));
    assert_eq!((SendFileError::of(&error).unwrap().sent(), position(&file)), (0, 0));
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    event_loop.run_ready_now();
    assert_eq!(signals.get(), 0);
    event_loop.remove_signal_handler(eventloop::signal::SIGPIPE);
}

#[test]
fn n49_closing_waits_for_the_file_and_aborting_does_not() {
    let event_loop = TestLoop::new();
    let contents = pattern(4 << 17);
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = narrow_tcp(&event_loop, protocol);
    let sending = transport.send_file(file_of(&contents).into());
    transport.close();
    assert!(transport.is_closing());
    let late = transport.send_file(file_of(b"x").into()).result().unwrap_err();
    assert_eq!(late.io_kind(), Some(ErrorKind::NotConnected));
    assert!(read_to_end(&event_loop, &mut peer) == contents);
    assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 4 << 17);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();

    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = narrow_tcp(&event_loop, protocol);
    let sending = transport.send_file(file_of(&contents).into());
    event_loop.run_ready_now();
    transport.close();
    transport.abort();
    let error = event_loop.run_until_complete(&sending).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionAborted));
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn x6_n52_a_close_that_waits_for_a_file_ends_with_what_went_wrong() {
    let event_loop = TestLoop::new();
    for linger in [true, false] {
        let reason: Slot<Option<ErrorKind>> = Slot::new();
        let seen = reason.clone();
        let hooks = Hooks::new().lost(move |_, reason| {
            let kind = reason.map(|reason| reason.io_kind().unwrap_or(ErrorKind::TimedOut));
            seen.set(kind);
        });
        let (protocol, log) = hooks.recorded();
        let (transport, peer) = narrow_tcp(&event_loop, protocol);
        let sending = transport.send_file(file_of(&pattern(1 << 20)).into());
        event_loop.run_ready_now();
        transport.close();
        let peer = match linger {
            true => {
                event_loop.advance(Duration::from_secs(30));
                Some(peer)
            }
            false => {
                reset(peer);
                None
            }
        };
        assert!(event_loop.run_until_complete(&sending).is_err());
        event_loop.run_until_complete(&transport.wait_closed()).unwrap();
        match reason.get() {
            Some(ErrorKind::TimedOut) => assert!(linger),
            Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => assert!(!linger),
            other => panic!("{other:?}"),
        }
        log.check_ended();
        drop(peer);
    }
}

#[test]
fn x7_n52_what_was_received_before_a_file_failed_is_still_delivered() {
    let event_loop = TestLoop::new();
    let received: Slot<Vec<u8>> = Slot::new();
    let seen = received.clone();
    let left = Hooks::new().data(move |_, data| seen.update(|all| all.extend_from_slice(data)));
    let (left, log) = left.recorded();
    let pair = event_loop.memory_pair(left, Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    let sending = pair.left.send_file(file_of(&pattern(1 << 20)).into());
    pair.right.write(b"I have seen enough");
    pair.right.pause_reading();
    event_loop.run_ready_now();
    pair.break_left_output();
    assert!(event_loop.run_until_complete(&sending).is_err());
    event_loop.run_until_complete(&pair.left.wait_closed()).unwrap();
    assert_eq!(received.get(), b"I have seen enough");
    log.check_ended();
    pair.right.abort();
    event_loop.run_ready_now();
}

#[test]
fn n49_ending_our_direction_waits_for_the_file() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = narrow_tcp(&event_loop, Hooks::new().keep_open());
    let contents = pattern(4 << 17);
    let sending = transport.send_file(file_of(&contents).into());
    transport.write_eof();
    assert!(read_to_end(&event_loop, &mut peer) == contents);
    assert_eq!(event_loop.run_until_complete(&sending).unwrap(), 4 << 17);
    let late = transport.send_file(file_of(b"x").into()).result().unwrap_err();
    assert!(format!("{late:?}").contains("write_eof"), "{late:?}");
    drop(peer);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
}

#[test]
fn x5_n49_a_peer_that_takes_nothing_of_the_file_does_not_hold_up_the_close_for_ever() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = narrow_tcp(&event_loop, protocol); // with a server's limits
    let sending = transport.send_file(file_of(&pattern(8 << 17)).into());
    event_loop.run_ready_now();
    transport.close();
    event_loop.advance(Duration::from_secs(30));
    let error = event_loop.run_until_complete(&sending).unwrap_err();
    assert!(format!("{error:?}").contains("sending the rest after close"), "{error:?}");
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn n49_it_may_be_asked_for_inside_any_call_and_begins_when_that_returns() {
    let event_loop = TestLoop::new();
    let file = file_of(b"tulip");
    let asked = file.clone();
    let sent: Slot<Option<futures::Future<u64>>> = Slot::new();
    let seen = sent.clone();
    let hooks = Hooks::new()
        .made(|transport| drop(transport.send_file(file_of(b"made ").into())))
        .data(move |transport, _| {
            transport.write(b"before ");
            let sending = transport.send_file((&asked).into());
            assert!(!transport.write(b"x").is_taken() && !transport.is_reading());
            seen.set(Some(sending));
            transport.close();
        });
    let (protocol, log) = hooks.recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    send(&mut peer, b"go");
    assert_eq!(read_to_end(&event_loop, &mut peer), b"made before tulip");
    assert_eq!(sent.take().unwrap().result().unwrap(), 5);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
    let late = Cell::new(false);
    assert!(transport.with_protocol(|_: &mut Hooks, _| late.set(true)).is_err());
}

#[test]
fn r5_n49_one_large_file_leaves_the_others_their_turns() {
    let event_loop = TestLoop::new();
    let (transport, mut peer) = tcp(&event_loop, Hooks::new());
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).map(|_| all.len())
    });
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 17).unwrap();
    let polls = Rc::new(Cell::new(event_loop.stats().polls));
    let before = polls.get();
    let sending = transport.send_file(file.into());
    event_loop.run_until_complete(&sending).unwrap();
    let rounds = event_loop.stats().polls - before;
    assert!(rounds >= (64 << 17) / (256 << 10), "only {rounds} looks at the others");
    transport.close();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), 64 << 17);
}

#[test]
fn l30_n49_a_loop_that_closes_ends_it_silently() {
    let mut event_loop = TestLoop::new();
    event_loop.allow_leftovers();
    let (transport, _peer) = narrow_tcp(&event_loop, Hooks::new());
    let file = file_of(&pattern(8 << 17));
    let sending = transport.send_file((&file).into());
    event_loop.run_ready_now();
    event_loop.close().unwrap();
    assert!(!sending.done());
    assert_eq!(Arc::strong_count(&file), 1, "the file is let go");
    assert!(position(&file) > 0);
}

#[test]
fn r4_blocks_that_were_read_count_as_output() {
    let event_loop = TestLoop::new();
    let options = MemoryOptions::default().capacity(Bytes(10));
    let pair = event_loop.memory_pair(Hooks::new(), Hooks::new(), options);
    event_loop.run_ready_now();
    pair.right.pause_reading();
    let sending = pair.left.send_file(file_of(&pattern(1 << 20)).into());
    run_until(&event_loop, || event_loop.output_total() > Bytes(0));
    assert_eq!(event_loop.output_total(), Bytes::kib(64));
    pair.left.abort();
    event_loop.run_ready_now();
    assert!(sending.exception().unwrap().is_some());
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn r4_whoever_holds_the_most_is_cut_also_if_that_is_a_part_of_a_file() {
    let event_loop = TestLoop::new();
    event_loop.set_output_budget(Bytes(50_000));
    let narrow = || {
        let options = MemoryOptions::default().capacity(Bytes(10));
        let pair = event_loop.memory_pair(Hooks::new(), Hooks::new(), options);
        event_loop.run_ready_now();
        pair.right.pause_reading();
        pair
    };
    let (small, large) = (narrow(), narrow());
    small.left.write(&[1; 100]);
    event_loop.run_ready_now();
    let sending = large.left.send_file(file_of(&pattern(1 << 20)).into());
    run_until(&event_loop, || event_loop.output_total() > Bytes(50_000));
    assert_eq!(small.left.write(b"more"), WriteState::Taken);
    assert!(!small.left.is_closing() && large.left.is_closing());
    let error = event_loop.run_until_complete(&sending).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::OutOfMemory));
    small.left.abort();
    event_loop.run_ready_now();
    assert_eq!(event_loop.output_total(), Bytes(0));
}

#[test]
fn n49_files_follow_each_other_from_the_callbacks_of_those_before() {
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let (transport, mut peer) = tcp(&event_loop, protocol);
    let (one, two) = (transport.clone(), transport.clone());
    transport.send_file(file_of(b"one ").into()).add_done_callback(move |sent| {
        assert_eq!(sent.result().unwrap(), 4);
        one.write(b"and ");
        one.send_file(file_of(b"two ").into()).add_done_callback(move |sent| {
            assert_eq!(sent.result().unwrap(), 4);
            // Nobody keeps this one's future: it is sent all the same.
            drop(two.send_file(file_of(b"three").into()));
            two.close();
        });
    });
    assert_eq!(read_to_end(&event_loop, &mut peer), b"one and two three");
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    log.check_ended();
}

#[test]
fn r8_n51_a_protocol_that_panics_meanwhile_ends_its_connection_and_the_file() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (protocol, log) = Hooks::new().recorded();
    let (transport, _peer) = narrow_tcp(&event_loop, protocol);
    let (other, mut other_peer) = tcp(&event_loop, Hooks::new());
    let file = file_of(&pattern(1 << 20));
    let sending = transport.send_file((&file).into());
    event_loop.run_ready_now();
    assert!(!sending.done());
    let boxed: Box<dyn tulipa_transports::Protocol> = Box::new(Panics);
    transport.set_boxed_protocol(boxed);
    drop(log); // the one that was replaced is told nothing more
    transport.close();
    transport.abort();
    let error = event_loop.run_until_complete(&sending).unwrap_err();
    assert!(SendFileError::of(&error).unwrap().sent() > 0);
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    assert_eq!(panic_message(&errors.take()[0]), "at the end");
    assert_eq!(Arc::strong_count(&file), 1);
    let sending = other.send_file(file_of(b"tulip").into());
    event_loop.run_until_complete(&sending).unwrap();
    other.close();
    assert_eq!(read_to_end(&event_loop, &mut other_peer), b"tulip");
}

struct Panics;

impl tulipa_transports::Protocol for Panics {
    fn data_received(&mut self, _: &dyn tulipa_transports::Transport, _: &[u8]) {}

    fn connection_lost(
        &mut self,
        _: &dyn tulipa_transports::Transport,
        _: Option<futures::Exception>,
    ) {
        panic!("at the end");
    }
}
