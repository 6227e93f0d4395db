//! [`StreamTransport`]: one connection over a [`Backend`]: the machine, the protocol, and the I/O that
//! the one asks for and the other is told about.
//!
//! Invariants: the protocol is out of its slot while one of its methods runs, so it is never
//! re-entered; no borrow is held meanwhile; what a method causes is delivered by [`settle`] after it
//! has returned. Requests that come from elsewhere are delivered in a turn of their own.
//!
//! The loop owns the connection; everybody else holds it weakly. So the descriptor closes when the
//! loop lets go and the turn that is running ends, exactly once.
//!
//! [`settle`]: StreamTransport::settle

mod bandwidth;
mod budget;
mod calls;
mod descriptors;
mod file;
mod handle;
#[cfg_attr(not(feature = "tls"), path = "stream_transport/not_layered.rs")]
mod layered;
mod rare;
mod reading;
mod requests;
mod unread;
mod writing;

use handle::{Kept, StreamHandle};
#[cfg(feature = "tls")]
pub(crate) use layered::{Bandwidths, Upper};

use crate::backend::Backend;
use crate::limits::OutputLimits;
use crate::loop_shared::{LoopShared, Owner, Waiting};
use crate::stream_machine::{End, StreamMachine};
use crate::{Protocol, Transport};
use eventloop::{AbstractEventLoop, Interest, SourceKey};
use futures::{Callback, Exception, Future};
use rare::Rare;
use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::rc::Rc;

/// One connection. An idle one is all in here, so every word counts: what few connections need is in
/// [`Rare`].
///
/// The order is that in memory: what each request needs comes first, so that it costs few cache lines.
#[repr(C)]
pub(crate) struct StreamTransport<B: Backend> {
    owner: Rc<Owner>,
    machine: RefCell<StreamMachine>,
    /// `None` while one of its methods runs, and before and after its time.
    protocol: Cell<Option<Box<dyn Protocol>>>,
    flags: Cell<Flags>,
    /// The place in the server's list.
    index: Cell<u32>,
    backend: B,
    key: Cell<Option<SourceKey>>,
    rare: Cell<Option<Box<Rare<B>>>>,
}

/// What is under way, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags(u32);

/// A method of the protocol is running.
const RUNNING: u32 = 1;
/// A turn of our own is queued.
const TURN_QUEUED: u32 = 1 << 1;
/// The loop was asked to have us flush before it waits.
const DIRTY: u32 = 1 << 2;
/// We stand in the loop's list of transports whose output waits.
const WAITING: u32 = 1 << 3;
/// `shutdown_requested` is owed to the protocol.
const SHUTDOWN_OWED: u32 = 1 << 4;
/// The kernel watches for us whether we can read, or write.
const READABLE: u32 = 1 << 5;
const WRITABLE: u32 = 1 << 6;
/// It is counted among the open connections of the loop.
const COUNTED: u32 = 1 << 7;
/// Its calls are timed, or what it holds is summed up, for its budget.
const TIMED: u32 = 1 << 8;
const MEASURED: u32 = 1 << 9;
/// Another transport is over this one, and its handles of before answer nothing any more.
const UPGRADED: u32 = 1 << 10;
/// Its protocol had another transport before, which has told it `connection_made`.
const RESUMED: u32 = 1 << 11;
/// It keeps to a bandwidth.
const LIMITED: u32 = 1 << 12;
/// Somebody waits until all is sent, or is to be told what became of a file.
const AWAITED: u32 = 1 << 13;
/// It has, or takes, descriptors that travel along with bytes.
const DESCRIPTORS: u32 = 1 << 14;
/// Something is to be done when the method that is running returns.
const RETURN_NOTED: u32 = 1 << 15;
/// The machine is [ordinary](StreamMachine::is_ordinary): it is asked after each change, so that nobody else
/// has to.
const ORDINARY: u32 = 1 << 16;

/// In which turn [`StreamTransport::settle`] is called, which decides whether `connection_lost` may
/// be called in it (P-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// One of our own, in which no user code has run yet.
    Own,
    /// That of a write-ready event: the end may be told at the end of it.
    WriteReady,
    /// User code has run, or runs.
    Other,
}

/// The future that a creator gave its caller.
pub(crate) type Opened = Future<Rc<dyn Transport>>;

