//! [`Collector`]: sums up what agents send.
//!
//! Invariant: a batch counts as a whole or not at all, and once.

use super::{Framing, Message, Sample};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::time::Duration;
use tulipa::protocols::{FramingError, StringHandler};
use tulipa::{Address, Exception, Protocol, Transport};

/// So many agents are known, and so many metrics of each; a batch has so many samples.
const MOST_AGENTS: usize = 1000;
const MOST_METRICS: usize = 200;
const MOST_SAMPLES: usize = 1000;

/// What agents have sent since the last report.
pub struct Collector {
    framing: Framing,
    silence: Duration,
    agents: RefCell<BTreeMap<String, Known>>,
}

/// What is known of an agent.
struct Known {
    session: u64,
    /// The last batch of that session.
    last: u64,
    address: String,
    metrics: BTreeMap<String, Summary>,
}

struct Summary {
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, sum, min, max } = self;
        write!(f, "n={count} min={min} mean={:.4} max={max}", sum / f64::from(*count))
    }
}

impl Collector {
    /// One that nothing was sent to yet. It misses nobody who is silent for longer than `silence`.
    pub fn new(framing: Framing, silence: Duration) -> Rc<Self> {
        Rc::new(Self { framing, silence, agents: RefCell::default() })
    }

    /// A protocol for the connection of an agent.
    pub fn accept(self: &Rc<Self>) -> Box<dyn Protocol> {
        let link = CollectorLink { collector: self.clone(), agent: None, batch: Vec::new() };
        self.framing.receiver(link, Some(self.silence))
    }

    /// What has come since the last report, a line for each metric of each agent.
    pub fn report(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, known) in &mut *self.agents.borrow_mut() {
            for (metric, summary) in mem::take(&mut known.metrics) {
                lines.push(format!("{name} ({}) {metric} {summary}", known.address));
            }
        }
        lines
    }

    /// An agent is there: what of it is here? `None` if there are too many agents.
    fn welcome(&self, name: &str, session: u64, address: String) -> Option<u64> {
        let mut agents = self.agents.borrow_mut();
        if agents.len() >= MOST_AGENTS && !agents.contains_key(name) {
            return None;
        }
        let new = || Known { session, last: 0, address: String::new(), metrics: BTreeMap::new() };
        let known = agents.entry(name.to_owned()).or_insert_with(new);
        if known.session != session {
            (known.session, known.last) = (session, 0);
        }
        known.address = address;
        Some(known.last)
    }

    /// Counts a batch, unless it was counted before.
    fn add(&self, name: &str, session: u64, number: u64, batch: Vec<Sample>) -> u64 {
        let mut agents = self.agents.borrow_mut();
        let Some(known) = agents.get_mut(name).filter(|known| known.session == session) else {
            return number; // another one of this name has come
        };
        if number <= known.last {
            return known.last;
        }
        known.last = number;
        for (metric, value) in batch {
            if known.metrics.len() >= MOST_METRICS && !known.metrics.contains_key(&metric) {
                log::warn!("{name} has too many metrics: {metric} is left out");
                continue;
            }
            let new = Summary { count: 0, sum: 0.0, min: value, max: value };
            let summary = known.metrics.entry(metric).or_insert(new);
            summary.count += 1;
            summary.sum += value;
            summary.min = summary.min.min(value);
            summary.max = summary.max.max(value);
        }
        number
    }
}

/// The connection of an agent. One that does not read its answers is not listened to either.
struct CollectorLink {
    collector: Rc<Collector>,
    /// Name and session, once it has said hello.
    agent: Option<(String, u64)>,
    batch: Vec<Sample>,
}

impl CollectorLink {
    /// Does what a message says; `None` if it does not belong here.
    fn obey(&mut self, transport: &dyn Transport, message: Message<'_>) -> Option<()> {
        match (message, &self.agent) {
            (Message::Hello { name, session }, None) => {
                let address = address_of(transport);
                let last = self.collector.welcome(name, session, address)?;
                self.agent = Some((name.to_owned(), session));
                self.collector.framing.send(transport, &Message::Have(last));
            }
            (Message::Sample { metric, value }, Some(_)) if self.batch.len() < MOST_SAMPLES => {
                self.batch.push((metric.to_owned(), value));
            }
            (Message::End(number), Some((name, session))) => {
                let batch = mem::take(&mut self.batch);
                let last = self.collector.add(name, *session, number, batch);
                self.collector.framing.send(transport, &Message::Have(last));
            }
            _ => return None,
        }
        Some(())
    }
}

fn address_of(transport: &dyn Transport) -> String {
    match transport.extra_info().peername {
        Some(Address::Ip(address)) => address.ip().to_string(),
        _ => "local".to_owned(),
    }
}

impl StringHandler for CollectorLink {
    fn string_received(&mut self, transport: &dyn Transport, string: &[u8]) {
        let refused = match Message::parse(string) {
            Ok(message) => match self.obey(transport, message) {
                Some(()) => return,
                None => format!("out of place, or too much: \"{message}\""),
            },
            Err(error) => error.to_string(),
        };
        log::warn!("{}: {refused}", address_of(transport));
        transport.close();
    }

    fn broken_peer(&mut self, transport: &dyn Transport, error: FramingError) {
        log::warn!("{}: {error}", address_of(transport));
        transport.close();
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        if let (Some((name, _)), Some(reason)) = (&self.agent, reason) {
            log::info!("{name} is gone: {reason}");
        }
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        transport.resume_reading();
    }
}
