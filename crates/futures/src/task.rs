//! [`Task`]: a coroutine on a loop, and the future of its result.
//!
//! One allocation holds the task's state, its coroutine and its result ([`cell`]). Its scheduler's
//! [`owner`] keeps it alive until it is done. Its [`wait_set`] knows what it waits for, so that a
//! cancellation can be answered by the coroutine itself.

mod all;
pub(crate) mod branch;
mod builder;
mod cancel_on_drop;
mod cell;
mod drive;
mod graph;
mod header;
mod notified;
mod owner;
pub(crate) mod panicked;
mod passing_on;
pub(crate) mod running;
mod step;
pub(crate) mod wait_set;
mod waker;

pub use all::{TaskRef, all_tasks, current_task};
pub(crate) use branch::{Branch, BranchEnd, BranchId};
pub use builder::{TaskBuilder, create_task, spawn};
pub use cancel_on_drop::CancelOnDrop;
pub(crate) use cell::AnyTask;
pub use graph::{
    Awaited, AwaitedFuture, CallGraph, CallGraphNode, capture_call_graph, format_task_tree,
    print_task_tree,
};
pub(crate) use header::TaskHeader;
pub use panicked::take_unretrieved_panics;
pub use step::{Step, StepFailure};
pub(crate) use waker::{WakeTarget, wake_by_ref};

use crate::{CallbackToken, Exception, Future, Scheduler};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The message of a cancellation, if it has one.
pub(crate) type CancelMessage = Option<Cow<'static, str>>;

/// A coroutine that runs on a loop, and the future of its result (PEP 3156, Tasks).
///
/// It is a handle: clones name the same task. Awaiting it gives the result and *moves* the value, so
/// that `T` need not be `Clone`; [`as_future`](Task::as_future) shows it as a [`Future`], which gives
/// copies. Dropping handles changes nothing: the loop keeps the task until it is done (T-9, T-10);
/// only a failure that then nobody can ask for is reported, with the place that spawned the task.
///
/// [`cancel`](Task::cancel) asks it to end: the `.await` at which it stands fails with
/// [`CancelledError`](crate::CancelledError), and the coroutine may clean up, awaiting what it needs,
/// before it returns. [`abort`](Task::abort) drops it where it stands.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, SchedulerExt};
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// let task = event_loop.create_task(async {
///     tulipa_futures::yield_now().await?;
///     Ok(7)
/// });
/// task.add_done_callback(|task| println!("{:?}", task.result()));
/// # }
/// ```
pub struct Task<T: 'static> {
    future: Future<T>,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Its next step is queued.
    Queued,
    /// Its step is running.
    Running,
    /// It waits for something.
    Waiting,
    /// It ended with a value or an exception.
    Finished,
    /// It ended cancelled.
    Cancelled,
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Waiting => "waiting",
            TaskState::Finished => "finished",
            TaskState::Cancelled => "cancelled",
        })
    }
}

