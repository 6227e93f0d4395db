//! The orderly end of a loop: tasks first, then the executor.
//!
//! Every wait here has an end: a number of rounds, and a deadline by the loop's clock and by the real
//! one, should the loop's stand still.

use super::builder::ShutdownLimits;
use crate::completion::{check_runnable, resume_panic};
use crate::system_events::{has_triggers, run_phase};
use crate::{AbstractEventLoop, Clock, MonotonicClock, RunError, SystemEvent, TriggerPhase};
use futures::{Exception, ExceptionContext, Instant, TaskBuilder, TaskRef, all_tasks, catch};
use std::cell::Cell;
use std::time::Duration;

/// How many iterations an aborted task is given; it takes one.
const PASSES_TO_ABORT: u32 = 8;

/// Ends all tasks of `event_loop`, and its executor; what fails is reported. From when it is `hasty`
/// nothing is waited for.
///
/// # Errors
/// The first failure that keeps the loop from running, or that the loop's own policy says must not
/// be passed over.
///
/// # Panics
/// If that policy says so.
pub(super) fn shut_down(
    event_loop: &dyn AbstractEventLoop,
    limits: &ShutdownLimits,
    hasty: &Cell<bool>,
) -> Result<(), Exception> {
    check_runnable(event_loop)?;
    let mut shutdown = Shutdown { event_loop, limits, hasty, failure: None, panic: None };
    let outcome = shutdown.in_order();
    if let Some(panic) = shutdown.panic {
        resume_panic(&panic);
    }
    outcome?;
    shutdown.failure.map_or(Ok(()), Err)
}

struct Shutdown<'a> {
    event_loop: &'a dyn AbstractEventLoop,
    limits: &'a ShutdownLimits,
    hasty: &'a Cell<bool>,
    /// The first failure of somebody's that was to end the run.
    failure: Option<Exception>,
    /// The first that left the run as a panic.
    panic: Option<Exception>,
}

impl Shutdown<'_> {
    fn in_order(&mut self) -> Result<(), RunError> {
        self.run_triggers(TriggerPhase::Before)?;
        self.run_triggers(TriggerPhase::During)?;
        self.cancel_in_rounds()?;
        self.abort_the_rest()?;
        self.run_triggers(TriggerPhase::After)?;
        self.end_executor()?;
        // Its last jobs may have had tasks made.
        self.abort_the_rest()
    }

    /// Runs what somebody wants done at this phase, and waits for it as long as for tasks (W-37).
    fn run_triggers(&mut self, phase: TriggerPhase) -> Result<(), RunError> {
        if !has_triggers(self.event_loop, SystemEvent::Shutdown, phase) {
            return Ok(());
        }
        let event_loop = self.event_loop.to_event_loop();
        let run = async move { run_phase(&event_loop, SystemEvent::Shutdown, phase).await };
        let name = format!("{phase:?} Shutdown");
        let task = TaskBuilder::new().name(name).create_task(self.event_loop, run);
        task.set_exempt();
        let Some(task) = task.to_ref() else { return Ok(()) };
        let deadline = Deadline::new(self.event_loop, self.limits.tasks);
        // Whoever is in a hurry waits for nothing, but they are called all the same.
        self.pass(Some(Duration::ZERO))?;
        self.wait_for(std::slice::from_ref(&task), &deadline)?;
        if !task.done() {
            if !self.hasty.get() {
                let message = "the triggers of a shutdown took too long: it goes on without them";
                self.report(message, &task, None);
            }
            task.abort();
            self.pass(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Cancels all tasks, then those that were made meanwhile, and so on.
    fn cancel_in_rounds(&mut self) -> Result<(), RunError> {
        let deadline = Deadline::new(self.event_loop, self.limits.tasks);
        for _ in 0..self.limits.rounds.get() {
            let tasks = all_tasks(self.event_loop);
            if tasks.is_empty() || self.hasty.get() {
                return Ok(());
            }
            for task in &tasks {
                task.cancel();
            }
            self.wait_for(&tasks, &deadline)?;
            self.report_failures(&tasks);
        }
        Ok(())
    }

    /// Runs until all of `tasks` have ended, the time is over, or somebody is in a hurry.
    fn wait_for(&mut self, tasks: &[TaskRef], deadline: &Deadline) -> Result<(), RunError> {
        for task in tasks {
            while !task.done() && !self.hasty.get() {
                let Some(left) = deadline.time_left(self.event_loop) else { return Ok(()) };
                self.pass(Some(left))?;
            }
        }
        Ok(())
    }

    fn report_failures(&self, tasks: &[TaskRef]) {
        for task in tasks.iter().filter(|task| task.done()) {
            if let Ok(Some(exception)) = task.exception() {
                self.report("unhandled exception during shutdown", task, Some(exception));
            }
        }
    }

    /// Drops the coroutines that are left, and those that their destructors make tasks of.
    fn abort_the_rest(&mut self) -> Result<(), RunError> {
        for _ in 0..self.limits.rounds.get() {
            let tasks = all_tasks(self.event_loop);
            if tasks.is_empty() {
                return Ok(());
            }
            for task in &tasks {
                if !self.hasty.get() {
                    let message = "task did not end during the shutdown and was aborted";
                    self.report(message, task, None);
                }
                task.abort();
            }
            for _ in 0..PASSES_TO_ABORT {
                if tasks.iter().all(TaskRef::done) {
                    break;
                }
                self.pass(Some(Duration::ZERO))?;
            }
        }
        Ok(())
    }

    fn end_executor(&mut self) -> Result<(), RunError> {
        if self.hasty.get() {
            return Ok(()); // closing the loop does the rest
        }
        let ended = self.event_loop.shutdown_default_executor(self.limits.executor);
        while !ended.done() && !self.hasty.get() {
            self.pass(None)?;
        }
        Ok(())
    }

    /// One iteration. A failure that somebody left behind does not keep the others from their end.
    fn pass(&mut self, timeout: Option<Duration>) -> Result<(), RunError> {
        match catch(|| self.event_loop.run_once(timeout)) {
            Ok(Err(RunError::UnretrievedFailure(failure))) => {
                self.failure.get_or_insert(failure);
                Ok(())
            }
            Ok(outcome) => outcome,
            Err(panic) => {
                self.panic.get_or_insert(panic);
                Ok(())
            }
        }
    }

    fn report(&self, message: &'static str, task: &TaskRef, exception: Option<Exception>) {
        let mut context = ExceptionContext::new(message);
        context.exception = exception;
        context.task = Some(format!("{task:?}"));
        context.created_at = Some(task.created_at());
        self.event_loop.call_exception_handler(context);
    }
}

/// When a wait is over.
struct Deadline {
    by_loop: Instant,
    by_real: Instant,
    real: MonotonicClock,
}

impl Deadline {
    fn new(event_loop: &dyn AbstractEventLoop, timeout: Duration) -> Self {
        let real = MonotonicClock::new();
        Self { by_loop: event_loop.time() + timeout, by_real: real.now() + timeout, real }
    }

    /// How much time is left, `None` if none is.
    fn time_left(&self, event_loop: &dyn AbstractEventLoop) -> Option<Duration> {
        let by_loop = self.by_loop - event_loop.time();
        let by_real = self.by_real - self.real.now();
        Some(by_loop.min(by_real)).filter(|left| !left.is_zero())
    }
}
