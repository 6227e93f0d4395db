//! Descriptors that travel along with bytes, over Unix sockets.

use crate::support::*;
use eventloop::TestLoop;
use rustix::io::FdFlags;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tulipa_transports::testing::{LifeCycleLog, MemoryLoop, MemoryOptions};
use tulipa_transports::{NetworkLoop, Transport, WriteRefusal, WriteState};

/// What one end has received: the bytes, and how many descriptors came by the time of each delivery.
#[derive(Default, Clone)]
struct Received {
    bytes: Vec<u8>,
    deliveries: Vec<(usize, usize)>,
}

struct Ends {
    left: Rc<dyn Transport>,
    right: Rc<dyn Transport>,
    received: Slot<Received>,
    files: Slot<Vec<OwnedFd>>,
    lost: Slot<Option<ErrorKind>>,
    logs: [LifeCycleLog; 2],
}

/// Two transports over a pair of Unix sockets; the right one takes at most so many descriptors.
fn ends(event_loop: &TestLoop, most: usize) -> Ends {
    ends_of(event_loop, most, UnixStream::pair().unwrap())
}

fn ends_of(event_loop: &TestLoop, most: usize, pair: (UnixStream, UnixStream)) -> Ends {
    let (ours, theirs) = pair;
    let (received, files, lost) = (Slot::new(), Slot::new(), Slot::new());
    let (seen, kept, reason) = (received.clone(), files.clone(), lost.clone());
    let right = Hooks::new()
        .made(move |transport| transport.receive_descriptors(most).unwrap())
        .data(move |transport, data| {
            let came = transport.take_descriptors();
            seen.update(|all: &mut Received| {
                all.bytes.extend_from_slice(data);
                all.deliveries.push((data.len(), came.len()));
            });
            kept.update(|all: &mut Vec<OwnedFd>| all.extend(came));
        })
        .lost(move |_, error| reason.set(error.and_then(|error| error.io_kind())));
    let (left, left_log) = Hooks::new().recorded();
    let (right, right_log) = right.recorded();
    let left = event_loop.connect_accepted_socket(move || left, ours);
    let right = event_loop.connect_accepted_socket(move || right, theirs);
    Ends {
        left: event_loop.run_until_complete(&left).unwrap(),
        right: event_loop.run_until_complete(&right).unwrap(),
        received,
        files,
        lost,
        logs: [left_log, right_log],
    }
}

impl Ends {
    fn close(&self, event_loop: &TestLoop) {
        self.left.close();
        event_loop.run_until_complete(&self.right.wait_closed()).unwrap();
        for log in &self.logs {
            log.check_ended();
        }
    }
}

/// A pipe: one end to be passed, and one that tells whether anybody still has the other.
fn pipe() -> (OwnedFd, File) {
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    (write_end, read_end.into())
}

/// Whether nobody has the other end any more. It does not wait.
fn is_ended(read_end: &mut File) -> bool {
    rustix::io::ioctl_fionbio(&*read_end, true).unwrap();
    matches!(read_end.read(&mut [0; 8]), Ok(0))
}

#[test]
fn n41_descriptors_come_with_their_byte_in_order_and_are_not_inherited() {
    let event_loop = TestLoop::new();
    let ends = ends(&event_loop, 10);
    let (first, mut first_end) = pipe();
    let (second, mut second_end) = pipe();
    let (third, mut third_end) = pipe();
    ends.left.write(b"before ");
    assert_eq!(ends.left.write_with_descriptors(b"one ", vec![first]).unwrap(), WriteState::Taken);
    ends.left.write(b"between ");
    ends.left.write_with_descriptors(b"two", vec![second, third]).unwrap();
    ends.left.write(b" after");
    run_until(&event_loop, || ends.received.get().bytes.len() == 28);
    let received = ends.received.get();
    assert_eq!(received.bytes, b"before one between two after");
    let mut at = 0;
    let mut came = Vec::new();
    for (bytes, descriptors) in received.deliveries {
        if descriptors > 0 {
            came.push((at..at + bytes, descriptors));
        }
        at += bytes;
    }
    assert_eq!(came.len(), 2);
    assert!(came[0].0.contains(&7) && came[0].1 == 1, "{came:?}");
    assert!(came[1].0.contains(&19) && came[1].1 == 2, "{came:?}");
    for (file, text) in ends.files.take().into_iter().zip([b"1", b"2", b"3"]) {
        assert!(rustix::io::fcntl_getfd(&file).unwrap().contains(FdFlags::CLOEXEC));
        File::from(file).write_all(text).unwrap();
    }
    for (end, text) in [(&mut first_end, b"1"), (&mut second_end, b"2"), (&mut third_end, b"3")] {
        let mut buffer = [0];
        end.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, text);
        assert!(is_ended(end), "ours is closed as well");
    }
    ends.close(&event_loop);
}

