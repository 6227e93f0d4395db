//! [`Scheduler`]: the little that futures need from a loop.

use crate::scope::ENDED;
use crate::{
    Callback, Exception, ExceptionContext, Future, Handle, Instant, InvalidStateError, Scope,
    ScopeHandle, Step, Task, TaskBuilder, TimerHandle,
};
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The part of an event loop that futures and combinators rest on: callbacks in order, timers, and
/// somebody to report errors to.
///
/// Everything in this crate works on any implementation (PEP 3156's test of its design, I-1). The
/// convenient generic methods are in [`SchedulerExt`].
///
/// # Contract
/// - Callbacks run on the thread that owns the scheduler, one at a time, never nested (L-1), in the
///   order in which they were scheduled (L-4), each once or, if cancelled in time, never (L-7).
/// - Nothing runs from inside [`schedule`](Scheduler::schedule) or
///   [`schedule_at`](Scheduler::schedule_at).
/// - No method calls user code, or drops user values, while something internal is borrowed.
pub trait Scheduler {
    /// Queues `callback` behind those already queued.
    ///
    /// # Errors
    /// [`Closed`] gives the callback back if the scheduler is closed.
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed>;

    /// As [`schedule`](Scheduler::schedule), for those who will never call it off.
    ///
    /// # Errors
    /// [`Closed`] gives the callback back if the scheduler is closed.
    fn schedule_detached(&self, callback: Callback) -> Result<(), Closed> {
        self.schedule(callback).map(drop)
    }

    /// As [`schedule_detached`](Scheduler::schedule_detached), for the next step of a task. If the
    /// scheduler is closed it is dropped: the task has ended with the scheduler.
    fn schedule_step(&self, step: Step) {
        let callback = Callback::without_context(step.location(), move || step.run());
        drop(self.schedule_detached(callback));
    }

    /// Runs `callback` when [`time`](Scheduler::time) has reached `when`; at equal times in the order
    /// of creation (H-10). An instant in the past is due at once (H-6).
    ///
    /// At [`Instant::NEVER`] it never runs, and is dropped when it is cancelled or the scheduler
    /// closes: so [`wrap_future`](crate::wrap_future()) has the scheduler keep something. Such a timer
    /// is no reason to wake up, or to think that there is still something to do.
    ///
    /// # Errors
    /// [`Closed`] gives the callback back if the scheduler is closed.
    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed>;

    /// The current time of this scheduler's clock. It never goes back (L-47).
    fn time(&self) -> Instant;

    /// Drops a callback that has not run yet, with all it captured, and says whether there was one.
    /// [`Handle::cancel`] calls this.
    fn cancel(&self, id: CallbackId) -> bool;

    /// Whether the callback has yet to run.
    fn is_pending(&self, id: CallbackId) -> bool;

    /// Moves a timer that has not run yet to `when`, and says whether there was one (H-17). It then
    /// counts as newly created among timers with the same deadline.
    fn reschedule(&self, id: CallbackId, when: Instant) -> bool;

    /// Gives an error that has no caller to the exception handler, or logs it (D-6, D-8).
    fn call_exception_handler(&self, context: ExceptionContext);

    /// Who this is. No two schedulers of a process have the same.
    fn id(&self) -> SchedulerId;

    /// An owned reference to this scheduler.
    fn to_rc(&self) -> Rc<dyn Scheduler>;

    /// The way in from other threads: always a clone of the same `Arc`.
    ///
    /// The scheduler keeps one itself for as long as it is open, so that a `Weak` of it, which is what
    /// a waker holds, stays good until then without counting as somebody who may still post.
    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler>;

    /// Whether it has been closed: nothing will run any more.
    fn is_closed(&self) -> bool;

    /// Whether the extra checks and reports of debug mode are wanted (D-1).
    fn get_debug(&self) -> bool {
        false
    }

