//! [`Endpoint`]: one datagram socket with its machine and its protocol: the I/O that the one asks for
//! and the calls that the other is owed.
//!
//! Invariants, as for streams: the protocol is out of its slot while one of its methods runs, so it is
//! never re-entered; no borrow is held meanwhile; what a method causes is delivered by [`settle`] after
//! it has returned. Requests that come from elsewhere are delivered in a turn of their own. The loop
//! owns the endpoint; everybody else holds it weakly.
//!
//! [`settle`]: Endpoint::settle

mod calls;
mod reading;
mod requests;
mod sending;

pub(super) use sending::{longest_train, warn_of_dropped};

use super::handle::{DatagramHandle, Ended};
use super::machine::{DatagramMachine, End};
use super::opening::Opened;
use super::patience::Patience;
use super::socket::SocketIo;
use super::{DatagramProtocol, DatagramStats, DatagramTransport};
use crate::burst::Burst;
use crate::limits::OutputLimits;
use crate::loop_shared::{LoopShared, Waiting};
use crate::protocol_slot::ProtocolSlot;
use crate::{ExtraInfo, SocketView};
use eventloop::{AbstractEventLoop, Direction, Interest, Source, SourceKey, SourceKind, Taken};
use futures::{Callback, Exception, Future, SchedulerExt, TimerHandle};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// One datagram endpoint.
pub(super) struct Endpoint {
    shared: Rc<LoopShared>,
    socket: SocketIo,
    machine: RefCell<DatagramMachine>,
    protocol: ProtocolSlot<dyn DatagramProtocol>,
    key: Cell<Option<SourceKey>>,
    /// What the kernel watches.
    interest: Cell<Interest>,
    stats: Cell<DatagramStats>,
    burst: RefCell<Burst>,
    reading: Direct,
    sending: Direct,
    /// A turn of our own is queued.
    turn_queued: Cell<bool>,
    /// We stand in the loop's list of transports whose output waits.
    listed: Cell<bool>,
    /// It was ended with something left to send.
    thrown_away: Cell<bool>,
    /// Whose creator's future this is.
    opened: Cell<Option<Opened>>,
    /// Why it ended.
    reason: Cell<Option<Exception>>,
    /// Ends a close that takes too long.
    linger: Cell<Option<TimerHandle>>,
    /// Those who wait until nothing is queued, and those who wait for the end.
    drained: RefCell<Vec<Future<()>>>,
    closed: RefCell<Vec<Future<()>>>,
    /// The handle that users hold, if one does.
    handle: RefCell<Weak<DatagramHandle>>,
}

/// One direction of the socket: whether it is worth watching.
struct Direct {
    patience: RefCell<Patience>,
    /// It is left alone until this timer fires.
    rest: Cell<Option<TimerHandle>>,
}

impl Direct {
    fn new(patience: Patience) -> Self {
        Self { patience: RefCell::new(patience), rest: Cell::new(None) }
    }

    fn is_resting(&self) -> bool {
        let rest = self.rest.take();
        let is_resting = rest.is_some();
        self.rest.set(rest);
        is_resting
    }

    fn end_rest(&self) {
        if let Some(timer) = self.rest.take() {
            timer.cancel();
        }
    }
}

/// So often readiness may lead to nothing before the socket is left alone for a while.
const FREE_TRIES: u32 = 8;
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A receiver on this machine that is full is tried again at least this often.
const LONGEST_RETRY: Duration = Duration::from_millis(100);

/// In which turn [`Endpoint::settle`] is called, which decides whether `connection_lost` may be called
/// in it (P-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// One of our own, in which no user code has run yet.
    Own,
    /// User code has run, or runs.
    Other,
}

