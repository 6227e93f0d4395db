//! [`MemoryLoop::memory_pair`]: two protocols connected without a network, through the real stream
//! transport over a back end of memory, with seeded trouble on the way.
//!
//! Readiness is level-triggered, as that of sockets is, and comes as ordinary callbacks: a run on a
//! test loop is the same every time.

use crate::backend::Backend;
use crate::limits::OutputLimits;
use crate::loop_shared::Owner;
use crate::stream_transport::StreamTransport;
use crate::streams::{StreamReader, StreamReaderProtocol, StreamWriter};
use crate::{Address, Bytes, ConnectionBudget, ExtraInfo, IntoProtocol, Protocol, Transport};
use eventloop::{AbstractEventLoop, AbstractEventLoopExt, Interest};
use futures::Callback;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::{Rc, Weak};

/// Two connected transports on one loop.
pub struct MemoryPair {
    /// One end.
    pub left: Rc<dyn Transport>,
    /// The other end.
    pub right: Rc<dyn Transport>,
    wire: Rc<Wire>,
}

/// Two connected streams on one loop, from [`MemoryLoop::memory_streams`].
pub struct MemoryStreams {
    /// One end.
    pub left: (StreamReader, StreamWriter),
    /// The other end.
    pub right: (StreamReader, StreamWriter),
    /// What is underneath, to be looked at, or cut.
    pub pair: MemoryPair,
}

/// How the wire of a [`MemoryLoop::memory_pair`] behaves.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    capacity: Bytes,
    seed: Option<u64>,
    budget: Option<ConnectionBudget>,
}

impl Default for MemoryOptions {
    /// 64 KiB on the way in each direction, and no trouble.
    fn default() -> Self {
        Self { capacity: Bytes::kib(64), seed: None, budget: None }
    }
}

impl MemoryOptions {
    /// How much may be on the way in each direction, before the sender has to wait.
    #[must_use]
    pub fn capacity(mut self, capacity: Bytes) -> Self {
        self.capacity = capacity;
        self
    }

    /// Short reads, short writes, and readiness that turns out to be none, at random but the same
    /// for the same seed.
    #[must_use]
    pub fn trouble(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What the left end may cost. By default there is no such limit.
    #[must_use]
    pub fn budget_of_left(mut self, budget: ConnectionBudget) -> Self {
        self.budget = Some(budget);
        self
    }
}

/// Transports in memory, on every event loop.
pub trait MemoryLoop: AbstractEventLoop {
    /// Connects two protocols. Both are told `connection_made` by the loop, the left one first.
    ///
    /// # Panics
    /// If the loop is closed; if there is no protocol, since the factory has failed or refused.
    fn memory_pair(
        &self,
        left: impl IntoProtocol,
        right: impl IntoProtocol,
        options: MemoryOptions,
    ) -> MemoryPair {
        connect(Owner::of(self), made(left), made(right), options)
    }

    /// Connects two streams: what is written at one end is read at the other.
    ///
    /// # Panics
    /// If the loop is closed.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{TestLoop, prelude::*};
    /// use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
    /// let event_loop = TestLoop::new();
    /// let streams = event_loop.memory_streams(MemoryOptions::default());
    /// let task = event_loop.create_task(async move {
    ///     let (_, writer) = &streams.left;
    ///     writer.write(b"tulip\n");
    ///     let (mut reader, _writer) = streams.right;
    ///     reader.readline().await
    /// });
    /// assert_eq!(event_loop.run_until_complete(task.as_future())?, b"tulip\n");
    /// # event_loop.run_until_idle();
    /// # Ok::<(), futures::Exception>(())
    /// ```
    fn memory_streams(&self, options: MemoryOptions) -> MemoryStreams {
        let (left, right) = (StreamReader::default(), StreamReader::default());
        let protocols = (StreamReaderProtocol::new(&left), StreamReaderProtocol::new(&right));
        let pair = self.memory_pair(protocols.0, protocols.1, options);
        let left_writer = StreamWriter::new(pair.left.clone(), &left);
        let right_writer = StreamWriter::new(pair.right.clone(), &right);
        MemoryStreams { left: (left, left_writer), right: (right, right_writer), pair }
    }
}

impl<L: AbstractEventLoop + ?Sized> MemoryLoop for L {}

fn made(protocol: impl IntoProtocol) -> Box<dyn Protocol> {
    let made = protocol.into_protocol().unwrap_or_else(|error| panic!("no protocol: {error}"));
    made.expect("a protocol, where the factory has refused")
}

fn connect(
    owner: Rc<Owner>,
    left: Box<dyn Protocol>,
    right: Box<dyn Protocol>,
    options: MemoryOptions,
) -> MemoryPair {
    assert!(!owner.shared.event_loop().is_closed(), "the event loop is closed");
    let wire = Rc::new(Wire {
        ends: [End::default(), End::default()],
        capacity: Cell::new(options.capacity.0),
        random: Cell::new(options.seed.map(|seed| seed.wrapping_mul(2) + 1)),
    });
    let attach = |side: usize, limits: Option<OutputLimits>| {
        let backend = MemoryBackend { wire: wire.clone(), side };
        let connection = StreamTransport::attach(owner.clone(), backend, limits.map(Rc::new));
        connection.expect("memory needs nothing that could fail")
    };
    let of_left =
        options.budget.map(|_| OutputLimits { budget: options.budget, ..OutputLimits::default() });
    let (left_end, right_end) = (attach(0, of_left), attach(1, None));
    let pair = MemoryPair { left: left_end.handle(), right: right_end.handle(), wire };
    left_end.open(left, None);
    right_end.open(right, None);
    pair
}

impl MemoryPair {
    /// Cuts the connection: once they have read what is on the way, both ends see a reset; sending
    /// fails at once.
    pub fn reset(&self) {
        self.fail(ErrorKind::ConnectionReset);
    }

