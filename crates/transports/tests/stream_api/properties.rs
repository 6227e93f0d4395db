//! However the input is cut, and whenever reads are cancelled, the same bytes are read: compared with
//! a plain model that has all of them at once.

use crate::support::block_on;
use eventloop::{TestLoop, prelude::*};
use futures::Exception;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use tulipa_transports::Bytes;
use tulipa_transports::streams::{
    IncompleteReadError, LimitOverrunError, StreamReader, StreamReaderProtocol, StreamWriter,
};
use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
use tulipa_transports::{Protocol, Transport};

#[derive(Clone, Debug)]
enum Read {
    Some(usize),
    Into(usize),
    Exactly(usize),
    Until(Vec<Vec<u8>>),
    Line,
    ToEnd,
}

fn any_read() -> impl Strategy<Value = Read> {
    let separators = vec(vec(separator_byte(), 1..4), 1..4);
    prop_oneof![
        3 => (0..12usize).prop_map(Read::Some),
        2 => (1..12usize).prop_map(Read::Into),
        3 => (0..20usize).prop_map(Read::Exactly),
        5 => separators.prop_map(Read::Until),
        3 => Just(Read::Line),
        1 => Just(Read::ToEnd),
    ]
}

/// Few different ones, so that separators are there often.
fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![2 => separator_byte(), 1 => Just(b'x')]
}

fn separator_byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b')]
}

async fn perform(reader: &mut StreamReader, read: &Read) -> Result<Vec<u8>, Exception> {
    match read {
        Read::Some(count) => reader.read(*count).await,
        Read::Exactly(count) => reader.readexactly(*count).await,
        Read::Line => reader.readline().await,
        Read::ToEnd => reader.read_to_end().await,
        Read::Into(count) => {
            let mut buffer = vec![0; *count];
            let count = reader.read_into(&mut buffer).await?;
            buffer.truncate(count);
            Ok(buffer)
        }
        Read::Until(separators) => {
            let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
            reader.readuntil_any(&separators).await
        }
    }
}

/// What is left to be read, all of it at once.
struct Model {
    left: VecDeque<u8>,
    limit: usize,
}

impl Model {
    fn new(data: &[u8], limit: usize) -> Self {
        Self { left: data.iter().copied().collect(), limit }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.left.drain(..count.min(self.left.len())).collect()
    }

    /// The match that ends first, the shortest of those that end together.
    fn find(&mut self, separators: &[Vec<u8>]) -> Option<(usize, usize)> {
        let left = self.left.make_contiguous();
        (1..=left.len()).find_map(|end| {
            let fitting = separators.iter().filter(|separator| left[..end].ends_with(separator));
            fitting.map(|separator| (end - separator.len(), end)).max()
        })
    }

    /// Compares what `read` gave with what it should have given, and takes that out.
    fn check(&mut self, read: &Read, outcome: Result<Vec<u8>, Exception>) {
        match read {
            Read::Some(most) | Read::Into(most) => {
                let given = outcome.unwrap();
                assert!(given.len() <= *most);
                assert!(!given.is_empty() || *most == 0 || self.left.is_empty());
                assert_eq!(given, self.take(given.len()));
            }
            Read::ToEnd => assert_eq!(outcome.unwrap(), self.take(usize::MAX)),
            Read::Exactly(count) if *count <= self.left.len() => {
                assert_eq!(outcome.unwrap(), self.take(*count));
            }
            Read::Exactly(count) => self.check_incomplete(outcome, Some(*count)),
            Read::Until(separators) => self.check_until(separators, outcome, true),
            Read::Line => {
                let newline = [b"\n".to_vec()];
                match self.find(&newline) {
                    None if self.left.len() <= self.limit => {
                        assert_eq!(outcome.unwrap(), self.take(usize::MAX));
                    }
                    _ => self.check_until(&newline, outcome, false),
                }
            }
        }
    }

    fn check_incomplete(&mut self, outcome: Result<Vec<u8>, Exception>, expected: Option<usize>) {
        let exception = outcome.unwrap_err();
        let error: &IncompleteReadError = exception.downcast_ref().unwrap();
        assert_eq!((&error.partial, error.expected), (&self.take(usize::MAX), expected));
    }

