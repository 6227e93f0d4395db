//! Readers and writers one poll at a time, as adapters use them.

use crate::support::{Listens, block_on, fed, is_reset, run_until_all_closed, stream_to, waiting};
use eventloop::TestLoop;
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::Poll;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{Bytes, Protocol, Transport, WriteBufferLimits, WriteRefusal};

#[test]
fn y4_y7_a_poll_reads_what_is_there_or_has_the_task_woken() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(10);
    let reading = waiting(&event_loop, async move {
        let mut buffer = [0; 2];
        let mut all = Vec::new();
        loop {
            let count = poll_fn(|context| reader.poll_read(context, &mut buffer)).await.unwrap();
            if count == 0 {
                return all;
            }
            all.push(buffer[..count].to_vec());
        }
    });
    feeder.feed_data(b"abc");
    event_loop.run_ready_now();
    feeder.feed_data(b"d");
    feeder.feed_eof();
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap(), [&b"ab"[..], b"c", b"d"]);
}

#[test]
fn y2_a_wait_that_a_poll_began_moves_to_the_task_that_polls_next() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(10);
    let mut reader = block_on(&event_loop, async move {
        poll_fn(|context| {
            assert!(reader.poll_fill_buf(context).is_pending());
            Poll::Ready(())
        })
        .await;
        reader
    });
    let reading = waiting(&event_loop, async move { reader.readexactly(1).await });
    feeder.feed_data(b"a");
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap().unwrap(), b"a");
}

#[test]
fn y4_a_cancelled_poll_is_an_error_and_takes_nothing() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(10);
    let task = waiting(&event_loop, async move {
        let outcome = poll_fn(|context| reader.poll_fill_buf(context).map_ok(<[u8]>::len)).await;
        assert!(outcome.unwrap_err().is_cancelled());
        reader.readexactly(3).await
    });
    feeder.feed_data(b"abc");
    task.cancel();
    event_loop.run_ready_now();
    assert_eq!(task.take().unwrap().unwrap(), b"abc");
}

struct Paused;
impl Protocol for Paused {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.pause_reading();
    }
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

#[test]
fn y16_y17_polled_writes_wait_for_the_mark_and_stop_there() {
    let event_loop = TestLoop::new();
    let (_reader, mut writer, pair) = stream_to(&event_loop, Paused, 10);
    let marks = WriteBufferLimits { high: Bytes(20), low: Bytes(5) };
    pair.left.set_write_buffer_limits(marks).unwrap();
    let task = waiting(&event_loop, async move {
        let (part, empty) = (IoSlice::new(&[7; 25]), IoSlice::new(&[]));
        let parts = [part, empty, part, part];
        let vectored = poll_fn(|context| writer.poll_write_vectored(context, &parts)).await;
        assert_eq!(vectored.unwrap(), 50, "ten went, and fifteen are not over the mark");
        let written = poll_fn(|context| writer.poll_write(context, b"more")).await;
        assert_eq!(written.unwrap(), 4);
        poll_fn(|context| writer.poll_flush(context)).await.unwrap();
        assert_eq!(writer.transport().get_write_buffer_size(), Bytes(0));
        writer
    });
    pair.right.resume_reading();
    event_loop.run_ready_now();
    drop(task.take().unwrap());
    run_until_all_closed(&event_loop);
}

#[test]
fn y16_y21_shutting_down_ends_our_direction_and_closing_the_connection() {
    let event_loop = TestLoop::new();
    let streams = event_loop.memory_streams(MemoryOptions::default());
    let (mut reader, mut writer) = streams.left;
    let peer = event_loop.spawn_echo(streams.right);
    block_on(&event_loop, async move {
        assert_eq!(poll_fn(|context| writer.poll_write(context, b"tulip")).await.unwrap(), 5);
        poll_fn(|context| writer.poll_shutdown(context)).await.unwrap();
        let refused = poll_fn(|context| writer.poll_write(context, b"late")).await.unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&WriteRefusal::AfterEof));
        assert_eq!(reader.read_to_end().await.unwrap(), b"tulip");
        poll_fn(|context| writer.poll_close(context)).await.unwrap();
        poll_fn(|context| writer.poll_close(context)).await.unwrap();
        poll_fn(|context| writer.poll_shutdown(context)).await.unwrap();
        assert!(is_reset(poll_fn(|context| writer.poll_write(context, b"x")).await));
        assert!(is_reset(poll_fn(|context| writer.poll_flush(context)).await));
    });
    run_until_all_closed(&event_loop);
    peer.take().unwrap();
}

#[test]
fn y16_y27_shutting_down_the_last_direction_is_no_error_though_the_connection_ends_with_it() {
    let event_loop = TestLoop::new();
    let (mut reader, mut writer, _pair) = stream_to(&event_loop, Listens, 10);
    block_on(&event_loop, async move {
        assert_eq!(reader.read(1).await.unwrap(), b"", "the peer has ended its direction");
        writer.write(&[7; 100]);
        poll_fn(|context| writer.poll_shutdown(context)).await.unwrap();
        writer.wait_closed().await.unwrap();
        poll_fn(|context| writer.poll_shutdown(context)).await.unwrap();
    });
    run_until_all_closed(&event_loop);
}

