//! Sending: at once where nothing waits, else in order, within a budget per turn.

use super::{Endpoint, Turn};
use crate::datagram::machine::End;
use crate::datagram::socket::{Peer, is_same};
use crate::datagram::{DatagramError, DatagramOperation, SendRefusal, SendState};
use crate::loop_shared::add_waiting;
use crate::{Address, CapPolicy};
use eventloop::Direction;
use futures::{Future, SchedulerExt};
use rustix::io::Errno;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// So many queued datagrams are sent in one turn.
const SENDS_A_TURN: usize = 64;
/// So many errors of earlier datagrams may come in the way of one.
const EARLIER_ERRORS: usize = 8;

impl Endpoint {
    /// Every datagram comes through here: one place for limits and counts.
    pub(in crate::datagram) fn sendto(
        self: &Rc<Self>,
        data: &[u8],
        address: Option<&Address>,
    ) -> SendState {
        let state = match self.admit(address) {
            Ok(to) => self.send_or_queue(data, to),
            Err(refusal) => SendState::Dropped(refusal),
        };
        match state {
            SendState::Sent => self.count(|stats| stats.sent += 1),
            SendState::Queued { .. } => {}
            SendState::Dropped(refusal) => self.count_dropped(refusal),
        }
        self.requested();
        state
    }

