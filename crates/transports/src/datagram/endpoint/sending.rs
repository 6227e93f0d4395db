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
        // Why not will be seen when they are sent one by one.
        let sent = self.try_to_send(|| self.socket.send_segments(data, size, to)).is_ok();
        if sent {
            self.count(|stats| stats.sent += data.len().div_ceil(size.get()) as u64);
        }
        self.requested();
        sent
    }

    fn send_or_queue(self: &Rc<Self>, data: &[u8], to: Option<&Address>) -> SendState {
        if !self.machine.borrow().must_wait(to) {
            match self.try_to_send(|| self.socket.send(data, to)) {
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
        self.enlist(true); // at once: others may reach the loop's budget before this turn ends
        SendState::Queued { over_high_mark: self.machine.borrow().is_over_high_mark() }
    }

    /// Has `send` send. The system reports what came back for an earlier datagram in place of sending
    /// this one; that is told, and this one tried again. What comes back is this one's own.
    fn try_to_send(&self, send: impl Fn() -> io::Result<()>) -> io::Result<()> {
        // It may be that of an earlier one: then it does not come again.
        let mut suspect: Option<io::Error> = None;
        for _ in 0..EARLIER_ERRORS {
            let outcome = send();
            let error = match outcome {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => error,
                sent_or_blocked => {
                    suspect.into_iter().for_each(|earlier| self.tell_earlier(None, earlier));
                    return sent_or_blocked;
                }
            };
            let Some(own) = self.own_error(error) else { continue };
            match suspect.take() {
                Some(before) if before.raw_os_error() == own.raw_os_error() => return Err(own),
                Some(earlier) => self.tell_earlier(None, earlier),
                None => {}
            }
            if !self.may_be_of_the_network(&own) {
                return Err(own);
            }
            suspect = Some(own);
        }
        send()
    }

    /// Tells what is known to be of earlier datagrams; gives back an error that may be this one's own.
    fn own_error(&self, error: io::Error) -> Option<io::Error> {
        if self.socket.is_unix() || error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) {
            return Some(error);
        }
        // Nothing that is sent by UDP is refused at once.
        let is_refusal = error.kind() == io::ErrorKind::ConnectionRefused;
        if let Some(pending) = self.socket.take_error() {
            // What came back still waits to be told, so `error` is something else.
            let concerned = self.socket.take_queued_error();
            self.tell_earlier(concerned, pending);
            if !is_refusal {
                return Some(error);
            }
        }
        let concerned = self.socket.take_queued_error();
        if concerned.is_none() && !is_refusal {
            return Some(error);
        }
        self.tell_earlier(concerned, error);
        None
    }

    /// Whether the network may have answered with `error`: only to a socket with a peer, unless errors
    /// are queued as well.
    fn may_be_of_the_network(&self, error: &io::Error) -> bool {
        let answers = [
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::HOSTDOWN,
            Errno::NOPROTOOPT,
            Errno::ACCESS,
            Errno::PROTO,
        ];
        matches!(self.socket.peer(), Peer::Connected(_))
            && !self.socket.is_unix()
            && answers.iter().any(|answer| error.raw_os_error() == Some(answer.raw_os_error()))
    }

    /// An error that came back for a datagram that was sent before; the queue of errors says for
    /// which, if there is one.
    pub(super) fn tell_earlier(&self, concerned: Option<Address>, error: io::Error) {
        let concerned = concerned.filter(|address| address.as_ip().is_some());
        let address = concerned.or_else(|| self.socket.peer().address().cloned());
        self.push_error(DatagramOperation::Receive, address, error);
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
            if self.machine.borrow().next().is_none() {
                break;
            }
            let outcome = self.try_to_send(|| {
                let machine = self.machine.borrow();
                machine.next().map_or(Ok(()), |it| self.socket.send(&it.data, it.to.as_ref()))
            });
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.with_machine(|machine| machine.block());
                }
                sent_or_failed => {
                    moved += 1;
                    self.popped(sent_or_failed.err());
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
