//! Writing, draining, closing.

use crate::support::{
    Listens, at_most, block_on, collect_errors, is_reset, now, poll_once, run_until_all_closed,
    stream_to, waiting,
};
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use tulipa_transports::streams::StreamWriter;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{
    Bytes, CapPolicy, Eof, Protocol, Transport, TransportExt, WriteBufferCap, WriteBufferLimits,
    WriteRefusal, WriteState,
};

/// Notes what it gets; reads nothing while it is told not to.
#[derive(Clone, Default)]
struct Sink {
    received: Rc<RefCell<Vec<u8>>>,
    eof: Rc<Cell<bool>>,
    paused: bool,
}

impl Sink {
    fn paused() -> Self {
        Self { paused: true, ..Self::default() }
    }
}

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &dyn Transport) {
        if self.paused {
            transport.pause_reading();
        }
    }
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.received.borrow_mut().extend_from_slice(data);
    }
    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.eof.set(true);
        Eof::KeepOpen
    }
}

/// A stream to one who does not read, with marks at 100 and 20; 50 bytes fit on the way.
fn stuck(event_loop: &TestLoop) -> (Stream, tulipa_transports::testing::MemoryPair) {
    let (reader, writer, pair) = stream_to(event_loop, Sink::paused(), 50);
    let marks = WriteBufferLimits { high: Bytes(100), low: Bytes(20) };
    pair.left.set_write_buffer_limits(marks).unwrap();
    (Stream { reader, writer }, pair)
}

struct Stream {
    reader: tulipa_transports::streams::StreamReader,
    writer: StreamWriter,
}

#[test]
fn y16_writing_ending_and_closing_are_the_transports() {
    let event_loop = TestLoop::new();
    let sink = Sink::default();
    let (_reader, writer, pair) = stream_to(&event_loop, sink.clone(), 1000);
    assert!(Rc::ptr_eq(writer.transport(), &pair.left));
    assert!(writer.can_write_eof() && !writer.is_closing());
    assert!(writer.get_extra_info("peername").is_some());
    assert!(writer.get_extra_info("colour").is_none());
    assert_eq!(writer.extra_info().sockname, pair.left.extra_info().sockname);
    assert_eq!(writer.write(b"one "), WriteState::Taken);
    assert_eq!(writer.writelines(&[b"two ", b"three "]), WriteState::Taken);
    assert_eq!(writer.write_vec(b"four".to_vec()), WriteState::Taken);
    writer.write_eof();
    assert!(!writer.write(b"late").is_taken());
    assert!(now(writer.drain()).is_err(), "it says so, once");
    event_loop.run_ready_now();
    assert_eq!((&sink.received.borrow()[..], sink.eof.get()), (&b"one two three four"[..], true));
    assert!(!writer.is_closing(), "the other direction is open");
    writer.close();
    writer.close();
    assert!(writer.is_closing() && pair.left.is_closing());
    pair.right.close();
    event_loop.run_ready_now();
    now(writer.wait_closed()).unwrap();
}

#[test]
fn y17_drain_returns_at_once_below_the_mark() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    now(stream.writer.drain()).unwrap();
    stream.writer.write(&[7; 100]);
    now(stream.writer.drain()).unwrap();
    pair.right.abort();
    drop(stream);
    run_until_all_closed(&event_loop);
}

#[test]
fn y17_drain_waits_while_the_output_is_over_its_mark_until_it_is_at_the_low_one() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    let done = Rc::new(Cell::new(false));
    let task = {
        let done = done.clone();
        event_loop.spawn(async move {
            assert_eq!(stream.writer.write(&[7; 200]), WriteState::OverHighMark);
            stream.writer.drain().await.unwrap();
            done.set(true);
            let Bytes(left) = stream.writer.transport().get_write_buffer_size();
            assert!(left <= 20, "{left}");
            stream
        })
    };
    event_loop.run_ready_now();
    assert!(!done.get());
    pair.right.resume_reading();
    event_loop.run_ready_now();
    drop(task.take().unwrap());
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y17_drain_sees_the_mark_also_before_the_protocol_was_told() {
    // From a task, pause_writing comes in a turn of its own. Here the peer takes everything before.
    let event_loop = TestLoop::new();
    let (_reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1 << 20);
    let marks = WriteBufferLimits { high: Bytes(0), low: Bytes(0) };
    pair.left.set_write_buffer_limits(marks).unwrap();
    block_on(&event_loop, async move {
        for _ in 0..10 {
            writer.write(&[7; 10]);
            writer.drain().await.unwrap();
        }
    });
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y17_drain_fails_with_the_readers_failure() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    let writer = stream.writer.clone();
    let draining = event_loop.spawn(async move {
        writer.write(&[7; 200]);
        writer.drain().await
    });
    event_loop.run_ready_now();
    let failure = Exception::msg("no such tulip");
    stream.reader.set_exception(failure.clone());
    assert!(now(stream.writer.drain()).unwrap_err().ptr_eq(&failure));
    event_loop.run_ready_now();
    assert!(draining.take().unwrap().unwrap_err().ptr_eq(&failure), "who waited gets it too");
    pair.right.abort();
    drop(stream);
    run_until_all_closed(&event_loop);
}