    /// The scope that this is, if it is a [`Scope`]'s view of a loop and not the loop itself. What is
    /// made through a scope belongs to it.
    fn scope(&self) -> Option<ScopeHandle> {
        None
    }
}

/// What another thread may do with a scheduler.
pub trait ThreadsafeScheduler: Send + Sync {
    /// Queues `closure` to run on the scheduler's thread, and wakes it. In order per calling thread.
    ///
    /// It runs in the empty [`TaskContext`](crate::TaskContext): the values of another thread stay there.
    ///
    /// It takes this reference with it: a scheduler that counts them, to know whether something may
    /// still come, never sees one of a caller who has nothing more to say.
    ///
    /// # Errors
    /// A closed scheduler gives the closure back.
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure>;

    /// The id of the scheduler that this belongs to.
    fn id(&self) -> SchedulerId;
}

/// A closure on its way to a scheduler's thread.
pub type PostedClosure = Box<dyn FnOnce() + Send>;

/// Names one scheduler within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SchedulerId(NonZeroU64);

impl SchedulerId {
    /// An id that no other scheduler has.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::new(id).expect("2^64 schedulers are never made"))
    }
}

impl fmt::Display for SchedulerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names a callback within its scheduler, which alone gives the numbers a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackId {
    /// Queued by [`Scheduler::schedule`].
    Soon(u64),
    /// Armed by [`Scheduler::schedule_at`].
    Timer(u64),
}

/// The scheduler is closed; the callback comes back.
#[derive(Debug)]
pub struct Closed(Callback);

impl Closed {
    /// The answer of a closed scheduler to a request to run `callback`.
    pub fn new(callback: Callback) -> Self {
        Self(callback)
    }

    /// The callback that could not be scheduled.
    pub fn into_callback(self) -> Callback {
        self.0
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop is closed")
    }
}

impl std::error::Error for Closed {}

/// The event loop is closed, so the operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedError;

impl fmt::Display for ClosedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop is closed")
    }
}

impl std::error::Error for ClosedError {}

impl From<ClosedError> for std::io::Error {
    fn from(error: ClosedError) -> Self {
        std::io::Error::other(error)
    }
}

