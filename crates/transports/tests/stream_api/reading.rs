//! Reading what was fed by hand: each method, with and without an end.

use crate::support::{block_on, fed, full, incomplete, now, overrun, waiting};
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use std::io;
use tulipa_transports::Bytes;
use tulipa_transports::streams::{InvalidLimit, StreamReader};

fn reset() -> Exception {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

#[test]
fn y1_the_limit_is_64_kib_unless_set_and_never_zero() {
    assert_eq!(StreamReader::default().limit(), Bytes::kib(64));
    assert_eq!(StreamReader::new(Bytes(1)).unwrap().limit(), Bytes(1));
    assert_eq!(StreamReader::new(Bytes(0)).err(), Some(InvalidLimit));
}

#[test]
fn y1_a_reader_is_fed_by_hand_by_itself_or_by_its_other_end() {
    let (mut reader, feeder) = fed(10);
    reader.feed_data(b"a");
    feeder.feed_data(b"");
    feeder.clone().feed_data(b"b");
    assert_eq!(now(reader.read(10)).unwrap(), b"ab");
    reader.feed_eof();
    feeder.feed_eof();
    assert_eq!(now(reader.read(10)).unwrap(), b"");
    feeder.feed_data(b"");
    reader.set_exception(reset());
    assert!(now(reader.read(10)).is_err());
}

#[test]
#[should_panic(expected = "feed_data() after feed_eof()")]
fn y1_data_after_the_end_is_a_mistake_of_the_caller() {
    let (_reader, feeder) = fed(10);
    feeder.feed_eof();
    feeder.feed_data(b"late");
}

#[test]
fn y1_what_is_fed_without_a_reader_is_thrown_away() {
    let (reader, feeder) = fed(10);
    drop(reader);
    feeder.feed_data(b"unheard");
    feeder.feed_eof();
    feeder.feed_data(b"as well");
    feeder.set_exception(reset());
}

/// Implemented once for what cannot be cloned, and twice for what can.
trait CannotBeCloned<Which> {
    fn check() {}
}
impl<T> CannotBeCloned<()> for T {}
impl<T: Clone> CannotBeCloned<u8> for T {}

#[test]
fn y2_a_second_wait_is_refused_by_the_compiler() {
    // Reading takes the reader by `&mut`, and this would be ambiguous if there could be two.
    <StreamReader as CannotBeCloned<_>>::check();
}

#[test]
fn y3_a_failure_is_given_to_every_later_read_also_while_bytes_are_left() {
    let (mut reader, feeder) = fed(10);
    feeder.feed_data(b"left\n");
    assert!(reader.exception().is_none());
    let failure = reset();
    feeder.set_exception(failure.clone());
    assert!(reader.exception().unwrap().ptr_eq(&failure));
    let same = |outcome: Result<Vec<u8>, Exception>| outcome.unwrap_err().ptr_eq(&failure);
    assert!(same(now(reader.read(1))));
    assert!(same(now(reader.read(0))));
    assert!(same(now(reader.read_to_end())));
    assert!(same(now(reader.readexactly(0))));
    assert!(same(now(reader.readline())));
    assert!(same(now(reader.readuntil(b"\n"))));
    assert!(same(now(reader.lines().next()).map(Option::unwrap)));
    assert!(now(reader.read_into(&mut [0; 1])).unwrap_err().ptr_eq(&failure));
    assert!(now(reader.read_into(&mut [])).unwrap_err().ptr_eq(&failure));
    assert!(now(reader.fill_buf()).unwrap_err().ptr_eq(&failure));
}

#[test]
fn y3_a_failure_wakes_who_waits() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(10);
    let reading = waiting(&event_loop, async move { reader.read(1).await });
    let failure = reset();
    feeder.set_exception(failure.clone());
    event_loop.run_ready_now();
    assert!(reading.take().unwrap().unwrap_err().ptr_eq(&failure));
}

#[test]
fn y5_at_eof_means_that_the_end_was_seen_and_nothing_is_left() {
    let (mut reader, feeder) = fed(10);
    assert!(!reader.at_eof());
    feeder.feed_data(b"ab");
    feeder.feed_eof();
    assert!(!reader.at_eof());
    assert_eq!(now(reader.read(1)).unwrap(), b"a");
    assert!(!reader.at_eof(), "the reader holds a byte");
    assert_eq!(now(reader.read(1)).unwrap(), b"b");
    assert!(reader.at_eof());
}

#[test]
fn y7_read_gives_what_is_there_at_least_one_byte_before_the_end() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(10);
    feeder.feed_data(b"abc");
    assert_eq!(now(reader.read(0)).unwrap(), b"");
    assert_eq!(now(reader.read(2)).unwrap(), b"ab");
    assert_eq!(now(reader.read(2)).unwrap(), b"c");
    let reading = waiting(&event_loop, async move {
        let first = reader.read(100).await.unwrap();
        (first, reader.read(100).await.unwrap())
    });
    feeder.feed_data(b"de");
    event_loop.run_ready_now();
    feeder.feed_eof();
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap(), (b"de".to_vec(), Vec::new()));
}

