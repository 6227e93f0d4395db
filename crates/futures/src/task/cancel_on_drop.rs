//! [`CancelOnDrop`]: a task that ends with its handle.

use super::Task;
use crate::Exception;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A handle that asks its task to end when it is dropped.
///
/// It is made by [`Task::cancel_on_drop`], and is a [`Task`] in all other respects: it can be awaited
/// and asked. What dropping does is [`Task::cancel`]: the coroutine cleans up, and nobody waits for
/// that. A task that has ended, or whose [guard was disarmed](CancelOnDrop::disarm), is left alone.
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// use {std::time::Duration, tulipa_futures::{SchedulerExt, sleep}};
/// let ticker = event_loop.create_task::<()>(async {
///     loop {
///         sleep(Duration::from_secs(1)).await?;
///         println!("tick");
///     }
/// });
/// let ticker = ticker.cancel_on_drop();
/// assert!(!ticker.done());
/// drop(ticker); // no more ticks
/// # }
/// ```
#[must_use = "dropping it cancels the task"]
pub struct CancelOnDrop<T: 'static> {
    task: Task<T>,
    armed: bool,
}

impl<T: 'static> CancelOnDrop<T> {
    pub(super) fn new(task: Task<T>) -> Self {
        Self { task, armed: true }
    }

    /// Gives the plain handle back: the task goes on whatever happens to it.
    pub fn disarm(mut self) -> Task<T> {
        self.armed = false;
        self.task.clone()
    }
}

impl<T: 'static> Deref for CancelOnDrop<T> {
    type Target = Task<T>;

    fn deref(&self) -> &Task<T> {
        &self.task
    }
}

impl<T: 'static> std::future::Future for CancelOnDrop<T> {
    type Output = Result<T, Exception>;

    /// Waits for the task's end, as [`Task`] does.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(context)
    }
}

impl<T: 'static> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if self.armed && !self.task.done() {
            self.task.cancel();
        }
    }
}

impl<T: 'static> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.task).finish()
    }
}
