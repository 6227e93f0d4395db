//! [`ensure_future`]: a future of whatever can be awaited.

use crate::current::current;
use crate::{Exception, Future, InvalidStateError, Scheduler, Task, TaskBuilder};
use std::any::Any;
use std::future::IntoFuture;
use std::rc::Rc;

/// A [`Future`] of anything that can be awaited: a future or a task comes back as it is, the very
/// same one; anything else becomes a task of the current loop (F-25, F-26).
///
/// # Panics
/// If a task is to be made and no loop is running on this thread.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, SchedulerExt, ensure_future};
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// let future = event_loop.create_future::<u32>();
/// assert!(ensure_future(future.clone()).ptr_eq(&future));
/// event_loop.spawn(async {
///     let started = ensure_future(async { Ok(7) });
///     assert_eq!(started.await.unwrap(), 7);
/// });
/// # }
/// ```
#[track_caller]
pub fn ensure_future<T, A>(awaitable: A) -> Future<T>
where
    T: 'static,
    A: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    match Given::new(awaitable) {
        Given::Future(future) => future,
        coroutine @ Given::Coroutine(_) => coroutine.start(&*current()),
    }
}

/// As [`ensure_future`], on `scheduler`, which need not be running.
///
/// # Errors
/// [`InvalidStateError`] if it is a future of another loop (F-26).
#[track_caller]
pub fn ensure_future_on<T, A>(
    scheduler: &(impl Scheduler + ?Sized),
    awaitable: A,
) -> Result<Future<T>, InvalidStateError>
where
    T: 'static,
    A: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    match Given::new(awaitable) {
        Given::Future(future) if future.scheduler_id() != scheduler.id() => {
            Err(InvalidStateError::new("ensure_future: the future belongs to another event loop"))
        }
        given => Ok(given.start(scheduler)),
    }
}

/// Something to wait for, as it was given.
pub(crate) enum Given<T: 'static, F> {
    /// A future of a loop, perhaps a task.
    Future(Future<T>),
    /// Something that has to be polled.
    Coroutine(F),
}

impl<T, F> Given<T, F>
where
    T: 'static,
    F: std::future::Future<Output = Result<T, Exception>> + 'static,
{
    pub(crate) fn new(awaitable: impl IntoFuture<IntoFuture = F>) -> Self {
        let mut slot = Some(awaitable.into_future());
        let any: &mut dyn Any = &mut slot;
        if let Some(future) = any.downcast_mut::<Option<Future<T>>>().and_then(Option::take) {
            return Given::Future(future);
        }
        if let Some(task) = any.downcast_mut::<Option<Task<T>>>().and_then(Option::take) {
            return Given::Future(task.into());
        }
        Given::Coroutine(slot.expect("only a future of ours is taken out"))
    }

    /// The future, or that of a new task.
    #[track_caller]
    pub(super) fn start(self, scheduler: &(impl Scheduler + ?Sized)) -> Future<T> {
        match self {
            Given::Future(future) => future,
            Given::Coroutine(coroutine) => {
                TaskBuilder::new().create_task(scheduler, coroutine).into()
            }
        }
    }

    /// As [`start`](Self::start), with a task that is not reported if it dies with its loop (T-23).
    #[track_caller]
    pub(super) fn start_exempt(self, scheduler: &(impl Scheduler + ?Sized)) -> Future<T> {
        match self {
            Given::Future(future) => future,
            Given::Coroutine(coroutine) => {
                let task = TaskBuilder::new().create_task(scheduler, coroutine);
                task.set_exempt();
                task.into()
            }
        }
    }
}

/// The loop that all of `given` can run on: that of the futures among them, or the current one.
///
/// # Panics
/// If there are only coroutines, or nothing, and no loop is running on this thread.
#[track_caller]
pub(super) fn common_loop<T, F>(
    operation: &str,
    given: &[Given<T, F>],
) -> Result<Rc<dyn Scheduler>, (Rc<dyn Scheduler>, InvalidStateError)> {
    let mut futures = given.iter().filter_map(|given| match given {
        Given::Future(future) => Some(future),
        Given::Coroutine(_) => None,
    });
    let Some(first) = futures.next() else { return Ok(current()) };
    let scheduler = first.get_loop();
    if futures.any(|future| future.scheduler_id() != first.scheduler_id()) {
        let error = format!("{operation}: the futures belong to different event loops");
        return Err((scheduler, InvalidStateError::new(error)));
    }
    Ok(scheduler)
}