/// Scheduling with closures, on any [`Scheduler`] and through `dyn Scheduler` too.
///
/// On a closed scheduler the callback is dropped, reported once, and the handle is dead (L-26).
pub trait SchedulerExt: Scheduler {
    /// Runs `callback` once, in the next iteration, behind all that is queued already (L-3, L-4).
    ///
    /// Closures of up to four words are queued without an allocation. Dropping the [`Handle`] does
    /// not cancel; [`Handle::cancel`] does. PEP 3156, Basic Callbacks.
    ///
    /// # Examples
    /// ```
    /// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
    /// use tulipa_futures::SchedulerExt;
    /// event_loop.call_soon(|| println!("first"));
    /// event_loop.call_soon(|| println!("second"));
    /// # }
    /// ```
    #[track_caller]
    #[inline]
    fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        match self.schedule(Callback::new(callback)) {
            Ok(handle) => handle,
            Err(closed) => {
                report_refused(self, "call_soon", closed);
                Handle::dead()
            }
        }
    }

    /// Runs `callback` once, `delay` from now by this scheduler's clock.
    ///
    /// It may run late (the loop was busy) but never early (H-9). Callbacks due at the same time run
    /// in the order in which they were scheduled (H-10). A delay too large to count never ends (H-7).
    /// Dropping the [`TimerHandle`] does not cancel; [`TimerHandle::cancel`] does.
    ///
    /// # Examples
    /// ```
    /// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
    /// use {std::time::Duration, tulipa_futures::SchedulerExt};
    /// let timer = event_loop.call_later(Duration::from_millis(5), || println!("now"));
    /// timer.cancel();
    /// # }
    /// ```
    #[track_caller]
    #[inline]
    fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimerHandle {
        arm(self, "call_later", self.time() + delay, Callback::new(callback))
    }

    /// Runs `callback` once, when the scheduler's clock has reached `when`. See
    /// [`call_later`](SchedulerExt::call_later); an instant in the past is due at once, and still in
    /// order (H-6).
    #[track_caller]
    #[inline]
    fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimerHandle {
        arm(self, "call_at", when, Callback::new(callback))
    }

    /// A pending [`Future`] of this scheduler (L-52).
    #[track_caller]
    #[inline]
    fn create_future<T: 'static>(&self) -> Future<T> {
        Future::new(self.to_rc())
    }

    /// Runs `coroutine` as a [`Task`]: nothing of it before the next iteration (T-1). See
    /// [`TaskBuilder::create_task`].
    ///
    /// # Examples
    /// ```
    /// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
    /// use tulipa_futures::SchedulerExt;
    /// let task = event_loop.create_task(async {
    ///     tulipa_futures::sleep(std::time::Duration::from_millis(20)).await?;
    ///     Ok("rested")
    /// });
    /// # }
    /// ```
    #[track_caller]
    fn create_task<T: 'static>(
        &self,
        coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Task<T> {
        TaskBuilder::new().create_task(self, coroutine)
    }

    /// As [`create_task`](SchedulerExt::create_task), for a coroutine that cannot fail: its output
    /// is the task's value.
    #[track_caller]
    fn spawn<T: 'static>(
        &self,
        coroutine: impl std::future::Future<Output = T> + 'static,
    ) -> Task<T> {
        TaskBuilder::new().spawn(self, coroutine)
    }

    /// A [`Scope`]: a view of this loop that ends what was made through it. That of a scope is its
    /// child, and ends with it.
    ///
    /// # Examples
    /// ```
    /// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
    /// use {std::time::Duration, tulipa_futures::SchedulerExt};
    /// let scope = event_loop.create_scope();
    /// scope.call_later(Duration::from_secs(1), || println!("never"));
    /// drop(scope);
    /// # }
    /// ```
    fn create_scope(&self) -> Scope {
        Scope::new(self)
    }
}

impl<S: Scheduler + ?Sized> SchedulerExt for S {}

/// Arms a timer for the method `method`.
#[inline]
fn arm<S: Scheduler + ?Sized>(
    scheduler: &S,
    method: &str,
    when: Instant,
    callback: Callback,
) -> TimerHandle {
    match scheduler.schedule_at(when, callback) {
        Ok(handle) => handle,
        Err(closed) => {
            report_refused(scheduler, method, closed);
            TimerHandle::dead(when)
        }
    }
}

/// Drops the callback that a closed scheduler gave back, and reports that once (L-26).
#[cold]
fn report_refused<S: Scheduler + ?Sized>(scheduler: &S, method: &str, closed: Closed) {
    let created_at: &'static Location<'static> = closed.0.location();
    let (place, error) = match scheduler.scope() {
        None => ("a closed event loop", ClosedError.into()),
        Some(_) => ("a scope that has ended", Exception::from(InvalidStateError::new(ENDED))),
    };
    let message = format!("{method} on {place}: the callback was dropped");
    let mut context = ExceptionContext::with_exception(message, error);
    context.created_at = Some(created_at);
    drop(closed);
    scheduler.call_exception_handler(context);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn no_two_schedulers_have_the_same_id() {
        let (one, other) = (SchedulerId::unique(), SchedulerId::unique());
        assert_ne!(one, other);
        assert_ne!(one.to_string(), other.to_string());
        assert!(one.to_string().parse::<u64>().is_ok());
    }

    #[test]
    fn l26_a_closed_scheduler_gives_the_callback_back() {
        let ran = Rc::new(Cell::new(false));
        let flag = ran.clone();
        let closed = Closed::new(Callback::new(move || flag.set(true)));
        assert_eq!(closed.to_string(), "the event loop is closed");
        assert_eq!(std::io::Error::from(ClosedError).to_string(), closed.to_string());
        closed.into_callback().run();
        assert!(ran.get());
    }
}
