//! [`StreamShared`]: what a reader, its writers and their protocol have in common.
//!
//! The protocol and the feeder put bytes in, the reader takes them over; the protocol says whether
//! writing is paused and when the connection is lost, the writers look. Nothing is borrowed while
//! somebody is woken or the transport is called.
//!
//! Ownership: all of them own this, and this owns a handle of the transport, which owns nothing.

use super::InvalidLimit;
use super::waiters::Waiters;
use crate::{Bytes, Transport};
use futures::{Exception, Future, InvalidStateError, Scheduler, SchedulerExt};
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;

pub(super) struct StreamShared {
    limit: usize,
    /// What came and was not yet taken over by the reader.
    incoming: RefCell<Vec<u8>>,
    /// How much the reader has taken over and not yet handed out.
    held: Cell<usize>,
    input: Cell<Input>,
    failure: RefCell<Option<Exception>>,
    reader_waits: RefCell<Option<Future<()>>>,
    /// We paused the transport, because too much waits for the reader.
    reading_paused: Cell<bool>,
    /// The transport is over its mark.
    writing_paused: Cell<bool>,
    /// How often it has fallen to the low one.
    resumes: Cell<u64>,
    connection: RefCell<Connection>,
    /// The transports that took the place of the first one.
    upgrades: Upgrades,
    scheduler: RefCell<Option<Rc<dyn Scheduler>>>,
    writers: Cell<usize>,
    /// The last one was dropped, and none made since.
    writers_left: Cell<bool>,
    pub(super) drainers: Waiters,
    pub(super) closers: Waiters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    /// The end was fed. What came before it can still be read.
    Ended,
    /// The reader is gone: what comes is thrown away.
    Unwanted,
}

#[derive(Clone)]
enum Connection {
    /// Not made yet, or fed by hand.
    None,
    Made(Rc<dyn Transport>),
    Lost(Option<Exception>),
}

impl StreamShared {
    pub(super) fn new(limit: Bytes) -> Result<Rc<Self>, InvalidLimit> {
        if limit.0 == 0 {
            return Err(InvalidLimit);
        }
        Ok(Rc::new(Self {
            limit: limit.0,
            incoming: RefCell::default(),
            held: Cell::new(0),
            input: Cell::new(Input::Open),
            failure: RefCell::default(),
            reader_waits: RefCell::default(),
            reading_paused: Cell::new(false),
            writing_paused: Cell::new(false),
            resumes: Cell::new(0),
            connection: RefCell::new(Connection::None),
            upgrades: Upgrades::default(),
            scheduler: RefCell::default(),
            writers: Cell::new(0),
            writers_left: Cell::new(false),
            drainers: Waiters::default(),
            closers: Waiters::default(),
        }))
    }

    /// The loop of the connection, or the one that runs.
    pub(super) fn scheduler(&self) -> Result<Rc<dyn Scheduler>, Exception> {
        let known = self.scheduler.borrow().clone();
        known.or_else(futures::try_current).ok_or_else(|| {
            InvalidStateError::new("waiting for a stream takes an event loop that runs").into()
        })
    }

    // Input

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// # Panics
    /// If the end was fed before.
    pub(super) fn feed_data(&self, data: &[u8]) {
        if data.is_empty() || self.input.get() == Input::Unwanted {
            return;
        }
        assert!(self.input.get() == Input::Open, "feed_data() after feed_eof()");
        self.incoming.borrow_mut().extend_from_slice(data);
        self.wake_reader();
        if self.waiting_bytes() > self.limit.saturating_mul(2)
            && !self.reading_paused.get()
            && let Some(transport) = self.transport()
        {
            self.reading_paused.set(true);
            transport.pause_reading();
        }
    }

    pub(super) fn feed_eof(&self) {
        if self.input.get() == Input::Open {
            self.input.set(Input::Ended);
        }
        self.wake_reader();
    }

    pub(super) fn fail(&self, exception: Exception) {
        let before = self.failure.replace(Some(exception));
        drop(before);
        self.wake_reader();
        self.drainers.wake_all();
    }

    pub(super) fn failure(&self) -> Option<Exception> {
        self.failure.borrow().clone()
    }

    /// The end was fed, and everything was read.
    pub(super) fn is_at_eof(&self) -> bool {
        self.has_ended() && self.waiting_bytes() == 0
    }

    pub(super) fn has_ended(&self) -> bool {
        self.input.get() == Input::Ended
    }

    /// The memory of what waits for the reader.
    pub(super) fn memory(&self) -> Bytes {
        Bytes(self.held.get() + self.incoming.borrow().capacity())
    }

    fn waiting_bytes(&self) -> usize {
        self.held.get() + self.incoming.borrow().len()
    }

    /// Lets the reader take what came; `take` calls nobody.
    pub(super) fn hand_over(&self, take: impl FnOnce(&mut Vec<u8>)) {
        let mut incoming = self.incoming.borrow_mut();
        if !incoming.is_empty() {
            take(&mut incoming);
        }
    }

    /// The reader has so many bytes left. Reading goes on once few enough wait (Y-6).
    pub(super) fn set_held(&self, held: usize) {
        self.held.set(held);
        if self.reading_paused.get() && self.waiting_bytes() <= self.limit {
            self.resume_reading();
        }
    }

