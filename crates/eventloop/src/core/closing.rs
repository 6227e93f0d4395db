//! Closing: everything is dropped, nothing is run (L-25).

use super::attention::{FLUSH, STOP};
use super::executor::DefaultExecutor;
use super::{LoopCore, Phase};
use crate::io_callbacks::IoCallbacks;
use crate::{CloseError, Direction};

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

    /// The owner is gone: closes the loop, at the end of its run if there is one, and forgets the
    /// exception handler, which may hold a handle of this very loop.
    pub(crate) fn lose_owner(&self) {
        self.has_owner.set(false);
        match self.phase.get() {
            Phase::Running => {
                log::error!(
                    target: "tulipa",
                    "the owner of event loop {} was dropped while it runs: it stops and closes",
                    self.id
                );
                self.attention.set(STOP);
            }
            Phase::Idle => {
                log::debug!(target: "tulipa", "event loop {} was dropped: it closes", self.id);
                self.close_ownerless();
            }
            Phase::Closed => self.close_ownerless(),
        }
    }

    /// What is left to do for a loop without an owner, once it does not run.
    pub(super) fn close_ownerless(&self) {
        // Somebody must own the loop while destructors of users run.
        let _this = self.this.upgrade();
        if self.phase.get() == Phase::Idle {
            self.release();
        }
        let handler = self.exception_handler.take();
        self.drop_contained(handler);
    }

    /// Gives everything back. Destructors of users may call anything here: they find a closed loop.
    pub(super) fn release(&self) {
        self.phase.set(Phase::Closed);
        for call in self.calls.close() {
            self.drop_contained(call);
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
        for handler in signals.into_callbacks() {
            self.drop_contained(handler.unset());
        }
        let executor = self.executor.replace(DefaultExecutor::ShutDown);
        // Jobs that wait are dropped here, with what they captured.
        if let Err(panic) = futures::catch(|| executor.shut_down_without_waiting()) {
            self.destructor_failed(panic);
        }
        let locals = self.locals.take();
        for (_, local) in locals {
            self.drop_contained(local);
        }
        self.drop_contained(self.fatal_failure.take());
        self.drop_contained(self.hook.take());
        self.drop_contained(self.driver.take());
    }

    /// Takes every descriptor out of the poller, then tells and drops its owner (L-30).
    fn release_sources(&self) {
        let keys = self.sources.borrow().keys();
        for key in keys {
            let Some(source) = self.unwatch_source(key) else { continue };
            if let Some(callbacks) = IoCallbacks::of(source.clone()) {
                // One by one: a second panic while the first unwinds would end the process.
                self.drop_contained(callbacks.unset(Direction::Read));
                self.drop_contained(callbacks.unset(Direction::Write));
            }
            // Its destructor, the last thing in there, may be a user's.
            if let Err(panic) = futures::catch(|| source.loop_closed()) {
                self.destructor_failed(panic);
            }
        }
        self.dirty.borrow_mut().clear();
        self.attention.clear(FLUSH);
    }
}
