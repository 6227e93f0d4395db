//! Writing: collected, sent together, and only what is left over waits.

use super::{
    AWAITED, DIRTY, LIMITED, MEASURED, ORDINARY, RUNNING, StreamTransport, Turn, UPGRADED, WAITING,
};
use crate::backend::Backend;
use crate::loop_shared::{Waiting, add_waiting};
use crate::stream_machine::{End, Output};
use crate::{Bytes, CapPolicy, WriteRefusal, WriteState};
use futures::{Exception, Future, SchedulerExt, TimeoutError};
use std::io::{self, IoSlice};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The most parts that one call to the system takes (IOV_MAX).
const MOST_PARTS: usize = 1024;
/// So many parts are put together without an allocation.
const FEW_PARTS: usize = 8;
/// From this size on a buffer that the user gives away is kept instead of copied.
const WORTH_KEEPING: usize = 4096;
/// From this size on a write is sent at once: to copy it costs as much as the call that it would save.
const WORTH_A_CALL: usize = 16 * 1024;

impl<B: Backend> StreamTransport<B> {
    /// Nearly every way to write comes through here. Most writes are small, and no limit is near.
    #[inline(always)] // so that what has one part pays for one only
    pub(super) fn write_parts(self: &Rc<Self>, parts: &[&[u8]]) -> WriteState {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let shared = self.shared();
        let is_small = (1..WORTH_A_CALL).contains(&total) && !shared.is_over_budget();
        let is_alone = !B::IS_LAYER || self.backend.waiting_below() == 0;
        if is_small && is_alone && self.is(ORDINARY) {
            let mut machine = self.machine.borrow_mut();
            if let Some(output) = machine.room_for(total, || shared.take_output()) {
                shared.account(0, total);
                for part in parts {
                    output.push(part);
                }
                drop(machine);
                self.requested();
                return WriteState::Taken;
            }
        }
        self.write_with_care(parts, total)
    }

    /// As [`write_parts`](StreamTransport::write_parts), with all limits looked at, and acted upon.
    #[inline(never)]
    fn write_with_care(self: &Rc<Self>, parts: &[&[u8]], total: usize) -> WriteState {
        if let Err(refusal) = self.admit(total) {
            return WriteState::Refused(refusal);
        }
        let machine = self.machine.borrow();
        let passes = total > 0 && machine.passes_high_mark(total);
        let at_once = passes || total >= WORTH_A_CALL && machine.may_send_at_once();
        drop(machine);
        if at_once && !self.has_outgoing_descriptors() && !self.is(LIMITED) {
            self.send_through(parts, total);
        } else {
            self.with_machine(|machine| {
                for part in parts {
                    machine.push(part, || self.shared().take_output());
                }
            });
            if passes && self.is(LIMITED) {
                self.flush();
            }
        }
        self.requested();
        self.write_state()
    }

    /// As [`write_parts`](StreamTransport::write_parts), with a buffer that may be kept.
    pub(super) fn write_owned(self: &Rc<Self>, data: Vec<u8>) -> WriteState {
        let keeps = data.len() >= WORTH_KEEPING && self.machine.borrow().size() == 0;
        if !keeps {
            return self.write_parts(&[&data]);
        }
        if let Err(refusal) = self.admit(data.len()) {
            return WriteState::Refused(refusal);
        }
        self.with_machine(|machine| machine.push_vec(data, Box::default));
        if self.machine.borrow().is_over_high_mark() {
            self.flush();
        }
        self.requested();
        self.write_state()
    }

    pub(super) fn write_state(&self) -> WriteState {
        match self.machine.borrow().is_over_high_mark() {
            true => WriteState::OverHighMark,
            false => WriteState::Taken,
        }
    }

