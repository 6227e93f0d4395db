//! What a user may ask of the endpoint, apart from sending.

use super::Endpoint;
use crate::datagram::machine::End;
use crate::limits::OutputLimits;
use crate::loop_shared::add_waiting;
use crate::{Bytes, WriteBufferCap, WriteBufferLimits};
use futures::{Exception, Future, SchedulerExt, TimeoutError};
use std::rc::Rc;

impl Endpoint {
    pub(in crate::datagram) fn is_closing(&self) -> bool {
        self.machine.borrow().is_closing()
    }

    pub(in crate::datagram) fn close(self: &Rc<Self>) {
        self.with_machine(|machine| machine.close());
        self.requested();
    }

    pub(in crate::datagram) fn abort(self: &Rc<Self>, reason: Option<Exception>) {
        let end = if reason.is_some() { End::Failed } else { End::Orderly };
        self.end(end, reason);
        self.requested();
    }

    /// After a request from the user: what it causes is delivered when the protocol's method that is
    /// running returns, else in a turn of its own.
    pub(super) fn requested(self: &Rc<Self>) {
        if !self.protocol.is_running() {
            self.follow_up();
        }
    }

    /// A future that is done after `connection_lost`.
    pub(in crate::datagram) fn wait_closed(self: &Rc<Self>) -> Future<()> {
        let future = self.event_loop().create_future();
        let given_up = add_waiting(&mut self.closed.borrow_mut(), &future);
        drop(given_up); // what they hold is the user's
        future
    }

    /// Tells those who wait that it is over.
    pub(super) fn complete_closed(&self) {
        for future in self.closed.take() {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
    }

    pub(in crate::datagram) fn is_reading(&self) -> bool {
        self.machine.borrow().is_reading()
    }

    pub(in crate::datagram) fn set_reading(self: &Rc<Self>, reading: bool) {
        if self.with_machine(|machine| machine.set_reading(reading)) {
            self.requested();
        }
    }

    pub(in crate::datagram) fn marks(&self) -> WriteBufferLimits {
        self.machine.borrow().marks()
    }

    pub(in crate::datagram) fn set_marks(self: &Rc<Self>, marks: WriteBufferLimits) {
        self.change_limits(|limits| OutputLimits { marks, ..limits });
    }

    pub(in crate::datagram) fn set_cap(self: &Rc<Self>, cap: WriteBufferCap) {
        self.change_limits(|limits| OutputLimits { cap, ..limits });
    }

    fn change_limits(self: &Rc<Self>, change: impl FnOnce(OutputLimits) -> OutputLimits) {
        self.with_machine(|machine| {
            let changed = change(*machine.limits());
            machine.set_limits(changed);
        });
        self.requested();
    }

    pub(in crate::datagram) fn queue_size(&self) -> Bytes {
        Bytes(self.machine.borrow().size())
    }

    /// A close may take only so long.
    pub(super) fn limit_lingering(self: &Rc<Self>) {
        let Some(limit) = self.machine.borrow().limits().linger else { return };
        let timer = self.linger.take();
        let timer = timer.unwrap_or_else(|| {
            let endpoint = Rc::downgrade(self);
            self.event_loop().call_later(limit, move || {
                if let Some(endpoint) = endpoint.upgrade() {
                    let error = TimeoutError::new("sending the rest after close");
                    endpoint.abort(Some(error.into()));
                }
            })
        });
        self.linger.set(Some(timer));
    }
}
