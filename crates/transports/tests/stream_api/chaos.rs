//! Both ends of a stream at work, while waits are cancelled and connections end in every way.

use eventloop::{TestLoop, prelude::*};
use futures::{Exception, Task};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tulipa_transports::streams::{StreamReader, StreamReaderProtocol, StreamWriter};
use tulipa_transports::testing::{LifeCycle, MemoryLoop, MemoryOptions};
use tulipa_transports::{Bytes, NetworkLoop, WriteBufferLimits};

#[derive(Clone, Copy, Debug)]
enum Event {
    Run,
    CancelReader,
    CancelWriter,
    /// Somebody else drains as well, and is dropped where it waits.
    DropDrain,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Orderly,
    Reset,
    AbortWriter,
    AbortReader,
    CloseWriter,
    CloseReader,
    DropReader,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Run),
        2 => Just(Event::CancelReader),
        2 => Just(Event::CancelWriter),
        1 => Just(Event::DropDrain),
    ]
}

fn any_ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => Just(Ending::Orderly),
        1 => Just(Ending::Reset),
        1 => Just(Ending::AbortWriter),
        1 => Just(Ending::AbortReader),
        1 => Just(Ending::CloseWriter),
        1 => Just(Ending::CloseReader),
        1 => Just(Ending::DropReader),
    ]
}

/// Writes all pieces, draining after each; a cancelled drain changes nothing.
async fn write_all(writer: StreamWriter, pieces: Vec<Vec<u8>>) -> Result<(), Exception> {
    for piece in pieces {
        writer.write(&piece);
        match writer.drain().await {
            Err(exception) if exception.is_cancelled() => {}
            outcome => outcome?,
        }
    }
    writer.write_eof();
    while writer.wait_closed().await.is_err_and(|exception| exception.is_cancelled()) {}
    Ok(())
}

/// Reads until the end, or a failure; a cancelled read changes nothing.
async fn read_all(
    mut reader: StreamReader,
    size: usize,
    all: Rc<RefCell<Vec<u8>>>,
    stop: Rc<Cell<bool>>,
) {
    for turn in 0.. {
        if stop.get() {
            return;
        }
        let outcome = match turn % 3 {
            0 => reader.read(size).await,
            1 => reader.fill_buf().await.map(|data| data[..data.len().min(size)].to_vec()),
            _ => reader.readuntil(b"\x07").await,
        };
        match outcome {
            Ok(data) if data.is_empty() => return,
            Ok(data) => {
                if turn % 3 == 1 {
                    reader.consume(data.len());
                }
                all.borrow_mut().extend(data);
            }
            Err(exception) if exception.is_cancelled() => {}
            Err(exception) => {
                use tulipa_transports::streams::{IncompleteReadError, LimitOverrunError};
                if let Some(rest) = exception.downcast_ref::<IncompleteReadError>() {
                    all.borrow_mut().extend(&rest.partial);
                } else if !exception.is::<LimitOverrunError>() {
                    return;
                }
            }
        }
    }
}

fn play(seed: u64, sizes: &[usize], size: usize, events: &[Event], ending: Ending) {
    let event_loop = TestLoop::new();
    let near = StreamReader::default();
    let far = StreamReader::new(Bytes(size)).unwrap();
    let options = MemoryOptions::default().capacity(Bytes(97)).trouble(seed);
    let (near_protocol, near_log) = LifeCycle::new(StreamReaderProtocol::new(&near));
    let (far_protocol, far_log) = LifeCycle::new(StreamReaderProtocol::new(&far));
    let pair = event_loop.memory_pair(near_protocol, far_protocol, options);
    let marks = WriteBufferLimits { high: Bytes(150), low: Bytes(40) };
    pair.left.set_write_buffer_limits(marks).unwrap();
    let writer = StreamWriter::new(pair.left.clone(), &near);
    let far_writer = StreamWriter::new(pair.right.clone(), &far);
    let mut number = 0;
    let pieces: Vec<Vec<u8>> = sizes
        .iter()
        .map(|size| {
            (0..*size)
                .map(|_| {
                    number += 1;
                    (number % 251) as u8
                })
                .collect()
        })
        .collect();
    let data = pieces.concat();
    let (read, stop): (Rc<RefCell<Vec<u8>>>, Rc<Cell<bool>>) = Default::default();
    let reading = event_loop.spawn(read_all(far, size, read.clone(), stop.clone()));
    let writing: Task<_> = event_loop.spawn(write_all(writer.clone(), pieces));
    event_loop.run_ready_now();
    for event in events {
        match event {
            Event::Run => event_loop.run_ready_now(),
            Event::CancelReader => {
                reading.cancel();
            }
            Event::CancelWriter => {
                writing.cancel();
            }
            Event::DropDrain => drop(crate::support::poll_once(writer.drain())),
        }
    }
    match ending {
        Ending::Orderly => {}
        Ending::Reset => pair.reset(),
        Ending::AbortWriter => pair.left.abort(),
        Ending::AbortReader => pair.right.abort(),
        Ending::CloseWriter => writer.close(),
        Ending::CloseReader => far_writer.close(),
        Ending::DropReader => {
            stop.set(true);
            reading.cancel();
        }
    }
    event_loop.run_ready_now();
    assert!(reading.done(), "the reader has seen the end");
    drop((far_writer, near));
    event_loop.run_ready_now();
    drop(writer);
    event_loop.run_until_idle();
    assert!(writing.done(), "the writer has seen the end");
    assert_eq!(event_loop.open_connections(), 0);
    let read = read.take();
    assert!(data.starts_with(&read), "what was read is what was written");
    if ending == Ending::Orderly {
        assert_eq!(read.len(), data.len(), "all of it");
    }
    drop((near_log, far_log));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn y4_y19_y21_y28_whatever_happens_all_who_wait_are_told_and_what_is_read_was_written(
        seed in any::<u64>(),
        sizes in vec(1..400usize, 0..12),
        size in 1..300usize,
        events in vec(any_event(), 0..40),
        ending in any_ending(),
    ) {
        play(seed, &sizes, size, &events, ending);
    }
}
