//! Calling the protocol: one method at a time, nothing borrowed, panics kept in their place.

use super::{Endpoint, Turn};
use crate::ProtocolUnavailable;
use crate::datagram::handle::DatagramHandle;
use crate::datagram::machine::{Call, End, Owed};
use crate::datagram::{DatagramProtocol, DatagramTransport};
use futures::{Exception, ExceptionContext, catch};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// So many calls that are owed are made in one turn. One that sends again whenever it hears of an error
/// is owed the next at once, for ever.
const CALLS_A_TURN: usize = 64;

impl Endpoint {
    /// After something has happened: makes the calls that are owed, and sees to what follows from them.
    pub(super) fn settle(self: &Rc<Self>, turn: Turn) {
        if self.is_ordinary() {
            return;
        }
        self.make_owed_calls(turn);
        self.complete_drained();
        self.follow_up();
    }

    /// Makes the calls that are owed, until there are no more, or the others have to get their turn
    /// . The end is told in a turn in which nothing else was (P-16).
    #[inline]
    pub(super) fn make_owed_calls(self: &Rc<Self>, turn: Turn) {
        let ordinary = self.machine.borrow().is_ordinary();
        if !ordinary {
            self.make_all_owed_calls(turn);
        }
    }

    #[inline(never)]
    fn make_all_owed_calls(self: &Rc<Self>, turn: Turn) {
        let mut may_end = turn == Turn::Own;
        for _ in 0..CALLS_A_TURN {
            let owed = self.machine.borrow().owed();
            match owed {
                None => break,
                Some(Owed::End) if !may_end => break,
                Some(Owed::ConnectionMade) if turn == Turn::Other => break, // its turn is queued
                Some(Owed::ConnectionMade) if self.was_called_off() => {
                    self.end(End::Orderly, None);
                    continue;
                }
                Some(_) => self.call_next(),
            }
            may_end = false;
        }
    }

    /// Whether whoever asked for the endpoint does not want it any more (N-12).
    fn was_called_off(&self) -> bool {
        let opened = self.opened.take();
        let called_off = opened.as_ref().is_some_and(|opened| opened.cancelled());
        self.opened.set(opened);
        called_off
    }

    fn call_next(self: &Rc<Self>) {
        let call = self.with_machine(|machine| machine.next_call());
        match call {
            None => {}
            Some(Call::ConnectionMade) => {
                let made = self.run("connection_made", |p, transport| p.connection_made(transport));
                self.report_opened(made.is_some());
            }
            Some(Call::ErrorReceived(error)) => {
                self.run("error_received", |p, transport| p.error_received(transport, error));
            }
            Some(Call::PauseWriting) => {
                self.run("pause_writing", |p, transport| p.pause_writing(transport));
            }
            Some(Call::ResumeWriting) => {
                self.run("resume_writing", |p, transport| p.resume_writing(transport));
            }
            Some(Call::ConnectionLost(end)) => self.lose(end, true),
            Some(Call::Vanished(end)) => self.lose(end, false),
        }
    }

    /// Completes the creator's future after `connection_made` (N-34).
    fn report_opened(self: &Rc<Self>, made: bool) {
        let Some(opened) = self.opened.take() else { return };
        let delivered = if made {
            opened.set_result(self.handle())
        } else {
            let reason = self.reason.take();
            self.reason.set(reason.clone());
            opened.set_exception(reason.unwrap_or_else(closed_too_early))
        };
        if delivered.is_err() {
            // Called off from inside connection_made: then connection_lost follows (N-12).
            self.end(End::Orderly, None);
        }
    }

