//! What may be a pipe transport, and what others see of it (X-39, N-57).

use crate::others;
use crate::settle;
use crate::support::*;
use eventloop::TestLoop;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use tulipa_transports::{NetworkLoop, PipeError, PipeKind, PipeOptions};

#[test]
fn x39_n57_a_regular_file_is_refused_and_handed_back() {
    let _others = others();
    let event_loop = TestLoop::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"tulip").unwrap();
    let opening = event_loop.connect_write_pipe(Hooks::new, file);
    let error = opening.result().map(drop).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::InvalidInput));
    assert!(error.to_string().contains("regular file"), "{error}");
    let back = PipeError::of(&error).unwrap().take_descriptor().unwrap();
    File::from(back).write_all(b"bulb").unwrap();
    assert!(PipeError::of(&error).unwrap().take_descriptor().is_none());
    let directory = File::open("/").unwrap();
    let error = event_loop.connect_read_pipe(Hooks::new, directory).result().map(drop).unwrap_err();
    assert!(error.to_string().contains("only pipes"), "{error}");
}

#[test]
fn n57_the_wrong_end_is_refused() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let error = event_loop.connect_read_pipe(Hooks::new, writer).result().map(drop).unwrap_err();
    assert!(error.to_string().contains("not open for reading"), "{error}");
    let error = event_loop.connect_write_pipe(Hooks::new, reader).result().map(drop).unwrap_err();
    assert!(error.to_string().contains("not open for writing"), "{error}");
}

fn blocks(descriptor: &impl std::os::fd::AsFd) -> bool {
    !fcntl_getfl(descriptor).unwrap().contains(OFlags::NONBLOCK)
}

#[test]
fn x39_others_who_share_the_pipe_do_not_notice() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let (shared_reader, shared_writer) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
    let (socket, peer) = UnixStream::pair().unwrap();
    let shared_socket = socket.try_clone().unwrap();
    let read = event_loop.connect_read_pipe(Hooks::new, reader);
    let write = event_loop.connect_write_pipe(Hooks::new, writer);
    let on_socket = event_loop.connect_read_pipe(Hooks::new, socket);
    settle(&event_loop);
    assert!(blocks(&shared_reader) && blocks(&shared_writer) && blocks(&shared_socket));
    for opening in [read, write, on_socket] {
        opening.result().unwrap().abort();
    }
    settle(&event_loop);
    assert!(blocks(&shared_reader) && blocks(&shared_writer) && blocks(&shared_socket));
    drop(peer);
}

#[test]
fn x39_what_does_not_block_already_is_used_as_it_is() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&reader, OFlags::NONBLOCK).unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_read_pipe(move || protocol, reader);
    writer.write_all(b"tulip").unwrap();
    drop(writer);
    settle(&event_loop);
    assert!(opening.result().is_ok());
    assert_eq!((log.bytes(), log.lost_reason()), (5, Some(None)));
}

#[test]
fn x39_x41_sockets_are_taken() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_read_pipe(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    assert_eq!(transport.extra_info().pipe.unwrap().kind(), PipeKind::Socket);
    theirs.write_all(b"tulip").unwrap();
    drop(theirs);
    settle(&event_loop);
    assert_eq!((log.bytes(), log.lost_reason()), (5, Some(None)));

    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_write_pipe(move || protocol, ours);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.write(b"tulip");
    theirs.write_all(b"nobody reads this").unwrap();
    settle(&event_loop);
    assert!(!log.is_lost(), "input is no reason to end");
    let mut got = [0; 5];
    theirs.read_exact(&mut got).unwrap();
    transport.write(b"x");
    drop(theirs);
    settle(&event_loop);
    assert!(log.is_lost());
    drop(transport);

    // Without input in the way, the end is noticed at once.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_write_pipe(move || protocol, ours);
    event_loop.run_until_complete(&opening).unwrap();
    drop(theirs);
    settle(&event_loop);
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn x39_devices_that_cannot_be_watched_are_always_ready() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (protocol, log) = Hooks::new().recorded();
    let null = File::open("/dev/null").unwrap();
    let opening = event_loop.connect_read_pipe(move || protocol, null);
    event_loop.run_until_complete(&opening).unwrap();
    settle(&event_loop);
    assert_eq!(log.lost_reason(), Some(None), "/dev/null is at its end");

    let (protocol, log) = Hooks::new().recorded();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let opening = event_loop.connect_write_pipe(move || protocol, null);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.write(&pattern(1_000_000));
    transport.close();
    settle(&event_loop);
    assert_eq!(log.lost_reason(), Some(None));

    let (protocol, log) = Hooks::new().data(|transport, _| transport.close()).recorded();
    let zero = File::open("/dev/zero").unwrap();
    let opening = event_loop.connect_read_pipe(move || protocol, zero);
    event_loop.run_until_complete(&opening).unwrap();
    settle(&event_loop);
    assert!(log.bytes() > 0 && log.is_lost());
}