    /// Cuts the connection, with an error of this kind.
    pub fn fail(&self, kind: ErrorKind) {
        for end in &self.wire.ends {
            end.failure.set(Some(kind));
        }
        self.wire.notify();
    }

    /// Makes the next sends of the left end fail, while what it receives still comes.
    pub fn break_left_output(&self) {
        self.wire.ends[0].send_failure.set(Some(ErrorKind::BrokenPipe));
        self.wire.notify();
    }

    /// Asks the protocol of the left end to come to an end, as
    /// [`Server::shutdown`](crate::Server::shutdown) does.
    pub fn request_shutdown_of_left(&self) {
        let left = self.wire.ends[0].connection.borrow().upgrade();
        if let Some(left) = left {
            left.shut_down_soon();
        }
    }

    /// Changes how much may be on the way. Zero stops everything.
    pub fn set_capacity(&self, capacity: Bytes) {
        self.wire.capacity.set(capacity.0);
        self.wire.notify();
    }
}

/// What is between the two ends.
struct Wire {
    ends: [End; 2],
    capacity: Cell<usize>,
    /// The state of the trouble-maker.
    random: Cell<Option<u64>>,
}

#[derive(Default)]
struct End {
    connection: RefCell<Weak<StreamTransport<MemoryBackend>>>,
    /// What is on the way to this end.
    incoming: RefCell<VecDeque<u8>>,
    /// The other end will send no more.
    eof: Cell<bool>,
    failure: Cell<Option<ErrorKind>>,
    send_failure: Cell<Option<ErrorKind>>,
    interest: Cell<Interest>,
    /// A turn of readiness is queued.
    queued: Cell<bool>,
    gone: Cell<bool>,
}

impl End {
    fn is_readable(&self) -> bool {
        !self.incoming.borrow().is_empty() || self.eof.get() || self.failure.get().is_some()
    }
}

impl Wire {
    fn is_writable(&self, side: usize) -> bool {
        let (own, other) = (&self.ends[side], &self.ends[1 - side]);
        let failed = own.failure.get().is_some() || own.send_failure.get().is_some();
        failed || other.gone.get() || other.incoming.borrow().len() < self.capacity.get()
    }

    /// Which of what is watched is ready.
    fn ready(&self, side: usize) -> Interest {
        let wanted = self.ends[side].interest.get();
        Interest {
            readable: wanted.readable && self.ends[side].is_readable(),
            writable: wanted.writable && self.is_writable(side),
        }
    }

    /// Queues a turn for each end that has something to do.
    fn notify(self: &Rc<Self>) {
        for (side, end) in self.ends.iter().enumerate() {
            let connection = end.connection.borrow().upgrade();
            let Some(connection) = connection else { continue };
            if end.queued.get() || self.ready(side).is_none() {
                continue;
            }
            end.queued.set(true);
            let wire = self.clone();
            let queued = connection.event_loop().schedule(Callback::new(move || wire.turn(side)));
            drop(queued); // a closed loop delivers nothing
        }
    }

