//! Reads that are cancelled, or dropped where they wait.

use crate::support::{Boxed, at_most, block_on, fed, waiting};
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::io;
use tulipa_transports::streams::StreamReader;

/// A read that needs more than `abc`.
type Read = for<'r> fn(&'r mut StreamReader) -> Boxed<'r, Result<Vec<u8>, Exception>>;

const READS: [(&str, Read); 6] = [
    ("readline", |reader| Box::pin(reader.readline())),
    ("readuntil", |reader| Box::pin(reader.readuntil(b"--"))),
    ("readuntil_any", |reader| Box::pin(async { reader.readuntil_any(&[b"\n", b"--"]).await })),
    ("readexactly", |reader| Box::pin(reader.readexactly(5))),
    ("read_to_end", |reader| Box::pin(reader.read_to_end())),
    ("lines", |reader| Box::pin(async { Ok(reader.lines().next().await?.unwrap_or_default()) })),
];

#[test]
fn y4_a_cancelled_read_loses_no_byte() {
    for (name, read) in READS {
        let event_loop = TestLoop::new();
        let (mut reader, feeder) = fed(100);
        feeder.feed_data(b"ab");
        let task = waiting(&event_loop, async move {
            let outcome = read(&mut reader).await;
            assert!(outcome.unwrap_err().is_cancelled(), "{name}");
            reader
        });
        feeder.feed_data(b"c");
        event_loop.run_ready_now();
        assert!(task.cancel());
        event_loop.run_ready_now();
        let mut reader = task.take().unwrap();
        feeder.feed_data(b"--\n");
        feeder.feed_eof();
        let all = block_on(&event_loop, async move { reader.read_to_end().await });
        assert_eq!(all.unwrap(), b"abc--\n", "{name}");
    }
}

#[test]
fn y4_a_read_that_is_cancelled_while_its_bytes_come_loses_none() {
    // Both orders, in one iteration: the bytes that would have been the answer stay.
    for data_first in [true, false] {
        for (name, read) in READS {
            let event_loop = TestLoop::new();
            let (mut reader, feeder) = fed(100);
            let task = waiting(&event_loop, async move {
                let outcome = read(&mut reader).await;
                assert!(outcome.unwrap_err().is_cancelled(), "{name}");
                reader
            });
            if data_first {
                feeder.feed_data(b"abc--\n");
            }
            task.cancel();
            if !data_first {
                feeder.feed_data(b"abc--\n");
            }
            feeder.feed_eof();
            event_loop.run_ready_now();
            let mut reader = task.take().unwrap();
            let all = block_on(&event_loop, async move { reader.read_to_end().await });
            assert_eq!(all.unwrap(), b"abc--\n", "{name}");
        }
    }
}

#[test]
fn y4_a_read_that_is_dropped_where_it_waits_loses_no_byte() {
    for (name, read) in READS {
        let event_loop = TestLoop::new();
        let (mut reader, feeder) = fed(100);
        let reading = event_loop.spawn(async move {
            assert!(at_most(2, read(&mut reader)).await.is_none(), "{name}");
            reader.read_to_end().await
        });
        for piece in [&b"a"[..], b"b", b"c", b"--\n"] {
            event_loop.run_ready_now();
            feeder.feed_data(piece);
        }
        feeder.feed_eof();
        event_loop.run_ready_now();
        assert_eq!(reading.take().unwrap().unwrap(), b"abc--\n", "{name}");
    }
}

#[test]
fn y2_y4_after_a_read_was_dropped_another_one_waits() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(100);
    let reading = waiting(&event_loop, async move {
        assert!(at_most(1, reader.readexactly(2)).await.is_none());
        let first = reader.readexactly(1).await.unwrap();
        assert!(at_most(1, reader.readline()).await.is_none());
        (first, reader.readexactly(1).await.unwrap())
    });
    feeder.feed_data(b"a");
    event_loop.run_ready_now();
    assert!(!reading.done());
    feeder.feed_data(b"b");
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap(), (b"a".to_vec(), b"b".to_vec()));
}

#[test]
fn y4_a_cancelled_task_does_not_see_the_wait_of_a_read_that_was_dropped() {
    let event_loop = TestLoop::new();
    let (mut reader, _feeder) = fed(100);
    let task = waiting(&event_loop, async move {
        assert!(at_most(1, reader.readline()).await.is_none());
        std::future::pending::<()>().await;
    });
    task.cancel();
    event_loop.run_ready_now();
    assert!(task.cancelled(), "it waited for nothing that could have been told");
}

#[test]
fn y4_a_cancellation_behind_an_io_error_is_still_one() {
    let event_loop = TestLoop::new();
    let (mut reader, _feeder) = fed(100);
    let task = waiting(&event_loop, async move {
        let error = io::Error::from(reader.read(1).await.unwrap_err());
        assert_ne!(error.kind(), io::ErrorKind::Interrupted, "which others would try again");
        Exception::from(error)
    });
    task.cancel();
    event_loop.run_ready_now();
    assert!(task.take().unwrap().is_cancelled());
}