#[test]
fn x6_a_full_device_is_an_error_of_the_transport() {
    let _others = others();
    let event_loop = TestLoop::new();
    let kind: Slot<Option<std::io::ErrorKind>> = Slot::new();
    let seen = kind.clone();
    let hooks = Hooks::new().lost(move |_, reason| seen.set(reason.and_then(|r| r.io_kind())));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let opening = event_loop.connect_write_pipe(move || hooks.recorded().0, full);
    let transport = event_loop.run_until_complete(&opening).unwrap();
    transport.write(b"tulip");
    settle(&event_loop);
    assert_eq!(kind.get(), Some(std::io::ErrorKind::StorageFull));
}

/// A terminal: the master, and the side that programs see.
fn terminal() -> (OwnedFd, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let side = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
    (master, side.into())
}

#[test]
fn x39_x40_a_terminal_stays_as_it_was_for_others_and_ends_when_its_other_side_does() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (master, side) = terminal();
    let (shared, for_writing) = (side.try_clone().unwrap(), side.try_clone().unwrap());
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_read_pipe(move || protocol, side);
    let input = event_loop.run_until_complete(&opening).unwrap();
    assert_eq!(input.extra_info().pipe.unwrap().kind(), PipeKind::Terminal);
    let (protocol, write_log) = Hooks::new().recorded();
    let opening = event_loop.connect_write_pipe(move || protocol, for_writing);
    let output = event_loop.run_until_complete(&opening).unwrap();
    assert!(blocks(&shared));
    let mut master = File::from(master);
    master.write_all(b"tulip\n").unwrap();
    run_until(&event_loop, || log.bytes() == 6);
    output.write(b"bulb");
    settle(&event_loop);
    let mut echoed = [0; 11];
    master.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"tulip\r\nbulb", "what was typed is echoed, then what we wrote");
    drop(shared);
    drop(master);
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None));
    output.close();
    settle(&event_loop);
    write_log.check_ended();
}

#[test]
fn x39_x40_the_master_of_a_terminal_is_read_and_written_by_two_transports_that_never_block() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (master, mut side) = terminal();
    let copy = master.try_clone().unwrap();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_read_pipe(move || protocol, master);
    let input = event_loop.run_until_complete(&opening).unwrap();
    assert_eq!(input.extra_info().pipe.unwrap().kind(), PipeKind::Device);
    let (protocol, write_log) = Hooks::new().recorded();
    let opening = event_loop.connect_write_pipe(move || protocol, copy);
    let output = event_loop.run_until_complete(&opening).unwrap();
    side.write_all(b"tulip").unwrap();
    run_until(&event_loop, || log.bytes() == 5);
    input.close();
    run_until(&event_loop, || log.is_lost());
    output.write(&[b'x'; 1_000_000]); // nobody reads it on the other side
    settle(&event_loop);
    output.abort();
    settle(&event_loop);
    write_log.check_ended();
}

#[test]
fn x40_the_master_of_a_terminal_ends_when_its_other_side_does() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (master, side) = terminal();
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_read_pipe(move || protocol, master);
    event_loop.run_until_complete(&opening).unwrap();
    drop(side);
    run_until(&event_loop, || log.is_lost());
    assert_eq!(log.lost_reason(), Some(None), "EIO is its end");
}

#[test]
fn x1_the_capacity_of_a_pipe_can_be_seen_and_set() {
    let _others = others();
    let event_loop = TestLoop::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let opening = event_loop.connect_write_pipe(Hooks::new, PipeOptions::from(writer));
    let transport = event_loop.run_until_complete(&opening).unwrap();
    let view = transport.extra_info().pipe.unwrap();
    assert_eq!(view.set_capacity(4096).unwrap(), 4096);
    assert_eq!(view.capacity().unwrap(), 4096);
    drop(reader);
    settle(&event_loop);
    assert!(view.capacity().is_err());
    assert!(transport.extra_info().pipe.is_none());
}

#[test]
fn x39_x40_a_fifo_that_nobody_writes_to_any_more_is_at_its_end() {
    let _others = others();
    let event_loop = TestLoop::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Read and write, so that opening it waits for nobody.
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let reader = File::open(&path).unwrap();
    let mut writer = File::options().write(true).open(&path).unwrap();
    drop(both);
    writer.write_all(b"tulip").unwrap();
    drop(writer);
    let (protocol, log) = Hooks::new().recorded();
    let opening = event_loop.connect_read_pipe(move || protocol, reader);
    event_loop.run_until_complete(&opening).unwrap();
    run_until(&event_loop, || log.is_lost());
    assert_eq!((log.bytes(), log.lost_reason()), (5, Some(None)));
}