#[test]
fn y17_after_the_loss_drain_fails_with_connection_reset() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    pair.left.abort();
    event_loop.run_ready_now();
    let outcome = block_on(&event_loop, async move {
        assert!(is_reset(stream.writer.drain().await));
        stream.writer.write(b"unheard");
        stream.writer.drain().await
    });
    assert!(is_reset(outcome));
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y18_a_loop_of_writing_and_draining_comes_to_see_the_loss() {
    let event_loop = TestLoop::new();
    let (_reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1000);
    let rounds = block_on(&event_loop, async move {
        writer.close();
        assert!(poll_once(writer.drain()).is_pending(), "it gives way first");
        for round in 0.. {
            writer.write(b"more");
            if let Err(exception) = writer.drain().await {
                assert!(is_reset::<()>(Err(exception)));
                return round;
            }
        }
        unreachable!()
    });
    assert!(rounds <= 2, "{rounds}");
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y18_giving_way_can_be_cancelled() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    stream.writer.write(&[7; 200]);
    stream.writer.close();
    let task = event_loop.spawn(async move {
        futures::current_task().unwrap().cancel();
        stream.writer.drain().await
    });
    event_loop.run_ready_now();
    assert!(task.take().unwrap().unwrap_err().is_cancelled());
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y19_any_number_may_drain_and_a_cancelled_one_leaves_the_others_alone() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    stream.writer.write(&[7; 200]);
    let drain = || {
        let writer = stream.writer.clone();
        waiting(&event_loop, async move { writer.drain().await })
    };
    let (first, second, third) = (drain(), drain(), drain());
    let writer = stream.writer.clone();
    block_on(&event_loop, async move { assert!(at_most(1, writer.drain()).await.is_none()) });
    second.cancel();
    event_loop.run_ready_now();
    assert!(second.take().unwrap().unwrap_err().is_cancelled());
    assert!(!first.done() && !third.done());
    pair.right.resume_reading();
    event_loop.run_ready_now();
    first.take().unwrap().unwrap();
    third.take().unwrap().unwrap();
    pair.right.close();
    drop(stream);
    run_until_all_closed(&event_loop);
}

#[test]
fn y19_a_loss_without_a_reason_is_an_error_for_each_who_drains() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    stream.writer.write(&[7; 200]);
    let drain = || {
        let writer = stream.writer.clone();
        waiting(&event_loop, async move { writer.drain().await })
    };
    let both = [drain(), drain()];
    pair.left.abort();
    event_loop.run_ready_now();
    for draining in both {
        assert!(is_reset(draining.take().unwrap()));
    }
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y19_y28_a_loss_with_a_reason_gives_it_to_each_who_drains() {
    let event_loop = TestLoop::new();
    let (stream, pair) = stuck(&event_loop);
    stream.writer.write(&[7; 200]);
    let writer = stream.writer.clone();
    let draining = waiting(&event_loop, async move { writer.drain().await });
    pair.left.abort_with(Exception::msg("enough"));
    event_loop.run_ready_now();
    assert_eq!(draining.take().unwrap().unwrap_err().to_string(), "enough");
    assert_eq!(now(stream.writer.drain()).unwrap_err().to_string(), "enough", "and later ones");
    pair.right.abort();
    run_until_all_closed(&event_loop);
}

#[test]
fn y17_y19_who_was_resumed_gets_no_error_for_the_end_that_follows_at_once() {
    // Both directions have ended when all is sent, so the connection closes by itself.
    let event_loop = TestLoop::new();
    let (_reader, writer, pair) = stream_to(&event_loop, Listens, 10);
    let marks = WriteBufferLimits { high: Bytes(20), low: Bytes(5) };
    pair.left.set_write_buffer_limits(marks).unwrap();
    block_on(&event_loop, async move {
        writer.write(&[7; 100]);
        writer.write_eof();
        writer.drain().await.unwrap();
        writer.wait_closed().await.unwrap();
        assert!(is_reset(writer.drain().await), "but later ones do");
    });
    run_until_all_closed(&event_loop);
}

