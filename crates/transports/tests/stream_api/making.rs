//! Making streams: over TCP and Unix sockets, and by hand.

use crate::support::{block_on, collect_errors, run_until, run_until_all_closed, waiting};
use eventloop::{TestLoop, prelude::*};
use futures::InvalidStateError;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::streams::{
    InvalidLimit, StreamLoop, StreamReader, StreamReaderProtocol, StreamWriter, open_connection,
    open_unix_connection, start_server, start_unix_server,
};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{
    Bytes, ConnectOptions, NetworkLoop, Protocol, ServerOptions, Transport, UnixConnectOptions,
    UnixServerOptions, WriteBufferLimits,
};

struct Quiet;
impl Protocol for Quiet {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

async fn echo_lines(mut reader: StreamReader, writer: StreamWriter) -> Result<(), io::Error> {
    let mut lines = reader.lines();
    while let Some(line) = lines.next().await? {
        writer.write(&line);
        writer.drain().await?;
    }
    Ok(())
}

#[test]
fn y24_a_client_and_a_server_talk_over_tcp() {
    let event_loop = TestLoop::new();
    block_on(&event_loop, async {
        let server = start_server(echo_lines, ("127.0.0.1", 0)).await.unwrap();
        let port = server.addresses()[0].port().unwrap();
        let (mut reader, writer) = open_connection(("127.0.0.1", port)).await.unwrap();
        for line in [&b"one\n"[..], b"two\n"] {
            writer.write(line);
            assert_eq!(reader.readline().await.unwrap(), line);
        }
        writer.write_eof();
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
        writer.close();
        writer.wait_closed().await.unwrap();
        server.close();
        server.wait_closed().await.unwrap();
    });
    run_until_all_closed(&event_loop);
}

#[test]
fn y24_a_client_and_a_server_talk_over_a_unix_socket() {
    let event_loop = TestLoop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo");
    block_on(&event_loop, async move {
        let server = start_unix_server(echo_lines, &*path).await.unwrap();
        let (mut reader, writer) = open_unix_connection(&*path).await.unwrap();
        writer.write(b"tulip\n");
        assert_eq!(reader.readline().await.unwrap(), b"tulip\n");
        drop((reader, writer));
        server.close();
        server.wait_closed().await.unwrap();
    });
    run_until_all_closed(&event_loop);
}

#[test]
fn y24_the_limit_and_the_options_of_the_creators_are_passed_on() {
    let event_loop = TestLoop::new();
    let limits: Rc<RefCell<Vec<Bytes>>> = Rc::default();
    let seen = limits.clone();
    let marks = WriteBufferLimits { high: Bytes(10), low: Bytes(5) };
    let address =
        ServerOptions::from(("127.0.0.1", 0)).stream_limit(Bytes(7)).write_buffer_limits(marks);
    let note = move |reader: StreamReader, writer: StreamWriter| {
        assert_eq!(writer.transport().get_write_buffer_limits(), marks);
        seen.borrow_mut().push(reader.limit());
    };
    let server = event_loop.start_server(note, address).result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let target =
        ConnectOptions::from(("127.0.0.1", port)).stream_limit(Bytes(9)).write_buffer_limits(marks);
    let opening = event_loop.open_connection(target);
    let (reader, writer) = block_on(&event_loop, opening).unwrap();
    assert_eq!(reader.limit(), Bytes(9));
    assert_eq!(writer.transport().get_write_buffer_limits(), marks);
    run_until(&event_loop, || !limits.borrow().is_empty());
    assert_eq!(*limits.borrow(), [Bytes(7)]);
    server.close();
    drop((reader, writer));
    run_until_all_closed(&event_loop);
}

#[test]
fn y1_y24_a_limit_of_zero_fails_each_creator() {
    let event_loop = TestLoop::new();
    let zero = Bytes(0);
    let tcp = ServerOptions::from(("127.0.0.1", 0)).stream_limit(zero);
    let unix = UnixServerOptions::from("\0never").stream_limit(zero);
    for server in
        [event_loop.start_server(|_, _| (), tcp), event_loop.start_unix_server(|_, _| (), unix)]
    {
        assert!(server.result().unwrap_err().is::<InvalidLimit>());
    }
    let tcp = ConnectOptions::from(("127.0.0.1", 1)).stream_limit(zero);
    let unix = UnixConnectOptions::from("\0never").stream_limit(zero);
    for opening in [event_loop.open_connection(tcp), event_loop.open_unix_connection(unix)] {
        assert!(block_on(&event_loop, opening).unwrap_err().is::<InvalidLimit>());
    }
}

#[test]
fn y24_without_a_loop_the_functions_say_so() {
    let outcome = crate::support::now(open_connection(("127.0.0.1", 1)));
    assert!(outcome.unwrap_err().is::<InvalidStateError>());
    let outcome = crate::support::now(start_server(|_, _| (), ("127.0.0.1", 0)));
    assert!(outcome.unwrap_err().is::<InvalidStateError>());
}

#[test]
fn y24_a_failure_to_connect_is_the_creators() {
    let event_loop = TestLoop::new();
    let outcome = block_on(&event_loop, open_unix_connection("/nowhere/at/all"));
    assert_eq!(outcome.unwrap_err().io_kind(), Some(io::ErrorKind::NotFound));
}

#[test]
fn y24_an_attempt_that_is_cancelled_or_dropped_leaves_nothing() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let server = event_loop.create_server(|| Quiet, ("127.0.0.1", 0)).result().unwrap();
    let port = server.addresses()[0].port().unwrap();
    let address = ("127.0.0.1", port);
    // Dropped before it ran, and after it was made.
    drop(event_loop.open_connection(address));
    let opening = event_loop.open_connection(address);
    run_until(&event_loop, || event_loop.open_connections() > 0 && is_done(&opening));
    drop(opening);
    run_until_all_closed(&event_loop);
    // Cancelled.
    let connecting = event_loop.spawn(open_connection(address));
    event_loop.call_soon({
        let connecting = connecting.clone();
        move || {
            connecting.cancel();
        }
    });
    run_until(&event_loop, || connecting.done());
    // It was made in that very iteration, or it was not: either way nothing is left.
    drop(connecting.take());
    run_until_all_closed(&event_loop);
    server.close();
    run_until_all_closed(&event_loop);
    assert!(errors.borrow().is_empty(), "{:?}", errors.borrow());
}

