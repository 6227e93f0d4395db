//! Signal handlers of the loop.

use super::{LoopCore, Phase};
use crate::SignalError;
use crate::ready_queue::Entry;
use crate::repeating::{RepeatedClosure, RepeatingCallback};
use futures::{Callback, TaskContext};
use std::rc::Rc;

impl LoopCore {
    pub(super) fn install_signal_handler(
        &self,
        signal: i32,
        handler: RepeatedClosure,
    ) -> Result<(), SignalError> {
        if self.phase.get() == Phase::Closed {
            return Err(SignalError::Closed);
        }
        let signaller = self.calls.inbox().signaller().ok_or(SignalError::Closed)?;
        let callback = Rc::new(RepeatingCallback::default());
        callback.set(handler);
        // Our own `callback` lives longer than the borrow: a refused handler is dropped after it.
        let inserted = self.signals.borrow_mut().insert(signal, callback.clone(), signaller);
        if let Some(replaced) = inserted? {
            self.drop_contained(replaced.unset());
        }
        Ok(())
    }

    pub(super) fn uninstall_signal_handler(&self, signal: i32) -> bool {
        if self.phase.get() == Phase::Closed {
            return false; // closing drops it in its turn
        }
        let removed = self.signals.borrow_mut().remove(signal);
        let Some(callback) = removed else { return false };
        // Emptied, so that it does not run if it is queued already (G-6).
        self.drop_contained(callback.unset());
        true
    }

    /// Queues the handlers of the signals that arrived.
    pub(super) fn queue_signal_handlers(&self) {
        let arrived = self.signals.borrow().take_arrived();
        let mut ready = self.ready.borrow_mut();
        for handler in arrived {
            let location = handler.created_at().expect("a handler is handed over somewhere");
            // It enters the context in which the handler was handed over.
            let context = TaskContext::new();
            let callback = Callback::in_context(location, context, move || handler.run());
            ready.push(Entry::Callback(callback));
        }
    }
}