#[cfg(target_os = "linux")]
#[test]
fn n41_as_many_as_go_along_also_come_with_the_name_of_their_sender() {
    let event_loop = TestLoop::new();
    let pair = UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_passcred(&pair.1, true).unwrap();
    let ends = ends_of(&event_loop, 300, pair);
    let (file, mut end) = pipe();
    let mut files: Vec<OwnedFd> = (0..252).map(|_| file.try_clone().unwrap()).collect();
    files.push(file);
    ends.left.write_with_descriptors(b"x", files).unwrap();
    run_until(&event_loop, || ends.received.get().bytes.len() == 1 || ends.lost.get().is_some());
    assert_eq!((ends.lost.get(), ends.files.take().len()), (None, 253));
    assert!(is_ended(&mut end));
    ends.close(&event_loop);
}

#[test]
fn n41_descriptors_wait_their_turn_behind_a_full_socket() {
    let event_loop = TestLoop::new();
    let ends = ends(&event_loop, 300);
    ends.right.pause_reading();
    ends.left.write(&vec![b'<'; 1 << 20]);
    let mut pipes: Vec<_> = (0..100).map(|_| pipe()).collect();
    let mut read_ends: Vec<File> = Vec::new();
    for (index, (write_end, read_end)) in pipes.drain(..).enumerate() {
        let data = vec![b'0' + (index % 10) as u8; 1 + index * 100];
        ends.left.write_with_descriptors(&data, vec![write_end]).unwrap();
        read_ends.push(read_end);
    }
    event_loop.run_ready_now();
    assert!(ends.left.get_write_buffer_size().0 > 0);
    ends.right.resume_reading();
    let total = (1 << 20) + (0..100).map(|index| 1 + index * 100).sum::<usize>();
    run_until(&event_loop, || ends.received.get().bytes.len() == total);
    let files = ends.files.take();
    assert_eq!(files.len(), 100);
    for (file, end) in files.into_iter().zip(&mut read_ends) {
        File::from(file).write_all(b"x").unwrap();
        end.read_exact(&mut [0]).unwrap();
        assert!(is_ended(end));
    }
    ends.close(&event_loop);
}

#[test]
fn n41_r4_a_peer_that_passes_more_than_is_wanted_loses_the_connection_and_nothing_is_kept() {
    let event_loop = TestLoop::new();
    let ends = ends(&event_loop, 2);
    let (mut write_ends, mut read_ends) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (write_end, read_end) = pipe();
        write_ends.push(write_end);
        read_ends.push(read_end);
    }
    ends.left.write_with_descriptors(b"x", write_ends).unwrap();
    event_loop.run_until_complete(&ends.right.wait_closed()).unwrap();
    assert_eq!(ends.lost.get(), Some(ErrorKind::InvalidData));
    assert!(read_ends.iter_mut().all(is_ended));
    ends.left.close();
    event_loop.run_until_complete(&ends.left.wait_closed()).unwrap();
}

#[test]
fn n41_r4_those_that_nobody_takes_count_and_are_closed_with_the_connection() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let hooks = Hooks::new().made(|transport| transport.receive_descriptors(2).unwrap());
    let (protocol, log) = hooks.recorded();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    let right = event_loop.run_until_complete(&opening).unwrap();
    let opening = event_loop.connect_accepted_socket(Hooks::new, theirs);
    let left = event_loop.run_until_complete(&opening).unwrap();
    let (mut read_ends, mut passed) = (Vec::new(), 0);
    while !right.is_closing() {
        let (write_end, read_end) = pipe();
        read_ends.push(read_end);
        left.write_with_descriptors(b"x", vec![write_end]).unwrap();
        passed += 1;
        event_loop.run_ready_now();
        event_loop.run_ready_now();
        assert!(passed <= 3, "the third one is too many");
    }
    event_loop.run_until_complete(&right.wait_closed()).unwrap();
    assert!(read_ends.iter_mut().all(is_ended));
    assert!(right.take_descriptors().is_empty());
    log.check_ended();
    left.close();
    event_loop.run_until_complete(&left.wait_closed()).unwrap();
}