    /// Whether a write of `size` bytes is taken; acts on the limits.
    pub(super) fn admit(self: &Rc<Self>, size: usize) -> Result<(), WriteRefusal> {
        self.drop_called_off_file();
        // A layer has asked already, and must not be cut while it sends.
        if size > 0 && !self.is(UPGRADED) && self.shared().is_over_budget() {
            self.shared().cut_largest();
        }
        if self.machine.borrow().is_at_cap() {
            self.flush(); // what was only collected does not count against it
            self.requested();
        }
        let refusal = match self.with_machine(|machine| machine.admit()) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        match refusal {
            WriteRefusal::AfterEof
            | WriteRefusal::ReadOnly
            | WriteRefusal::SendingFile
            | WriteRefusal::NotALine => {}
            WriteRefusal::Closed | WriteRefusal::Upgraded => self.count_dropped_write(),
            WriteRefusal::OverCap => {
                let policy = self.machine.borrow().limits().cap.policy;
                if policy == CapPolicy::Abort {
                    self.end(End::Failed, Some(refusal.into()));
                }
                self.requested();
            }
        }
        Err(refusal)
    }

    fn count_dropped_write(&self) {
        let count = self.rare(|rare| {
            rare.dropped_writes += 1;
            rare.dropped_writes
        });
        // While the rest is salvaged the protocol does not know yet, and is not to blame.
        if !self.machine.borrow().is_salvaging() {
            warn_of_dropped_writes(count);
        }
    }

