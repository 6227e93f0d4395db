//! The careful way: descriptors that block, and cannot be opened again.

use super::*;
use crate::loop_shared::Owner;
use crate::pipes::backend::PipeBackend;
use crate::stream_transport::StreamTransport;
use crate::testing::LifeCycle;
use crate::{Protocol, Transport};
use eventloop::TestLoop;
use std::io::{PipeReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

struct Quiet;

impl Protocol for Quiet {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

fn open(
    event_loop: &TestLoop,
    descriptor: PipeDescriptor,
    end: PipeEnd,
    protocol: impl Protocol,
) -> Rc<dyn Transport> {
    let backend = PipeBackend::new(descriptor, end);
    let owner = Owner::of(&*event_loop.handle());
    let connection = StreamTransport::attach(owner, backend, None).unwrap();
    connection.open(Box::new(protocol), None);
    event_loop.run_ready_now();
    connection.handle()
}

#[test]
fn x39_reading_what_blocks_asks_first() {
    let event_loop = TestLoop::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (protocol, log) = LifeCycle::new(Quiet);
    let descriptor = PipeDescriptor::asked(reader.into(), PipeEnd::Read);
    assert_eq!(descriptor.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let transport = open(&event_loop, descriptor, PipeEnd::Read, protocol);
    for size in [1, 65_536, 5] {
        writer.write_all(&vec![7; size]).unwrap();
        event_loop.run_ready_now();
    }
    assert_eq!(log.bytes(), 65_542);
    drop(writer);
    event_loop.run_ready_now();
    assert_eq!(log.lost_reason(), Some(None));
    assert!(!transport.is_reading());
}

#[test]
fn x17_x39_writing_what_blocks_takes_what_fits_and_never_waits() {
    let event_loop = TestLoop::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (protocol, log) = LifeCycle::new(Quiet);
    let descriptor = PipeDescriptor::asked(writer.into(), PipeEnd::Write);
    let transport = open(&event_loop, descriptor, PipeEnd::Write, protocol);
    let data: Vec<u8> = (0..300_000).map(|index| (index % 251) as u8).collect();
    transport.writelines(&[&data[..10], &data[10..]]);
    transport.close();
    let mut received = Vec::new();
    let mut buffer = vec![0; 50_000];
    while received.len() < data.len() {
        event_loop.run_ready_now();
        let count = reader.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..count]);
    }
    event_loop.run_ready_now();
    assert!(received == data);
    assert_eq!(log.lost_reason(), Some(None));
}

#[test]
fn x41_a_reader_that_is_gone_is_seen_through_what_blocks_too() {
    let event_loop = TestLoop::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let (protocol, log) = LifeCycle::new(Quiet);
    let descriptor = PipeDescriptor::asked(writer.into(), PipeEnd::Write);
    let _transport = open(&event_loop, descriptor, PipeEnd::Write, protocol);
    drop(reader);
    event_loop.run_ready_now();
    assert_eq!(log.lost_reason(), Some(None));
}

/// Another process, here another handle, takes what we were told of.
#[test]
fn x13_being_late_is_no_error_and_does_not_block_where_the_system_helps() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut other: PipeReader = reader.try_clone().unwrap();
    writer.write_all(b"tulip").unwrap();
    let ours = OwnedFd::from(reader);
    other.read_exact(&mut [0; 5]).unwrap();
    // Straight after the question was answered with yes. Without RWF_NOWAIT it would wait here, so
    // that somebody has to write.
    let supported = {
        use rustix::io::{ReadWriteFlags, preadv2};
        let mut byte = [0];
        let mut parts = [io::IoSliceMut::new(&mut byte)];
        preadv2(&ours, &mut parts, u64::MAX, ReadWriteFlags::NOWAIT) == Err(Errno::AGAIN)
    };
    if supported {
        assert_eq!(read_at_once(&ours, &mut [0; 8]), Err(Errno::AGAIN));
    }
    writer.write_all(b"bulb").unwrap();
    assert_eq!(read_at_once(&ours, &mut [0; 8]), Ok(4));
}

#[test]
fn x39_the_ways_are_chosen_as_the_header_says() {
    let way = |descriptor: OwnedFd, end| {
        let made = PipeDescriptor::shared(descriptor, end).unwrap();
        match made.way {
            Way::PerCall => "per call",
            Way::AsItIs => "as it is",
            Way::Reopened(_) => "reopened",
            Way::Asked => "asked",
        }
    };
    let (reader, writer) = std::io::pipe().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    assert_eq!(way(socket.into(), PipeEnd::Read), "per call");
    let set = fcntl_setfl(&writer, OFlags::NONBLOCK);
    set.unwrap();
    assert_eq!(way(writer.into(), PipeEnd::Write), "as it is");
    #[cfg(target_os = "linux")]
    assert_eq!(way(reader.into(), PipeEnd::Read), "reopened");
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(way(null.into(), PipeEnd::Read), "as it is");
    let (_reader, writer) = std::io::pipe().unwrap();
    let made = PipeDescriptor::exclusive(writer.into(), PipeEnd::Write).unwrap();
    assert!(matches!(made.way, Way::AsItIs));
    assert!(fcntl_getfl(&made.original).unwrap().contains(OFlags::NONBLOCK));
}

/// A terminal has room for a part of what is written, and a write that blocks waits for the rest.
#[test]
#[cfg(target_os = "linux")]
fn x17_x39_a_terminal_that_nobody_reads_is_written_to_without_waiting() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::sync::mpsc;
    use std::time::Duration;
    let texts = [&b"\t"[..], b"\n", b"x", b"a line\tof text\r\n", &[b'x'; 300]];
    for (text, first) in texts.into_iter().flat_map(|text| [1, 100, 300].map(|first| (text, first)))
    {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let side = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
        let (tell, told) = mpsc::channel();
        let writing = std::thread::spawn(move || {
            let terminal = PipeDescriptor::asked(side, PipeEnd::Write);
            let mut all = terminal.write(&vec![b'\n'; first]).unwrap();
            let text = text.repeat(5000);
            let error = loop {
                match terminal.write(&text) {
                    Ok(written) => all += written,
                    Err(error) => break error,
                }
            };
            tell.send((all, error.kind())).unwrap();
        });
        let (all, kind) = told.recv_timeout(Duration::from_secs(5)).expect("it does not wait");
        assert!(all >= first && kind == io::ErrorKind::WouldBlock, "{all}: {kind}");
        writing.join().unwrap();
    }
}
