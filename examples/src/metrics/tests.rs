//! Agent and collector together, over connections that are cut, broken and slow.

use super::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tulipa::testing::{Chunking, MemoryLoop, MemoryOptions, MemoryPair, Notes};
use tulipa::{Bytes, Protocol, TestLoop, Transport};

const SILENCE: Duration = Duration::from_secs(60);

fn batch(values: &[f64]) -> Vec<Sample> {
    values.iter().map(|value| ("load1".to_owned(), *value)).collect()
}

#[test]
fn every_message_is_understood_again() {
    let messages = [
        Message::Hello { name: "web1.example-org_2", session: u64::MAX },
        Message::Sample { metric: "load1", value: -0.25 },
        Message::End(7),
        Message::Have(0),
    ];
    for message in messages {
        assert_eq!(Message::parse(message.to_string().as_bytes()), Ok(message));
    }
    let wrong = [
        "",
        " ",
        "hello",
        "hello web1",
        "hello  1",
        "hello web\u{7} 1",
        "hello web1 1 1",
        "end -1",
        "sample load1 NaN",
        "sample load1 inf",
        "sample load 1 2",
        "have",
        "have  1",
        "bye 1",
    ];
    for text in wrong {
        assert!(Message::parse(text.as_bytes()).is_err(), "{text}");
    }
    let long = format!("hello {} 1", "x".repeat(65));
    assert!(Message::parse(long.as_bytes()).is_err());
    let error = Message::parse(b"end\xFF\n").unwrap_err();
    assert_eq!(error.to_string(), r#"not a message: "end\xff\n""#);
}

/// What a session looks like on the wire.
fn encode(framing: Framing, messages: &[Message<'_>]) -> Vec<u8> {
    let transport = tulipa::testing::RecordingTransport::new();
    messages.iter().for_each(|message| _ = framing.send(&transport, message));
    transport.take_written()
}

/// A collector's protocol, which notes the report when it is gone.
struct Reporting {
    inner: Box<dyn Protocol>,
    collector: Rc<Collector>,
    notes: Notes,
}

impl Protocol for Reporting {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.inner.data_received(transport, data);
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.inner.pause_writing(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.inner.resume_writing(transport);
    }

    fn memory_held(&self) -> Bytes {
        self.inner.memory_held()
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.collector.report().iter().for_each(|line| self.notes.note(line));
    }
}

#[test]
fn w14_w15_w16_a_collector_counts_the_same_however_its_input_is_cut() {
    let sample = |value| Message::Sample { metric: "load1", value };
    let hello = Message::Hello { name: "web1", session: 1 };
    let endings = [
        Message::End(3),
        Message::Have(3), // out of place
    ];
    for framing in Framing::ALL {
        for ending in endings {
            let session = [
                hello,
                sample(1.0),
                sample(2.5),
                Message::End(1),
                Message::End(2),
                sample(3.0),
                ending,
            ];
            let check = Chunking::new(move |notes| {
                let collector = Collector::new(framing, SILENCE);
                Reporting { inner: collector.accept(), collector, notes }
            });
            check
                .input(encode(framing, &session))
                .runs(40)
                .invariant(|run| assert!(run.most_held() <= Bytes(512)))
                .check();
        }
    }
}

/// An agent's connection to a collector, without a network.
fn connect(event_loop: &TestLoop, agent: &Rc<Agent>, collector: &Rc<Collector>) -> MemoryPair {
    let (left, right) = (agent.connect(|| {}), collector.accept());
    event_loop.memory_pair(left, right, MemoryOptions::default().capacity(Bytes(50)).trouble(7))
}

#[test]
fn what_was_measured_counts_once_however_often_the_connection_is_lost() {
    for framing in Framing::ALL {
        let event_loop = TestLoop::new();
        let agent = Agent::new(framing, "web1", 17);
        let collector = Collector::new(framing, SILENCE);
        for round in 0..20 {
            agent.add(batch(&[f64::from(round), 1.0]));
            let pair = connect(&event_loop, &agent, &collector);
            for _ in 0..round * 2 {
                event_loop.run_ready().unwrap();
            }
            pair.reset();
            event_loop.run_until_idle();
        }
        let pair = connect(&event_loop, &agent, &collector);
        event_loop.run_until_idle();
        assert_eq!(agent.waiting(), 0);
        assert_eq!(collector.report(), ["web1 (local) load1 n=40 min=0 mean=5.2500 max=19"]);
        pair.left.close();
        event_loop.run_until_idle();
        assert_eq!(collector.report(), Vec::<String>::new());
    }
}

#[test]
fn an_agent_that_is_started_anew_counts_anew() {
    let event_loop = TestLoop::new();
    let collector = Collector::new(Framing::Int8, SILENCE);
    for session in [5, 6] {
        let agent = Agent::new(Framing::Int8, "web1", session);
        agent.add(batch(&[2.0]));
        let pair = connect(&event_loop, &agent, &collector);
        event_loop.run_until_idle();
        assert_eq!(agent.waiting(), 0);
        pair.left.close();
        event_loop.run_until_idle();
    }
    assert_eq!(collector.report(), ["web1 (local) load1 n=2 min=2 mean=2.0000 max=2"]);
}

#[test]
fn an_agent_without_a_collector_keeps_the_latest() {
    let agent = Agent::new(Framing::Int32, "web1", 1);
    (0..1200).for_each(|value| agent.add(batch(&[f64::from(value)])));
    assert_eq!(agent.waiting(), 1000);
    let event_loop = TestLoop::new();
    let collector = Collector::new(Framing::Int32, SILENCE);
    let pair = connect(&event_loop, &agent, &collector);
    event_loop.run_until_idle();
    assert_eq!(collector.report(), ["web1 (local) load1 n=1000 min=200 mean=699.5000 max=1199"]);
    pair.left.close();
    event_loop.run_until_idle();
}

/// A collector that says what it should not.
struct Liar(&'static [u8]);

impl Protocol for Liar {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) {
        transport.write(self.0);
    }
}

#[test]
fn an_agent_gives_up_a_collector_that_speaks_of_something_else() {
    for answer in [b"5:end 1,".as_slice(), b"4:what,", b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let event_loop = TestLoop::new();
        let agent = Agent::new(Framing::Netstring, "web1", 1);
        agent.add(batch(&[1.0]));
        let accepted = Rc::new(Cell::new(false));
        let noted = accepted.clone();
        let left = agent.connect(move || noted.set(true));
        let pair = event_loop.memory_pair(left, Liar(answer), MemoryOptions::default());
        event_loop.run_until_idle();
        assert!(pair.left.is_closing() && !accepted.get());
        assert_eq!(agent.waiting(), 1);
    }
}

#[test]
fn a_silent_agent_is_not_missed() {
    let event_loop = TestLoop::new();
    let (agent, collector) =
        (Agent::new(Framing::Int16, "web1", 1), Collector::new(Framing::Int16, SILENCE));
    let pair = connect(&event_loop, &agent, &collector);
    event_loop.advance(SILENCE / 2);
    agent.add(batch(&[1.0]));
    event_loop.advance(SILENCE * 9 / 10);
    assert!(!pair.right.is_closing());
    event_loop.advance(SILENCE);
    assert!(pair.right.is_closing());
    event_loop.run_until_idle();
}
