//! Reading up to a separator.

use crate::support::{fed, full, incomplete, now, overrun, waiting};
use eventloop::TestLoop;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tulipa_transports::streams::InvalidSeparator;

#[test]
fn y9_readuntil_gives_everything_up_to_and_including_the_separator() {
    let mut reader = full(100, b"a::b::c");
    assert_eq!(now(reader.readuntil(b"::")).unwrap(), b"a::");
    assert_eq!(now(reader.readuntil(b"::")).unwrap(), b"b::");
    assert_eq!(incomplete(now(reader.readuntil(b"::"))), (b"c".to_vec(), None));
    assert_eq!(incomplete(now(reader.readuntil(b"::"))), (Vec::new(), None));
}

#[test]
fn y9_a_separator_must_not_be_empty() {
    let mut reader = full(100, b"abc");
    assert!(now(reader.readuntil(b"")).unwrap_err().is::<InvalidSeparator>());
    assert!(now(reader.readuntil_any(&[])).unwrap_err().is::<InvalidSeparator>());
    assert!(now(reader.readuntil_any(&[b"a", b""])).unwrap_err().is::<InvalidSeparator>());
    assert_eq!(now(reader.read(3)).unwrap(), b"abc", "nothing was taken");
}

#[test]
fn y10_more_than_the_limit_before_the_separator_is_an_error_and_stays() {
    let mut reader = full(3, b"abcd::ef::");
    assert_eq!(overrun(now(reader.readuntil(b"::"))), (4, true));
    assert_eq!(overrun(now(reader.readuntil(b"::"))), (4, true), "as before");
    assert_eq!(now(reader.readexactly(4)).unwrap(), b"abcd", "what it says may be skipped");
    assert_eq!(now(reader.readuntil(b"::")).unwrap(), b"::");
    assert_eq!(now(reader.readuntil(b"::")).unwrap(), b"ef::");
}

#[test]
fn y10_without_a_separator_in_sight_the_error_says_what_certainly_has_none() {
    let (mut reader, feeder) = fed(3);
    feeder.feed_data(b"abcde:");
    assert_eq!(overrun(now(reader.readuntil(b"::"))), (5, false));
    feeder.feed_data(b":");
    assert_eq!(now(reader.readexactly(5)).unwrap(), b"abcde");
    assert_eq!(now(reader.readuntil(b"::")).unwrap(), b"::");
}

#[test]
fn y10_exactly_the_limit_is_within_it() {
    assert_eq!(now(full(3, b"abc::").readuntil(b"::")).unwrap(), b"abc::");
    assert_eq!(overrun(now(full(3, b"abcd::").readuntil(b"::"))), (4, true));
    assert_eq!(incomplete(now(full(3, b"abcd").readuntil(b"::"))).0, b"abcd", "three are clear");
    assert_eq!(overrun(now(full(3, b"abcde").readuntil(b"::"))), (4, false));
}

#[test]
fn y11_a_separator_cut_in_two_is_found() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(100);
    feeder.feed_data(b"head\r\n\r");
    let reading = waiting(&event_loop, async move {
        let head = reader.readuntil(b"\r\n\r\n").await.unwrap();
        (head, reader.read(100).await.unwrap())
    });
    feeder.feed_data(b"\nbody");
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap(), (b"head\r\n\r\n".to_vec(), b"body".to_vec()));
}

#[test]
fn y11_a_whole_message_right_before_the_end_is_found() {
    let event_loop = TestLoop::new();
    let (mut reader, feeder) = fed(100);
    let reading = waiting(&event_loop, async move { reader.readuntil(b"END").await });
    feeder.feed_data(b"the END");
    feeder.feed_eof();
    event_loop.run_ready_now();
    assert_eq!(reading.take().unwrap().unwrap(), b"the END");
}

#[test]
fn y12_of_several_separators_the_match_that_ends_first_counts() {
    for separators in [[&b"\n"[..], b"\r\n", b"---"], [b"---", b"\r\n", b"\n"]] {
        let mut reader = full(100, b"a---b\nc\r\nd");
        for part in [&b"a---"[..], b"b\n", b"c\r\n"] {
            assert_eq!(now(reader.readuntil_any(&separators)).unwrap(), part);
        }
        assert_eq!(incomplete(now(reader.readuntil_any(&separators))).0, b"d");
    }
}

#[test]
fn y10_y12_of_matches_that_end_together_the_shortest_decides_about_the_limit() {
    // The newline comes after two bytes, the longer separator after one.
    for separators in [[&b"\n"[..], b"\r\n"], [b"\r\n", b"\n"]] {
        assert_eq!(overrun(now(full(1, b"a\r\n").readuntil_any(&separators))), (2, true));
        assert_eq!(now(full(2, b"a\r\n").readuntil_any(&separators)).unwrap(), b"a\r\n");
    }
}

#[test]
fn y15_many_small_pieces_cost_no_more_than_one_large_one() {
    // Searched from the beginning for each piece, the one text would be twenty thousand million bytes.
    let least = |texts| (0..3).map(|_| time_of_texts(texts)).min().unwrap();
    let (many_texts, one_text) = (least(100), least(1));
    assert!(one_text < 2 * many_texts, "{one_text:?}, but in parts {many_texts:?}");
}

/// The time, of this thread alone, that it takes to read so many texts which come in the same number of
/// pieces altogether.
fn time_of_texts(texts: usize) -> Duration {
    let event_loop = TestLoop::new();
    let size = 400_000 / texts;
    let (mut reader, feeder) = fed(size);
    let reading = waiting(&event_loop, async move {
        for _ in 0..texts {
            assert_eq!(reader.readuntil(b"\r\n").await.unwrap().len(), size + 2);
        }
    });
    let start = thread_time();
    for _ in 0..texts {
        for _ in 0..size / 4 {
            feeder.feed_data(b"\rabc");
            event_loop.run_ready_now();
        }
        feeder.feed_data(b"\r\n");
        event_loop.run_ready_now();
    }
    assert!(reading.done());
    thread_time() - start
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
