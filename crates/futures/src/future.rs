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
mod teardown;
mod wait;

use crate::catch::catch;
use crate::in_place;
use crate::scope::Membership;
use crate::task::wait_set::WaitSetId;
use crate::task::{CancelMessage, WakeTarget, panicked};
use crate::{
    Callback, CancelledError, Exception, ExceptionContext, InvalidStateError, Scheduler,
    SchedulerId, context,
};
use listeners::{Announced, Listener, Listeners};
use std::any::type_name;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::{forget, replace};
use std::num::NonZeroU64;
use std::panic::Location;
use std::rc::{Rc, Weak};

pub(crate) use listeners::next_token;
pub(crate) use object::{AnyFuture, AnyShared, FutureObject};
pub(crate) use proxy::{Others, Proxy};

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
    object: Rc<dyn FutureObject<T>>,
    /// What this handle waits under, once it was polled.
    wait: Option<CallbackToken>,
}

/// What [`Future::add_done_callback`] returns, for [`Future::remove_done_callback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackToken(NonZeroU64);

/// State and listeners of a future.
pub(crate) struct Shared<T: 'static> {
    scheduler: Rc<dyn Scheduler>,
    created_at: &'static Location<'static>,
    state: RefCell<State<T>>,
    /// Those who wait for a pending future; of a done one, the callbacks that are queued to run.
    listeners: RefCell<Listeners<T>>,
    /// Whether somebody asked for the exception (F-19).
    retrieved: Cell<bool>,
    /// Whether a callback looks for an exception that nobody asks for (T-55).
    watched: Cell<bool>,
    /// Whether only a coroutine completes it (T-5).
    of_task: bool,
}

pub(crate) enum State<T> {
    Pending,
    Finished(Result<T, Exception>),
    /// It finished with a value, which [`Future::take`] moved out.
    Taken,
    Cancelled {
        message: CancelMessage,
    },
}

impl<T: 'static> Future<T> {
    /// A pending future of `scheduler`. [`SchedulerExt::create_future`](crate::SchedulerExt) is the
    /// usual way.
    ///
    /// If `scheduler` is a [`Scope`](crate::Scope), the future ends with it; one that has ended gives a
    /// cancelled future.
    #[track_caller]
    pub fn new(scheduler: Rc<dyn Scheduler>) -> Self {
        match scheduler.scope() {
            None => {
                let created_at = Location::caller();
                Self::from_object(in_place::rc(|| Shared::new(scheduler, created_at)))
            }
            Some(scope) => scope.make_future(Location::caller()),
        }
    }

    pub(crate) fn from_object(object: Rc<dyn FutureObject<T>>) -> Self {
        Self { object, wait: None }
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

    /// Finishes it with either; a [`CancelledError`] cancels it.
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
        self.object.clone().request_cancel(None)
    }

    /// As [`cancel`](Future::cancel), with a message for those who wait (F-6).
    #[doc(alias = "cancel")]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.object.clone().request_cancel(Some(message.into()))
    }

    /// Completes it from outside, which only a plain future lets one do (T-5).
    #[inline(always)]
    fn complete<V>(&self, outcome: V, state_of: impl FnOnce(V) -> State<T>) -> Result<(), V> {
        let shared = self.shared();
        match shared.of_task {
            false => shared.complete(|| self.object.clone(), outcome, state_of),
            true => Err(outcome),
        }
    }

    /// The value, or what went wrong; may be asked any number of times (F-3).
    ///
    /// # Errors
    /// The exception that was set; [`CancelledError`] if it was cancelled; [`InvalidStateError`] if
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
    /// [`CancelledError`] if it was cancelled, [`InvalidStateError`] if it is pending.
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
            closure: context::bind(move |future: Future<T>| callback(&future)),
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

impl<T> State<T> {
    /// Why a state that holds neither value nor exception has no result.
    fn without_value(&self) -> Exception {
        match self {
            State::Cancelled { message: None } => CancelledError::new().into(),
            State::Cancelled { message: Some(text) } => {
                CancelledError::with_message(text.clone()).into()
            }
            State::Taken => InvalidStateError::new("the result was taken").into(),
            State::Pending => InvalidStateError::new("the result is not ready").into(),
            State::Finished(_) => InvalidStateError::new("the future is finished").into(),
        }
    }
}

impl<T: 'static> Clone for Future<T> {
    /// Another handle to the same future.
    fn clone(&self) -> Self {
        Self::from_object(self.object.clone())
    }
}

impl<T: 'static> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object.describe())
    }
}