impl<T: 'static> Task<T> {
    fn header(&self) -> &TaskHeader {
        self.future.object().task().expect("a task's future is one of a task")
    }

    /// The task as a future: for [`gather`](crate::gather()), chaining, and whatever takes a
    /// [`Future`]. It cannot be completed from outside (T-5); cancelling it cancels the task.
    pub fn as_future(&self) -> &Future<T> {
        &self.future
    }

    /// Whether it has ended.
    pub fn done(&self) -> bool {
        self.future.done()
    }

    /// Whether it ended cancelled.
    pub fn cancelled(&self) -> bool {
        self.future.cancelled()
    }

    /// The value, or what went wrong. See [`Future::result`].
    ///
    /// # Errors
    /// The coroutine's exception; [`CancelledError`](crate::CancelledError) if it ended cancelled;
    /// [`InvalidStateError`](crate::InvalidStateError) if it has not ended, or if the value was moved
    /// out by awaiting the task or by [`take`](Task::take).
    pub fn result(&self) -> Result<T, Exception>
    where
        T: Clone,
    {
        self.future.result()
    }

    /// The value, moved out. See [`Future::take`].
    ///
    /// # Errors
    /// As [`result`](Task::result).
    pub fn take(&self) -> Result<T, Exception> {
        self.future.take()
    }

    /// The exception as a value, `None` if it ended well. See [`Future::exception`].
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if it was cancelled,
    /// [`InvalidStateError`](crate::InvalidStateError) if it has not ended.
    pub fn exception(&self) -> Result<Option<Exception>, Exception> {
        self.future.exception()
    }

    /// Calls `callback` with this task when it has ended, by the rules of
    /// [`Future::add_done_callback`].
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Task<T>) + 'static) -> CallbackToken {
        self.future.add_done_callback(move |future| callback(&Task { future: future.clone() }))
    }

    /// Takes a callback back. See [`Future::remove_done_callback`].
    pub fn remove_done_callback(&self, token: CallbackToken) -> bool {
        self.future.remove_done_callback(token)
    }

    /// Asks it to end: false if it has ended already (T-11).
    ///
    /// It is a request. What the task waits for is cancelled, so that its `.await` gives
    /// [`CancelledError`](crate::CancelledError); the coroutine may clean up first, may turn the
    /// cancellation into another error, or may go on in spite of it (T-12). If it has not begun, it
    /// never does (T-13). If what it waits for is a foreign future, which cannot be told, the
    /// coroutine is dropped by a callback of its own (T-25).
    pub fn cancel(&self) -> bool {
        self.future.cancel()
    }

    /// As [`cancel`](Task::cancel), with a message for the coroutine and for those who wait.
    #[doc(alias = "cancel")]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.future.cancel_with(message)
    }

    /// How many requests to cancel it were made and not taken back (T-19).
    pub fn cancelling(&self) -> u32 {
        self.header().cancelling()
    }

    /// Takes one request to cancel it back, and says how many are left. With the last one, a
    /// cancellation that has not been delivered yet is called off (T-19).
    pub fn uncancel(&self) -> u32 {
        uncancel(self.header())
    }

    /// Drops its coroutine where it stands, by a callback of its own; the task ends cancelled. For
    /// tasks that do not answer a [`cancel`](Task::cancel). False if it has ended already.
    pub fn abort(&self) -> bool {
        self.to_ref().is_some_and(|task| task.abort())
    }

    /// The handle as one that cancels the task when it is dropped, for a task that is of no use
    /// without whoever holds it.
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop::new(self)
    }

    /// The number of the task, which no other task of the process has.
    pub fn number(&self) -> u64 {
        self.header().number()
    }

    /// Its name: the one that it was given, or `Task-<number>` (T-7).
    pub fn name(&self) -> Rc<str> {
        self.header().name()
    }

    /// Gives it a name, at any time (T-7).
    pub fn set_name(&self, name: impl Into<Rc<str>>) {
        self.header().set_name(name.into());
    }

    /// Where it was spawned.
    pub fn created_at(&self) -> &'static Location<'static> {
        self.future.created_at()
    }

    /// The scheduler that it runs on.
    pub fn get_loop(&self) -> Rc<dyn Scheduler> {
        self.future.get_loop()
    }

    /// Whether both handles name the same task.
    pub fn ptr_eq(&self, other: &Task<T>) -> bool {
        self.future.ptr_eq(&other.future)
    }

    /// A handle without the type of the result, while it has not ended.
    pub fn to_ref(&self) -> Option<TaskRef> {
        let waker = self.header().waker();
        waker.owner().name().find(waker.place(), waker.number()).map(TaskRef::new)
    }

    /// Does not report that it was destroyed while pending (T-23).
    #[doc(hidden)]
    pub fn set_exempt(&self) {
        self.header().set_exempt();
    }
}

/// See [`Task::uncancel`].
fn uncancel(header: &TaskHeader) -> u32 {
    let left = header.uncount_request();
    if left == 0 {
        header.wait_set().withdraw(0);
    }
    left
}

impl<T: 'static> Clone for Task<T> {
    /// Another handle to the same task.
    fn clone(&self) -> Self {
        Self { future: self.future.clone() }
    }
}

impl<T: 'static> std::future::Future for Task<T> {
    type Output = Result<T, Exception>;

    /// Waits for its end, and moves the value out. Cancelling the task that waits cancels this one
    /// too, and the wait goes on until it has ended (T-16).
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.poll_done(context).map(|ended| ended.and_then(|()| self.future.take()))
    }
}

impl<T: 'static> From<Task<T>> for Future<T> {
    fn from(task: Task<T>) -> Self {
        task.future
    }
}

impl<T: 'static> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.future.fmt(f)
    }
}
