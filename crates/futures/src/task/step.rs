//! [`Step`]: a turn of a task, as it lies in the queue of a scheduler.

use super::cell::AnyTask;
use crate::{Exception, PanicError};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// The next turn of a task: its coroutine runs until it waits for something.
///
/// For implementers of [`Scheduler`](crate::Scheduler): [`schedule_step`](crate::Scheduler::schedule_step)
/// is given one, which takes two words in a queue and no closure around it. One that is dropped
/// unrun, by a scheduler that closes, leaves the task where it stands.
#[must_use = "a step that is dropped never runs"]
pub struct Step(
    /// Two words go by registers. A third would go by memory, which costs a tenth of a task's life.
    /// `None` once it runs.
    Option<Rc<dyn AnyTask>>,
);

impl Step {
    #[inline]
    pub(super) fn new(task: Rc<dyn AnyTask>) -> Self {
        Self(Some(task))
    }

    /// Runs it. What the coroutine panics with is the task's exception, and does not come out here; the
    /// panic of a destructor does, of a result that nobody waits for.
    #[inline]
    pub fn run(self) {
        if let Err(failure) = self.try_run() {
            failure.resume();
        }
    }

    /// As [`run`](Step::run), for those who would catch that panic, and would want to know where the
    /// task was spawned: to ask each step for that in advance costs more than to say it with the panic.
    ///
    /// # Errors
    /// The panic, if there was one.
    #[inline]
    pub fn try_run(mut self) -> Result<(), Box<StepFailure>> {
        match self.0.take() {
            Some(task) => task.step(),
            None => Ok(()),
        }
    }

    fn task(&self) -> &Rc<dyn AnyTask> {
        self.0.as_ref().expect("it is there until it runs")
    }

    /// Where the task was spawned.
    #[inline]
    pub fn location(&self) -> &'static Location<'static> {
        self.task().created_at()
    }

    /// The name of the task (T-7).
    pub fn task_name(&self) -> Rc<str> {
        self.task().header().name()
    }
}

/// A panic that came out of a [`Step`].
#[derive(Debug)]
#[non_exhaustive]
pub struct StepFailure {
    /// Where the task was spawned.
    pub location: &'static Location<'static>,
    /// What it was.
    pub panic: Exception,
}

impl StepFailure {
    #[cold]
    pub(super) fn boxed(location: &'static Location<'static>, panic: Exception) -> Box<Self> {
        Box::new(Self { location, panic })
    }

    /// Goes on with the panic.
    #[cold]
    fn resume(self) -> ! {
        let payload = self.panic.downcast_ref().and_then(PanicError::take_payload);
        std::panic::resume_unwind(payload.unwrap_or_else(|| Box::new(self.panic.to_string())))
    }
}

impl Drop for Step {
    /// Gives the task away by registers: so a step need not lie in memory on its way into a queue just
    /// because something on that way might fail, and drop it.
    #[inline(always)]
    fn drop(&mut self) {
        #[cold]
        fn let_go(task: Rc<dyn AnyTask>) {
            drop(task);
        }
        if let Some(task) = self.0.take() {
            let_go(task);
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.task().describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_a_step_is_two_words() {
        assert_eq!(size_of::<Step>(), 2 * size_of::<usize>());
    }
}
