//! The callbacks and timers of a scope, and its `Scheduler` side.
//!
//! A callback waits in the scope; the loop gets a *ticket* in its place, which runs it. So the loop
//! gives order, time and handles, and the scope can drop what it has. Invariant: a callback waits for
//! as long as its ticket lives, or until the scope takes it out.

use super::ScopeHandle;
use super::core::ScopeCore;
use crate::slots::SlotKey;
use crate::{
    Callback, CallbackId, Closed, ExceptionContext, Handle, Instant, Scheduler, SchedulerId,
    ThreadsafeScheduler, TimerHandle,
};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// A callback that waits.
pub(super) struct Waiting {
    callback: Callback,
    /// That of its ticket; `None` while that is on its way to the loop.
    id: Option<CallbackId>,
}

/// What the loop runs, or drops, in a callback's place.
struct Ticket {
    core: Rc<ScopeCore>,
    key: SlotKey,
}

impl Ticket {
    fn run(self) {
        if let Some(waiting) = self.core.take_waiting(self.key) {
            waiting.callback.run();
        }
    }
}

impl Drop for Ticket {
    /// It ran, was cancelled, or went with its loop.
    fn drop(&mut self) {
        let unrun = self.core.take_waiting(self.key);
        drop(unrun); // its captures are the user's
    }
}

impl ScopeCore {
    /// Has `callback` wait, and what `schedule` does with its ticket run it.
    fn admit<H>(
        &self,
        callback: Callback,
        schedule: impl FnOnce(&dyn Scheduler, Callback) -> Result<H, Closed>,
        id: impl FnOnce(&H) -> Option<CallbackId>,
    ) -> Result<H, Closed> {
        if !self.is_open() {
            return Err(Closed::new(callback));
        }
        let location: &'static Location<'static> = callback.location();
        let key = self.callbacks.borrow_mut().insert(Waiting { callback, id: None });
        let ticket = Ticket { core: self.rc(), key };
        let ticket = Callback::without_context(location, move || ticket.run());
        match schedule(&**self.root(), ticket) {
            Ok(handle) => {
                if let Some(waiting) = self.callbacks.borrow_mut().get_mut(key) {
                    waiting.id = id(&handle);
                }
                Ok(handle)
            }
            Err(refused) => Err(match self.take_waiting(key) {
                Some(waiting) => Closed::new(waiting.callback),
                None => refused, // not possible: nobody else knows it
            }),
        }
    }

    fn take_waiting(&self, key: SlotKey) -> Option<Waiting> {
        self.callbacks.borrow_mut().remove(key)
    }

    /// Drops every callback that waits, in the order in which they were made.
    pub(super) fn drop_callbacks(&self) {
        let all = self.callbacks.borrow_mut().take_all();
        for Waiting { callback, id } in all {
            if let Some(id) = id {
                self.root().cancel(id);
            }
            self.contain("dropping a callback of a scope that ends", || drop(callback));
        }
    }

    pub(super) fn callback_count(&self) -> usize {
        self.callbacks.borrow().len()
    }
}

impl Scheduler for ScopeCore {
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        self.admit(callback, |root, ticket| root.schedule(ticket), Handle::id)
    }

    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        self.admit(callback, |root, ticket| root.schedule_at(when, ticket), TimerHandle::id)
    }

    fn time(&self) -> Instant {
        self.root().time()
    }

    fn cancel(&self, id: CallbackId) -> bool {
        self.root().cancel(id)
    }

    fn is_pending(&self, id: CallbackId) -> bool {
        self.root().is_pending(id)
    }

    fn reschedule(&self, id: CallbackId, when: Instant) -> bool {
        self.root().reschedule(id, when)
    }

    fn call_exception_handler(&self, context: ExceptionContext) {
        self.root().call_exception_handler(context);
    }

    fn id(&self) -> SchedulerId {
        self.root().id()
    }

    fn to_rc(&self) -> Rc<dyn Scheduler> {
        self.rc()
    }

    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler> {
        self.root().threadsafe()
    }

    fn is_closed(&self) -> bool {
        !self.is_open() || self.root().is_closed()
    }

    fn get_debug(&self) -> bool {
        self.root().get_debug()
    }

    fn scope(&self) -> Option<ScopeHandle> {
        Some(ScopeHandle::of(self.rc()))
    }
}