#[test]
fn y7_without_a_number_read_gives_everything_until_the_end() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(1);
    let reading = waiting(&event_loop, async move { reader.read_to_end().await });
    for piece in [&b"far "[..], b"beyond ", b"the limit"] {
        feeder.feed_data(piece);
        event_loop.run_ready_now();
        assert!(!reading.done());
    }
    feeder.feed_eof();
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap().unwrap(), b"far beyond the limit");
    assert_eq!(now(full(1, b"").read_to_end()).unwrap(), b"");
}

#[test]
fn y7_reading_into_a_buffer_gives_what_fits() {
    let mut reader = full(10, b"abcde");
    let mut buffer = [0; 3];
    assert_eq!(now(reader.read_into(&mut [])).unwrap(), 0);
    assert_eq!((now(reader.read_into(&mut buffer)).unwrap(), buffer), (3, *b"abc"));
    assert_eq!((now(reader.read_into(&mut buffer)).unwrap(), &buffer[..2]), (2, &b"de"[..]));
    assert_eq!(now(reader.read_into(&mut buffer)).unwrap(), 0);
}

#[test]
fn y7_what_is_there_can_be_looked_at_before_it_is_taken() {
    let mut reader = full(10, b"abc");
    assert_eq!(now(reader.fill_buf()).unwrap(), b"abc");
    reader.consume(0);
    assert_eq!(now(reader.fill_buf()).unwrap(), b"abc");
    reader.consume(2);
    assert_eq!(now(reader.fill_buf()).unwrap(), b"c");
    reader.consume(1);
    assert_eq!(now(reader.fill_buf()).unwrap(), b"");
}

#[test]
#[should_panic(expected = "2 bytes consumed of 1")]
fn y7_nothing_is_taken_that_is_not_there() {
    let mut reader = full(10, b"a");
    now(reader.fill_buf()).unwrap();
    reader.consume(2);
}

#[test]
fn y8_readexactly_gives_that_many_bytes_also_beyond_the_limit() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(2);
    assert_eq!(now(reader.readexactly(0)).unwrap(), b"", "without waiting");
    let reading = waiting(&event_loop, async move { reader.readexactly(7).await });
    feeder.feed_data(b"abcdef");
    event_loop.run_ready_now();
    assert!(!reading.done());
    feeder.feed_data(b"gh");
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap().unwrap(), b"abcdefg");
}

#[test]
fn y8_readexactly_gives_what_came_when_the_end_comes_first() {
    let mut reader = full(2, b"abc");
    assert_eq!(incomplete(now(reader.readexactly(4))), (b"abc".to_vec(), Some(4)));
    assert!(reader.at_eof(), "it is not there any more");
    assert_eq!(incomplete(now(reader.readexactly(4))), (Vec::new(), Some(4)));
    assert_eq!(now(full(2, b"abc").readexactly(3)).unwrap(), b"abc");
}

#[test]
fn y13_readline_gives_a_line_with_its_newline_and_at_the_end_what_is_left() {
    let mut reader = full(10, b"one\n\nrest");
    for line in [&b"one\n"[..], b"\n", b"rest", b"", b""] {
        assert_eq!(now(reader.readline()).unwrap(), line);
    }
}

#[test]
fn y10_y13_a_line_may_have_as_many_bytes_before_its_newline_as_the_limit_says() {
    assert_eq!(now(full(4, b"abcd\nef").readline()).unwrap(), b"abcd\n");
    assert_eq!(overrun(now(full(4, b"abcde\nf").readline())), (5, true));
    assert_eq!(now(full(4, b"abcd").readline()).unwrap(), b"abcd", "the end is as good");
    assert_eq!(overrun(now(full(4, b"abcde").readline())), (5, false));
}

#[test]
fn y13_a_line_that_is_too_long_is_thrown_away_and_the_lines_behind_it_stay() {
    let mut reader = full(4, b"too long\none\ntwo\n");
    assert_eq!(overrun(now(reader.readline())), (8, true));
    assert_eq!(now(reader.readline()).unwrap(), b"one\n");
    assert_eq!(now(reader.readline()).unwrap(), b"two\n");
}

#[test]
fn y13_of_a_line_that_is_too_long_and_has_no_newline_yet_all_that_is_there_goes() {
    let (mut reader, feeder) = fed(4);
    feeder.feed_data(b"too long");
    assert_eq!(overrun(now(reader.readline())), (8, false));
    feeder.feed_data(b" still\n");
    feeder.feed_eof();
    assert_eq!(overrun(now(reader.readline())), (6, true));
    assert!(reader.at_eof());
}

#[test]
fn y14_lines_can_be_iterated() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(100);
    event_loop.call_soon(move || {
        feeder.feed_data(b"one\ntw");
        feeder.feed_data(b"o\n\nlast");
        feeder.feed_eof();
    });
    let lines = block_on(&event_loop, async move {
        let (mut lines, mut all) = (reader.lines(), Vec::new());
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        assert_eq!(lines.next().await.unwrap(), None, "and none comes after the end");
        all
    });
    assert_eq!(lines, [&b"one\n"[..], b"two\n", b"\n", b"last"]);
}
