//! [`CallResult`]: what a function may give that is called again and again, or later.

use crate::combinators::Given;
use crate::{Exception, Future, InvalidStateError, Scheduler, SchedulerExt, TaskBuilder};
use std::future::IntoFuture;
use std::panic::Location;

/// What a function may return that [`LoopingCall`](crate::LoopingCall) and company call: nothing; a
/// `Result<(), Exception>`; a coroutine, or a future or task of ours, with or without a `Result`, which is
/// then waited for.
///
/// `Kind` only tells these apart, and is always inferred. Nobody else can implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a repeated function may return",
    note = "it returns `()`, `Result<(), Exception>`, or a coroutine or future of either"
)]
pub trait CallResult<Kind>: sealed::Sealed<Kind> {
    /// The outcome, or the future of it.
    #[doc(hidden)]
    fn into_outcome(self, scheduler: &dyn Scheduler, location: &'static Location) -> Outcome;
}

/// How a call went, or what will tell.
#[doc(hidden)]
#[derive(Debug)]
pub enum Outcome {
    /// It is over.
    Done(Result<(), Exception>),
    /// It goes on.
    Pending(Future<()>),
}

impl Outcome {
    /// Calls `function`; a panic is a failure.
    pub fn of<Kind, R: CallResult<Kind>>(
        scheduler: &dyn Scheduler,
        location: &'static Location,
        function: impl FnOnce() -> R,
    ) -> Self {
        crate::catch(|| function().into_outcome(scheduler, location))
            .unwrap_or_else(|panic| Outcome::Done(Err(panic)))
    }
}

/// `()`.
#[doc(hidden)]
pub enum Plain {}
/// `Result<(), Exception>`.
#[doc(hidden)]
pub enum Fallible {}
/// A coroutine that cannot fail.
#[doc(hidden)]
pub enum Coroutine {}
/// A coroutine or future that gives a `Result`.
#[doc(hidden)]
pub enum FallibleCoroutine {}

mod sealed {
    pub trait Sealed<Kind> {}
}

impl sealed::Sealed<Plain> for () {}
impl CallResult<Plain> for () {
    fn into_outcome(self, _: &dyn Scheduler, _: &'static Location) -> Outcome {
        Outcome::Done(Ok(()))
    }
}

impl sealed::Sealed<Fallible> for Result<(), Exception> {}
impl CallResult<Fallible> for Result<(), Exception> {
    fn into_outcome(self, _: &dyn Scheduler, _: &'static Location) -> Outcome {
        Outcome::Done(self)
    }
}

impl<A> sealed::Sealed<Coroutine> for A where A: IntoFuture<Output = (), IntoFuture: 'static> {}
impl<A> CallResult<Coroutine> for A
where
    A: IntoFuture<Output = (), IntoFuture: 'static>,
{
    fn into_outcome(self, scheduler: &dyn Scheduler, location: &'static Location) -> Outcome {
        let task = TaskBuilder::new().created_at(location).spawn(scheduler, self.into_future());
        Outcome::Pending(task.into())
    }
}

impl<T, A> sealed::Sealed<FallibleCoroutine> for A
where
    T: 'static,
    A: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
}
impl<T, A> CallResult<FallibleCoroutine> for A
where
    T: 'static,
    A: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    fn into_outcome(self, scheduler: &dyn Scheduler, location: &'static Location) -> Outcome {
        match Given::new(self) {
            Given::Future(future) if future.scheduler_id() != scheduler.id() => {
                let error = "the future that was returned belongs to another event loop";
                Outcome::Done(Err(InvalidStateError::new(error).into()))
            }
            Given::Future(future) => Outcome::Pending(without_value(future)),
            Given::Coroutine(coroutine) => {
                let task = TaskBuilder::new().created_at(location);
                Outcome::Pending(without_value(task.create_task(scheduler, coroutine).into()))
            }
        }
    }
}

/// A future that ends as `source` does. The value stays where it is; a cancel is passed on.
fn without_value<T: 'static>(source: Future<T>) -> Future<()> {
    let mut slot = Some(source);
    let any: &mut dyn std::any::Any = &mut slot;
    if let Some(same) = any.downcast_mut::<Option<Future<()>>>().and_then(Option::take) {
        return same;
    }
    let source = slot.expect("only a future of nothing is taken out");
    let ended: Future<()> = source.get_loop().create_future();
    // Weak: else each would keep the other one alive.
    let weak = source.downgrade();
    ended.add_done_callback(move |ended| {
        if ended.cancelled()
            && let Some(source) = weak.upgrade()
        {
            source.cancel();
        }
    });
    let told = ended.clone();
    source.add_done_callback(move |source| {
        // Too late if it was cancelled meanwhile.
        let _ = told.set_outcome(ended_how(source));
    });
    ended
}

/// How `future` ended, its value aside.
pub(crate) fn ended_how<T: 'static>(future: &Future<T>) -> Result<(), Exception> {
    match future.exception() {
        Ok(None) => Ok(()),
        Ok(Some(exception)) | Err(exception) => Err(exception),
    }
}