impl<T> From<Result<T, Exception>> for State<T> {
    /// The state of a future with this outcome: cancelled, if the exception says so.
    fn from(outcome: Result<T, Exception>) -> Self {
        match outcome {
            Err(exception) => match exception.cancelled() {
                Some(cancelled) => {
                    State::Cancelled { message: cancelled.message().map(|m| m.to_owned().into()) }
                }
                None => State::Finished(Err(exception)),
            },
            value => State::Finished(value),
        }
    }
}

impl<T: 'static> Shared<T> {
    #[inline(always)]
    pub(crate) fn new(
        scheduler: Rc<dyn Scheduler>,
        created_at: &'static Location<'static>,
    ) -> Self {
        Self {
            scheduler,
            created_at,
            state: RefCell::new(State::Pending),
            listeners: RefCell::new(Listeners::Empty),
            retrieved: Cell::new(false),
            watched: Cell::new(false),
            of_task: false,
        }
    }

    /// State and listeners of a task.
    #[inline(always)]
    pub(crate) fn of_task(
        scheduler: Rc<dyn Scheduler>,
        created_at: &'static Location<'static>,
    ) -> Self {
        let mut shared = Self::new(scheduler, created_at);
        shared.of_task = true;
        shared
    }

    pub(crate) fn scheduler(&self) -> &Rc<dyn Scheduler> {
        &self.scheduler
    }

    pub(crate) fn created_at(&self) -> &'static Location<'static> {
        self.created_at
    }

    #[inline]
    pub(crate) fn done(&self) -> bool {
        !matches!(*self.state.borrow(), State::Pending)
    }

    /// Whether one who waits under `token` is still there, and stands in the wait set `within`.
    pub(crate) fn has_waiter(&self, token: CallbackToken, within: WaitSetId) -> bool {
        let mut listeners = self.listeners.borrow_mut();
        listeners.waiter_mut(token).is_some_and(|waiter| waiter.within == within)
    }

    pub(crate) fn cancelled(&self) -> bool {
        matches!(*self.state.borrow(), State::Cancelled { .. })
    }

    /// Whether it finished with an exception. Does not count as asking for it.
    pub(crate) fn failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Finished(Err(_)))
    }

    /// The exception, if there is one that nobody asked for (F-18). From now on it counts as asked.
    #[inline]
    pub(crate) fn take_unretrieved(&self) -> Option<Exception> {
        match &*self.state.borrow() {
            State::Finished(Err(exception)) if !self.retrieved.replace(true) => {
                Some(exception.clone())
            }
            _ => None,
        }
    }

    /// See [`Future::exception`].
    pub(crate) fn exception(&self) -> Result<Option<Exception>, Exception> {
        self.retrieved.set(true);
        match &*self.state.borrow() {
            State::Finished(Err(exception)) => Ok(Some(exception.clone())),
            State::Finished(Ok(_)) | State::Taken => Ok(None),
            other => Err(other.without_value()),
        }
    }

    /// From now on an exception counts as asked for (F-19).
    pub(crate) fn set_retrieved(&self) {
        self.retrieved.set(true);
    }

    /// From now on a callback looks for an exception; true if one did already.
    pub(crate) fn set_watched(&self) -> bool {
        self.watched.replace(true)
    }

    /// Cancels it, unless it is done.
    pub(crate) fn cancel(&self, this: &Rc<dyn FutureObject<T>>, message: CancelMessage) -> bool {
        self.set_retrieved();
        self.complete(|| this.clone(), message, |message| State::Cancelled { message }).is_ok()
    }

    /// Moves from pending to the state that is made of `outcome`, then tells everybody who waits for
    /// `this`, the object that this is a part of. Gives `outcome` back if the future is done.
    ///
    /// `state_of` is called while the state is borrowed: it must call nothing of users', and drop nothing.
    #[inline(always)]
    pub(crate) fn complete<V>(
        &self,
        this: impl Fn() -> Rc<dyn FutureObject<T>>,
        outcome: V,
        state_of: impl FnOnce(V) -> State<T>,
    ) -> Result<(), V> {
        match self.state.try_borrow_mut() {
            // Made where it will lie; what was there has nothing to drop.
            Ok(mut current) if matches!(*current, State::Pending) => {
                forget(replace(&mut *current, state_of(outcome)));
            }
            _ => return Err(outcome),
        }
        // Who asked a pending future for its exception has not seen the one that came (F-19).
        self.retrieved.set(false);
        if self.failed() {
            self.note_panic(&this());
        }
        let only = self.listeners.borrow_mut().take_only_task();
        match only {
            Some(task) => task.schedule_step(),
            None => self.tell_others(this),
        }
        Ok(())
    }

    /// If it failed by a panic, that one has to be resumed by somebody.
    #[cold]
    fn note_panic(&self, this: &Rc<dyn FutureObject<T>>) {
        let exception = match &*self.state.borrow() {
            State::Finished(Err(exception)) => exception.clone(),
            _ => return,
        };
        if exception.panicked().is_some() {
            let this: Rc<dyn AnyFuture> = this.clone();
            panicked::note(self.scheduler.id(), &this);
        }
    }

    /// Tells everybody who waits, unless it is a single task.
    #[inline]
    fn tell_others(&self, this: impl Fn() -> Rc<dyn FutureObject<T>>) {
        let only = self.listeners.borrow_mut().close();
        match only {
            Some(announced) => self.tell(announced, this),
            None => self.announce(&this()),
        }
    }

    /// Tells everybody of a crowd, one after the other.
    #[cold]
    fn announce(&self, this: &Rc<dyn FutureObject<T>>) {
        loop {
            let next = self.listeners.borrow_mut().announce();
            match next {
                Some(announced) => self.tell(announced, || this.clone()),
                None => return,
            }
        }
    }

    /// Tells one of those who wait for `this`.
    #[inline(always)]
    fn tell(&self, announced: Announced, this: impl Fn() -> Rc<dyn FutureObject<T>>) {
        match announced {
            Announced::Callback(location) => {
                let turn = Turn(Some(this()));
                self.schedule(Callback::without_context(location, move || turn.run()));
            }
            Announced::Waiter(target) => self.wake(target),
            Announced::Scope(membership) => drop(membership),
            Announced::Nobody => {}
        }
    }

    /// Wakes one who waits. A waker that panics is reported, and the others are told all the same.
    #[inline]
    fn wake(&self, target: WakeTarget) {
        match target {
            WakeTarget::Task(task) => task.schedule_step(),
            target => {
                self.report_panic("waking who waits for a future", || target.wake());
            }
        }
    }

    /// Queues `callback`; on a closed loop it is dropped silently, for nobody can hear it (F-21).
    fn schedule(&self, callback: Callback) {
        let refused = self.scheduler.schedule_detached(callback);
        if refused.is_err() {
            self.report_panic("dropping a callback of a closed event loop", || drop(refused));
        }
    }

    /// Runs user code whose panic would keep others from being told.
    #[inline(never)]
    fn report_panic(&self, doing: &'static str, user_code: impl FnOnce()) {
        if let Err(exception) = catch(user_code) {
            let mut context = ExceptionContext::with_exception(doing, exception);
            context.future = Some(format!("{self:?}"));
            context.created_at = Some(self.created_at);
            self.scheduler.call_exception_handler(context);
        }
    }
}