    fn turn(self: &Rc<Self>, side: usize) {
        let end = &self.ends[side];
        end.queued.set(false);
        let connection = end.connection.borrow().upgrade();
        if let Some(connection) = connection {
            let ready = self.ready(side);
            if ready.readable {
                let _ = connection.ready_to_read();
            }
            if ready.writable && end.interest.get().writable {
                connection.ready_to_write();
            }
        }
        self.notify();
    }

    /// A number below `bound`, or `None` without trouble.
    fn roll(&self, bound: usize) -> Option<usize> {
        let mut state = self.random.get()?;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(Some(state));
        usize::try_from(state >> 33).ok().map(|number| number % bound)
    }

    /// How much of `size` passes this time.
    fn trouble(&self, size: usize) -> io::Result<usize> {
        match self.roll(8) {
            None => Ok(size),
            Some(0) => Err(ErrorKind::WouldBlock.into()),
            Some(1..4) => Ok(self.roll(size.max(1)).map_or(size, |short| short + 1).min(size)),
            Some(_) => Ok(size),
        }
    }
}

/// One end of a wire in memory.
struct MemoryBackend {
    wire: Rc<Wire>,
    side: usize,
}

impl MemoryBackend {
    fn own(&self) -> &End {
        &self.wire.ends[self.side]
    }

    fn other(&self) -> &End {
        &self.wire.ends[1 - self.side]
    }

    fn leave(&self) {
        self.own().gone.set(true);
        self.own().interest.set(Interest::NONE);
        self.other().eof.set(true);
        self.wire.notify();
    }
}

impl Backend for MemoryBackend {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.own().incoming.borrow_mut();
        if incoming.is_empty() {
            return match (self.own().failure.get(), self.own().eof.get()) {
                (Some(kind), _) => Err(kind.into()),
                (None, true) => Ok(0),
                (None, false) => Err(ErrorKind::WouldBlock.into()),
            };
        }
        let count = self.wire.trouble(incoming.len().min(buffer.len()))?;
        for (slot, byte) in buffer.iter_mut().zip(incoming.drain(..count)) {
            *slot = byte;
        }
        drop(incoming);
        self.wire.notify();
        Ok(count)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(data)])
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(kind) = self.own().failure.get().or(self.own().send_failure.get()) {
            return Err(kind.into());
        }
        if self.other().gone.get() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut incoming = self.other().incoming.borrow_mut();
        let room = self.wire.capacity.get().saturating_sub(incoming.len());
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.wire.trouble(total.min(room))?;
        incoming.extend(parts.iter().flat_map(|part| part.iter()).take(count));
        drop(incoming);
        self.wire.notify();
        Ok(count)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        if let Some(kind) = self.own().failure.get() {
            return Err(kind.into());
        }
        self.other().eof.set(true);
        self.wire.notify();
        Ok(())
    }

    fn attach(connection: &Rc<StreamTransport<Self>>) -> io::Result<()> {
        let backend = connection.backend();
        *backend.own().connection.borrow_mut() = Rc::downgrade(connection);
        let owners = connection.event_loop().local(Owners::default);
        owners.0.borrow_mut().push(connection.clone());
        Ok(())
    }

    fn watch(connection: &Rc<StreamTransport<Self>>, interest: Interest) -> io::Result<()> {
        let backend = connection.backend();
        backend.own().interest.set(interest);
        backend.wire.notify();
        Ok(())
    }

    fn flush_later(connection: &Rc<StreamTransport<Self>>) {
        let flushed = connection.clone();
        let queued = connection.event_loop().schedule(Callback::new(move || flushed.flush_now()));
        drop(queued); // a closed loop sends nothing
    }

    fn detach(connection: &Rc<StreamTransport<Self>>) {
        connection.backend().leave();
        let owners = connection.event_loop().local(Owners::default);
        // The caller holds a count of its own, so that this is not the last one.
        owners.0.borrow_mut().retain(|owned| !Rc::ptr_eq(owned, connection));
    }

    fn extra_info(_connection: &Rc<StreamTransport<Self>>) -> ExtraInfo {
        ExtraInfo {
            peername: Some(Address::Unnamed),
            sockname: Some(Address::Unnamed),
            ..ExtraInfo::default()
        }
    }

    fn describe(&self) -> String {
        format!("memory transport ({})", if self.side == 0 { "left" } else { "right" })
    }
}

/// What a loop owns in place of watched sockets.
#[derive(Default)]
struct Owners(RefCell<Vec<Rc<StreamTransport<MemoryBackend>>>>);

impl Drop for Owners {
    /// The loop was closed (L-30).
    fn drop(&mut self) {
        for connection in self.0.take() {
            connection.forget_loop();
        }
    }
}