#[test]
fn y20_a_writer_that_never_has_to_wait_gives_way_only_if_it_says_so() {
    let event_loop = TestLoop::new();
    let (_reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1 << 20);
    let ticks = Rc::new(Cell::new(0));
    let ticking = ticks.clone();
    let ticker = event_loop.spawn(async move {
        loop {
            ticking.set(ticking.get() + 1);
            if futures::yield_now().await.is_err() {
                return;
            }
        }
    });
    let seen = ticks.clone();
    block_on(&event_loop, async move {
        let before = seen.get();
        for _ in 0..100 {
            writer.write(b"x");
            writer.drain().await.unwrap();
        }
        assert_eq!(seen.get(), before, "drain alone does not");
        futures::yield_now().await.unwrap();
        assert_ne!(seen.get(), before);
        ticker.cancel();
    });
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y21_wait_closed_waits_for_the_loss_at_any_time_and_any_number_of_times() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    let (_reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1000);
    let wait = || {
        let writer = writer.clone();
        waiting(&event_loop, async move { writer.wait_closed().await })
    };
    let (before, cancelled) = (wait(), wait());
    cancelled.cancel();
    writer.close();
    event_loop.run_ready_now();
    before.take().unwrap().unwrap();
    assert!(cancelled.take().unwrap().unwrap_err().is_cancelled());
    now(writer.wait_closed()).unwrap();
    now(writer.wait_closed()).unwrap();
    pair.right.close();
    run_until_all_closed(&event_loop);
    assert!(errors.borrow().is_empty());
}

#[test]
fn y21_wait_closed_gives_the_failure_and_not_to_ask_for_it_is_fine() {
    let event_loop = TestLoop::new();
    let errors = collect_errors(&event_loop);
    for asked in [true, false] {
        let (_reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1000);
        pair.reset();
        event_loop.run_ready_now();
        if asked {
            assert!(is_reset(now(writer.wait_closed())));
            assert!(is_reset(now(writer.wait_closed())), "again");
        }
    }
    run_until_all_closed(&event_loop);
    assert!(errors.borrow().is_empty());
}

#[test]
fn y23_dropping_the_last_writer_closes_the_connection_after_what_was_written() {
    let event_loop = TestLoop::new();
    let sink = Sink::default();
    let (mut reader, writer, pair) = stream_to(&event_loop, sink.clone(), 1000);
    let second = writer.clone();
    writer.write(b"still ");
    drop(writer);
    event_loop.run_ready_now();
    assert!(!pair.left.is_closing(), "there is another one");
    second.write(b"sent");
    drop(second);
    assert!(pair.left.is_closing());
    event_loop.run_ready_now();
    pair.right.close();
    run_until_all_closed(&event_loop);
    assert_eq!(*sink.received.borrow(), b"still sent");
    assert_eq!(now(reader.read(1)).unwrap(), b"", "the reader sees the end");
}

#[test]
fn y28_a_loss_with_a_reason_is_the_readers_failure_one_without_is_its_end() {
    let event_loop = TestLoop::new();
    for (reason, kind) in
        [(None, None), (Some(io::ErrorKind::TimedOut), Some(io::ErrorKind::TimedOut))]
    {
        let (mut reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1000);
        pair.right.write(b"left");
        event_loop.run_ready_now();
        match reason {
            Some(kind) => pair.left.abort_with(io::Error::from(kind).into()),
            None => pair.left.abort(),
        }
        event_loop.run_ready_now();
        let read = now(reader.read_to_end());
        match kind {
            Some(kind) => assert_eq!(read.unwrap_err().io_kind(), Some(kind)),
            None => assert_eq!(read.unwrap(), b"left"),
        }
        drop(writer);
        pair.right.close();
    }
    run_until_all_closed(&event_loop);
}