impl Endpoint {
    /// An endpoint that the loop owns and that does nothing yet: a protocol is given to it by
    /// [`open`](Endpoint::open).
    ///
    /// # Errors
    /// What the loop says; the socket is closed then.
    pub(super) fn attach(
        shared: Rc<LoopShared>,
        socket: SocketIo,
        limits: OutputLimits,
    ) -> io::Result<Rc<Self>> {
        let by_receiver = socket.blocks_by_receiver();
        let retries = match by_receiver {
            // Such a socket says that it is ready, whoever is full.
            true => Patience::new(0, LONGEST_RETRY),
            false => Patience::new(FREE_TRIES, LONGEST_RETRY),
        };
        let endpoint = Rc::new(Self {
            machine: RefCell::new(DatagramMachine::new(limits, by_receiver)),
            socket,
            shared,
            protocol: ProtocolSlot::new(None),
            key: Cell::new(None),
            interest: Cell::new(Interest::NONE),
            stats: Cell::default(),
            burst: RefCell::new(Burst::new()),
            reading: Direct::new(Patience::new(FREE_TRIES, LONGEST_REST)),
            sending: Direct::new(retries),
            turn_queued: Cell::new(false),
            listed: Cell::new(false),
            thrown_away: Cell::new(false),
            opened: Cell::new(None),
            reason: Cell::new(None),
            linger: Cell::new(None),
            drained: RefCell::default(),
            closed: RefCell::default(),
            handle: RefCell::default(),
        });
        endpoint.shared.connection_began();
        let key = endpoint.event_loop().watch(endpoint.clone(), Interest::NONE)?;
        endpoint.key.set(Some(key));
        Ok(endpoint)
    }

    /// Gives it its protocol; `connection_made` comes in a turn of its own, then `opened` is done
    /// (N-34).
    pub(super) fn open(self: &Rc<Self>, protocol: Box<dyn DatagramProtocol>, opened: Opened) {
        self.protocol.fill(protocol);
        self.opened.set(Some(opened));
        self.queue_turn();
    }

    /// Ends an endpoint that never had a protocol.
    pub(super) fn discard(self: &Rc<Self>) {
        self.end(End::Orderly, None);
        self.settle(Turn::Own);
    }

    /// An owned handle for users.
    pub(super) fn handle(self: &Rc<Self>) -> Rc<dyn DatagramTransport> {
        let known = self.handle.borrow().upgrade();
        known.unwrap_or_else(|| {
            let handle = Rc::new(DatagramHandle::lent(self));
            *self.handle.borrow_mut() = Rc::downgrade(&handle);
            handle
        })
    }

    fn event_loop(&self) -> &dyn AbstractEventLoop {
        &**self.shared.event_loop()
    }

    pub(super) fn describe(&self) -> String {
        self.socket.describe()
    }

    pub(super) fn extra_info(self: &Rc<Self>) -> ExtraInfo {
        let owner: Weak<Self> = Rc::downgrade(self);
        ExtraInfo {
            peername: self.socket.peer().address().cloned(),
            sockname: self.socket.local_address(),
            socket: Some(SocketView::new(owner)),
            ..ExtraInfo::default()
        }
    }

    pub(super) fn stats(&self) -> DatagramStats {
        self.stats.get()
    }

