//! What a user may ask of the transport, apart from writing.

use super::StreamTransport;
use crate::backend::Backend;
use crate::limits::OutputLimits;
use crate::loop_shared::add_waiting;
use crate::stream_machine::End;
use crate::{Bytes, InvalidLimits, WriteBufferCap, WriteBufferLimits};
use futures::{Exception, Future, SchedulerExt};
use std::rc::Rc;

impl<B: Backend> StreamTransport<B> {
    pub(crate) fn is_closing(&self) -> bool {
        self.machine.borrow().is_closing()
    }

    pub(crate) fn close(self: &Rc<Self>) {
        self.with_machine(|machine| machine.close());
        self.requested();
    }

    pub(crate) fn abort(self: &Rc<Self>, reason: Option<Exception>) {
        let end = if reason.is_some() { End::Failed } else { End::Orderly };
        self.end(end, reason);
        self.leave_waiting();
        self.requested();
    }

    /// A future that is done after `connection_lost`.
    pub(super) fn wait_closed(self: &Rc<Self>) -> Future<()> {
        let future = self.event_loop().create_future();
        let given_up = self.rare(|rare| add_waiting(&mut rare.closed, &future));
        drop(given_up); // what they hold is the user's
        future
    }

    /// Tells those who wait that it is over.
    pub(super) fn complete_closed(&self) {
        let waiting = self.if_rare(|rare| Some(std::mem::take(&mut rare.closed)));
        for future in waiting.into_iter().flatten() {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        self.machine.borrow().is_reading()
    }

    pub(super) fn pause_reading(self: &Rc<Self>) {
        if self.with_machine(|machine| machine.pause_reading()) {
            self.requested();
        }
    }

    pub(super) fn resume_reading(self: &Rc<Self>) {
        if self.with_machine(|machine| machine.resume_reading()) {
            self.requested();
        }
    }

    pub(super) fn write_eof(self: &Rc<Self>) {
        if B::IS_LAYER && !self.backend.can_write_eof() {
            let name = self.backend.describe();
            return log::warn!(target: "tulipa", "{name}: one direction cannot be ended alone");
        }
        self.with_machine(|machine| machine.write_eof());
        self.requested();
    }

    pub(super) fn set_marks(
        self: &Rc<Self>,
        marks: WriteBufferLimits,
    ) -> Result<(), InvalidLimits> {
        marks.check()?;
        self.backend.marks_changed(marks);
        self.change_limits(|limits| OutputLimits { marks, ..limits });
        Ok(())
    }

    pub(super) fn marks(&self) -> WriteBufferLimits {
        self.machine.borrow().limits().marks
    }

    pub(super) fn set_cap(self: &Rc<Self>, cap: WriteBufferCap) {
        self.change_limits(|limits| OutputLimits { cap, ..limits });
    }

    fn change_limits(self: &Rc<Self>, change: impl FnOnce(OutputLimits) -> OutputLimits) {
        self.with_machine(|machine| {
            let changed = change(*machine.limits());
            machine.set_limits(changed);
        });
        self.requested();
    }

    pub(super) fn output_bytes(&self) -> Bytes {
        Bytes(self.machine.borrow().size() + self.backend.waiting_below())
    }
}
