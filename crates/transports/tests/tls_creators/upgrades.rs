//! Streams that go on encrypted (Y-22).

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use futures::{Exception, Task};
use std::future::Future;
use std::io::ErrorKind;
use std::rc::Rc;
use tulipa_transports::streams::{StreamReader, StreamReaderProtocol, StreamWriter};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::tls::{Early, StartTls, TlsClientConfig, TlsRole, TlsServerConfig};
use tulipa_transports::{NetworkLoop, WriteRefusal, WriteState};

type Half = (StreamReader, StreamWriter);

/// Two streams that are connected, in plain text.
fn streams(event_loop: &TestLoop) -> (Half, Half) {
    let (left, right) = (StreamReader::default(), StreamReader::default());
    let pair = event_loop.memory_pair(
        StreamReaderProtocol::new(&left),
        StreamReaderProtocol::new(&right),
        MemoryOptions::default(),
    );
    let left_writer = StreamWriter::new(pair.left.clone(), &left);
    let right_writer = StreamWriter::new(pair.right.clone(), &right);
    event_loop.run_ready_now(); // both are told
    ((left, left_writer), (right, right_writer))
}

fn as_client(config: &TlsClientConfig) -> TlsRole {
    TlsRole::Client { config: config.clone(), server_name: "localhost".to_owned() }
}

fn as_server(config: &TlsServerConfig) -> TlsRole {
    TlsRole::Server { config: config.clone() }
}

/// Runs both until they are done.
fn run_both<A: Clone + 'static, B: Clone + 'static>(
    event_loop: &TestLoop,
    left: impl Future<Output = Result<A, Exception>> + 'static,
    right: impl Future<Output = Result<B, Exception>> + 'static,
) -> (Result<A, Exception>, Result<B, Exception>) {
    let (left, right) = (event_loop.create_task(left), event_loop.create_task(right));
    let errors = collect_errors(event_loop);
    let done = |task: Task<A>| event_loop.run_until_complete(task.as_future());
    let left = done(left);
    let right = event_loop.run_until_complete(right.as_future());
    event_loop.run_until_idle();
    assert!(errors.get().is_empty(), "{:?}", errors.get());
    (left, right)
}

/// A client that says everything at once.
async fn send_and_wait(
    writer: StreamWriter,
    mut reader: StreamReader,
    data: &'static [u8],
) -> Result<(), Exception> {
    writer.write(data);
    let _ = reader.read_to_end().await; // an end, or a cut
    Ok(())
}

/// Nothing that came in clear is ever given out.
async fn check_nothing_is_read(mut reader: StreamReader) {
    let read = reader.read_to_end().await;
    assert!(read.is_err() || read.is_ok_and(|bytes| bytes.is_empty()));
}

#[test]
fn y22_both_sides_go_on_encrypted_with_the_same_reader_and_writer() {
    for client_is_left in [true, false] {
        let event_loop = TestLoop::new();
        let (client, server) = configs();
        let ((mut reader, writer), (mut other_reader, other_writer)) = streams(&event_loop);
        // A client's hello may come right behind the answer.
        let (ours, early, theirs) = match client_is_left {
            true => (as_client(&client), Early::Refuse, as_server(&server)),
            false => (as_server(&server), Early::Feed, as_client(&client)),
        };
        let left = async move {
            writer.write(b"STARTTLS\r\n");
            assert_eq!(reader.readline().await?, b"220 go ahead\r\n");
            let before = writer.transport().clone();
            let second = writer.clone();
            assert!(writer.extra_info().tls.is_none());
            writer.start_tls(&mut reader, ours, early).await?;
            assert!(before.is_closing(), "it is not the transport any more");
            assert!(matches!(before.write(b"plain"), WriteState::Refused(WriteRefusal::Upgraded)));
            assert!(!writer.is_closing() && !writer.can_write_eof());
            assert!(Rc::ptr_eq(writer.transport(), second.transport()));
            for writer in [&writer, &second, &writer.clone()] {
                assert!(writer.extra_info().tls.is_some());
                writer.write(b"tulip\n");
                writer.drain().await?;
                assert_eq!(reader.readline().await?, b"TULIP\n");
            }
            drop(second);
            writer.close();
            writer.wait_closed().await
        };
        let right = async move {
            assert_eq!(other_reader.readline().await?, b"STARTTLS\r\n");
            other_writer.write(b"220 go ahead\r\n");
            other_writer.start_tls(&mut other_reader, theirs, Early::Refuse).await?;
            let mut lines = other_reader.lines();
            while let Some(line) = lines.next().await? {
                other_writer.write(&line.to_ascii_uppercase());
                other_writer.drain().await?;
            }
            Ok(())
        };
        let (left, right) = run_both(&event_loop, left, right);
        left.unwrap();
        right.unwrap();
        assert_eq!(event_loop.open_connections(), 0);
    }
}