    fn count(&self, change: impl FnOnce(&mut DatagramStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    /// Every change of the machine goes through here, so that all output is counted once.
    fn with_machine<R>(&self, change: impl FnOnce(&mut DatagramMachine) -> R) -> R {
        let mut machine = self.machine.borrow_mut();
        let before = machine.held();
        let result = change(&mut machine);
        self.shared.account(before, machine.held());
        result
    }

    /// Ends it now, dropping what is queued. The first end counts.
    fn end(&self, end: End, reason: Option<Exception>) {
        let Some(dropped) = self.with_machine(|machine| machine.abort(end)) else { return };
        let before = self.reason.replace(reason);
        drop(before);
        if dropped > 0 {
            self.count(|stats| stats.dropped += dropped as u64);
            self.thrown_away.set(true);
            self.fail_drained();
        }
        self.leave_list();
    }

    /// A turn of our own.
    fn turn(self: &Rc<Self>) {
        self.turn_queued.set(false);
        self.settle(Turn::Own);
    }

    /// Has [`turn`](Endpoint::turn) called in the next batch.
    fn queue_turn(self: &Rc<Self>) {
        if self.turn_queued.replace(true) {
            return;
        }
        let endpoint = self.clone();
        let queued = self.event_loop().schedule(Callback::new(move || endpoint.turn()));
        // A closed loop calls nothing: the callback is dropped, and with it this count (L-30).
        drop(queued);
    }

    /// Whether nothing is queued, owed, waited for, or left alone: so it is after nearly every turn.
    fn is_ordinary(&self) -> bool {
        self.machine.borrow().is_ordinary()
            && self.interest.get() == Interest::READ
            && !self.listed.get()
            && !self.socket.blocks_by_receiver()
            && self.drained.borrow().is_empty()
            && !self.reading.is_resting()
    }

    /// After anything that may have changed what is to be watched, called, or waited for. Not while
    /// the protocol runs: [`settle`](Endpoint::settle) follows that.
    fn follow_up(self: &Rc<Self>) {
        let (owed, draining, queued) = {
            let machine = self.machine.borrow();
            (machine.owed().is_some(), machine.is_draining(), !machine.is_queue_empty())
        };
        if owed || (!queued && !self.drained.borrow().is_empty()) {
            self.queue_turn();
        }
        if draining {
            self.limit_lingering();
        }
        self.enlist(queued);
        self.retry_later();
        self.watch();
    }

    /// Sets what the kernel watches, if that is a change.
    fn watch(self: &Rc<Self>) {
        let wanted = {
            let machine = self.machine.borrow();
            Interest {
                readable: machine.may_read() && !self.reading.is_resting(),
                writable: !machine.is_queue_empty()
                    && !self.socket.blocks_by_receiver()
                    && !self.sending.is_resting(),
            }
        };
        let Some(key) = self.key.get() else { return };
        if self.interest.get() == wanted {
            return;
        }
        match self.event_loop().set_interest(key, wanted) {
            Ok(()) => self.interest.set(wanted),
            Err(error) => {
                log::debug!(target: "tulipa", "{}: cannot be watched: {error}", self.describe());
                self.end(End::Failed, Some(error.into()));
                self.queue_turn();
            }
        }
    }

    /// Readiness led to nothing, and is still there: if that is so again and again, the socket is left
    /// alone for a while.
    fn led_to_nothing(self: &Rc<Self>, direction: Direction) {
        let direct = self.direct(direction);
        let rest = direct.patience.borrow_mut().fruitless();
        if let Some(rest) = rest {
            self.rest(direction, rest);
        }
    }

    fn rest(self: &Rc<Self>, direction: Direction, rest: Duration) {
        let direct = self.direct(direction);
        if direct.is_resting() {
            return;
        }
        let weak = Rc::downgrade(self);
        let timer = self.event_loop().call_later(rest, move || {
            if let Some(endpoint) = weak.upgrade() {
                endpoint.direct(direction).end_rest();
                if direction == Direction::Write {
                    endpoint.send_queued();
                }
                endpoint.settle(Turn::Other);
            }
        });
        direct.rest.set(Some(timer));
    }

    fn direct(&self, direction: Direction) -> &Direct {
        match direction {
            Direction::Read => &self.reading,
            Direction::Write => &self.sending,
        }
    }

    /// Enters or leaves the loop's list of those whose output waits.
    fn enlist(self: &Rc<Self>, queued: bool) {
        if !queued {
            self.leave_list();
        } else if !self.listed.replace(true) {
            let this: Weak<dyn Waiting> = Rc::<Self>::downgrade(self);
            self.shared.add_waiting(self.address(), this);
        }
    }

    fn leave_list(&self) {
        if self.listed.replace(false) {
            self.shared.remove_waiting(self.address());
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Leaves in the user's handle what it is to answer after the end.
    fn leave_word(self: &Rc<Self>) {
        let Some(handle) = self.handle.borrow().upgrade() else { return };
        let info = self.extra_info();
        handle.end(Ended {
            scheduler: self.event_loop().to_rc(),
            peername: info.peername,
            sockname: info.sockname,
            limits: self.machine.borrow().marks(),
            stats: Cell::new(self.stats.get()),
        });
    }
}

impl Source for Endpoint {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.descriptor()
    }

    fn ready(self: Rc<Self>, direction: Direction) -> Taken {
        match direction {
            Direction::Read => self.ready_to_read(),
            Direction::Write => self.ready_to_send(),
        }
        Taken::Unknown
    }

    fn loop_closed(self: Rc<Self>) {
        log::warn!(target: "tulipa", "{} was open when its event loop closed", self.describe());
        self.key.set(None);
        self.leave_word();
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        Endpoint::describe(self)
    }
}

impl Waiting for Endpoint {
    fn output_size(&self) -> usize {
        self.machine.borrow().held()
    }

    /// What is queued is dropped; the endpoint lives, as with any datagram that is lost.
    fn cut(self: Rc<Self>) {
        let message =
            "what all transports hold has reached the loop's budget, and this held the most";
        self.drop_queue(io::Error::new(io::ErrorKind::OutOfMemory, message));
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        for protocol in self.protocol.empty() {
            self.drop_protocol(protocol);
        }
        let held = self.machine.get_mut().held();
        self.shared.account(held, 0);
        self.leave_list();
        self.shared.connection_ended();
    }
}