    /// The reader needs more than there is, so reading has to go on (Y-6).
    pub(super) fn begin_waiting(&self) -> Result<Future<()>, Exception> {
        let scheduler = self.scheduler()?;
        self.resume_reading();
        let future: Future<()> = scheduler.create_future();
        let before = self.reader_waits.replace(Some(future.clone()));
        drop(before);
        Ok(future)
    }

    pub(super) fn stop_waiting(&self) {
        let waiting = self.reader_waits.take();
        drop(waiting);
    }

    fn wake_reader(&self) {
        let waiting = self.reader_waits.take();
        if let Some(future) = waiting {
            // If it was cancelled, nobody waits.
            let _ = future.set_result(());
        }
    }

    /// Nobody will read any more. The connection goes on, so its end is still seen.
    pub(super) fn reader_dropped(&self) {
        self.stop_waiting();
        self.input.set(Input::Unwanted);
        self.held.set(0);
        self.incoming.take();
        self.resume_reading();
    }

    pub(super) fn has_reader(&self) -> bool {
        self.input.get() != Input::Unwanted
    }

    fn resume_reading(&self) {
        if self.reading_paused.replace(false)
            && let Some(transport) = self.transport()
        {
            transport.resume_reading();
        }
    }

    // Connection

    pub(super) fn connection_made(&self, transport: Rc<dyn Transport>) {
        let scheduler = futures::try_current();
        let before = self.connection.replace(Connection::Made(transport));
        drop(before);
        if scheduler.is_some() {
            let before = self.scheduler.replace(scheduler);
            drop(before);
        }
    }

    /// Another transport goes on with the connection. What is not read by now is not read any more, and
    /// nothing waits to be sent yet.
    pub(super) fn connection_upgraded(&self, transport: Rc<dyn Transport>) {
        self.upgrades.push(transport.clone());
        let before = self.connection.replace(Connection::Made(transport.clone()));
        drop(before);
        self.reading_paused.set(false);
        self.set_writing_paused(false);
        if self.writers_left.get() {
            transport.close(); // the last one was dropped in the meantime
        }
    }

    /// The transport that the connection has by now, if that is not the one it began with.
    pub(super) fn upgraded_transport(&self) -> Option<&Rc<dyn Transport>> {
        self.upgrades.last()
    }

    fn transport(&self) -> Option<Rc<dyn Transport>> {
        match &*self.connection.borrow() {
            Connection::Made(transport) => Some(transport.clone()),
            Connection::None | Connection::Lost(_) => None,
        }
    }

    /// The connection is gone: a failure, or the end (Y-28).
    pub(super) fn connection_lost(&self, reason: Option<Exception>) {
        let before = self.connection.replace(Connection::Lost(reason.clone()));
        drop(before);
        self.reading_paused.set(false);
        match reason {
            Some(exception) => self.fail(exception),
            None => self.feed_eof(),
        }
        self.drainers.wake_all();
        self.closers.wake_all();
    }

    /// Whether the connection is gone, and why.
    pub(super) fn loss(&self) -> Option<Option<Exception>> {
        match &*self.connection.borrow() {
            Connection::Lost(reason) => Some(reason.clone()),
            Connection::None | Connection::Made(_) => None,
        }
    }

    // Output

    pub(super) fn set_writing_paused(&self, paused: bool) {
        self.writing_paused.set(paused);
        if !paused {
            self.resumes.set(self.resumes.get() + 1);
            self.drainers.wake_all();
        }
    }

    /// How often writing was resumed so far.
    pub(super) fn resumes(&self) -> u64 {
        self.resumes.get()
    }

    pub(super) fn is_writing_paused(&self) -> bool {
        self.writing_paused.get()
    }

    /// Why nothing can be written any more: the failure of the reader, or the loss (Y-17).
    pub(super) fn check_output(&self) -> Result<(), Exception> {
        match (self.failure(), self.loss()) {
            (Some(exception), _) => Err(exception),
            (None, Some(_)) => Err(connection_lost().into()),
            (None, None) => Ok(()),
        }
    }

    pub(super) fn writer_made(&self) {
        self.writers.set(self.writers.get() + 1);
        self.writers_left.set(false);
    }

    /// Says whether it was the last one.
    pub(super) fn writer_dropped(&self) -> bool {
        self.writers.set(self.writers.get() - 1);
        let was_last = self.writers.get() == 0;
        self.writers_left.set(was_last);
        was_last
    }
}

/// Transports in order. One is only ever added, so that each can be borrowed for as long as the list.
#[derive(Default)]
struct Upgrades {
    first: OnceCell<Box<Upgrade>>,
}

struct Upgrade {
    transport: Rc<dyn Transport>,
    later: Upgrades,
}

impl Upgrades {
    fn push(&self, transport: Rc<dyn Transport>) {
        let mut end = &self.first;
        while let Some(upgrade) = end.get() {
            end = &upgrade.later.first;
        }
        // It is the end, hence empty.
        let _ = end.set(Box::new(Upgrade { transport, later: Upgrades::default() }));
    }

    fn last(&self) -> Option<&Rc<dyn Transport>> {
        let mut upgrade = self.first.get()?;
        while let Some(later) = upgrade.later.first.get() {
            upgrade = later;
        }
        Some(&upgrade.transport)
    }
}

/// What becomes of writing to a connection that is gone.
pub(super) fn connection_lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection is lost")
}