    fn check_until(
        &mut self,
        separators: &[Vec<u8>],
        outcome: Result<Vec<u8>, Exception>,
        stays: bool,
    ) {
        let longest = separators.iter().map(Vec::len).max().unwrap();
        let found = self.find(separators);
        let overrun = match found {
            Some((start, end)) if start <= self.limit => {
                return assert_eq!(outcome.unwrap(), self.take(end));
            }
            Some(_) => true,
            None => self.left.len() + 1 > self.limit + longest,
        };
        if !overrun {
            return self.check_incomplete(outcome, None);
        }
        let exception = outcome.unwrap_err();
        let error: &LimitOverrunError = exception.downcast_ref().unwrap();
        assert!(error.consumed > self.limit);
        assert!(error.consumed <= found.map_or(self.left.len(), |(start, _)| start));
        if error.found {
            assert_eq!(Some(error.consumed), found.map(|(start, _)| start));
        }
        if !stays {
            // What is thrown away of a line depends on how much of it has come.
            self.take(error.consumed + usize::from(error.found));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many bytes come.
    Feed(usize),
    /// The task that reads is cancelled.
    Cancel,
    /// The loop runs.
    Run,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..9usize).prop_map(Event::Feed),
        2 => Just(Event::Cancel),
        4 => Just(Event::Run),
    ]
}

/// Performs `reads` while `events` happen, and compares each with the model.
fn compare(data: &[u8], reads: &[Read], events: &[Event], limit: usize) {
    let event_loop = TestLoop::new();
    let mut reader = StreamReader::new(Bytes(limit)).unwrap();
    let feeder = reader.feeder();
    let mut model = Model::new(data, limit);
    let (mut rest, mut events) = (data, events.iter().copied());
    for read in reads {
        loop {
            let (mut moved, what) = (reader, read.clone());
            let task = event_loop.spawn(async move {
                let outcome = perform(&mut moved, &what).await;
                (moved, outcome)
            });
            event_loop.run_ready_now(); // a task that is cancelled before it begins never does
            while !task.done() {
                match events.next() {
                    Some(Event::Cancel) => {
                        task.cancel();
                    }
                    Some(Event::Run) => event_loop.run_ready_now(),
                    Some(Event::Feed(count)) => {
                        let (now, later) = rest.split_at(count.min(rest.len()));
                        feeder.feed_data(now);
                        rest = later;
                    }
                    None => {
                        feeder.feed_data(rest);
                        rest = &[];
                        feeder.feed_eof();
                        event_loop.run_ready_now();
                    }
                }
            }
            let (back, outcome) = task.take().unwrap();
            reader = back;
            match outcome {
                Err(exception) if exception.is_cancelled() => {} // and again
                outcome => {
                    model.check(read, outcome);
                    break;
                }
            }
        }
    }
    feeder.feed_data(rest);
    feeder.feed_eof();
    let all = block_on(&event_loop, async move { reader.read_to_end().await });
    assert_eq!(all.unwrap(), model.take(usize::MAX), "what nobody read");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn y4_y7_y8_y9_y10_y11_y12_y13_however_the_input_is_cut_and_reads_are_cancelled_it_is_the_same(
        data in vec(any_byte(), 0..120),
        reads in vec(any_read(), 0..20),
        events in vec(any_event(), 0..80),
        limit in 1..30usize,
    ) {
        compare(&data, &reads, &events, limit);
    }

    #[test]
    fn y6_y8_over_a_transport_with_trouble_nothing_hangs_and_nothing_is_lost(
        sizes in vec(1..3000usize, 1..20),
        limit in 1..400usize,
        seed in any::<u64>(),
    ) {
        read_over_memory(&sizes, limit, seed);
    }
}

/// Sends everything at once, then closes.
struct Sends(Vec<u8>);
impl Protocol for Sends {
    fn connection_made(&mut self, transport: &dyn Transport) {
        transport.write(&self.0);
        transport.close();
    }
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
}

fn read_over_memory(sizes: &[usize], limit: usize, seed: u64) {
    let event_loop = TestLoop::new();
    let total = sizes.iter().sum();
    let data: Vec<u8> = (0..total).map(|index| (index % 251) as u8).collect();
    let mut reader = StreamReader::new(Bytes(limit)).unwrap();
    let options = MemoryOptions::default().capacity(Bytes(300)).trouble(seed);
    let sender = Sends(data.clone());
    let pair = event_loop.memory_pair(StreamReaderProtocol::new(&reader), sender, options);
    let writer = StreamWriter::new(pair.left, &reader);
    let sizes = sizes.to_vec();
    let read = block_on(&event_loop, async move {
        let mut all = Vec::new();
        for size in sizes {
            all.extend(reader.readexactly(size).await.unwrap());
        }
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
        drop(writer);
        all
    });
    event_loop.run_until_idle();
    assert_eq!(read, data);
}
