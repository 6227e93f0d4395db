//! `sock_sendfile` (N-53).

use crate::support::*;
use eventloop::TestLoop;
use eventloop::prelude::*;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::sync::Arc;
use std::time::Duration;
use tulipa_transports::{SendFile, SendFileError, SockError, SocketLoop};

fn file_of(contents: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents).unwrap();
    Arc::new(file)
}

fn position(file: &File) -> u64 {
    let mut file = file;
    file.stream_position().unwrap()
}

#[test]
fn n53_a_file_goes_through_a_raw_socket_as_the_peer_takes_it() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    let contents = pattern(8 << 20);
    let file = file_of(&contents);
    let part = SendFile::from(&file).offset(100).count(7 << 20);
    let task = event_loop.create_task(event_loop.sock_sendfile(&ours, part));
    event_loop.run_ready_now();
    assert!(!task.done());
    theirs.set_nonblocking(true).unwrap();
    let (mut received, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    run_until(&event_loop, || {
        while let Ok(count) = theirs.read(&mut buffer) {
            received.extend_from_slice(&buffer[..count]);
        }
        task.done()
    });
    assert_eq!(task.take().unwrap(), 7 << 20);
    theirs.set_nonblocking(false).unwrap();
    drop(ours);
    theirs.read_to_end(&mut received).unwrap();
    assert!(received == contents[100..100 + (7 << 20)]);
    assert_eq!(position(&file), 100 + (7 << 20));
}

#[test]
fn n53_an_end_at_the_beginning_gives_nothing_and_sets_the_position() {
    let event_loop = TestLoop::new();
    let (ours, _theirs) = tcp_pair();
    let file = file_of(b"tulip");
    let sending = event_loop.sock_sendfile(&ours, SendFile::from(&file).offset(5));
    assert_eq!(event_loop.run_coroutine(sending).unwrap(), 0);
    assert_eq!(position(&file), 5);
    let empty = file_of(b"");
    let sending = event_loop.sock_sendfile(&ours, &empty);
    assert_eq!(event_loop.run_coroutine(sending).unwrap(), 0);
    assert_eq!(position(&empty), 0);
}

#[test]
fn n53_files_that_the_system_cannot_copy_are_sent_in_blocks() {
    let event_loop = TestLoop::new();
    // What sendfile(2) refuses differs from system to system; a file for appending it does on none.
    let (ours, theirs) = unix_pair();
    let status = Arc::new(File::open("/proc/self/status").unwrap());
    let sending = event_loop.sock_sendfile(&ours, &status);
    let sent = event_loop.run_coroutine(sending).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let count = (&*theirs).read(&mut buffer).unwrap();
    assert_eq!(sent, count as u64);
    assert!(buffer.starts_with(b"Name:"));
}

#[test]
fn n53_blocks_go_through_a_raw_socket_as_the_peer_takes_them() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    // No system copies to what is for appending.
    let flags = rustix::fs::fcntl_getfl(&ours).unwrap();
    rustix::fs::fcntl_setfl(&ours, flags | rustix::fs::OFlags::APPEND).unwrap();
    let contents = pattern(8 << 20);
    let file = file_of(&contents);
    let forbidden = event_loop.sock_sendfile(&ours, SendFile::from(&file).fallback(false));
    let error = event_loop.run_coroutine(forbidden).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::Unsupported));

    let mut sending = event_loop.sock_sendfile(&ours, SendFile::from(&file).offset(3));
    // Each poll is dropped in the middle of something, and the next goes on.
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).map(|_| all)
    });
    let mut rounds = 0;
    let sent = loop {
        rounds += 1;
        let task = event_loop.create_task(async move {
            let outcome = (&mut sending).await;
            Ok((outcome, sending))
        });
        event_loop.run_ready_now();
        task.cancel();
        let (outcome, left) = event_loop.run_until_complete(&task).unwrap();
        match outcome {
            Ok(sent) => break sent,
            Err(error) => assert!(error.is_cancelled(), "{error:?}"),
        }
        sending = left;
    };
    assert_eq!((sent, position(&file)), ((8 << 20) - 3, 8 << 20), "{rounds} rounds");
    drop(ours);
    assert!(reader.join().unwrap().unwrap() == contents[3..]);
}

#[test]
fn n53_cancelled_it_stops_and_awaited_again_it_goes_on() {
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = tcp_pair();
    let contents = pattern(8 << 20);
    let file = file_of(&contents);
    let mut sending = event_loop.sock_sendfile(&ours, &file);
    let task = event_loop.create_task(async move {
        assert!((&mut sending).await.is_err_and(|error| error.is_cancelled()));
        if let Some(task) = futures::current_task() {
            task.uncancel();
        }
        sending.await
    });
    event_loop.run_ready_now();
    task.cancel();
    event_loop.run_ready_now();
    let received = read_all(&event_loop, &mut theirs, contents.len());
    assert_eq!(event_loop.run_until_complete(&task).unwrap(), 8 << 20);
    assert!(received == contents);

    // Dropped, it leaves the position where it got.
    let dropped = event_loop.create_task(event_loop.sock_sendfile(&ours, &file));
    event_loop.run_ready_now();
    dropped.cancel();
    event_loop.run_ready_now();
    let sent = position(&file);
    assert!(sent > 0 && sent < 8 << 20, "{sent}");
    assert_eq!((watched(&event_loop), Arc::strong_count(&file)), (0, 1));
}

#[test]
fn n53_a_peer_that_leaves_is_an_error_that_says_how_much_was_sent() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = tcp_pair();
    let file = file_of(&pattern(8 << 20));
    let task = event_loop.create_task(event_loop.sock_sendfile(&ours, &file));
    event_loop.run_ready_now();
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    let error = event_loop.run_until_complete(&task).unwrap_err();
    assert!(matches!(error.io_kind(), Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)));
    assert_eq!(SockError::of(&error).unwrap().operation(), "sock_sendfile");
    let sent = SendFileError::of(&error).unwrap().sent();
    assert!(sent > 0 && sent < 8 << 20, "{sent}");
    assert_eq!(position(&file), sent);
}

#[test]
fn n50_n53_what_makes_no_sense_is_refused() {
    let event_loop = TestLoop::new();
    let (ours, _theirs) = tcp_pair();
    let file = file_of(b"tulip");
    let sending = event_loop.sock_sendfile(&ours, SendFile::from(&file).count(0));
    let error = event_loop.run_coroutine(sending).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    ours.set_nonblocking(false).unwrap();
    let error = event_loop.run_coroutine(event_loop.sock_sendfile(&ours, &file)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
    assert_eq!(watched(&event_loop), 0);
}