fn is_done(opening: &impl std::fmt::Debug) -> bool {
    format!("{opening:?}").contains("done: true")
}

#[test]
fn y24_a_server_that_nobody_waits_for_any_more_is_closed() {
    let event_loop = TestLoop::new();
    let creating = event_loop.spawn(async {
        let mut creating = Box::pin(start_server(|_, _| (), ("localhost", 0)));
        assert!(crate::support::poll_once(creating.as_mut()).is_pending(), "a name is looked up");
        futures::yield_now().await.unwrap();
    });
    run_until(&event_loop, || creating.done());
    run_until(&event_loop, || event_loop.leftovers().is_empty());
}

#[test]
fn y27_the_peers_end_leaves_the_write_side_open() {
    let event_loop = TestLoop::new();
    block_on(&event_loop, async {
        let handler = |mut reader: StreamReader, writer: StreamWriter| async move {
            let question = reader.read_to_end().await?;
            futures::yield_now().await?;
            writer.write(&question.to_ascii_uppercase());
            writer.drain().await
        };
        let server = start_server(handler, ("127.0.0.1", 0)).await.unwrap();
        let port = server.addresses()[0].port().unwrap();
        let (mut reader, writer) = open_connection(("127.0.0.1", port)).await.unwrap();
        writer.write(b"tulip");
        writer.write_eof();
        assert_eq!(reader.read_to_end().await.unwrap(), b"TULIP");
        server.close();
    });
    run_until_all_closed(&event_loop);
}

#[test]
fn y28_a_reset_is_the_readers_failure() {
    let event_loop = TestLoop::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let opening = event_loop.open_connection(listener.local_addr().unwrap());
    let (mut reader, writer) = block_on(&event_loop, opening).unwrap();
    let (peer, _) = listener.accept().unwrap();
    let reading = waiting(&event_loop, async move { reader.read(1).await });
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    run_until(&event_loop, || reading.done());
    assert!(crate::support::is_reset(reading.take().unwrap()));
    assert!(crate::support::is_reset(block_on(&event_loop, async move { writer.drain().await })));
    run_until_all_closed(&event_loop);
}

#[test]
fn y29_if_nobody_holds_the_reader_when_the_connection_is_made_it_is_aborted_and_reported() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let reader = StreamReader::default();
    let protocol = StreamReaderProtocol::new(&reader);
    let pair = event_loop.memory_pair(protocol, Quiet, MemoryOptions::default());
    drop(reader);
    event_loop.run_ready_now();
    assert!(pair.left.is_closing());
    let errors = errors.borrow();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("reader"), "{}", errors[0]);
    assert!(errors[0].transport.is_some());
}

#[test]
fn y29_a_reader_that_is_dropped_later_leaves_the_writer_alone() {
    let event_loop = TestLoop::new();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    event_loop.run_ready_now();
    let (reader, writer) = streams.left;
    drop(reader);
    let (mut far_reader, far_writer) = streams.right;
    far_writer.write(&[7; 500_000]);
    writer.write(b"still here\n");
    block_on(&event_loop, async move {
        far_writer.drain().await.unwrap();
        assert_eq!(far_reader.readline().await.unwrap(), b"still here\n");
        writer.close();
        writer.wait_closed().await.unwrap();
    });
    run_until_all_closed(&event_loop);
}
