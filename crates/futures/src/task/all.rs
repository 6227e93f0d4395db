//! [`TaskRef`], [`current_task`] and [`all_tasks`]: tasks whatever the type of their result.

use super::cell::AnyTask;
use super::{TaskHeader, TaskState, owner, running, uncancel};
use crate::context::TaskContext;
use crate::future::AnyFuture;
use crate::{Exception, Scheduler, SchedulerId};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A handle to a task, whatever the type of its result.
#[derive(Clone)]
pub struct TaskRef(Rc<dyn AnyTask>);

/// The task whose step is running; `None` in plain callbacks and outside of a loop (T-8).
pub fn current_task() -> Option<TaskRef> {
    running::with_task(|running| running.map(|running| TaskRef(running.task().clone())))
}

/// The tasks of `scheduler` that have not ended, in the order in which they were made (T-8).
///
/// `scheduler` must be of this thread.
pub fn all_tasks(scheduler: &dyn Scheduler) -> Vec<TaskRef> {
    owner::tasks_of(scheduler.id()).into_iter().map(TaskRef).collect()
}

impl TaskRef {
    pub(super) fn new(task: Rc<dyn AnyTask>) -> Self {
        Self(task)
    }

    pub(super) fn header(&self) -> &TaskHeader {
        self.0.header()
    }

    pub(super) fn scheduler_id(&self) -> SchedulerId {
        self.0.scheduler().id()
    }

    /// The task as a future.
    pub(super) fn to_any_future(&self) -> Rc<dyn AnyFuture> {
        self.0.clone()
    }

    /// The number of the task, which no other task of the process has.
    pub fn number(&self) -> u64 {
        self.0.header().number()
    }

    /// As [`Task::name`](crate::Task::name).
    pub fn name(&self) -> Rc<str> {
        self.0.header().name()
    }

    /// As [`Task::set_name`](crate::Task::set_name).
    pub fn set_name(&self, name: impl Into<Rc<str>>) {
        self.0.header().set_name(name.into());
    }

    /// Whether it has ended.
    pub fn done(&self) -> bool {
        self.0.is_done()
    }

    /// How it stands.
    pub fn state(&self) -> TaskState {
        self.0.state()
    }

    /// As [`Task::cancel`](crate::Task::cancel).
    pub fn cancel(&self) -> bool {
        self.0.clone().request_cancel(None)
    }

    /// As [`Task::cancel_with`](crate::Task::cancel_with).
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.0.clone().request_cancel(Some(message.into()))
    }

    /// As [`Task::cancelling`](crate::Task::cancelling).
    pub fn cancelling(&self) -> u32 {
        self.0.header().cancelling()
    }

    /// As [`Task::uncancel`](crate::Task::uncancel).
    pub fn uncancel(&self) -> u32 {
        uncancel(self.0.header())
    }

    /// As [`Task::abort`](crate::Task::abort).
    pub fn abort(&self) -> bool {
        let pending = !self.0.is_done();
        if pending {
            self.0.clone().abort();
        }
        pending
    }

    /// As [`Task::exception`](crate::Task::exception).
    ///
    /// # Errors
    /// As there.
    pub fn exception(&self) -> Result<Option<Exception>, Exception> {
        self.0.exception()
    }

    /// Where it was spawned.
    pub fn created_at(&self) -> &'static Location<'static> {
        self.0.created_at()
    }

    /// The context that its next step runs in, the empty one if it has ended; that of a running task
    /// is [`TaskContext::current`].
    pub fn context(&self) -> TaskContext {
        self.0.header().context()
    }
}

impl PartialEq for TaskRef {
    /// Whether both name the same task.
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.describe())
    }
}