    /// To whom the system is to send: `None` if it knows.
    fn admit<'a>(
        self: &'a Rc<Self>,
        address: Option<&'a Address>,
    ) -> Result<Option<&'a Address>, SendRefusal> {
        if self.is_closing() {
            return Err(SendRefusal::Closed);
        }
        match (self.socket.peer(), address) {
            (Peer::Any, None | Some(Address::Unnamed)) => Err(SendRefusal::AddressRequired),
            (Peer::Any, Some(address)) => Ok(Some(address)),
            (Peer::Connected(peer) | Peer::Fixed(peer), Some(address))
                if !is_same(peer, address) =>
            {
                Err(SendRefusal::NotThePeer)
            }
            (Peer::Connected(_), _) => Ok(None),
            (Peer::Fixed(peer), _) => Ok(Some(peer)),
        }
    }

    /// Sends several datagrams of `size` bytes in one call, if nothing waits before them and the system
    /// can do it. If not, none of them is sent.
    pub(in crate::datagram) fn send_train(
        self: &Rc<Self>,
        data: &[u8],
        size: NonZeroUsize,
        address: Option<&Address>,
    ) -> bool {
        let Ok(to) = self.admit(address) else { return false };
        if data.len() <= size.get() || self.machine.borrow().must_wait(to) {
            return false;
        }
        let sent = self.socket.send_segments(data, size, to);
        match &sent {
            Ok(()) => self.count(|stats| stats.sent += data.len().div_ceil(size.get()) as u64),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                if let Some(earlier) = self.whose_error(error) {
                    let error = io::Error::from(error.kind());
                    self.push_error(DatagramOperation::Receive, earlier, error);
                    self.requested();
                }
            }
        }
        sent.is_ok()
    }

    fn send_or_queue(self: &Rc<Self>, data: &[u8], to: Option<&Address>) -> SendState {
        if !self.machine.borrow().must_wait(to) {
            match self.try_to_send(data, to) {
                Ok(()) => return SendState::Sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    let kind = error.kind();
                    self.sending_failed(error, to);
                    return SendState::Dropped(SendRefusal::Failed(kind));
                }
            }
        }
        if let Err(refusal) = self.make_room() {
            return SendState::Dropped(refusal);
        }
        self.with_machine(|machine| machine.push(data, to));
        SendState::Queued { over_high_mark: self.machine.borrow().is_over_high_mark() }
    }

    /// Sends one datagram. The system reports what came back for an earlier one in place of sending
    /// this one; that is told, and this one tried again.
    fn try_to_send(&self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        for _ in 0..EARLIER_ERRORS {
            match self.socket.send(data, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => match self.whose_error(&error) {
                    None => return Err(error),
                    Some(earlier) => self.push_error(DatagramOperation::Receive, earlier, error),
                },
                Ok(()) => return Ok(()),
            }
        }
        self.socket.send(data, to)
    }

    /// Whom an error of sending concerns, if it is that of an earlier datagram.
    fn whose_error(&self, error: &io::Error) -> Option<Option<Address>> {
        if self.socket.is_unix() || error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) {
            return None;
        }
        match self.socket.take_queued_error() {
            Some(concerned) => Some(concerned.as_ip().map(Address::Ip)),
            // Nothing that is sent by UDP is refused at once.
            None if error.kind() == io::ErrorKind::ConnectionRefused => {
                Some(self.socket.peer().address().cloned())
            }
            None => None,
        }
    }

    /// Whether one more datagram may be queued; acts on the limits.
    fn make_room(self: &Rc<Self>) -> Result<(), SendRefusal> {
        if self.shared.is_over_budget() {
            self.shared.cut_largest();
        }
        if !self.machine.borrow().is_at_cap() {
            return Ok(());
        }
        let policy = self.machine.borrow().limits().cap.policy;
        match policy {
            CapPolicy::Refuse => {}
            CapPolicy::PauseReading => self.with_machine(|machine| machine.hold_back()),
            CapPolicy::Abort => self.end(End::Failed, Some(SendRefusal::OverCap.into())),
        }
        Err(SendRefusal::OverCap)
    }

    fn count_dropped(&self, refusal: SendRefusal) {
        self.count(|stats| stats.dropped += 1);
        if refusal == SendRefusal::Closed {
            warn_of_dropped(self.stats.get().dropped);
        }
    }

    /// The datagram is gone, the protocol is told, and the endpoint lives.
    fn sending_failed(&self, error: io::Error, to: Option<&Address>) {
        let address = to.or(self.socket.peer().address()).cloned();
        self.push_error(DatagramOperation::Send, address, error);
    }

    /// An error that the protocol is to be told.
    pub(super) fn push_error(
        &self,
        operation: DatagramOperation,
        address: Option<Address>,
        error: io::Error,
    ) {
        self.count(|stats| stats.errors += 1);
        log::debug!(target: "tulipa", "{}: {operation:?} failed: {error}", self.describe());
        let error = DatagramError::new(operation, address, error);
        // Beyond a burst they are counted only.
        let _ = self.with_machine(|machine| machine.push_error(error));
    }

    /// The system takes more again.
    pub(super) fn ready_to_send(self: &Rc<Self>) {
        self.send_queued();
        self.settle(Turn::Other);
    }

    /// Sends what is queued, as far as the system takes it and the budget goes.
    pub(super) fn send_queued(self: &Rc<Self>) {
        self.with_machine(|machine| machine.unblock());
        let mut moved = 0;
        while moved < SENDS_A_TURN {
            let outcome = {
                let machine = self.machine.borrow();
                let Some(next) = machine.next() else { break };
                self.socket.send(&next.data, next.to.as_ref())
            };
            match outcome {
                Ok(()) => {
                    moved += 1;
                    self.popped(None);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.with_machine(|machine| machine.block());
                }
                Err(error) => {
                    moved += 1;
                    match self.whose_error(&error) {
                        Some(whose) => self.push_error(DatagramOperation::Receive, whose, error),
                        None => self.popped(Some(error)),
                    }
                }
            }
        }
        if moved > 0 {
            self.sending.patience.borrow_mut().fruitful();
        } else if !self.machine.borrow().is_queue_empty()
            && !self.socket.blocks_by_receiver()
            && !self.take_queued_errors()
        {
            self.led_to_nothing(Direction::Write);
        }
    }

    /// The first of the queue is sent, or lost.
    fn popped(&self, failure: Option<io::Error>) {
        // Its error before it leaves: an endpoint that is closing ends with its last datagram.
        if let Some(error) = failure {
            let to = self.machine.borrow().next().and_then(|next| next.to.clone());
            self.count(|stats| stats.dropped += 1);
            self.sending_failed(error, to.as_ref());
        } else {
            self.count(|stats| stats.sent += 1);
        }
        let popped = self.with_machine(|machine| machine.pop());
        drop(popped);
    }

    /// Where readiness says nothing about the receivers, a timer has them tried again.
    pub(super) fn retry_later(self: &Rc<Self>) {
        if !self.socket.blocks_by_receiver() || self.sending.is_resting() {
            return;
        }
        let (empty, all_blocked) = {
            let machine = self.machine.borrow();
            (machine.is_queue_empty(), machine.next().is_none())
        };
        if empty {
            self.sending.patience.borrow_mut().fruitful();
        } else if all_blocked {
            self.led_to_nothing(Direction::Write);
        } else {
            // The budget of this turn is used up, and there is more.
            self.rest(Direction::Write, std::time::Duration::ZERO);
        }
    }

    /// Drops what is queued, for this reason.
    pub(super) fn drop_queue(self: &Rc<Self>, error: io::Error) {
        log::warn!(target: "tulipa", "{}: what was queued is dropped: {error}", self.describe());
        self.push_error(DatagramOperation::Send, None, error);
        let dropped = self.with_machine(|machine| machine.drop_queue());
        self.count(|stats| stats.dropped += dropped as u64);
        self.fail_drained();
        self.requested();
    }

    /// A future for the moment at which nothing is queued.
    pub(in crate::datagram) fn drained(self: &Rc<Self>) -> Future<()> {
        let future = self.event_loop().create_future();
        let (empty, over) = {
            let machine = self.machine.borrow();
            (machine.is_queue_empty(), machine.is_over())
        };
        // A new future is pending, so that setting it cannot fail.
        if over && self.thrown_away.get() {
            let _ = future.set_exception(dropped_before_sent());
        } else if empty {
            let _ = future.set_result(());
        } else {
            let given_up = add_waiting(&mut self.drained.borrow_mut(), &future);
            drop(given_up); // what they hold is the user's
        }
        future
    }

    pub(super) fn complete_drained(&self) {
        if !self.machine.borrow().is_queue_empty() {
            return;
        }
        for future in self.drained.take() {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
    }

    pub(super) fn fail_drained(&self) {
        for future in self.drained.take() {
            // One that was cancelled waits no more.
            let _ = future.set_exception(dropped_before_sent());
        }
    }
}

/// How many bytes one call may send as datagrams of `size` bytes: what one datagram may have, in at
/// most 64 pieces.
pub(in crate::datagram) fn longest_train(size: NonZeroUsize) -> usize {
    const MOST_BYTES: usize = 65_000;
    const MOST_SEGMENTS: usize = 64;
    size.get().saturating_mul((MOST_BYTES / size).clamp(1, MOST_SEGMENTS))
}

/// Somebody goes on sending on an endpoint that is closed.
pub(in crate::datagram) fn warn_of_dropped(count: u64) {
    if count == 5 {
        log::warn!(target: "tulipa", "an endpoint that is closed is still sent to: what it is given is dropped");
    }
}

fn dropped_before_sent() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "what was queued was dropped before it was sent")
}
