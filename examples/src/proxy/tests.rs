//! Two connections in memory with a relay between them, on a clock that steps by itself.

use super::*;
use std::rc::Rc;
use tulipa::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa::{Task, TestLoop};

const IDLE: Duration = Duration::from_secs(60);

/// What stands around a relay.
struct Relay {
    event_loop: TestLoop,
    client: Streams,
    target: Streams,
    pairs: [MemoryPair; 2],
    task: Task<()>,
    traffic: Rc<Traffic>,
}

impl Relay {
    fn new() -> Self {
        let event_loop = TestLoop::new();
        let client = event_loop.memory_streams(MemoryOptions::default());
        let target = event_loop.memory_streams(MemoryOptions::default());
        let traffic = Rc::new(Traffic::default());
        let counted = traffic.clone();
        let sides = (client.right, target.left);
        let relaying = async move { relay(sides.0, sides.1, Some(IDLE), &counted).await };
        let task = event_loop.create_task(relaying);
        event_loop.run_ready_now();
        let pairs = [client.pair, target.pair];
        Self { event_loop, client: client.left, target: target.right, pairs, task, traffic }
    }

    /// Whether the relay has given up both of its sides.
    fn is_over(&self) -> bool {
        self.pairs[0].right.is_closing() && self.pairs[1].left.is_closing()
    }

    /// The end of a test: nothing is left.
    fn finish(self) {
        let Self { event_loop, .. } = self;
        drop((self.client, self.target, self.pairs));
        event_loop.run_until_idle();
    }
}

#[test]
fn each_direction_ends_by_itself() {
    let relay = Relay::new();
    relay.client.1.write(b"question");
    relay.client.1.write_eof();
    relay.event_loop.run_ready_now();
    assert!(!relay.task.done(), "the answer may still come");

    let (mut client, mut target) = (relay.client, relay.target);
    let talking = async move {
        let question = target.0.read_to_end().await?;
        target.1.write(&[b"answer to ", &question[..]].concat());
        target.1.write_eof();
        Ok((client.0.read_to_end().await?, client, target))
    };
    let (answer, client, target) = relay.event_loop.run_coroutine(talking).unwrap();
    assert_eq!(answer, b"answer to question");
    relay.event_loop.run_ready_now();
    relay.task.result().unwrap();
    assert_eq!((relay.traffic.to_target.get(), relay.traffic.to_client.get()), (8, 18));
    Relay { client, target, ..relay }.finish();
}

#[test]
fn silence_ends_it_and_any_byte_is_no_silence() {
    let relay = Relay::new();
    for writer in [&relay.client.1, &relay.target.1, &relay.client.1] {
        relay.event_loop.advance(IDLE - Duration::from_millis(1));
        writer.write(b"x");
        relay.event_loop.run_ready_now();
    }
    relay.event_loop.advance(IDLE - Duration::from_millis(1));
    assert!(!relay.task.done());
    relay.event_loop.advance(Duration::from_millis(1));
    let error = relay.task.exception().unwrap().unwrap();
    assert!(error.is::<TimeoutError>(), "{error:?}");
    assert!(relay.is_over());
    relay.finish();
}

#[test]
fn what_waits_is_bounded_when_one_side_does_not_read() {
    const ALL: usize = 4 * 1024 * 1024;
    let relay = Relay::new();
    let data: Vec<u8> = (0..ALL).map(|index| (index / 7) as u8).collect();
    relay.client.1.write_vec(data.clone());
    relay.client.1.write_eof();
    relay.event_loop.run_ready_now();
    let left = relay.pairs[0].left.get_write_buffer_size().0;
    assert!(ALL - left < 1024 * 1024, "{} bytes are on the way", ALL - left);

    // Then the other side wakes up, and gets all of it.
    let mut target = relay.target;
    let reading = async move { Ok((target.0.read_to_end().await?, target)) };
    let (got, target) = relay.event_loop.run_coroutine(reading).unwrap();
    assert!(got == data);
    Relay { target, ..relay }.finish();
}

#[test]
fn the_loss_of_one_side_is_the_loss_of_the_other() {
    for lost in [0, 1] {
        let relay = Relay::new();
        relay.pairs[lost].reset();
        relay.event_loop.run_ready_now();
        assert!(relay.task.exception().unwrap().is_some());
        assert!(relay.is_over());
        relay.finish();
    }
}
