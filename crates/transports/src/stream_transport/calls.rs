//! Calling the protocol: one method at a time, nothing borrowed, panics kept in their place.

use super::{
    MEASURED, RESUMED, RETURN_NOTED, RUNNING, SHUTDOWN_OWED, StreamHandle, StreamTransport, Turn,
};
use crate::backend::Backend;
use crate::stream_machine::{Call, End};
use crate::{Eof, Protocol, ProtocolUnavailable, Transport};
use futures::{Exception, ExceptionContext, catch};
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

impl<B: Backend> StreamTransport<B> {
    /// Sends what was written and makes the calls that are owed, until there are no more. The end is
    /// told in a turn in which nothing else was, or in that of a write-ready event (P-16).
    #[inline(never)] // it is done inline where requests are read
    pub(super) fn settle(self: &Rc<Self>, turn: Turn) {
        let at_rest = self.is_ordinary() && self.send_collected();
        if !at_rest {
            self.settle_all(turn);
        }
    }

    #[inline(never)]
    pub(super) fn settle_all(self: &Rc<Self>, turn: Turn) {
        let mut may_end = turn != Turn::Other;
        loop {
            self.flush();
            let owed = self.machine.borrow().owed_call();
            match owed {
                None if self.is(SHUTDOWN_OWED) => self.request_shutdown(),
                None => break,
                Some(Call::ConnectionLost(_) | Call::Vanished(_)) if !may_end => break,
                Some(Call::ConnectionMade) if turn == Turn::Other => break, // its turn is queued
                Some(Call::ConnectionMade) if self.was_called_off() => {
                    self.end(End::Orderly, None);
                    continue;
                }
                Some(_) => self.call_next(),
            }
            may_end &= turn == Turn::WriteReady;
        }
        if self.is(MEASURED) {
            self.review_memory();
        }
        self.complete_awaited();
        self.follow_up();
    }

    /// Whether whoever asked for the connection does not want it any more (N-12).
    fn was_called_off(&self) -> bool {
        self.if_rare(|rare| rare.opened.as_ref().map(|opened| opened.cancelled())) == Some(true)
    }

    fn call_next(self: &Rc<Self>) {
        let call = self.with_machine(|machine| machine.next_call());
        match call {
            None => {}
            Some(Call::ConnectionMade) => {
                let made = match self.is(RESUMED) {
                    false => {
                        self.run("connection_made", |p, transport| p.connection_made(transport))
                    }
                    true => {
                        // Less may wait below than when it was told to pause.
                        self.with_machine(|machine| machine.review_flow());
                        self.run("handshake_completed", |p, transport| {
                            p.handshake_completed(transport);
                        })
                    }
                };
                self.report_opened(made.is_some());
            }
            Some(Call::PauseWriting) => {
                self.run("pause_writing", |p, transport| p.pause_writing(transport));
            }
            Some(Call::ResumeWriting) => {
                self.run("resume_writing", |p, transport| p.resume_writing(transport));
            }
            Some(Call::EofReceived) => {
                if let Some(answer) =
                    self.run("eof_received", |p, transport| p.eof_received(transport))
                {
                    let answer = self.possible(answer);
                    self.with_machine(|machine| machine.eof_answered(answer));
                }
            }
            Some(Call::ConnectionLost(end)) => self.lose(end, true),
            Some(Call::Vanished(end)) => self.lose(end, false),
        }
    }

    /// A stream that cannot end one direction alone is closed at the peer's end (P-12).
    fn possible(&self, answer: Eof) -> Eof {
        if B::IS_LAYER && answer == Eof::KeepOpen && !self.backend.can_write_eof() {
            log::warn!(
                target: "tulipa",
                "{}: it cannot be kept open after the peer's end, and closes",
                self.backend.describe()
            );
            return Eof::Close;
        }
        answer
    }

    /// Asks the protocol to come to an end, in a turn of its own.
    pub(crate) fn shut_down_soon(self: &Rc<Self>) {
        self.set(SHUTDOWN_OWED, true);
        self.queue_turn();
    }