#[test]
fn y19_a_polled_flush_that_the_loss_ends_gives_its_reason() {
    let event_loop = TestLoop::new();
    let (_reader, mut writer, pair) = stream_to(&event_loop, Paused, 10);
    let task = waiting(&event_loop, async move {
        writer.write(&[7; 100]);
        poll_fn(|context| writer.poll_flush(context)).await
    });
    pair.left.abort_with(futures::Exception::msg("enough"));
    event_loop.run_ready_now();
    assert_eq!(task.take().unwrap().unwrap_err().to_string(), "enough");
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y19_a_polled_flush_can_be_cancelled() {
    let event_loop = TestLoop::new();
    let (_reader, mut writer, pair) = stream_to(&event_loop, Paused, 10);
    let task = waiting(&event_loop, async move {
        writer.write(&[7; 100]);
        poll_fn(|context| writer.poll_flush(context)).await
    });
    task.cancel();
    event_loop.run_ready_now();
    assert!(task.take().unwrap().unwrap_err().is_cancelled());
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y16_y17_a_flush_that_waits_does_not_hold_up_a_write() {
    let event_loop = TestLoop::new();
    let (_reader, mut writer, pair) = stream_to(&event_loop, Paused, 10);
    block_on(&event_loop, async move {
        poll_fn(|context| {
            writer.write(&[7; 20]);
            assert!(writer.poll_flush(context).is_pending());
            assert!(writer.poll_write(context, &[7; 20]).is_ready());
            assert!(writer.poll_flush(context).is_pending());
            Poll::Ready(())
        })
        .await;
        pair.right.abort();
    });
    run_until_all_closed(&event_loop);
}

/// Sends back what comes, until the end.
trait SpawnEcho {
    fn spawn_echo(
        &self,
        stream: (
            tulipa_transports::streams::StreamReader,
            tulipa_transports::streams::StreamWriter,
        ),
    ) -> futures::Task<()>;
}

impl SpawnEcho for TestLoop {
    fn spawn_echo(
        &self,
        (mut reader, writer): (
            tulipa_transports::streams::StreamReader,
            tulipa_transports::streams::StreamWriter,
        ),
    ) -> futures::Task<()> {
        use eventloop::prelude::*;
        self.spawn(async move {
            while !reader.fill_buf().await.unwrap().is_empty() {
                writer.write_vec(reader.read(100).await.unwrap());
                writer.drain().await.unwrap();
            }
        })
    }
}

#[test]
fn y16_a_polled_flush_does_not_take_thrown_away_for_sent() {
    type Cut = fn(&tulipa_transports::testing::MemoryPair);
    let cuts: [(Cut, &str); 2] = [
        (|pair| pair.left.abort(), "the connection is lost"),
        (|pair| pair.left.abort_with(futures::Exception::msg("enough")), "enough"),
    ];
    for (cut, reason) in cuts {
        let event_loop = TestLoop::new();
        let (_reader, mut writer, pair) = stream_to(&event_loop, Paused, 10);
        let flushed = block_on(&event_loop, async move {
            writer.write(&[7; 100]);
            futures::yield_now().await.unwrap();
            cut(&pair);
            let flushed = poll_fn(|context| writer.poll_flush(context)).await;
            pair.right.abort();
            flushed
        });
        assert_eq!(flushed.unwrap_err().to_string(), reason);
        run_until_all_closed(&event_loop);
    }
}

#[test]
fn y16_a_polled_flush_fails_while_what_came_before_a_failure_is_still_delivered() {
    let event_loop = TestLoop::new();
    let (_reader, mut writer, pair) = stream_to(&event_loop, Paused, 10);
    writer.write(&[7; 100]);
    event_loop.run_ready_now();
    pair.break_left_output();
    let outcome = block_on(&event_loop, async move {
        while !writer.is_closing() {
            futures::yield_now().await.unwrap();
        }
        poll_fn(|context| writer.poll_flush(context)).await
    });
    assert_eq!(outcome.unwrap_err().io_kind(), Some(std::io::ErrorKind::BrokenPipe));
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y16_a_polled_flush_of_what_was_sent_is_done_though_the_connection_was_closed() {
    let event_loop = TestLoop::new();
    let (_reader, mut writer, pair) = stream_to(&event_loop, Listens, 1000);
    block_on(&event_loop, async move {
        writer.write(&[7; 100]);
        poll_fn(|context| writer.poll_flush(context)).await.unwrap();
        writer.close();
        poll_fn(|context| writer.poll_flush(context)).await.unwrap();
    });
    pair.right.close();
    run_until_all_closed(&event_loop);
}
