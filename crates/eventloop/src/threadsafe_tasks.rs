//! Tasks from other threads: what travels is a closure that makes the coroutine, which itself need not
//! be `Send` (D2).

use crate::{ThreadsafeHandle, current};
use futures::{
    ClosedError, Exception, ExceptionContext, Scheduler, Task, TaskBuilder, catch, concurrent,
    to_concurrent,
};
use std::panic::Location;

/// Runs the coroutine that `make` returns as a task of the loop behind `handle`, from whatever thread,
/// and gives a future of its outcome to wait for there (F-30).
///
/// `make` is called on the loop's thread. Cancelling the future cancels the task, and the other way
/// round; a time-out of a thread that waits cancels nothing. If `make` panics, that is reported, and is
/// the future's exception too. If the loop is closed, or closes before it comes to this, the future's
/// exception is [`ClosedError`].
///
/// # Examples
/// ```
/// use std::{thread, time::Duration};
/// use tulipa_eventloop::{EventLoop, prelude::*, run_coroutine_threadsafe};
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.threadsafe_handle();
/// let asking = thread::spawn(move || {
///     let answer = run_coroutine_threadsafe(
///         || async {
///             futures::sleep(Duration::from_millis(1)).await?;
///             Ok("from the loop")
///         },
///         &handle,
///     );
///     let answer = answer.take(Some(Duration::from_secs(60)));
///     handle.stop();
///     answer
/// });
/// event_loop.run_forever()?;
/// assert_eq!(asking.join().unwrap()?, "from the loop");
/// # Ok::<(), futures::Exception>(())
/// ```
#[track_caller]
pub fn run_coroutine_threadsafe<T, F>(
    make: impl FnOnce() -> F + Send + 'static,
    handle: &ThreadsafeHandle,
) -> concurrent::Future<T>
where
    T: Send + 'static,
    F: std::future::Future<Output = Result<T, Exception>> + 'static,
{
    handle.create_task(make)
}

impl ThreadsafeHandle {
    /// As [`run_coroutine_threadsafe`].
    #[track_caller]
    pub fn create_task<T, F>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> concurrent::Future<T>
    where
        T: Send + 'static,
        F: std::future::Future<Output = Result<T, Exception>> + 'static,
    {
        let location = Location::caller();
        self.post_task(make, move |event_loop, coroutine| {
            TaskBuilder::new().created_at(location).create_task(event_loop, coroutine)
        })
    }

    /// As [`run_coroutine_threadsafe`], for a coroutine that cannot fail: its output is the value.
    #[track_caller]
    pub fn spawn<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> concurrent::Future<T>
    where
        T: Send + 'static,
        F: std::future::Future<Output = T> + 'static,
    {
        let location = Location::caller();
        self.post_task(make, move |event_loop, coroutine| {
            TaskBuilder::new().created_at(location).spawn(event_loop, coroutine)
        })
    }

    #[track_caller]
    fn post_task<T, F>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
        start: impl FnOnce(&dyn Scheduler, F) -> Task<T> + Send + 'static,
    ) -> concurrent::Future<T>
    where
        T: Send + 'static,
        F: 'static,
    {
        let target = concurrent::Future::new();
        let pending = PendingTask(Some(target.clone()));
        let location = Location::caller();
        let posted = self.call_soon_threadsafe(move || {
            let target = pending.begins();
            if !target.done() {
                start_task(&target, make, start, location);
            }
        });
        // A closed loop gives the call back: dropping it tells the future.
        drop(posted);
        target
    }
}

/// On the loop's thread: makes the coroutine, and a task of it that is bound to `target`.
fn start_task<T: Send + 'static, F>(
    target: &concurrent::Future<T>,
    make: impl FnOnce() -> F,
    start: impl FnOnce(&dyn Scheduler, F) -> Task<T>,
    location: &'static Location<'static>,
) {
    let event_loop = current();
    let coroutine = match catch(make) {
        Ok(coroutine) => coroutine,
        Err(panic) => {
            // Another thread may have cancelled it just now: then only the report is left.
            let _ = target.set_exception(panic.clone());
            let mut context =
                ExceptionContext::with_exception("making a coroutine for another thread", panic);
            context.created_at = Some(location);
            event_loop.call_exception_handler(context);
            return;
        }
    };
    let task = start(&*event_loop, coroutine);
    let outcome = to_concurrent(task.as_future());
    let wanted = outcome.clone();
    target.add_done_callback(move |target| {
        if target.cancelled() {
            wanted.cancel();
        }
    });
    let target = target.clone();
    outcome.add_done_callback(move |outcome| {
        // It is done, so nothing is waited for; and one that was cancelled wants no outcome.
        let _ = target.set_outcome(outcome.take(None));
    });
}

/// The future of a task that is on its way to its loop. Dropping it means that the loop is closed.
struct PendingTask<T: 'static>(Option<concurrent::Future<T>>);

impl<T: 'static> PendingTask<T> {
    fn begins(mut self) -> concurrent::Future<T> {
        self.0.take().expect("it begins once")
    }
}

impl<T: 'static> Drop for PendingTask<T> {
    fn drop(&mut self) {
        if let Some(target) = self.0.take() {
            // It may have been cancelled before.
            let _ = target.set_exception(ClosedError);
        }
    }
}