    fn request_shutdown(self: &Rc<Self>) {
        self.set(SHUTDOWN_OWED, false);
        if self.machine.borrow().is_closing() {
            return;
        }
        self.run("shutdown_requested", |p, transport| p.shutdown_requested(transport));
    }

    /// Completes the creator's future after `connection_made` (N-6).
    fn report_opened(self: &Rc<Self>, made: bool) {
        let Some(opened) = self.if_rare(|rare| rare.opened.take()) else { return };
        let delivered = if made {
            opened.set_result(self.dressed_handle())
        } else {
            let reason = self.if_rare(|rare| rare.reason.clone());
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
        function: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> R,
    ) -> Option<R> {
        self.run_named(&Cell::new(method), function)
    }

    /// As [`run`](StreamTransport::run), for several methods in a row: `method` says which one runs.
    pub(super) fn run_named<R>(
        self: &Rc<Self>,
        method: &Cell<&'static str>,
        function: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.take()?;
        self.set(RUNNING, true);
        let transport = StreamHandle::lent(self);
        let began = self.call_begins();
        let outcome = catch(|| function(&mut *protocol, &transport));
        let times = began.map(|began| (began, self.event_loop().time()));
        let value = self.returned(method.get(), protocol, outcome);
        if let Some((began, ended)) = times {
            self.call_ended(method.get(), began, ended);
        }
        value
    }

    /// A method has returned, or panicked: the protocol goes back.
    #[inline]
    pub(super) fn returned<R>(
        self: &Rc<Self>,
        method: &'static str,
        protocol: Box<dyn Protocol>,
        outcome: Result<R, Exception>,
    ) -> Option<R> {
        match outcome {
            Ok(value) => {
                self.put_back(protocol);
                Some(value)
            }
            Err(panic) => {
                self.method_panicked(method, panic, protocol);
                None
            }
        }
    }

    #[cold]
    fn method_panicked(
        self: &Rc<Self>,
        method: &str,
        panic: Exception,
        protocol: Box<dyn Protocol>,
    ) {
        let name = protocol.type_name();
        self.put_back(protocol);
        self.report(&format!("protocol.{method}() panicked"), &panic, name);
        self.end(End::Failed, Some(panic));
    }

    /// Runs `function` with the protocol for somebody outside of it.
    pub(super) fn run_for_user(
        self: &Rc<Self>,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) -> Result<(), ProtocolUnavailable> {
        let Some(mut protocol) = self.protocol.take() else {
            return Err(match self.is(RUNNING) {
                true => ProtocolUnavailable::Running,
                false => ProtocolUnavailable::Gone,
            });
        };
        self.set(RUNNING, true);
        let transport = StreamHandle::lent(self);
        // The panic is the caller's own, and goes on to them once all is in its place again.
        let began = self.call_begins();
        let outcome = catch_unwind(AssertUnwindSafe(|| function(&mut *protocol, &transport)));
        let times = began.map(|began| (began, self.event_loop().time()));
        self.put_back(protocol);
        if let Some((began, ended)) = times {
            self.call_ended("with_protocol", began, ended);
        }
        self.settle(Turn::Other);
        outcome.map_err(|payload| resume_unwind(payload))
    }

    /// The method has returned: the protocol goes back into its slot, or its successor does (P-21).
    #[inline]
    fn put_back(self: &Rc<Self>, protocol: Box<dyn Protocol>) {
        self.set(RUNNING, false);
        match self.is(RETURN_NOTED) {
            false => self.put(protocol),
            true => self.method_returned(protocol),
        }
    }

    /// Puts it into its slot, which is empty.
    #[inline]
    pub(super) fn put(&self, protocol: Box<dyn Protocol>) {
        if let Some(before) = self.protocol.replace(Some(protocol)) {
            self.drop_protocol(before); // so that nothing is dropped in passing, which takes longer
        }
    }

    #[cold]
    fn method_returned(self: &Rc<Self>, protocol: Box<dyn Protocol>) {
        self.set(RETURN_NOTED, false);
        let successor = self.if_rare(|rare| {
            if let Some(unread) = &mut rare.unread {
                unread.method_returned();
            }
            rare.successor.take()
        });
        match successor {
            None => self.protocol.set(Some(protocol)),
            Some(mut successor) => {
                let left = successor.take_over(protocol);
                self.protocol.set(Some(successor));
                self.with_machine(|machine| machine.protocol_replaced());
                if let Some(protocol) = left {
                    self.drop_protocol(protocol);
                }
            }
        }
    }

    pub(crate) fn replace_protocol(self: &Rc<Self>, mut protocol: Box<dyn Protocol>) {
        let before = if self.machine.borrow().is_lost() {
            Some(protocol) // nobody will call it any more
        } else if self.is(RUNNING) {
            let before = self.if_rare(|rare| rare.successor.take());
            let left = before.and_then(|before| protocol.take_over(before));
            self.rare(|rare| rare.successor = Some(protocol));
            self.set(RETURN_NOTED, true);
            left
        } else {
            self.with_machine(|machine| machine.protocol_replaced());
            let before = self.protocol.take();
            let left = before.and_then(|before| protocol.take_over(before));
            self.protocol.set(Some(protocol));
            left
        };
        self.requested();
        if let Some(before) = before {
            self.drop_protocol(before);
        }
    }

    /// Drops a protocol, whose destructor is user code too.
    pub(super) fn drop_protocol(&self, protocol: Box<dyn Protocol>) {
        let name = protocol.type_name();
        if let Err(exception) = catch(move || drop(protocol)) {
            self.report("the protocol's destructor panicked", &exception, name);
        }
    }

    /// The end: nothing is watched any more, the protocol is told, and everything is let go. Whatever
    /// the protocol does about it, the rest happens (P-17, N-33).
    fn lose(self: &Rc<Self>, end: End, made: bool) {
        let reason = self.if_rare(|rare| rare.reason.take());
        let reason = match end {
            End::Orderly => None,
            End::Failed => Some(reason.unwrap_or_else(closed_too_early)),
        };
        if let Some(timer) = self.if_rare(|rare| rare.linger.take()) {
            timer.cancel();
        }
        self.stop_watching_budget();
        self.stop_limiting();
        self.leave_waiting();
        let upper = self.upper(); // our protocol owns it
        let all_read = self.machine.borrow().peer_has_ended();
        if end == End::Orderly && !all_read && self.backend.may_discard_input() {
            self.discard_input();
        }
        B::detach(self);
        if made || self.is(RESUMED) {
            self.run("connection_lost", |p, transport| {
                p.connection_lost(transport, reason.clone())
            });
        }
        self.drop_descriptors();
        self.drop_unread();
        if let Some(opened) = self.if_rare(|rare| rare.opened.take()) {
            // If it was called off, nobody waits for this.
            let _ = opened.set_exception(reason.clone().unwrap_or_else(closed_too_early));
        }
        if let Some(protocol) = self.protocol.take() {
            self.drop_protocol(protocol);
        }
        self.leave_word(self.told_reason(upper, reason));
        if let Some(server) = &self.owner.server
            && !B::IS_LAYER
        {
            server.connection_ended(self.index());
        }
        if self.is(super::COUNTED) {
            self.set(super::COUNTED, false);
            self.shared().connection_ended();
        }
        self.complete_closed();
    }

    /// Tells the exception handler what the protocol did (P-14).
    pub(crate) fn report(&self, message: &str, exception: &Exception, protocol: &'static str) {
        let message = message.to_owned();
        let mut context = ExceptionContext::with_exception(message, exception.clone());
        context.protocol = Some(protocol);
        context.transport = Some(self.backend.describe());
        self.event_loop().call_exception_handler(context);
    }
}

fn closed_too_early() -> Exception {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed").into()
}
