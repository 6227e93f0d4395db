//! [`Agent`]: keeps what was measured until the collector has it.
//!
//! Invariant: a batch is in the backlog until the collector has said that it has it, or until there are
//! too many; on each connection all are sent in order, beginning with the first that it does not have.

use super::{Framing, Message, Sample};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tulipa::protocols::StringHandler;
use tulipa::{Event, Exception, Protocol, Transport};

/// So many batches are kept while there is no collector. The oldest are lost first.
const MOST_BATCHES: usize = 1000;

/// What an agent knows, connected or not.
pub struct Agent {
    framing: Framing,
    name: String,
    session: u64,
    backlog: RefCell<VecDeque<Batch>>,
    /// Batches are numbered from one on.
    last: Cell<u64>,
    connection: RefCell<Option<Connection>>,
    /// Everything that was measured has arrived.
    idle: Event,
}

struct Batch {
    number: u64,
    samples: Vec<Sample>,
}

/// A connection whose collector has said what it has.
struct Connection {
    transport: Rc<dyn Transport>,
    /// The last batch that was sent.
    sent: u64,
    is_paused: bool,
}

impl Agent {
    /// One that has measured nothing yet. `session` is another number each time that it is started.
    pub fn new(framing: Framing, name: &str, session: u64) -> Rc<Self> {
        let idle = Event::new();
        idle.set();
        Rc::new(Self {
            framing,
            name: name.to_owned(),
            session,
            backlog: RefCell::default(),
            last: Cell::new(0),
            connection: RefCell::default(),
            idle,
        })
    }

    /// Takes a batch: sends it, now or later.
    pub fn add(&self, samples: Vec<Sample>) {
        let number = self.last.get() + 1;
        self.last.set(number);
        let mut backlog = self.backlog.borrow_mut();
        backlog.push_back(Batch { number, samples });
        if backlog.len() > MOST_BATCHES {
            backlog.pop_front();
            log::warn!("the collector is away for too long: a batch is lost");
        }
        drop(backlog);
        self.idle.clear();
        self.send();
    }

    /// How many batches the collector is not known to have.
    pub fn waiting(&self) -> usize {
        self.backlog.borrow().len()
    }

    /// Waits until the collector has everything.
    ///
    /// # Errors
    /// If the task is cancelled.
    pub async fn wait_idle(&self) -> Result<(), Exception> {
        self.idle.wait().await
    }

    /// The protocol of a connection with a collector. `accepted` is called when that answers.
    pub fn connect(self: &Rc<Self>, accepted: impl FnMut() + 'static) -> Box<dyn Protocol> {
        let link = AgentLink { agent: self.clone(), accepted: Box::new(accepted) };
        self.framing.receiver(link, None)
    }

    /// Sends what was not sent on this connection, until it has too much.
    fn send(&self) {
        let mut connection = self.connection.borrow_mut();
        let Some(connection) = connection.as_mut() else { return };
        let backlog = self.backlog.borrow();
        let sent = connection.sent;
        for batch in backlog.iter().filter(|batch| batch.number > sent) {
            if connection.is_paused {
                return;
            }
            for (metric, value) in &batch.samples {
                let sample = Message::Sample { metric, value: *value };
                self.framing.send(&*connection.transport, &sample);
            }
            let end = Message::End(batch.number);
            connection.is_paused = !self.framing.send(&*connection.transport, &end);
            connection.sent = batch.number;
        }
    }

    /// The collector has all up to this one.
    fn arrived(&self, number: u64, transport: &dyn Transport) {
        let mut backlog = self.backlog.borrow_mut();
        while backlog.front().is_some_and(|batch| batch.number <= number) {
            backlog.pop_front();
        }
        if backlog.is_empty() {
            self.idle.set();
        }
        drop(backlog);
        let transport =
            || Connection { transport: transport.handle(), sent: number, is_paused: false };
        self.connection.borrow_mut().get_or_insert_with(transport);
        self.send();
    }

    fn set_paused(&self, is_paused: bool) {
        if let Some(connection) = self.connection.borrow_mut().as_mut() {
            connection.is_paused = is_paused;
        }
    }
}

/// The connection with the collector.
struct AgentLink {
    agent: Rc<Agent>,
    accepted: Box<dyn FnMut()>,
}

impl StringHandler for AgentLink {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let hello = Message::Hello { name: &self.agent.name, session: self.agent.session };
        self.agent.framing.send(transport, &hello);
    }

    fn string_received(&mut self, transport: &dyn Transport, string: &[u8]) {
        match Message::parse(string) {
            Ok(Message::Have(number)) => {
                self.agent.arrived(number, transport);
                (self.accepted)();
            }
            Ok(message) => {
                transport.abort_with(Exception::msg(format!("out of place: \"{message}\"")));
            }
            Err(error) => transport.abort_with(error.into()),
        }
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.agent.connection.take();
    }

    fn pause_writing(&mut self, _: &dyn Transport) {
        self.agent.set_paused(true);
    }

    fn resume_writing(&mut self, _: &dyn Transport) {
        self.agent.set_paused(false);
        self.agent.send();
    }
}
