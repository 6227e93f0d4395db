//! Streams whose options say TLS.

use crate::support::*;
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::io::ErrorKind;
use tulipa_transports::streams::{StreamLoop, StreamReader, StreamWriter};
use tulipa_transports::{
    ConnectOptions, NetworkLoop, ServerOptions, UnixConnectOptions, UnixServerOptions,
};

async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<(), Exception> {
    while !reader.fill_buf().await?.is_empty() {
        writer.write_vec(reader.read(65_536).await?);
        writer.drain().await?;
    }
    Ok(())
}

#[test]
fn y24_x44_streams_are_encrypted_when_their_options_say_so() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let server = event_loop.start_server(echo, options).result().unwrap();
    let options = ConnectOptions::from(address(&server)).tls(client);
    let opening = event_loop.open_connection(options);
    let task = event_loop.create_task(async move {
        let (mut reader, writer) = opening.await?;
        assert!(writer.extra_info().tls.is_some());
        assert!(!writer.can_write_eof());
        let sent = vec![7; 1_000_000];
        writer.write(&sent);
        let got = reader.readexactly(sent.len()).await?;
        assert!(got == sent);
        writer.close();
        writer.wait_closed().await
    });
    event_loop.run_until_complete(task.as_future()).unwrap();
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn y24_x44_unix_streams_too() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let options = UnixServerOptions::from(&*path).tls(config);
    let server = event_loop.start_unix_server(echo, options).result().unwrap();
    let options = UnixConnectOptions::from(&*path).tls(client).server_name("localhost");
    let opening = event_loop.open_unix_connection(options);
    let task = event_loop.create_task(async move {
        let (mut reader, writer) = opening.await?;
        writer.write(b"tulip\n");
        let line = reader.readline().await?;
        writer.close();
        writer.wait_closed().await?;
        Ok::<_, Exception>(line)
    });
    assert_eq!(event_loop.run_until_complete(task.as_future()).unwrap(), b"tulip\n");
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
}

#[test]
fn y24_x44_a_handshake_that_fails_is_the_error_of_the_opening() {
    let event_loop = TestLoop::new();
    let (_, config) = configs();
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let server = event_loop.start_server(echo, options).result().unwrap();
    let stranger = Authority::new("stranger").client();
    let options = ConnectOptions::from(address(&server)).tls(stranger);
    let opening = event_loop.open_connection(options);
    let task = event_loop.create_task(async move { opening.await.map(drop) });
    let error = event_loop.run_until_complete(task.as_future()).unwrap_err();
    assert!(tls_error(&error).is_certificate_error());
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn x48_y28_a_cut_stream_fails_and_an_end_does_not() {
    let event_loop = TestLoop::new();
    let (client, config) = configs();
    let mut number = 0;
    let handler = move |_reader: StreamReader, writer: StreamWriter| {
        number += 1;
        writer.write(b"half of it");
        if number == 1 {
            writer.close();
        } else {
            // What it has written leaves; then comes the end without a goodbye.
            let transport = writer.transport().clone();
            let drained = transport.drained();
            drained.add_done_callback(move |_| transport.abort());
            std::mem::forget(writer);
        }
    };
    let options = ServerOptions::from(("127.0.0.1", 0)).tls(config);
    let server = event_loop.start_server(handler, options).result().unwrap();
    let read = || {
        let options = ConnectOptions::from(address(&server)).tls(client.clone());
        let opening = event_loop.open_connection(options);
        let task = event_loop.create_task(async move {
            let (mut reader, _writer) = opening.await?;
            reader.read_to_end().await
        });
        event_loop.run_until_complete(task.as_future())
    };
    assert_eq!(read().unwrap(), b"half of it");
    let kind = read().unwrap_err().io_kind();
    let cut = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
    assert!(kind.is_some_and(|kind| cut.contains(&kind)), "{kind:?}");
    server.close();
    event_loop.run_until_complete(&server.wait_closed()).unwrap();
    run_until(&event_loop, || event_loop.open_connections() == 0);
}

#[test]
fn y24_n12_an_opening_that_is_dropped_in_the_handshake_leaves_nothing() {
    let event_loop = TestLoop::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, _) = configs();
    let options = ConnectOptions::from(listener.local_addr().unwrap()).tls(client);
    let opening = event_loop.open_connection(options);
    let (peer, _) = listener.accept().unwrap();
    peer.set_nonblocking(true).unwrap();
    run_until(&event_loop, || peer.peek(&mut [0; 1]).is_ok_and(|count| count == 1));
    drop(opening);
    run_until(&event_loop, || event_loop.open_connections() == 0);
}