#[test]
fn y22_n55_what_came_early_refuses_the_upgrade_and_is_not_read() {
    let event_loop = TestLoop::new();
    let (_, server) = configs();
    let ((mut reader, writer), (hears, attacker)) = streams(&event_loop);
    let victim = async move {
        assert_eq!(reader.readline().await?, b"STARTTLS\r\n");
        writer.write(b"220 go ahead\r\n");
        let refused = writer.start_tls(&mut reader, as_server(&server), Early::Refuse).await;
        let error = refused.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData));
        assert!(error.to_string().contains("6 bytes"), "{error}");
        assert!(writer.is_closing());
        check_nothing_is_read(reader).await;
        Ok(())
    };
    let attack = send_and_wait(attacker, hears, b"STARTTLS\r\nRSET\r\n");
    let (victim, attack) = run_both(&event_loop, victim, attack);
    victim.unwrap();
    attack.unwrap();
}

#[test]
fn y22_n55_a_hello_right_behind_the_command_is_fed_to_tls() {
    // The client does not wait for the answer.
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let ((mut reader, writer), (mut other_reader, other_writer)) = streams(&event_loop);
    let left = async move {
        writer.write(b"UPGRADE\n");
        writer.start_tls(&mut reader, as_client(&client), Early::Refuse).await?;
        writer.write(b"tulip\n");
        let line = reader.readline().await?;
        writer.close();
        Ok(line)
    };
    let right = async move {
        other_reader.fill_buf().await?; // the command, with the hello behind it, if it came
        futures::yield_now().await?;
        futures::yield_now().await?;
        assert_eq!(other_reader.readline().await?, b"UPGRADE\n");
        other_writer.start_tls(&mut other_reader, as_server(&server), Early::Feed).await?;
        let line = other_reader.readline().await?;
        other_writer.write(&line.to_ascii_uppercase());
        other_writer.drain().await
    };
    let (left, right) = run_both(&event_loop, left, right);
    right.unwrap();
    assert_eq!(left.unwrap(), b"TULIP\n");
}

#[test]
fn y22_n55_plain_text_that_is_fed_to_tls_breaks_the_handshake() {
    let event_loop = TestLoop::new();
    let (_, server) = configs();
    let ((mut reader, writer), (hears, attacker)) = streams(&event_loop);
    let victim = async move {
        assert_eq!(reader.readline().await?, b"STARTTLS\r\n");
        let refused = writer.start_tls(&mut reader, as_server(&server), Early::Feed).await;
        assert_eq!(refused.unwrap_err().io_kind(), Some(ErrorKind::InvalidData));
        check_nothing_is_read(reader).await;
        Ok(())
    };
    let attack = send_and_wait(
        attacker,
        hears,
        b"STARTTLS\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<ann@example.org>\r\n",
    );
    let (victim, attack) = run_both(&event_loop, victim, attack);
    victim.unwrap();
    attack.unwrap();
}

#[test]
fn y22_n56_a_failure_ends_both_streams() {
    let event_loop = TestLoop::new();
    let (_, server) = configs();
    let stranger = Authority::new("stranger").client();
    let ((mut reader, writer), (mut other_reader, other_writer)) = streams(&event_loop);
    let left = async move {
        let failed = writer.start_tls(&mut reader, as_client(&stranger), Early::Refuse).await;
        assert!(tls_error(&failed.unwrap_err()).is_certificate_error());
        assert!(writer.is_closing());
        assert!(writer.wait_closed().await.is_err());
        assert!(reader.readline().await.is_err(), "the reason of the loss");
        Ok(())
    };
    let right = async move {
        let failed = other_writer.start_tls(&mut other_reader, as_server(&server), Early::Refuse);
        let failed = failed.await.unwrap_err();
        assert_eq!(failed.io_kind(), Some(ErrorKind::InvalidData));
        assert!(other_writer.wait_closed().await.is_err());
        Ok(())
    };
    let (left, right) = run_both(&event_loop, left, right);
    left.unwrap();
    right.unwrap();
}

