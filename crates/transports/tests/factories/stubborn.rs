//! What clients connect to in these tests: a place in memory that refuses, accepts, or keeps silent, as it
//! is told.

use crate::support::{Quiet, Trace};
use eventloop::{AbstractEventLoop, TestLoop};
use futures::{Exception, Future, SchedulerExt};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{MemoryLoop, MemoryOptions, MemoryPair};
use tulipa_transports::{
    ClientEvent, NetworkLoop, ReconnectOptions, ReconnectingClient, Transport,
};

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accept,
    Refuse,
    /// For ever.
    Silence,
    Panic,
}

/// A place in memory that is connected to.
#[derive(Clone)]
pub(crate) struct Place(Rc<Inner>);

struct Inner {
    answers: RefCell<VecDeque<Answer>>,
    otherwise: Cell<Answer>,
    pairs: RefCell<Vec<MemoryPair>>,
    silent: RefCell<Vec<Future<Rc<dyn Transport>>>>,
    attempts: Cell<usize>,
}

impl Place {
    pub(crate) fn new(otherwise: Answer) -> Self {
        Self(Rc::new(Inner {
            answers: RefCell::default(),
            otherwise: Cell::new(otherwise),
            pairs: RefCell::default(),
            silent: RefCell::default(),
            attempts: Cell::new(0),
        }))
    }

    pub(crate) fn will(&self, answers: &[Answer]) {
        self.0.answers.borrow_mut().extend(answers);
    }

    pub(crate) fn always(&self, answer: Answer) {
        self.0.otherwise.set(answer);
    }

    pub(crate) fn attempts(&self) -> usize {
        self.0.attempts.get()
    }

    /// How many attempts are waiting in silence.
    pub(crate) fn waiting(&self) -> usize {
        self.0.silent.borrow().iter().filter(|future| !future.done()).count()
    }

    pub(crate) fn connect(&self, event_loop: &dyn AbstractEventLoop) -> Future<Rc<dyn Transport>> {
        self.0.attempts.set(self.0.attempts.get() + 1);
        let answer = self.0.answers.borrow_mut().pop_front().unwrap_or(self.0.otherwise.get());
        let future: Future<Rc<dyn Transport>> = event_loop.create_future();
        match answer {
            Answer::Accept => {
                let pair = event_loop.memory_pair(Quiet, Quiet, MemoryOptions::default());
                future.set_result(pair.left.clone()).unwrap();
                self.0.pairs.borrow_mut().push(pair);
            }
            Answer::Refuse => {
                future.set_exception(io::Error::from(io::ErrorKind::ConnectionRefused)).unwrap();
            }
            Answer::Silence => self.0.silent.borrow_mut().push(future.clone()),
            Answer::Panic => panic!("on purpose"),
        }
        future
    }

    /// The other side ends the last connection, in good order.
    pub(crate) fn hang_up(&self) {
        let pair = self.0.pairs.borrow_mut().pop().expect("a connection");
        pair.right.close();
    }

    /// The last connection breaks.
    pub(crate) fn reset(&self) {
        let pair = self.0.pairs.borrow_mut().pop().expect("a connection");
        pair.reset();
    }

    /// The last connection is ended by our own side.
    pub(crate) fn abort_with(&self, reason: Exception) {
        let pair = self.0.pairs.borrow_mut().pop().expect("a connection");
        pair.left.abort_with(reason);
    }
}

/// Begins a client that notes what happens, and when: "12.5 connecting".
pub(crate) fn start(
    event_loop: &TestLoop,
    place: &Place,
    options: impl Into<ReconnectOptions>,
) -> (ReconnectingClient, Trace) {
    let trace = Trace::new();
    let noted = trace.clone();
    let options = options.into().on_event(move |client, event| note(&noted, client, &event));
    (start_silently(event_loop, place, options), trace)
}

pub(crate) fn note(trace: &Trace, client: &ReconnectingClient, event: &ClientEvent) {
    let now = client.get_loop().time().saturating_duration_since(futures::Instant::ZERO);
    let what = match event {
        ClientEvent::Connecting => "connecting".to_owned(),
        ClientEvent::Connected(_) => "connected".to_owned(),
        ClientEvent::ConnectionFailed { reason, retry_in } => {
            format!("failed{}{}", why(Some(reason)), again(*retry_in))
        }
        ClientEvent::ConnectionLost { reason, retry_in } => {
            format!("lost{}{}", why(reason.as_ref()), again(*retry_in))
        }
        _ => "?".to_owned(),
    };
    trace.note(format!("{} {what}", now.as_secs_f64()));
}

fn why(reason: Option<&Exception>) -> String {
    match reason {
        Some(reason) if reason.is_cancelled() => " (cancelled)".to_owned(),
        Some(reason) => reason.io_kind().map_or_else(|| format!(" ({reason})"), |_| String::new()),
        None => String::new(),
    }
}

fn again(retry_in: Option<Duration>) -> &'static str {
    if retry_in.is_some() { "" } else { ", the end" }
}

/// As `start`, with options that are complete.
pub(crate) fn start_silently(
    event_loop: &TestLoop,
    place: &Place,
    options: impl Into<ReconnectOptions>,
) -> ReconnectingClient {
    let place = place.clone();
    let connect = move |client: &ReconnectingClient| place.connect(&*client.get_loop());
    event_loop.create_reconnecting_client(connect, options)
}
