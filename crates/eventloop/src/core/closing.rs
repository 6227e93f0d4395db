//! Closing: everything is dropped, nothing is run (L-25).

use super::executor::DefaultExecutor;
use super::{LoopCore, Phase};
use crate::CloseError;

impl LoopCore {
    pub(super) fn close_loop(&self) -> Result<(), CloseError> {
        match self.phase.get() {
            Phase::Running => Err(CloseError),
            Phase::Closed => Ok(()),
            Phase::Idle => {
                // Somebody must own the loop while destructors of users run.
                let _this = self.this.upgrade();
                self.release();
                Ok(())
            }
        }
    }

    /// Gives everything back. Destructors of users may call anything here: they find a closed loop.
    pub(super) fn release(&self) {
        self.phase.set(Phase::Closed);
        for delivery in self.inbox.close() {
            self.drop_contained(delivery);
        }
        let ready = self.ready.borrow_mut().take_all();
        for entry in ready {
            self.drop_contained(entry);
        }
        let timers = self.timers.borrow_mut().drain();
        for callback in timers {
            self.drop_contained(callback);
        }
        self.release_sources();
        let signals = self.signals.take();
        self.drop_contained(signals);
        let executor = self.executor.replace(DefaultExecutor::ShutDown);
        executor.shut_down_without_waiting();
        let locals = self.locals.take();
        for (_, local) in locals {
            self.drop_contained(local);
        }
        drop(self.driver.take());
        let handler = self.exception_handler.take();
        self.drop_contained(handler);
    }

    /// Takes every descriptor out of the poller, then tells and drops its owner (L-30).
    fn release_sources(&self) {
        let keys = self.sources.borrow().keys();
        for key in keys {
            let Some(source) = self.unwatch_source(key) else { continue };
            if let Err(panic) = futures::catch(|| source.loop_closed()) {
                self.callback_failed(None, panic);
            }
        }
        self.dirty.borrow_mut().clear();
    }
}
