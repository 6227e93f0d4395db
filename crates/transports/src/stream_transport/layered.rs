//! One transport over another: what a layer needs from the connection below it, and what the connection
//! above it, which has no descriptor of its own, is told (N-54).

use super::{
    MEASURED, Opened, RESUMED, RUNNING, StreamHandle, StreamTransport, TIMED, Turn, UPGRADED,
};
use crate::backend::Backend;
use crate::limits::OutputLimits;
use crate::stream_machine::{End, Hold};
use crate::tls::{Below, Dress};
use crate::{Bandwidth, Bytes, Protocol, Transport, WriteBufferCap};
use futures::Exception;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The transport over another one. Who closes the lower one from outside means this one.
pub(crate) trait Upper {
    fn close(self: Rc<Self>);

    /// What its protocol was told of the end, or will be.
    fn lost_reason(&self) -> Option<Exception>;

    /// What users see of it, after the handshake.
    fn transport(self: Rc<Self>) -> Option<Rc<dyn Transport>>;
}

/// What a connection keeps to, and the one above it after it.
#[derive(Default)]
pub(crate) struct Bandwidths {
    pub(crate) read: Vec<Bandwidth>,
    pub(crate) write: Vec<Bandwidth>,
}

/// Below the connection.
impl<B: Backend> StreamTransport<B> {
    /// Gives the connection to a layer above it. What bounds it is the layer's from now on.
    pub(super) fn go_below(self: &Rc<Self>, linger: Duration) -> io::Result<Below> {
        let (is_open, has_file) = {
            let machine = self.machine.borrow();
            (machine.is_open_both_ways(), machine.has_file())
        };
        if has_file {
            let error = io::Error::new(io::ErrorKind::ResourceBusy, "a file is being sent");
            return Err(error);
        }
        if !is_open {
            let message = "the transport is not open in both directions";
            return Err(io::Error::new(io::ErrorKind::NotConnected, message));
        }
        let limits = *self.machine.borrow().limits();
        let is_followed = self.if_rare(|rare| rare.successor.as_ref().map(|_| ())).is_some();
        // Of a protocol that was set just now: it was told nothing yet.
        let paused = !is_followed && self.machine.borrow().was_told_to_pause();
        self.with_machine(|machine| {
            // What they are for is looked at above from now on.
            machine.release(Hold::Memory);
            machine.release(Hold::Time);
            machine.set_limits(OutputLimits {
                // The layer stops by itself, at the marks.
                cap: WriteBufferCap { size: Bytes(usize::MAX), ..WriteBufferCap::default() },
                linger: Some(limits.linger.unwrap_or(linger).min(linger)),
                ..OutputLimits::default()
            });
        });
        self.set(TIMED | MEASURED, false);
        self.stop_watching_budget();
        let bandwidths = self.if_rare(|rare| {
            let limited = rare.limited.as_ref()?;
            Some(Bandwidths { read: limited.read.clone(), write: limited.write.clone() })
        });
        let bandwidths = bandwidths.unwrap_or_default();
        self.stop_limiting();
        let unread = self.take_pushed_back();
        let transport = Rc::new(StreamHandle::of_layer(self));
        self.set(UPGRADED, true);
        let (owner, limits) = (self.owner.clone(), Rc::new(limits));
        self.requested(); // what was held may leave
        Ok(Below { transport, owner, limits, bandwidths, paused, unread })
    }

    /// Says which transport is over this one.
    pub(super) fn set_upper(&self, upper: Weak<dyn Upper>) {
        self.rare(|rare| rare.upper = Some(upper));
    }

    /// Closes the connection, or the transport over it, which says goodbye first.
    pub(crate) fn close_all(self: &Rc<Self>) {
        match self.upper() {
            Some(upper) => upper.close(),
            None => self.close(),
        }
    }

    /// The transport over it, if there is one.
    pub(super) fn upper(&self) -> Option<Rc<dyn Upper>> {
        self.if_rare(|rare| rare.upper.as_ref().and_then(Weak::upgrade))
    }