#[test]
fn y22_n56_cancelling_ends_the_connection() {
    let event_loop = TestLoop::new();
    let (client, _) = configs();
    let ((mut reader, writer), (mut other_reader, other_writer)) = streams(&event_loop);
    let upgrading = event_loop.create_task(async move {
        let outcome = writer.start_tls(&mut reader, as_client(&client), Early::Refuse).await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert!(writer.is_closing());
        Ok::<_, Exception>(())
    });
    let peer = event_loop.create_task(async move {
        let hello = other_reader.fill_buf().await?;
        assert_eq!(hello[0], 0x16, "a handshake begins");
        upgrading.cancel();
        let _ = other_reader.read_to_end().await; // an end, or a cut
        drop(other_writer);
        upgrading.await
    });
    event_loop.run_until_complete(peer.as_future()).unwrap();
    event_loop.run_until_idle();
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn y22_y23_writers_that_are_dropped_in_the_handshake_end_the_connection() {
    let event_loop = TestLoop::new();
    let (client, _) = configs();
    let ((mut reader, writer), (mut other_reader, other_writer)) = streams(&event_loop);
    let peer = event_loop.create_task(async move {
        other_reader.fill_buf().await?;
        let _ = other_reader.read_to_end().await;
        drop(other_writer);
        Ok::<_, Exception>(())
    });
    {
        let upgrading = event_loop.create_task(async move {
            writer.start_tls(&mut reader, as_client(&client), Early::Refuse).await
        });
        event_loop.run_ready_now();
        assert!(!upgrading.done());
        upgrading.abort();
    }
    event_loop.run_until_complete(peer.as_future()).unwrap();
    event_loop.run_until_idle();
    assert_eq!(event_loop.open_connections(), 0);
}

#[test]
fn y22_y23_a_reader_that_has_no_writer_yet_goes_on_encrypted() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let (mut reader, other_reader) = (StreamReader::default(), StreamReader::default());
    let pair = event_loop.memory_pair(
        StreamReaderProtocol::new(&reader),
        StreamReaderProtocol::new(&other_reader),
        MemoryOptions::default(),
    );
    event_loop.run_ready_now();
    let left = pair.left.start_tls(as_client(&client), Early::Refuse, Vec::new());
    let right = pair.right.start_tls(as_server(&server), Early::Refuse, Vec::new());
    let left = event_loop.run_until_complete(&left).unwrap();
    let right = event_loop.run_until_complete(&right).unwrap();
    event_loop.run_until_idle();
    assert!(!left.is_closing() && !right.is_closing(), "no writer was dropped");
    let (writer, other_writer) =
        (StreamWriter::new(left, &reader), StreamWriter::new(right, &other_reader));
    other_writer.write(b"tulip");
    let read = event_loop.create_task(async move {
        let read = reader.readexactly(5).await;
        drop(writer);
        read
    });
    assert_eq!(event_loop.run_until_complete(read.as_future()).unwrap(), b"tulip");
    drop(other_writer);
    event_loop.run_until_idle();
    assert_eq!(event_loop.open_connections(), 0, "the last writers were dropped");
}

#[test]
fn y22_y23_a_writer_that_is_dropped_while_its_transport_is_upgraded_ends_the_connection() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let ((reader, writer), (_other_reader, other_writer)) = streams(&event_loop);
    let (ours, theirs) = (writer.transport().clone(), other_writer.transport().clone());
    let left = ours.start_tls(as_client(&client), Early::Refuse, Vec::new());
    let right = theirs.start_tls(as_server(&server), Early::Refuse, Vec::new());
    drop(writer);
    event_loop.run_until_complete(&left).unwrap();
    event_loop.run_until_complete(&right).unwrap();
    drop(other_writer);
    event_loop.run_until_idle();
    assert_eq!(event_loop.open_connections(), 0);
    drop(reader);
}

#[test]
fn y22_a_write_that_was_refused_is_told_before_anything_is_done() {
    let event_loop = TestLoop::new();
    let (client, _) = configs();
    let ((mut reader, writer), (mut other_reader, other_writer)) = streams(&event_loop);
    let task = event_loop.create_task(async move {
        writer.write_eof();
        writer.write(b"too late");
        let refused = writer.start_tls(&mut reader, as_client(&client), Early::Refuse).await;
        let error = refused.unwrap_err();
        assert_eq!(error.downcast_ref::<WriteRefusal>(), Some(&WriteRefusal::AfterEof));
        assert_eq!(other_reader.read_to_end().await?, b"");
        drop(other_writer);
        Ok::<_, Exception>(())
    });
    event_loop.run_until_complete(task.as_future()).unwrap();
    event_loop.run_until_idle();
}

#[test]
fn y22_the_reader_of_another_connection_is_refused() {
    let event_loop = TestLoop::new();
    let (client, _) = configs();
    let ((mut reader, writer), (_other_reader, other_writer)) = streams(&event_loop);
    let task = event_loop.create_task(async move {
        let role = as_client(&client);
        let refused = other_writer.start_tls(&mut reader, role, Early::Refuse).await;
        assert!(refused.unwrap_err().is::<futures::InvalidStateError>());
        assert!(!other_writer.is_closing());
        drop(writer);
        Ok::<_, Exception>(())
    });
    event_loop.run_until_complete(task.as_future()).unwrap();
    event_loop.run_until_idle();
}

#[test]
fn y22_x52_a_stream_is_encrypted_twice() {
    let event_loop = TestLoop::new();
    let (client, server) = configs();
    let ((mut reader, writer), (other_reader, other_writer)) = streams(&event_loop);
    let left = async move {
        for _ in 0..2 {
            let role = as_client(&client);
            writer.start_tls(&mut reader, role, Early::Refuse).await?;
        }
        writer.write(b"tulip\n");
        let line = reader.readline().await?;
        writer.close();
        writer.wait_closed().await?;
        Ok(line)
    };
    let right = async move {
        let mut stream = other_reader.join(other_writer);
        for _ in 0..2 {
            // The client may begin the second handshake right behind the first.
            stream.start_tls(as_server(&server), Early::Feed).await?;
        }
        let line = stream.reader_mut().readline().await?;
        stream.writer().write(&line);
        stream.writer().drain().await
    };
    let (left, right) = run_both(&event_loop, left, right);
    right.unwrap();
    assert_eq!(left.unwrap(), b"tulip\n");
}