    /// Sends what waits and `parts` in one call; only what is left over is copied.
    fn send_through(self: &Rc<Self>, parts: &[&[u8]], total: usize) {
        let (waiting, outcome) = {
            let machine = self.machine.borrow();
            let waiting = machine.unsent();
            let first = (!waiting.is_empty()).then_some(&waiting);
            let all = first.into_iter().chain(parts).take(MOST_PARTS);
            let outcome = if parts.len() < FEW_PARTS {
                let mut slices = [IoSlice::new(&[]); FEW_PARTS];
                let count = all.zip(&mut slices).fold(0, |count, (part, slot)| {
                    *slot = IoSlice::new(part);
                    count + 1
                });
                self.backend.send_vectored(&slices[..count])
            } else {
                let slices: Vec<IoSlice<'_>> = all.map(|part| IoSlice::new(part)).collect();
                self.backend.send_vectored(&slices)
            };
            (waiting.len(), outcome)
        };
        let sent = match outcome {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.with_machine(|machine| machine.block());
                0
            }
            Err(error) => return self.sending_failed(error),
        };
        let whole = parts.len() < MOST_PARTS;
        let spare = self.with_machine(|machine| {
            machine.sent(sent.min(waiting));
            let mut skip = sent.saturating_sub(waiting);
            for part in parts {
                let skipped = skip.min(part.len());
                skip -= skipped;
                if skipped < part.len() {
                    machine.push(&part[skipped..], || self.shared().take_output());
                }
            }
            if whole && sent < waiting + total {
                machine.block();
            }
            machine.after_sending()
        });
        self.after_sending(spare);
    }

    /// Sends what an [ordinary](StreamTransport::is_ordinary) connection has collected. Says whether all is
    /// gone: then nothing else is to be done.
    #[inline(always)] // into what reads; `settle` and `flush_now` have their copies
    pub(super) fn send_collected(self: &Rc<Self>) -> bool {
        let Some(output) = self.machine.borrow_mut().take_collected() else { return true };
        let unsent = output.unsent();
        let size = unsent.len();
        match self.backend.send(unsent) {
            Ok(sent) if sent == size => {
                let shared = self.shared();
                shared.account(size, 0);
                shared.give_back_output(output);
                true
            }
            outcome => {
                self.was_not_all_sent(output, outcome);
                false
            }
        }
    }

    /// What was collected was not sent as a whole: it waits.
    #[cold]
    fn was_not_all_sent(self: &Rc<Self>, output: Box<Output>, outcome: io::Result<usize>) {
        let size = output.len();
        self.machine.borrow_mut().put_back(output);
        self.was_tried(size, outcome);
    }

    /// Sends what waits, as far as the system takes it.
    pub(super) fn send_output(self: &Rc<Self>) {
        loop {
            let size = self.machine.borrow().sendable();
            if size == 0 {
                return;
            }
            let most = self.most_to_send(size);
            if most == 0 {
                return self.output_waits();
            }
            let (tried, outcome) = self.send_front(&self.machine.borrow().unsent()[..most]);
            self.was_tried(tried, outcome);
        }
    }

    /// The system was given so much to send: this is what it said.
    fn was_tried(self: &Rc<Self>, tried: usize, outcome: io::Result<usize>) {
        let sent = match outcome {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return self.sending_failed(error),
        };
        self.was_sent(sent);
        let spare = self.with_machine(|machine| {
            machine.sent(sent);
            if sent < tried {
                machine.block();
            }
            machine.after_sending()
        });
        self.after_sending(spare);
    }

    /// It may not send more now.
    #[cold]
    fn output_waits(self: &Rc<Self>) {
        self.with_machine(|machine| machine.output_waits());
        self.review_waiting();
    }

    /// Sends what waits, as far as the system takes it, then shuts our direction if that is due.
    pub(super) fn flush(self: &Rc<Self>) {
        self.send_output();
        if self.machine.borrow().may_send_file() {
            self.send_file_part();
        }
        if self.machine.borrow().may_shut() {
            match self.backend.shutdown_write() {
                Ok(()) => self.with_machine(|machine| machine.shut()),
                Err(error) => self.sending_failed(error),
            }
        }
        self.with_machine(|machine| machine.finish_draining());
        if B::IS_LAYER && self.machine.borrow().may_say_goodbye() {
            self.with_machine(|machine| machine.goodbye_said());
            B::say_goodbye(self);
        }
    }

    fn after_sending(self: &Rc<Self>, spare: Option<Box<Output>>) {
        self.give_back(spare);
        self.review_waiting();
    }

    #[inline]
    fn give_back(&self, spare: Option<Box<Output>>) {
        if let Some(output) = spare {
            self.shared().give_back_output(output);
        }
    }

    /// Stands in the loop's list for as long as something of ours waits, be it of a file.
    pub(super) fn review_waiting(self: &Rc<Self>) {
        let waits = {
            let machine = self.machine.borrow();
            machine.size() > 0 || machine.has_file() && self.accounted_of_file() > 0
        };
        match (waits, self.is(WAITING)) {
            (true, false) => self.begin_waiting(),
            (false, true) => self.leave_waiting(),
            (true, true) | (false, false) => {}
        }
    }

    #[cold]
    fn begin_waiting(self: &Rc<Self>) {
        self.set(WAITING, true);
        let this: Weak<dyn Waiting> = Rc::<Self>::downgrade(self);
        self.shared().add_waiting(self.address(), this);
    }

    #[cold]
    pub(super) fn leave_waiting(&self) {
        if self.is(WAITING) {
            self.set(WAITING, false);
            self.shared().remove_waiting(self.address());
        }
    }

    /// The system's own errors are told to the protocol, and not reported. What was received
    /// before is delivered first.
    #[cold]
    pub(super) fn sending_failed(self: &Rc<Self>, error: io::Error) {
        log::debug!(target: "tulipa", "{}: sending failed: {error}", self.backend.describe());
        let reason = Exception::from(error);
        let decides = self.with_machine(|machine| machine.fail_sending());
        self.fail_file(Some(&reason));
        if decides {
            self.rare(|rare| rare.reason = Some(reason));
        }
        self.drop_outgoing_descriptors();
        self.leave_waiting();
        self.fail_drained();
    }

    /// The system takes more again, or a connect has ended.
    #[inline(never)]
    pub(crate) fn ready_to_write(self: &Rc<Self>) {
        if let Some(on_connect) = self.if_rare(|rare| rare.connecting.take()) {
            self.watch(eventloop::Interest::NONE);
            return on_connect(self);
        }
        self.with_machine(|machine| machine.unblock());
        self.settle(Turn::WriteReady);
    }

    /// The loop is about to wait: what was written from outside leaves. No user code runs here.
    pub(crate) fn flush_now(self: &Rc<Self>) {
        self.set(DIRTY, false);
        if self.is(RUNNING) {
            return; // it is sent when the method returns
        }
        if self.is_ordinary() && self.send_collected() {
            return;
        }
        self.flush();
        self.follow_up();
        let waits = self.if_rare(|rare| (!rare.drained.is_empty()).then_some(())).is_some();
        if waits && self.output_bytes() == Bytes(0) {
            self.queue_turn();
        }
    }

    /// After a request from the user: what it causes is delivered when the protocol's method that is
    /// running returns, else in a turn of its own; what it wrote leaves before the loop waits.
    #[inline]
    pub(super) fn requested(self: &Rc<Self>) {
        if !self.is(RUNNING) {
            self.requested_from_outside();
        }
    }

    #[inline(never)]
    fn requested_from_outside(self: &Rc<Self>) {
        let dirty = self.machine.borrow().wants_flush();
        if dirty && !self.is(DIRTY) {
            self.set(DIRTY, true);
            B::flush_later(self);
        }
        if self.is_ordinary() {
            return;
        }
        if self.is(MEASURED) && self.machine.borrow().is_made() {
            self.queue_turn();
        }
        self.follow_up();
    }

    /// A close may take only so long, and the time that a bandwidth takes.
    pub(super) fn limit_lingering(self: &Rc<Self>) {
        let Some(limit) = self.machine.borrow().limits().linger else { return };
        if self.rare(|rare| rare.linger.is_some()) {
            return;
        }
        self.count_time_held();
        self.linger_for(limit);
    }

    fn linger_for(self: &Rc<Self>, time: Duration) {
        let connection = Rc::downgrade(self);
        let timer = self.event_loop().call_later(time, move || {
            if let Some(connection) = connection.upgrade() {
                let held = connection.take_time_held();
                if !held.is_zero() {
                    return connection.linger_for(held);
                }
                let error = TimeoutError::new("sending the rest after close");
                connection.end(End::Failed, Some(error.into()));
                connection.requested();
            }
        });
        self.rare(|rare| rare.linger = Some(timer));
    }

    /// A future for the moment at which nothing waits.
    pub(super) fn drained(self: &Rc<Self>) -> Future<()> {
        let future = self.event_loop().create_future();
        let (size, broken) = {
            let machine = self.machine.borrow();
            (machine.size(), machine.is_broken())
        };
        let size = size + self.backend.waiting_below();
        let gone = broken || self.if_rare(|rare| rare.thrown_away.then_some(())).is_some();
        // A new future is pending, so that setting it cannot fail.
        if gone {
            let _ = future.set_exception(lost_before_sent());
        } else if size == 0 {
            let _ = future.set_result(());
        } else {
            let given_up = self.rare(|rare| add_waiting(&mut rare.drained, &future));
            self.set(AWAITED, true);
            drop(given_up); // what they hold is the user's
            B::followed_up(self);
        }
        future
    }

    /// Tells those who wait that all is sent, and what became of a file.
    pub(super) fn complete_awaited(&self) {
        if self.is(AWAITED) {
            self.set(AWAITED, false);
            self.complete_drained();
            self.complete_files();
        }
    }

    fn complete_drained(&self) {
        if self.output_bytes() > Bytes(0) {
            return self.set(AWAITED, true);
        }
        let waiting = self.if_rare(|rare| Some(std::mem::take(&mut rare.drained)));
        for future in waiting.into_iter().flatten() {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
    }

    pub(super) fn fail_drained(&self) {
        let waiting = self.if_rare(|rare| Some(std::mem::take(&mut rare.drained)));
        for future in waiting.into_iter().flatten() {
            // One that was cancelled waits no more.
            let _ = future.set_exception(lost_before_sent());
        }
    }
}

/// Somebody goes on writing to a transport that is closed.
pub(super) fn warn_of_dropped_writes(count: u64) {
    if count == 5 {
        log::warn!(target: "tulipa", "a transport that is closed is still written to: what it is given is dropped");
    }
}

fn lost_before_sent() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection ended before all was sent")
}