impl<B: Backend> StreamTransport<B> {
    /// A connection that the loop owns and that does nothing yet: a protocol is given to it by
    /// [`open`](StreamTransport::open).
    ///
    /// # Errors
    /// What the loop says; the back end is dropped then.
    pub(crate) fn attach(
        owner: Rc<Owner>,
        backend: B,
        limits: Option<Rc<OutputLimits>>,
    ) -> io::Result<Rc<Self>> {
        let flags = Flags(Self::budget_flags(limits.as_deref()));
        let connection = Rc::new(Self {
            owner,
            machine: RefCell::new(backend.new_machine(limits)),
            protocol: Cell::new(None),
            key: Cell::new(None),
            rare: Cell::new(None),
            index: Cell::new(0),
            flags: Cell::new(flags),
            backend,
        });
        B::attach(&connection)?;
        if !B::IS_LAYER {
            connection.shared().connection_began();
            connection.set(COUNTED, true);
        }
        Ok(connection)
    }

    /// Gives it its protocol; `connection_made` comes in a turn of its own (P-9), then `opened` is
    /// done (N-6).
    pub(crate) fn open(self: &Rc<Self>, protocol: Box<dyn Protocol>, opened: Option<Opened>) {
        self.protocol.set(Some(protocol));
        if opened.is_some() {
            self.rare(|rare| rare.opened = opened);
        }
        self.queue_turn();
    }

    /// Ends a connection that never had a protocol.
    pub(crate) fn discard(self: &Rc<Self>) {
        self.end(End::Orderly, None);
        self.settle(Turn::Own);
    }

    /// An owned handle for users.
    pub(crate) fn handle(self: &Rc<Self>) -> Rc<dyn Transport> {
        let known = self.rare(|rare| rare.handle.upgrade());
        known.unwrap_or_else(|| {
            let handle = Rc::new(StreamHandle::kept(self));
            self.rare(|rare| rare.handle = Rc::downgrade(&handle));
            handle
        })
    }

    #[inline]
    fn shared(&self) -> &LoopShared {
        &self.owner.shared
    }

    pub(crate) fn event_loop(&self) -> &dyn AbstractEventLoop {
        &**self.shared().event_loop()
    }

    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    pub(crate) fn key(&self) -> Option<SourceKey> {
        self.key.get()
    }

    pub(crate) fn set_key(&self, key: Option<SourceKey>) {
        self.key.set(key);
    }

    pub(crate) fn index(&self) -> u32 {
        self.index.get()
    }

    pub(crate) fn set_index(&self, index: u32) {
        self.index.set(index);
    }

    /// The loop is gone: nothing will be called (L-30).
    pub(crate) fn forget_loop(self: &Rc<Self>) {
        log::warn!(target: "tulipa", "{} was open when its event loop closed", self.backend.describe());
        self.key.set(None);
        self.leave_word(None);
    }

    /// A turn of our own: the call that is owed, bytes to be salvaged, or those that were given back.
    fn turn(self: &Rc<Self>) {
        self.set(TURN_QUEUED, false);
        let (salvaging, again) = {
            let machine = self.machine.borrow();
            let again = machine.may_deliver_unread() && machine.owed_call().is_none();
            (machine.is_salvaging(), again)
        };
        if salvaging {
            self.salvage();
        } else if again {
            let _ = self.read_burst();
        } else {
            self.settle(Turn::Own);
        }
    }

    /// Has [`turn`](StreamTransport::turn) called in the next batch.
    fn queue_turn(self: &Rc<Self>) {
        if self.is(TURN_QUEUED) {
            return;
        }
        self.set(TURN_QUEUED, true);
        let connection = self.clone();
        let queued = self.event_loop().schedule(Callback::new(move || connection.turn()));
        // A closed loop calls nothing: the callback is dropped, and with it this count (L-30).
        drop(queued);
    }

    /// Whether no method runs, nothing is to be called, watched or told, and what was collected may just be
    /// sent: so it is before and after nearly every turn.
    #[inline]
    fn is_ordinary(&self) -> bool {
        const SENDING: u32 = LIMITED | DESCRIPTORS | WAITING;
        const CALLS: u32 = SHUTDOWN_OWED | TIMED | MEASURED | AWAITED;
        const ALL: u32 = RUNNING | RETURN_NOTED | ORDINARY | READABLE | WRITABLE | CALLS | SENDING;
        debug_assert_eq!(self.is(ORDINARY), self.machine.borrow().is_ordinary());
        let Flags(bits) = self.flags.get();
        !B::IS_LAYER && bits & ALL == ORDINARY | READABLE
    }