#[test]
fn n41_descriptors_that_are_not_wanted_are_closed_by_the_system() {
    let event_loop = TestLoop::new();
    let ends = ends(&event_loop, 0);
    let (write_end, mut read_end) = pipe();
    ends.left.write_with_descriptors(b"x", vec![write_end]).unwrap();
    run_until(&event_loop, || ends.received.get().bytes == b"x");
    assert!(ends.files.take().is_empty() && is_ended(&mut read_end));
    ends.close(&event_loop);
}

#[test]
fn n41_refused_descriptors_come_back() {
    let event_loop = TestLoop::new();
    let ends = ends(&event_loop, 10);
    let some = |count: usize| (0..count).map(|_| pipe().0).collect::<Vec<_>>();
    let refused = ends.left.write_with_descriptors(b"", some(2)).unwrap_err();
    assert_eq!((refused.kind(), refused.write_refusal()), (ErrorKind::InvalidInput, None));
    assert!(refused.to_string().contains("one byte"), "{refused}");
    assert_eq!(refused.into_descriptors().len(), 2);
    let refused = ends.left.write_with_descriptors(b"x", some(254)).unwrap_err();
    assert_eq!(refused.into_descriptors().len(), 254);
    ends.left.write_eof();
    let refused = ends.left.write_with_descriptors(b"x", some(1)).unwrap_err();
    assert_eq!(refused.write_refusal(), Some(WriteRefusal::AfterEof));
    ends.close(&event_loop);
    let refused = ends.left.write_with_descriptors(b"x", some(1)).unwrap_err();
    assert_eq!(refused.write_refusal(), Some(WriteRefusal::Closed));

    let (transport, _peer) = tcp(&event_loop, Hooks::new());
    let refused = transport.write_with_descriptors(b"x", some(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let error = transport.receive_descriptors(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(transport.write_with_descriptors(b"x", Vec::new()).is_ok());
    transport.close();
    event_loop.run_ready_now();
    let pair = event_loop.memory_pair(Hooks::new(), Hooks::new(), MemoryOptions::default());
    event_loop.run_ready_now();
    assert!(pair.left.write_with_descriptors(b"x", some(1)).is_err());
    pair.left.close();
    event_loop.run_until_complete(&pair.right.wait_closed()).unwrap();
}

#[test]
fn n41_r4_only_so_many_descriptors_wait_to_be_sent() {
    let event_loop = TestLoop::new();
    let ends = ends(&event_loop, 10);
    ends.right.pause_reading();
    ends.left.write(&vec![b'<'; 1 << 20]);
    event_loop.run_ready_now();
    let (write_end, mut read_end) = pipe();
    let mut taken = 0;
    let refused = loop {
        let copy = write_end.try_clone().unwrap();
        match ends.left.write_with_descriptors(b"x", vec![copy]) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.write_refusal(), Some(WriteRefusal::OverCap));
    assert_eq!(taken, 4 * 253);
    drop((refused, write_end));
    assert!(!is_ended(&mut read_end));
    ends.left.abort();
    event_loop.run_until_complete(&ends.left.wait_closed()).unwrap();
    assert!(is_ended(&mut read_end), "those that waited are closed");
    ends.right.abort();
    event_loop.run_ready_now();
}

#[test]
fn n41_a_peer_that_is_gone_leaves_no_descriptor_behind() {
    let event_loop = TestLoop::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.pause_reading();
    drop(theirs);
    let (write_end, mut read_end) = pipe();
    transport.write_with_descriptors(b"x", vec![write_end]).unwrap();
    event_loop.run_until_complete(&transport.wait_closed()).unwrap();
    assert!(is_ended(&mut read_end));
    log.check_ended();
}
