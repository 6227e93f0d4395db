//! [`Step`]: a turn of a task, as it lies in the queue of a scheduler.

use super::cell::AnyTask;
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
    Rc<dyn AnyTask>,
);

impl Step {
    #[inline]
    pub(super) fn new(task: Rc<dyn AnyTask>) -> Self {
        Self(task)
    }

    /// Runs it. What the coroutine panics with is the task's exception, and does not come out here; the
    /// panic of a destructor does, of a result that nobody waits for.
    #[inline]
    pub fn run(self) {
        self.0.step();
    }

    /// Where the task was spawned.
    #[inline]
    pub fn location(&self) -> &'static Location<'static> {
        self.0.created_at()
    }

    /// The name of the task (T-7).
    pub fn task_name(&self) -> Rc<str> {
        self.0.header().name()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.0.describe())
    }
}