    /// After anything that may have changed what is to be watched, called, or waited for. Not while
    /// the protocol runs: [`settle`](StreamTransport::settle) follows that.
    fn follow_up(self: &Rc<Self>) {
        let (interest, owed, draining, lost) = self.with_machine(|machine| {
            let call = machine.owed_call().is_some() || machine.is_salvaging();
            let owed = call || machine.may_deliver_unread();
            let draining = machine.is_draining() || machine.is_parting();
            (machine.interest(), owed, draining, machine.unread_is_lost())
        });
        if lost {
            self.drop_unread();
        }
        if owed && self.has_protocol_or_is_over() {
            self.queue_turn();
        }
        if draining {
            self.limit_lingering();
        }
        self.watch(interest);
        B::followed_up(self);
    }

    /// Before a protocol is there, only the end is of interest.
    fn has_protocol_or_is_over(&self) -> bool {
        let protocol = self.protocol.take();
        let has_one = protocol.is_some();
        self.protocol.set(protocol);
        has_one || self.machine.borrow().is_over()
    }

    /// Sets what the kernel watches, if that is a change.
    fn watch(self: &Rc<Self>, interest: Interest) {
        if (self.is(READABLE), self.is(WRITABLE)) == (interest.readable, interest.writable) {
            return;
        }
        match B::watch(self, interest) {
            Ok(()) => {
                self.set(READABLE, interest.readable);
                self.set(WRITABLE, interest.writable);
            }
            Err(error) => {
                log::debug!(target: "tulipa", "{}: cannot be watched: {error}", self.backend.describe());
                self.end(End::Failed, Some(error.into()));
                self.queue_turn();
            }
        }
    }

    /// Watches for the end of a connect that is under way.
    pub(crate) fn watch_connecting(self: &Rc<Self>) -> io::Result<()> {
        B::watch(self, Interest::WRITE)?;
        self.set(WRITABLE, true);
        Ok(())
    }

    /// Ends it now, dropping the output. The first end counts.
    fn end(self: &Rc<Self>, end: End, reason: Option<Exception>) {
        let unsent = self.machine.borrow().size() > 0 || self.backend.waiting_below() > 0;
        let decides = self.with_machine(|machine| machine.abort(end));
        self.fail_file(reason.as_ref());
        if decides && reason.is_some() {
            self.rare(|rare| rare.reason = reason);
        }
        if self.machine.borrow().is_over() {
            self.drop_outgoing_descriptors();
        }
        if unsent {
            self.rare(|rare| rare.thrown_away = true);
            self.fail_drained();
        }
    }

    /// Every change of the machine goes through here, so that all output is counted once, and what is
    /// [`ORDINARY`] is known.
    #[inline]
    fn with_machine<R>(&self, change: impl FnOnce(&mut StreamMachine) -> R) -> R {
        let mut machine = self.machine_mut();
        let before = machine.size();
        let result = change(&mut machine);
        self.shared().account(before, machine.size());
        self.set(ORDINARY, machine.is_ordinary());
        result
    }

    /// The machine, told what waits below. Who changes what waits here has to account for it.
    #[inline]
    fn machine_mut(&self) -> RefMut<'_, StreamMachine> {
        let below = if B::IS_LAYER { self.backend.waiting_below() } else { 0 };
        let mut machine = self.machine.borrow_mut();
        if B::IS_LAYER {
            machine.set_below(below);
        }
        machine
    }

    #[inline]
    fn is(&self, flag: u32) -> bool {
        self.flags.get().0 & flag != 0
    }

    #[inline]
    fn set(&self, flag: u32, on: bool) {
        let Flags(bits) = self.flags.get();
        self.flags.set(Flags(if on { bits | flag } else { bits & !flag }));
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<B: Backend> Waiting for StreamTransport<B> {
    fn output_size(&self) -> usize {
        self.machine.borrow().size() + self.accounted_of_file()
    }

    fn cut(self: Rc<Self>) {
        let error = io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the output of all transports has reached the loop's budget, and this held the most",
        );
        log::warn!(target: "tulipa", "{}: {error}", self.backend.describe());
        self.end(End::Failed, Some(error.into()));
        self.requested();
    }
}

impl<B: Backend> Drop for StreamTransport<B> {
    fn drop(&mut self) {
        if let Some(protocol) = self.protocol.take() {
            self.drop_protocol(protocol);
        }
        let size = self.machine.get_mut().size();
        self.shared().account(size + self.accounted_of_file(), 0);
        if self.is(WAITING) {
            self.shared().remove_waiting(self.address());
        }
        if self.is(COUNTED) {
            self.shared().connection_ended();
        }
    }
}