    /// Runs one method of the protocol; `None` if it panicked, or if there is no protocol.
    pub(super) fn run<R>(
        self: &Rc<Self>,
        method: &'static str,
        function: impl FnOnce(&mut dyn DatagramProtocol, &dyn DatagramTransport) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.lend().ok()?;
        let transport = DatagramHandle::lent(self);
        let outcome = catch(|| function(&mut *protocol, &transport));
        let outcome = outcome.map_err(|exception| (exception, protocol.type_name()));
        self.put_back(protocol);
        match outcome {
            Ok(value) => Some(value),
            Err((exception, protocol)) => {
                self.report(&format!("protocol.{method}() panicked"), &exception, protocol);
                self.end(End::Failed, Some(exception));
                None
            }
        }
    }

    /// Runs `function` with the protocol for somebody outside of it.
    pub(in crate::datagram) fn run_for_user(
        self: &Rc<Self>,
        function: &mut dyn FnMut(&mut dyn DatagramProtocol, &dyn DatagramTransport),
    ) -> Result<(), ProtocolUnavailable> {
        let mut protocol = self.protocol.lend()?;
        let transport = DatagramHandle::lent(self);
        // The panic is the caller's own, and goes on to them once all is in its place again.
        let outcome = catch_unwind(AssertUnwindSafe(|| function(&mut *protocol, &transport)));
        self.put_back(protocol);
        self.settle(Turn::Other);
        outcome.map_err(|payload| resume_unwind(payload))
    }

    /// The method has returned: the protocol goes back into its slot, or its successor does (P-21).
    fn put_back(&self, protocol: Box<dyn DatagramProtocol>) {
        if let Some(before) = self.protocol.put_back(protocol) {
            self.with_machine(|machine| machine.protocol_replaced());
            self.drop_protocol(before);
        }
    }

    pub(in crate::datagram) fn replace_protocol(
        self: &Rc<Self>,
        protocol: Box<dyn DatagramProtocol>,
    ) {
        let before = if self.machine.borrow().is_lost() {
            Some(protocol) // nobody will call it any more
        } else {
            if !self.protocol.is_running() {
                self.with_machine(|machine| machine.protocol_replaced());
            }
            self.protocol.replace(protocol)
        };
        self.requested();
        if let Some(before) = before {
            self.drop_protocol(before);
        }
    }

    /// Drops a protocol, whose destructor is user code too.
    pub(super) fn drop_protocol(&self, protocol: Box<dyn DatagramProtocol>) {
        let name = protocol.type_name();
        if let Err(exception) = catch(move || drop(protocol)) {
            self.report("the protocol's destructor panicked", &exception, name);
        }
    }

    /// The end: nothing is watched any more, the protocol is told, and everything is let go. Whatever
    /// the protocol does about it, the rest happens (P-17).
    fn lose(self: &Rc<Self>, end: End, made: bool) {
        let reason = self.reason.take();
        let reason = match end {
            End::Orderly => None,
            End::Failed => Some(reason.unwrap_or_else(closed_too_early)),
        };
        if let Some(timer) = self.linger.take() {
            timer.cancel();
        }
        self.reading.end_rest();
        self.sending.end_rest();
        self.leave_list();
        if let Some(key) = self.key.take() {
            // The caller holds a count of its own, so this is not the last one.
            drop(self.event_loop().unwatch(key));
        }
        if made {
            self.run("connection_lost", |p, transport| {
                p.connection_lost(transport, reason.clone())
            });
        }
        if let Some(opened) = self.opened.take() {
            // If it was called off, nobody waits for this.
            let _ = opened.set_exception(reason.unwrap_or_else(closed_too_early));
        }
        for protocol in self.protocol.empty() {
            self.drop_protocol(protocol);
        }
        self.leave_word();
        self.complete_closed();
    }

    /// Tells the exception handler what the protocol did (P-14).
    fn report(&self, message: &str, exception: &Exception, protocol: &'static str) {
        let mut context = ExceptionContext::with_exception(message.to_owned(), exception.clone());
        context.protocol = Some(protocol);
        context.transport = Some(self.describe());
        self.event_loop().call_exception_handler(context);
    }
}

fn closed_too_early() -> Exception {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the endpoint was closed").into()
}
