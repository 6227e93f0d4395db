//! [`Future`]: a result that will come.
//!
//! Life: pending, then finished (a value or an exception) or cancelled; done is final (F-1). Whoever
//! waits is told through the scheduler (`call_soon`), never from inside `set_result`, `cancel` or
//! `add_done_callback` (F-10): no call into user code is ever made while `state` or `listeners` is
//! borrowed.

mod chain;
mod listeners;
mod object;
mod proxy;
mod shared;
mod teardown;
mod wait;

use crate::scope::Membership;
use crate::{
    Callback, Exception, InvalidStateError, Scheduler, SchedulerId, ScopeHandle, context, in_place,
};
use listeners::Listener;
use std::borrow::Cow;
use std::fmt;
use std::mem::replace;
use std::num::NonZeroU64;
use std::panic::Location;
use std::rc::{Rc, Weak};

pub(crate) use listeners::next_token;
use object::ObjectRef;
pub(crate) use object::{AnyFuture, AnyShared, FutureObject};
pub(crate) use proxy::{Others, Proxy};
pub(crate) use shared::{Shared, State};

/// A result that will come: the PEP's Future, for one thread.
///
/// It is a handle: clones name the same future. Producers call [`set_result`](Future::set_result) or
/// [`set_exception`](Future::set_exception); consumers read [`result`](Future::result), add a
/// callback, chain with [`map`](Future::map), [`then`](Future::then) and
/// [`or_else`](Future::or_else), or `.await` it (which gives `Result<T, Exception>`).
///
/// A failure that nobody asked for is reported through the exception handler when the last handle is
/// dropped, with the place that made the future (F-18). Dropping a pending future is silent (F-20).
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) -> Result<(), tulipa_futures::Exception> {
/// use tulipa_futures::SchedulerExt;
/// let future = event_loop.create_future::<u32>();
/// future.add_done_callback(|future| println!("{:?}", future.result()));
/// future.set_result(7)?; // the callback runs in the next iteration
/// # Ok(()) }
/// ```
pub struct Future<T: 'static> {
    object: ObjectRef<T>,
    /// What this handle waits under, once it was polled.
    wait: Option<CallbackToken>,
}

/// What [`Future::add_done_callback`] returns, for [`Future::remove_done_callback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackToken(NonZeroU64);

