//! The `Scheduler` side of the loop: callbacks in order, timers by deadline.

use super::{LoopCore, Phase};
use crate::ready_queue::{Entry, Other};
use crate::timers::TimerKey;
use futures::{
    Callback, CallbackId, Closed, ExceptionContext, Handle, Instant, Scheduler, SchedulerId, Step,
    ThreadsafeScheduler, TimerHandle,
};
use std::rc::Rc;
use std::sync::Arc;

impl Scheduler for LoopCore {
    #[inline]
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        if self.phase.get() == Phase::Closed {
            return Err(Closed::new(callback));
        }
        let number = self.ready.borrow_mut().vacancy().fill_with_new(callback);
        Ok(Handle::new(self.this.clone(), CallbackId::Soon(number)))
    }

    #[inline]
    fn schedule_detached(&self, callback: Callback) -> Result<(), Closed> {
        if self.phase.get() == Phase::Closed {
            return Err(Closed::new(callback));
        }
        self.ready.borrow_mut().vacancy().fill(Entry::Callback(callback));
        Ok(())
    }

    #[inline]
    fn schedule_step(&self, step: Step) {
        if self.phase.get() != Phase::Closed {
            self.ready.borrow_mut().vacancy().fill(Entry::Other(Other::Step(step)));
        }
    }

    #[inline]
    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        if self.phase.get() == Phase::Closed {
            return Err(Closed::new(callback));
        }
        let key = self.timers.borrow_mut().vacancy(when.as_nanos()).fill(callback);
        self.first_due.set(when.min(self.first_due.get()));
        Ok(TimerHandle::new(self.this.clone(), CallbackId::Timer(key.to_u64()), when))
    }

    #[inline]
    fn time(&self) -> Instant {
        self.clock.now()
    }

    fn cancel(&self, id: CallbackId) -> bool {
        // Taken out first, dropped when nothing is borrowed: its captures are the user's.
        match id {
            CallbackId::Soon(number) => {
                let cancelled = self.ready.borrow_mut().cancel(number);
                self.drop_cancelled(cancelled)
            }
            CallbackId::Timer(key) => {
                let cancelled = self.timers.borrow_mut().cancel(TimerKey::from_u64(key));
                self.drop_cancelled(cancelled)
            }
        }
    }

    fn is_pending(&self, id: CallbackId) -> bool {
        match id {
            CallbackId::Soon(number) => self.ready.borrow_mut().is_pending(number),
            CallbackId::Timer(key) => self.timers.borrow().contains(TimerKey::from_u64(key)),
        }
    }

    fn reschedule(&self, id: CallbackId, when: Instant) -> bool {
        match id {
            CallbackId::Soon(_) => false,
            CallbackId::Timer(key) => {
                self.first_due.set(when.min(self.first_due.get()));
                self.timers.borrow_mut().reschedule(TimerKey::from_u64(key), when.as_nanos())
            }
        }
    }

    fn call_exception_handler(&self, context: ExceptionContext) {
        self.report(context);
    }

    fn id(&self) -> SchedulerId {
        self.id
    }

    fn to_rc(&self) -> Rc<dyn Scheduler> {
        self.rc()
    }

    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler> {
        self.remote.clone()
    }

    fn is_closed(&self) -> bool {
        self.phase.get() == Phase::Closed
    }

    fn get_debug(&self) -> bool {
        self.debug.get()
    }
}

impl LoopCore {
    /// Counts and drops what was called off; answers whether it was there.
    #[inline]
    fn drop_cancelled<T>(&self, cancelled: Option<T>) -> bool {
        let found = cancelled.is_some();
        if found {
            self.counters.cancelled.add(1);
            self.drop_contained(cancelled);
        }
        found
    }
}