#[test]
fn y28_a_stream_whose_protocol_is_replaced_is_cut_off() {
    let event_loop = TestLoop::new();
    let (mut reader, writer, pair) = stream_to(&event_loop, Sink::default(), 1000);
    let reading = waiting(&event_loop, async move { reader.read(1).await });
    pair.left.set_protocol(Sink::default());
    event_loop.run_ready_now();
    let failure = reading.take().unwrap().unwrap_err();
    assert_eq!(failure.io_kind(), Some(io::ErrorKind::NotConnected));
    assert!(now(writer.drain()).unwrap_err().ptr_eq(&failure));
    assert!(now(writer.wait_closed()).is_err());
    drop(writer);
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y16_two_streams_over_memory_talk_to_each_other() {
    let event_loop = TestLoop::new();
    let streams = event_loop.memory_streams(MemoryOptions::default().trouble(7));
    let (mut reader, writer) = streams.left;
    let task = event_loop.spawn(async move {
        writer.write(b"ping\n");
        reader.readline().await.unwrap()
    });
    let (mut reader, writer) = streams.right;
    block_on(&event_loop, async move {
        assert_eq!(reader.readline().await.unwrap(), b"ping\n");
        writer.write(b"pong\n");
        assert_eq!(reader.readline().await.unwrap(), b"", "the other one is done");
    });
    run_until_all_closed(&event_loop);
    assert_eq!(task.take().unwrap(), b"pong\n");
}

/// A stream to one who does not read, which takes 1000 bytes and no more.
fn capped(event_loop: &TestLoop) -> (Stream, tulipa_transports::testing::MemoryPair) {
    let (stream, pair) = stuck(event_loop);
    pair.left.set_write_buffer_cap(WriteBufferCap { size: Bytes(1000), policy: CapPolicy::Refuse });
    (stream, pair)
}

#[test]
fn y17_drain_tells_of_what_was_refused_so_that_no_stream_has_a_hole() {
    let event_loop = TestLoop::new();
    let sink = Sink::paused();
    let (_reader, writer, pair) = stream_to(&event_loop, sink.clone(), 50);
    let cap = WriteBufferCap { size: Bytes(1000), policy: CapPolicy::Refuse };
    pair.left.set_write_buffer_cap(cap);
    assert!(writer.write(&[1; 2000]).is_taken());
    assert_eq!(writer.write(&[2; 10]), WriteState::Refused(WriteRefusal::OverCap));
    pair.right.resume_reading();
    event_loop.run_ready_now();
    assert_eq!(writer.transport().get_write_buffer_size(), Bytes(0), "there is room again");
    for refused in [writer.write(&[3]), writer.writelines(&[&[3]]), writer.write_vec(vec![3])] {
        assert_eq!(refused, WriteState::Refused(WriteRefusal::OverCap), "after a hole");
    }
    let other = writer.clone();
    assert!(other.write(&[4]).is_taken(), "it has no hole of its own");
    now(other.drain()).unwrap();
    let refusal = now(writer.drain()).unwrap_err();
    assert_eq!(refusal.downcast_ref(), Some(&WriteRefusal::OverCap));
    now(writer.drain()).unwrap();
    assert!(writer.write(&[5]).is_taken(), "who was told may go on");
    event_loop.run_ready_now();
    assert_eq!(sink.received.borrow()[2000..], [4, 5]);
    drop((writer, other));
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y17_drain_waits_for_room_before_it_tells_of_what_was_refused() {
    let event_loop = TestLoop::new();
    let (stream, pair) = capped(&event_loop);
    let draining = waiting(&event_loop, async move {
        stream.writer.write(&[1; 2000]);
        stream.writer.write(&[2; 10]);
        stream.writer.drain().await
    });
    pair.right.resume_reading();
    event_loop.run_ready_now();
    let refusal = draining.take().unwrap().unwrap_err();
    assert_eq!(refusal.downcast_ref(), Some(&WriteRefusal::OverCap));
    pair.right.close();
    run_until_all_closed(&event_loop);
}

#[test]
fn y16_y21_who_never_drains_learns_at_the_end_that_something_was_refused() {
    let event_loop = TestLoop::new();
    let (stream, pair) = capped(&event_loop);
    let closing = waiting(&event_loop, async move {
        let writer = stream.writer;
        writer.write(&[1; 2000]);
        writer.write(&[2; 10]);
        writer.close();
        (writer.wait_closed().await, writer.wait_closed().await)
    });
    pair.right.resume_reading();
    event_loop.run_ready_now();
    pair.right.close();
    run_until_all_closed(&event_loop);
    let (first, second) = closing.take().unwrap();
    assert_eq!(first.unwrap_err().downcast_ref(), Some(&WriteRefusal::OverCap));
    second.unwrap();
}

#[test]
fn y16_x18_drain_tells_of_a_write_after_the_end() {
    let event_loop = TestLoop::new();
    let (_reader, writer, pair) = stream_to(&event_loop, Sink::default(), 50);
    writer.write_eof();
    assert_eq!(writer.write(b"late"), WriteState::Refused(WriteRefusal::AfterEof));
    let refusal = now(writer.drain()).unwrap_err();
    assert_eq!(refusal.downcast_ref(), Some(&WriteRefusal::AfterEof));
    drop(writer);
    pair.right.close();
    run_until_all_closed(&event_loop);
}