impl<T: 'static> Future<T> {
    /// A pending future of `scheduler`. [`SchedulerExt::create_future`](crate::SchedulerExt) is the
    /// usual way.
    ///
    /// If `scheduler` is a [`Scope`](crate::Scope), the future ends with it; one that has ended gives a
    /// cancelled future.
    #[track_caller]
    #[inline(always)] // A handle is returned by way of memory, for which the processor would wait.
    pub fn new(scheduler: Rc<dyn Scheduler>) -> Self {
        let created_at = Location::caller();
        match scheduler.scope() {
            None => Self::from_object(in_place::rc(|| Shared::new(scheduler, created_at))),
            Some(scope) => Self::of_scope(scope, created_at),
        }
    }

    #[cold]
    fn of_scope(scope: ScopeHandle, created_at: &'static Location<'static>) -> Self {
        scope.make_future(created_at)
    }

    #[inline]
    pub(crate) fn from_object(object: Rc<dyn FutureObject<T>>) -> Self {
        Self { object: ObjectRef::new(object), wait: None }
    }

    /// Has `membership` end with the future.
    pub(crate) fn attach(&self, membership: Membership) {
        match self.done() {
            true => drop(membership),
            false => {
                self.shared().listeners.borrow_mut().push(|| Listener::Scope(membership));
            }
        }
    }

    /// What the handle points to.
    pub(crate) fn object(&self) -> &Rc<dyn FutureObject<T>> {
        &self.object
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Shared<T> {
        self.object.shared()
    }

    /// What tells it from all others that are alive.
    pub(crate) fn address(&self) -> *const () {
        Rc::as_ptr(&self.object).cast()
    }

    /// A reference that does not keep the future alive.
    pub(crate) fn downgrade(&self) -> WeakFuture<T> {
        WeakFuture(Rc::downgrade(&self.object))
    }

    /// The scheduler that this future belongs to, for ever (F-8).
    pub fn get_loop(&self) -> Rc<dyn Scheduler> {
        self.shared().scheduler.clone()
    }

    /// The id of the scheduler that this future belongs to.
    pub fn scheduler_id(&self) -> SchedulerId {
        self.shared().scheduler.id()
    }

    /// Where it was made.
    pub fn created_at(&self) -> &'static Location<'static> {
        self.shared().created_at
    }

    /// Whether both handles name the same future.
    pub fn ptr_eq(&self, other: &Future<T>) -> bool {
        std::ptr::addr_eq(Rc::as_ptr(&self.object), Rc::as_ptr(&other.object))
    }

    /// Whether it is finished or cancelled.
    pub fn done(&self) -> bool {
        self.shared().done()
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.shared().cancelled()
    }

    /// Finishes it with a value. Callbacks run in the next iteration (F-10).
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done, also when it was cancelled (F-2); the value is dropped.
    /// [`try_set_result`](Future::try_set_result) gives it back.
    pub fn set_result(&self, value: T) -> Result<(), InvalidStateError> {
        self.try_set_result(value).map_err(|_| self.already_done("set_result"))
    }

    /// As [`set_result`](Future::set_result), for producers that may lose a race: a value that came
    /// too late comes back.
    ///
    /// # Errors
    /// The value, if the future is done.
    pub fn try_set_result(&self, value: T) -> Result<(), T> {
        self.complete(value, |value| State::Finished(Ok(value)))
    }

    /// Finishes it with an exception. Callbacks run in the next iteration (F-10).
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done, also when it was cancelled (F-2).
    pub fn set_exception(&self, exception: impl Into<Exception>) -> Result<(), InvalidStateError> {
        let outcome = self.complete(exception.into(), |exception| State::Finished(Err(exception)));
        outcome.map_err(|_| self.already_done("set_exception"))
    }

    /// Finishes it with either; a [`CancelledError`](crate::CancelledError) cancels it.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done.
    pub fn set_outcome(&self, outcome: Result<T, Exception>) -> Result<(), InvalidStateError> {
        self.complete(State::from(outcome), |state| state)
            .map_err(|_| self.already_done("set_outcome"))
    }

    /// Cancels it: true, and it is cancelled at once; false if it was done already (F-5).
    ///
    /// Either way an exception that it holds counts as retrieved (F-19). If this is a task seen as a
    /// future, the task is asked to end, as [`Task::cancel`](crate::Task::cancel) does.
    pub fn cancel(&self) -> bool {
        self.object().clone().request_cancel(None)
    }

    /// As [`cancel`](Future::cancel), with a message for those who wait (F-6).
    #[doc(alias = "cancel")]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.object().clone().request_cancel(Some(message.into()))
    }

    /// Completes it from outside, which only a plain future lets one do (T-5).
    #[inline(always)]
    fn complete<V>(&self, outcome: V, state_of: impl FnOnce(V) -> State<T>) -> Result<(), V> {
        let shared = self.shared();
        match shared.of_task {
            false => shared.complete(|| self.object().clone(), outcome, state_of),
            true => Err(outcome),
        }
    }

    /// The value, or what went wrong; may be asked any number of times (F-3).
    ///
    /// # Errors
    /// The exception that was set; [`CancelledError`](crate::CancelledError) if it was cancelled; [`InvalidStateError`] if
    /// it is pending, or if [`take`](Future::take) moved the value out.
    pub fn result(&self) -> Result<T, Exception>
    where
        T: Clone,
    {
        // A `Clone` may be user code: it must not find the state mutably borrowed, and it does not:
        // a done state is never borrowed mutably again but by `take`, which fails inside it.
        let shared = self.shared();
        shared.retrieved.set(true);
        match &*shared.state.borrow() {
            State::Finished(outcome) => outcome.clone(),
            other => Err(other.without_value()),
        }
    }

    /// The value, moved out: for values that are not `Clone`. Afterwards the other handles answer
    /// [`InvalidStateError`].
    ///
    /// # Errors
    /// As [`result`](Future::result).
    pub fn take(&self) -> Result<T, Exception> {
        let shared = self.shared();
        shared.retrieved.set(true);
        let Ok(mut state) = shared.state.try_borrow_mut() else {
            return Err(InvalidStateError::new("the value is being cloned right now").into());
        };
        match replace(&mut *state, State::Taken) {
            State::Finished(Ok(value)) => Ok(value),
            other => {
                let error = match &other {
                    State::Finished(Err(exception)) => exception.clone(),
                    other => other.without_value(),
                };
                *state = other;
                Err(error)
            }
        }
    }

    /// The exception as a value, `None` if it finished well (F-4).
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if it was cancelled, [`InvalidStateError`] if it is pending.
    pub fn exception(&self) -> Result<Option<Exception>, Exception> {
        self.shared().exception()
    }

    /// Calls `callback` with this future once it is done: in an iteration of its own turn, in the
    /// order of the additions (F-9…F-12). On a done future it is queued right away (F-11).
    ///
    /// The callback may add callbacks, cancel, query or drop anything (F-17); if it panics, that is
    /// reported and the others still run (F-16).
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + 'static) -> CallbackToken {
        let location = Location::caller();
        let shared = self.shared();
        if shared.done() && !shared.listeners.borrow().is_announcing() {
            let future = self.clone();
            shared.schedule(Callback::at(location, move || callback(&future)));
            return CallbackToken::SPENT;
        }
        shared.listeners.borrow_mut().push(|| Listener::Callback {
            closure: Some(context::bind(move |object| callback(&Future::from_object(object)))),
            location,
        })
    }

    /// Takes a callback back: true if it was there and will not run. Once the future is done its
    /// callbacks are queued, and this answers false (F-13, F-14).
    pub fn remove_done_callback(&self, token: CallbackToken) -> bool {
        let removed = match self.done() {
            true => None,
            false => self.shared().listeners.borrow_mut().remove(token),
        };
        removed.is_some() // dropped here, after the borrow: its captures are user values
    }

    fn already_done(&self, operation: &str) -> InvalidStateError {
        if self.shared().of_task {
            let error = format!("{operation}: a task's own coroutine gives its result");
            return InvalidStateError::new(error);
        }
        let state = if self.cancelled() { "cancelled" } else { "finished" };
        InvalidStateError::new(format!("{operation}: the future is already {state}"))
    }
}

impl<T: 'static> Clone for Future<T> {
    /// Another handle to the same future.
    #[inline]
    fn clone(&self) -> Self {
        Self { object: ObjectRef::clone(&self.object), wait: None }
    }
}

impl<T: 'static> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object.describe())
    }
}

/// A future that is not kept alive.
pub(crate) struct WeakFuture<T: 'static>(Weak<dyn FutureObject<T>>);

impl<T: 'static> WeakFuture<T> {
    /// A handle, if the future is still alive.
    pub(crate) fn upgrade(&self) -> Option<Future<T>> {
        self.0.upgrade().map(Future::from_object)
    }
}

impl CallbackToken {
    /// The token of a callback that was queued at once, and of no other.
    const SPENT: Self = Self(NonZeroU64::MAX);
}
