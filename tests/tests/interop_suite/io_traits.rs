//! The reading and writing traits of `futures-io` and tokio, used by the code that is written for them.

use super::support::{pattern, port_of, run};
use futures::{Exception, create_task, spawn, yield_now};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use std::io::{ErrorKind, IoSlice};
use tokio_util::codec::{BytesCodec, Framed, LinesCodec};
use tulipa::streams::{Stream, StreamReader, StreamWriter, open_connection, start_server};

/// A server that sends back what comes, with the `copy` of futures-util.
async fn copying_server() -> Result<tulipa::Server, Exception> {
    let handler = |reader: StreamReader, mut writer: StreamWriter| async move {
        futures_util::io::copy_buf(reader, &mut writer).await?;
        futures_util::AsyncWriteExt::close(&mut writer).await
    };
    start_server(handler, ("127.0.0.1", 0)).await
}

async fn stream_to(port: u16) -> Result<Stream, Exception> {
    Ok(open_connection(("127.0.0.1", port)).await?.into())
}

#[test]
fn futures_util_copies_streams() {
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    run(async {
        let server = copying_server().await?;
        let (mut reader, mut writer) = stream_to(port_of(&server)).await?.into_split();
        let sent = pattern(8 << 20);
        let expected = sent.clone();
        let sending = create_task(async move {
            let copied = futures_util::io::copy(&sent[..], &mut writer).await?;
            AsyncWriteExt::close(&mut writer).await?;
            Ok((copied, writer))
        });
        let mut received = Vec::new();
        AsyncReadExt::read_to_end(&mut reader, &mut received).await?;
        let (copied, _writer) = sending.await?;
        assert_eq!(copied, 8 << 20);
        assert!(received == expected);
        server.close();
        Ok(())
    });
}

#[test]
fn several_buffers_are_one_write() {
    run(async {
        let server = copying_server().await?;
        let port = port_of(&server);
        let parts = [IoSlice::new(b"tu"), IoSlice::new(b""), IoSlice::new(b"lipa")];
        let mut stream = stream_to(port).await?;
        let count = futures_util::AsyncWriteExt::write_vectored(&mut stream, &parts).await?;
        assert_eq!(count, 6);
        assert!(tokio::io::AsyncWrite::is_write_vectored(&stream));
        let count = tokio::io::AsyncWriteExt::write_vectored(&mut stream, &parts).await?;
        assert_eq!(count, 6);
        let mut came = [0; 12];
        futures_util::AsyncReadExt::read_exact(&mut stream, &mut came).await?;
        assert_eq!(&came, b"tulipatulipa");
        // Buffers of no bytes are answered at once.
        assert_eq!(tokio::io::AsyncReadExt::read(&mut stream, &mut []).await?, 0);
        assert_eq!(futures_util::AsyncReadExt::read(&mut stream, &mut []).await?, 0);
        server.close();
        Ok(())
    });
}

#[test]
fn a_flush_is_done_when_all_is_sent() {
    run(async {
        let server = copying_server().await?;
        let mut stream = stream_to(port_of(&server)).await?;
        for _ in 0..2 {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"tulipa").await?;
            assert_eq!(stream.writer().transport().get_write_buffer_size().0, 6);
            tokio::io::AsyncWriteExt::flush(&mut stream).await?;
            assert_eq!(stream.writer().transport().get_write_buffer_size().0, 0);
        }
        server.close();
        Ok(())
    });
}

#[test]
fn frames_of_tokio_util_echo() {
    run(async {
        let handler = |reader: StreamReader, writer: StreamWriter| async move {
            let (sink, lines) = Framed::new(reader.join(writer), LinesCodec::new()).split();
            lines.map_ok(|line| line.to_uppercase()).forward(sink).await
        };
        let server = start_server(handler, ("127.0.0.1", 0)).await?;
        let mut lines = Framed::new(stream_to(port_of(&server)).await?, LinesCodec::new());
        for word in ["tulip", "", "rose"] {
            lines.send(word).await?;
            assert_eq!(lines.next().await.expect("an answer")?, word.to_uppercase());
        }
        server.close();
        Ok(())
    });
}

#[test]
fn tokio_copies_in_both_directions() {
    run(async {
        let target = copying_server().await?;
        let port = port_of(&target);
        let handler = move |reader: StreamReader, writer: StreamWriter| async move {
            let (mut near, mut far) = (reader.join(writer), stream_to(port).await?);
            let count = tokio::io::copy_bidirectional(&mut near, &mut far).await?;
            assert_eq!(count, (3 << 20, 3 << 20));
            Ok::<_, Exception>(())
        };
        let proxy = start_server(handler, ("127.0.0.1", 0)).await?;
        let (mut reader, writer) = stream_to(port_of(&proxy)).await?.into_split();
        let sent = pattern(3 << 20);
        writer.write(&sent);
        writer.write_eof();
        assert!(reader.read_to_end().await? == sent);
        target.close();
        proxy.close();
        Ok(())
    });
}

#[test]
fn lines_are_a_foreign_stream() {
    run(async {
        let mut reader = StreamReader::default();
        let feeder = reader.feeder();
        let feeding = spawn(async move {
            for piece in [&b"one\ntw"[..], b"o", b"\nthr", b"ee"] {
                feeder.feed_data(piece);
                yield_now().await.unwrap();
            }
            feeder.feed_eof();
        });
        let lines: Vec<_> = reader.lines().map_ok(|line| line.len()).try_collect().await?;
        assert_eq!(lines, [4, 4, 5]);
        feeding.await
    });
}

#[test]
fn i12_a_cancellation_comes_out_of_foreign_reads_and_writes() {
    run(async {
        // Nobody reads from this one, so that writing comes to wait.
        let listener = tulipa::streams::listen(("127.0.0.1", 0)).await?;
        let port = port_of(listener.server());
        let by_futures = create_task(async move {
            let mut stream = stream_to(port).await?;
            let error = futures_util::AsyncReadExt::read_exact(&mut stream, &mut [0]).await;
            let error = error.unwrap_err();
            assert_ne!(error.kind(), ErrorKind::Interrupted);
            Err::<(), Exception>(error.into())
        });
        let by_tokio = create_task(async move {
            let mut stream = stream_to(port).await?;
            let error = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut [0]).await;
            let error = error.unwrap_err();
            assert_ne!(error.kind(), ErrorKind::Interrupted);
            Err::<(), Exception>(error.into())
        });
        let by_a_codec = create_task(async move {
            let mut pieces = Framed::new(stream_to(port).await?, BytesCodec::new());
            pieces.next().await.expect("an error")?;
            Ok(())
        });
        let writing = create_task(async move {
            let mut stream = stream_to(port).await?;
            loop {
                tokio::io::AsyncWriteExt::write_all(&mut stream, &[0; 65_536]).await?;
            }
        });
        let tasks = [by_futures, by_tokio, by_a_codec, writing];
        for _ in 0..2_000 {
            yield_now().await?;
        }
        for task in tasks {
            assert!(task.cancel());
            let exception = task.clone().await.unwrap_err();
            assert!(exception.is_cancelled() && task.cancelled(), "{exception:?}");
        }
        Ok(())
    });
}
