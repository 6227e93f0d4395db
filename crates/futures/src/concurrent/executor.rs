//! [`Executor`]: somebody who runs jobs, usually on other threads (PEP 3148).

use super::future::{Future, Work};
use crate::Exception;
use crate::catch::{catch, catch_silently};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

/// Somebody who runs jobs, usually on threads of their own.
///
/// Implementing it takes one method: keep the [`Job`], call [`Job::run`] on another thread, or
/// refuse it. A job never panics out of `run`. Users call [`ExecutorExt::submit`].
///
/// # Examples
/// ```
/// use tulipa_futures::concurrent::{Executor, ExecutorExt, Job, Refused};
/// /// A thread for every job.
/// struct Threads;
/// impl Executor for Threads {
///     fn execute(&self, job: Job) -> Result<(), Refused> {
///         std::thread::spawn(move || job.run());
///         Ok(())
///     }
/// }
/// let future = Threads.submit(|| 6 * 7)?;
/// assert_eq!(future.result(None)?, 42);
/// # Ok::<(), tulipa_futures::Exception>(())
/// ```
pub trait Executor: Send + Sync {
    /// Sees to it that `job` runs, soon and once. Must not run it before returning.
    ///
    /// # Errors
    /// [`Refused`] gives the job back: the executor was shut down, or its queue is full.
    fn execute(&self, job: Job) -> Result<(), Refused>;
}

/// Submitting closures to any [`Executor`], through `dyn Executor` too.
pub trait ExecutorExt: Executor {
    /// Has `function` run by this executor; the future becomes what it returns.
    ///
    /// Cancelling the future before the function started drops the function at once, with all that
    /// it captured (E-4); once it runs it cannot be cancelled. A panic becomes the future's exception
    /// (E-11). An executor that drops the job instead of running it cancels the future.
    ///
    /// # Errors
    /// [`Refused`] if the executor takes no job; the function is inside.
    #[track_caller]
    fn submit<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Future<T>, Refused> {
        self.try_submit(|| Ok(function()))
    }

    /// As [`submit`](ExecutorExt::submit), for functions that may fail: an `Err` becomes the future's
    /// exception.
    ///
    /// # Errors
    /// As [`submit`](ExecutorExt::submit).
    #[track_caller]
    fn try_submit<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> Result<T, Exception> + Send + 'static,
    ) -> Result<Future<T>, Refused> {
        let work: Work<T> = Box::new(function);
        let future = Future::with_work(work);
        let (queued, location) = (Box::new(Queued(future.clone())), Location::caller());
        self.execute(Job { work: queued, location })?;
        Ok(future)
    }
}

impl<E: Executor + ?Sized> ExecutorExt for E {}

/// Something for an [`Executor`] to run once. Dropping it instead drops all that it captured, and
/// cancels the future that [`ExecutorExt::submit`] returned for it.
#[must_use = "a job that is dropped does not run"]
pub struct Job {
    work: Box<dyn Run>,
    location: &'static Location<'static>,
}

/// What a job does.
trait Run: Send {
    fn run(self: Box<Self>);
    fn is_cancelled(&self) -> bool;
}

/// A closure that no future waits for.
struct Bare<F>(F);

impl Job {
    /// Wraps `closure`, remembering the caller as the place where it was submitted.
    #[track_caller]
    pub fn new(closure: impl FnOnce() + Send + 'static) -> Self {
        Self { work: Box::new(Bare(closure)), location: Location::caller() }
    }

    /// The place that submitted it.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Whether the future that [`ExecutorExt::submit`] returned for it was cancelled: running it does
    /// nothing, and a queue that is full may drop it to make room (E-4).
    pub fn is_cancelled(&self) -> bool {
        self.work.is_cancelled()
    }

    /// Runs it. A panic is logged and goes no further, so that the thread lives on (E-11).
    pub fn run(self) {
        let Self { work, location } = self;
        if let Err(panic) = catch(|| work.run()) {
            catch_silently(
                || log::error!(target: "tulipa", "the job submitted at {location} {panic}"),
            );
            catch_silently(|| drop(panic));
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job(submitted at {})", self.location)
    }
}

/// The executor does not take the job, which comes back.
#[derive(Debug)]
pub struct Refused {
    /// Never locked: it makes the error `Sync`, as errors should be.
    job: Mutex<Job>,
    reason: Cow<'static, str>,
}

impl Refused {
    /// Gives `job` back, and says why.
    pub fn new(job: Job, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { job: Mutex::new(job), reason: reason.into() }
    }

    /// The job that was not taken.
    pub fn into_job(self) -> Job {
        self.job.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it was not taken.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the executor refused a job: {}", self.reason)
    }
}

impl std::error::Error for Refused {}

/// The future of a job in a queue. If the job is dropped unrun, nobody else will complete it.
struct Queued<T: Send + 'static>(Future<T>);

impl<T: Send + 'static> Run for Queued<T> {
    fn run(self: Box<Self>) {
        self.0.run_work();
    }

    fn is_cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl<F: FnOnce() + Send> Run for Bare<F> {
    fn run(self: Box<Self>) {
        self.0();
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

impl<T: Send + 'static> Drop for Queued<T> {
    fn drop(&mut self) {
        self.0.cancel_with("the executor dropped the job");
    }
}