    /// What the user's protocol was told of the end, which this connection calls `own`: if there is a
    /// transport over it, that one tells the protocol.
    pub(super) fn told_reason(
        &self,
        upper: Option<Rc<dyn Upper>>,
        own: Option<Exception>,
    ) -> Option<Exception> {
        let told = upper.map_or(own, |upper| upper.lost_reason());
        if B::IS_LAYER && told.is_some() {
            self.rare(|rare| rare.reason.clone_from(&told)); // the one below will ask
        }
        told
    }

    pub(crate) fn kept_reason(&self) -> Option<Exception> {
        self.if_rare(|rare| rare.reason.clone())
    }
}

/// Above it.
impl<B: Backend> StreamTransport<B> {
    /// Gives it the protocol that another transport had before, or none. Only what
    /// [`open`](StreamTransport::open) or [`fail`](StreamTransport::fail) does follows.
    pub(crate) fn resume_with(&self, protocol: Option<Box<dyn Protocol>>) {
        self.set(RESUMED, protocol.is_some());
        self.protocol.set(protocol);
    }

    /// As [`resume_with`](StreamTransport::resume_with), of one that comes when it has failed already.
    /// Given back if it is too late.
    pub(crate) fn resume_late(&self, protocol: Box<dyn Protocol>) -> Option<Box<dyn Protocol>> {
        if self.is_made() || self.machine.borrow().is_lost() {
            return Some(protocol);
        }
        self.resume_with(Some(protocol));
        None
    }

    /// The protocol was told to pause writing by the transport that it had before.
    pub(crate) fn begin_paused(&self) {
        self.with_machine(|machine| machine.begin_paused());
    }

    /// Puts this around the handle for whoever waits for the connection.
    pub(crate) fn dress_with(&self, dress: Dress) {
        self.rare(|rare| rare.dress = Some(dress));
    }

    /// The handle for whoever waits for the connection.
    pub(super) fn dressed_handle(self: &Rc<Self>) -> Rc<dyn Transport> {
        let handle = self.handle();
        match self.if_rare(|rare| rare.dress.take()) {
            Some(dress) => dress(handle),
            None => handle,
        }
    }

    /// Has [`open`](StreamTransport::open) tell the protocol that it has another transport.
    pub(crate) fn set_resumed(&self) {
        self.set(RESUMED, true);
    }

    /// It could not be opened: whoever waits for it is told in a turn of its own, and so is a protocol
    /// that it was resumed with.
    pub(crate) fn fail(self: &Rc<Self>, opened: Option<Opened>, reason: Option<Exception>) {
        if opened.is_some() {
            self.rare(|rare| rare.opened = opened);
        }
        let end = if reason.is_some() { End::Failed } else { End::Orderly };
        self.end(end, reason);
        self.queue_turn();
    }

    /// The connection below has ended, in this turn, in which no user code has run yet.
    pub(crate) fn end_with_layer(self: &Rc<Self>, reason: Option<Exception>) {
        let end = if reason.is_some() { End::Failed } else { End::Orderly };
        self.end(end, reason);
        self.leave_waiting();
        if self.is(RUNNING) {
            self.queue_turn();
        } else {
            self.settle(Turn::Own);
        }
    }

    /// The peer has answered our goodbye.
    pub(crate) fn goodbye_answered(self: &Rc<Self>) {
        self.with_machine(|machine| machine.goodbye_answered());
        self.requested();
    }

    /// Less waits below.
    pub(crate) fn less_waits_below(self: &Rc<Self>) {
        if !self.is_made() {
            return; // it is looked at when it is
        }
        self.with_machine(|machine| {
            machine.unblock();
            machine.review_flow();
        });
        if self.is(RUNNING) {
            self.requested();
        } else {
            self.settle(Turn::WriteReady);
        }
    }

    /// Whether somebody waits until less waits below.
    pub(crate) fn waits_for_below(&self) -> bool {
        let waits = self.machine.borrow().waits_for_below();
        waits || self.if_rare(|rare| (!rare.drained.is_empty()).then_some(())).is_some()
    }

    pub(crate) fn is_made(&self) -> bool {
        self.machine.borrow().is_made()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.machine.borrow().is_over()
    }

    pub(crate) fn is_parting(&self) -> bool {
        self.machine.borrow().is_parting()
    }
}