/// The right to run one callback: the first that has not run yet. One of these is queued for each. If
/// it is dropped unrun, because the loop closed, the callback goes with it.
struct Turn<T: 'static>(Option<Rc<dyn FutureObject<T>>>);

impl<T: 'static> Turn<T> {
    #[inline]
    fn run(mut self) {
        let Some(object) = self.0.take() else { return };
        let next = object.shared().listeners.borrow_mut().pop_callback();
        if let Some(closure) = next {
            closure.call(Future::from_object(object));
        }
    }

    #[cold]
    fn drop_callback(object: &dyn FutureObject<T>) {
        let dropped = object.shared().listeners.borrow_mut().pop_callback();
        drop(dropped); // its captures are user values
    }
}

impl<T: 'static> Drop for Turn<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            Self::drop_callback(&*object);
        }
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

impl<T: 'static> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        if self.is_unretrieved() || !self.listeners.get_mut().is_empty() {
            self.end();
        }
    }
}

impl<T: 'static> Shared<T> {
    /// Whether it goes with an exception that nobody asked for (F-18).
    #[inline]
    pub(crate) fn is_unretrieved(&mut self) -> bool {
        matches!(self.state.get_mut(), State::Finished(Err(_))) && !self.retrieved.get()
    }

    /// It goes, with listeners or with an exception that nobody asked for.
    #[cold]
    fn end(&mut self) {
        teardown::drop_flat(replace(self.listeners.get_mut(), Listeners::Empty));
        if let Some(exception) = self.take_unretrieved() {
            let mut context =
                ExceptionContext::with_exception("exception was never retrieved", exception);
            context.future = Some(format!("{self:?}"));
            context.created_at = Some(self.created_at);
            context.never_retrieved = true;
            self.scheduler.call_exception_handler(context);
        }
    }
}

impl<T: 'static> Shared<T> {
    /// The state in a word, for people.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state.try_borrow() {
            Ok(state) => match &*state {
                State::Pending => "pending",
                State::Finished(Ok(_)) => "finished",
                State::Finished(Err(_)) => "failed",
                State::Taken => "taken",
                State::Cancelled { .. } => "cancelled",
            },
            Err(_) => "being taken",
        }
    }
}

impl<T: 'static> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, location) = (self.state_name(), self.created_at);
        write!(f, "Future<{}>({state}, created at {location})", type_name::<T>())
    }
}
