//! Beginning and ending a run.

use super::attention::STOP;
use super::iteration::Surroundings;
use super::{LoopCore, Phase};
use crate::RunError;
use crate::current::EnteredLoop;
use std::time::Duration;

impl LoopCore {
    pub(super) fn run(&self) -> Result<(), RunError> {
        self.run_with(|around| {
            loop {
                self.iteration(around, None)?;
                if self.attention.has(STOP) {
                    return Ok(());
                }
            }
        })
    }

    pub(super) fn run_single(&self, timeout: Option<Duration>) -> Result<(), RunError> {
        self.run_with(|around| self.iteration(around, timeout))
    }

    /// One run, of the iterations that `iterate` makes.
    fn run_with(
        &self,
        iterate: impl FnOnce(&mut Surroundings<'_>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let run = self.enter()?;
        // One that turned up since the last run ends this one before it begins.
        let outcome = match self.has_fatal_failure() {
            true => Ok(()),
            false => self.with_surroundings(iterate), // none left: the end of the run may close the loop
        };
        drop(run);
        self.outcome_of_run(outcome)
    }

    /// Marks the loop as running until the guard is dropped, however the run ends (L-10, L-22).
    fn enter(&self) -> Result<Run, RunError> {
        match self.phase.get() {
            Phase::Idle => {}
            Phase::Running => return Err(RunError::AlreadyRunning),
            Phase::Closed => return Err(RunError::Closed),
        }
        let event_loop = self.rc();
        let entered = EnteredLoop::new(event_loop.clone()).ok_or(RunError::AnotherIsRunning)?;
        self.phase.set(Phase::Running);
        self.calls.inbox().woke_up();
        Ok(Run { event_loop, _entered: entered })
    }
}

/// A run that is going on.
struct Run {
    event_loop: std::rc::Rc<LoopCore>,
    _entered: EnteredLoop,
}

impl Drop for Run {
    fn drop(&mut self) {
        let event_loop = &self.event_loop;
        event_loop.phase.set(Phase::Idle);
        // A stop ends one run only (L-19).
        event_loop.attention.clear(STOP);
        // What was written in the last batch must not wait for the next run.
        event_loop.flush_dirty();
        event_loop.calls.inbox().leave();
        if !event_loop.has_owner.get() {
            event_loop.close_ownerless();
        }
    }
}
