//! [`Future`]: a result that will come, for any thread.
//!
//! Life: pending, perhaps running, then finished or cancelled; done is final (F-29). One mutex guards
//! the state; callbacks, clones and destructors of user values run when it is free. To clone a value
//! without the lock, and without asking for `T: Sync`, it is *lent* to the thread that clones it: the
//! others wait for its return.

use super::sync::{self, Condvar, Mutex, MutexGuard, ThreadId, thread};
use crate::catch::{catch, catch_silently};
use crate::{CancelledError, Exception, InvalidStateError, TimeoutError, current};
use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A result that will come, for any thread: the Future of PEP 3148.
///
/// It is a handle: clones name the same future. A producer either completes it outright, or first
/// announces that it works on it ([`set_running_or_notify_cancel`](Future::set_running_or_notify_cancel)),
/// after which it can no longer be cancelled. Consumers block in [`result`](Future::result) or
/// [`take`](Future::take), or add a callback.
///
/// The `timeout` of the blocking methods: `None` waits for as long as it takes, zero only looks. On a
/// thread that runs a loop they refuse to wait at all; see the [module](crate::concurrent).
///
/// # Examples
/// ```
/// use tulipa_futures::concurrent::Future;
/// let future = Future::new();
/// let producer = future.clone();
/// std::thread::spawn(move || producer.set_result(6 * 7));
/// assert_eq!(future.result(None)?, 42);
/// # Ok::<(), tulipa_futures::Exception>(())
/// ```
pub struct Future<T: 'static> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: 'static> {
    inner: Mutex<Inner<T>>,
    /// Told when the state becomes done, and when a lent value is back.
    changed: Condvar,
}

struct Inner<T: 'static> {
    state: State<T>,
    listeners: Vec<Listener<T>>,
    next_listener: u64,
}

enum State<T> {
    /// With the work that an executor will do, if one has it queued: cancelling frees it (E-4).
    Pending {
        work: Option<Work<T>>,
    },
    Running,
    Finished(Result<T, Exception>),
    /// Finished with a value, which this thread is cloning.
    Lent {
        to: ThreadId,
    },
    /// Finished with a value, which was moved out.
    Taken,
    Cancelled {
        message: Option<Cow<'static, str>>,
    },
}

/// What an executor does to obtain the outcome of a future.
pub(super) type Work<T> = Box<dyn FnOnce() -> Result<T, Exception> + Send>;

struct Listener<T: 'static> {
    id: ListenerId,
    callback: DoneCallback<T>,
    location: &'static Location<'static>,
}

type DoneCallback<T> = Box<dyn FnOnce(&Future<T>) + Send>;

/// Names a callback of one future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerId(u64);

impl<T: 'static> Future<T> {
    /// A pending future.
    pub fn new() -> Self {
        Self::from_state(State::Pending { work: None })
    }

    /// A pending future whose outcome is what `work` returns, once somebody calls `run_work`.
    pub(super) fn with_work(work: Work<T>) -> Self {
        Self::from_state(State::Pending { work: Some(work) })
    }

    fn from_state(state: State<T>) -> Self {
        let inner = Inner { state, listeners: Vec::new(), next_listener: 0 };
        Self { shared: Arc::new(Shared { inner: Mutex::new(inner), changed: Condvar::new() }) }
    }

    /// Whether both handles name the same future.
    pub fn ptr_eq(&self, other: &Future<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A reference that does not keep the future alive.
    pub(crate) fn downgrade(&self) -> WeakFuture<T> {
        WeakFuture(Arc::downgrade(&self.shared))
    }

    /// What tells this future from others while it lives.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Whether it is finished or cancelled.
    pub fn done(&self) -> bool {
        self.lock().state.is_done()
    }

    /// Whether a producer is working on it.
    pub fn running(&self) -> bool {
        matches!(self.lock().state, State::Running)
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        matches!(self.lock().state, State::Cancelled { .. })
    }

    /// Whether it finished with an exception.
    pub(super) fn failed(&self) -> bool {
        matches!(self.lock().state, State::Finished(Err(_)))
    }

    /// Cancels it, and says whether it is cancelled now: false once it is running or finished.
    ///
    /// Work that an executor has queued for it is dropped at once, with all it captured (E-4).
    /// Callbacks run here and now. As PEP 3148 has it, a second cancel answers true as well.
    pub fn cancel(&self) -> bool {
        self.cancel_inner(None)
    }

    /// As [`cancel`](Future::cancel), with a message for those who wait.
    #[doc(alias = "cancel")]
    pub fn cancel_with(&self, message: impl Into<Cow<'static, str>>) -> bool {
        self.cancel_inner(Some(message.into()))
    }

    fn cancel_inner(&self, message: Option<Cow<'static, str>>) -> bool {
        let pending = |state: &State<T>| matches!(state, State::Pending { .. });
        self.advance(pending, State::Cancelled { message }).is_ok() || self.cancelled()
    }

    /// Announces that the outcome is being worked on: true, and the producer owes one. False if
    /// there is nothing to do, because it was cancelled or is running or finished already.
    pub fn set_running_or_notify_cancel(&self) -> bool {
        self.start().is_some()
    }

    /// From pending to running, with the work to be done if there is some.
    fn start(&self) -> Option<Option<Work<T>>> {
        let mut inner = self.lock();
        let State::Pending { work } = &mut inner.state else { return None };
        let work = work.take();
        inner.state = State::Running;
        Some(work)
    }

    /// Does the work that is queued for it, unless it was cancelled. A panic becomes the exception
    /// of the future (E-11).
    pub(super) fn run_work(&self) {
        if let Some(Some(work)) = self.start() {
            // Somebody may have completed it meanwhile: then nobody wants the outcome.
            let _ = self.set_outcome(catch(work).and_then(|outcome| outcome));
        }
    }

    /// Finishes it with a value, and runs the callbacks here and now.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done, also when it was cancelled; the value is dropped.
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
        match self.advance(State::is_unfinished, State::Finished(Ok(value))) {
            Err(State::Finished(Ok(value))) => Err(value),
            _ => Ok(()),
        }
    }

    /// Finishes it with an exception, and runs the callbacks here and now.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done, also when it was cancelled.
    pub fn set_exception(&self, exception: impl Into<Exception>) -> Result<(), InvalidStateError> {
        let outcome = State::Finished(Err(exception.into()));
        let refused = self.advance(State::is_unfinished, outcome);
        refused.map_err(|_| self.already_done("set_exception"))
    }

    /// Finishes it with either; a [`CancelledError`] cancels it, even if it is running (F-28).
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done.
    pub fn set_outcome(&self, outcome: Result<T, Exception>) -> Result<(), InvalidStateError> {
        let state = match outcome {
            Err(exception) => match exception.cancelled() {
                Some(cancelled) => {
                    State::Cancelled { message: cancelled.message().map(|m| m.to_owned().into()) }
                }
                None => State::Finished(Err(exception)),
            },
            value => State::Finished(value),
        };
        let refused = self.advance(State::is_unfinished, state);
        refused.map_err(|_| self.already_done("set_outcome"))
    }

    /// The value, once it is there. It is shared, not consumed, and may be asked any number of times.
    ///
    /// # Errors
    /// The exception that was set; [`CancelledError`] if it was cancelled; [`TimeoutError`] if it is
    /// not done in time; [`InvalidStateError`] if waiting is refused on this thread, or if
    /// [`take`](Future::take) moved the value out.
    pub fn result(&self, timeout: Option<Duration>) -> Result<T, Exception>
    where
        T: Clone,
    {
        let mut inner = self.wait_until_returned(self.wait_until_done("result", timeout)?);
        let value = inner.state.leave(|| State::Lent { to: thread::current().id() })?;
        drop(inner);
        let lent = Lent { future: self, value: Some(value) };
        lent.value.clone().ok_or_else(|| InvalidStateError::new("the result was taken").into())
    }

    /// The value, moved out: for values that are not `Clone`. Afterwards the other handles answer
    /// [`InvalidStateError`].
    ///
    /// # Errors
    /// As [`result`](Future::result).
    pub fn take(&self, timeout: Option<Duration>) -> Result<T, Exception> {
        let mut inner = self.wait_until_returned(self.wait_until_done("take", timeout)?);
        inner.state.leave(|| State::Taken)
    }

    /// The exception as a value, `None` if it finished well, once that is known.
    ///
    /// # Errors
    /// [`CancelledError`] if it was cancelled; [`TimeoutError`] and [`InvalidStateError`] as
    /// [`result`](Future::result).
    pub fn exception(&self, timeout: Option<Duration>) -> Result<Option<Exception>, Exception> {
        let inner = self.wait_until_done("exception", timeout)?;
        match &inner.state {
            State::Finished(Err(exception)) => Ok(Some(exception.clone())),
            State::Finished(Ok(_)) | State::Lent { .. } | State::Taken => Ok(None),
            other => Err(other.without_value()),
        }
    }

    /// Calls `callback` with this future once it is done, in the thread that completes it; at once
    /// and here if it is done already. Callbacks run in the order of their additions.
    ///
    /// If the callback panics, that is logged and otherwise ignored.
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + Send + 'static) {
        self.add_listener(callback);
    }

    /// As [`add_done_callback`](Future::add_done_callback); the answer serves to take it back.
    #[track_caller]
    pub(crate) fn add_listener(
        &self,
        callback: impl FnOnce(&Future<T>) + Send + 'static,
    ) -> ListenerId {
        let (callback, location) = (Box::new(callback), Location::caller());
        let mut inner = self.lock();
        let id = ListenerId(inner.next_listener);
        inner.next_listener += 1;
        let listener = Listener { id, callback, location };
        if inner.state.is_done() {
            drop(inner);
            self.tell(listener);
        } else {
            inner.listeners.push(listener);
        }
        id
    }

    /// Takes a callback back that has not been called.
    pub(crate) fn remove_listener(&self, id: ListenerId) {
        let mut inner = self.lock();
        let position = inner.listeners.iter().position(|listener| listener.id == id);
        let removed = position.map(|position| inner.listeners.remove(position));
        drop(inner);
        drop(removed); // with what it captured, when the lock is free
    }

    /// Moves from a state that `may_leave` allows to `next`, then tells everybody. Gives `next` back
    /// if that is not allowed.
    fn advance(
        &self,
        may_leave: impl FnOnce(&State<T>) -> bool,
        next: State<T>,
    ) -> Result<(), State<T>> {
        let mut inner = self.lock();
        if !may_leave(&inner.state) {
            return Err(next);
        }
        let previous = std::mem::replace(&mut inner.state, next);
        let listeners = std::mem::take(&mut inner.listeners);
        drop(inner);
        self.shared.changed.notify_all();
        // Work that was queued is dropped here, and that is user code.
        if let Err(panic) = catch(|| drop(previous)) {
            catch_silently(|| log::error!(target: "tulipa", "dropping cancelled work {panic}"));
            catch_silently(|| drop(panic));
        }
        listeners.into_iter().for_each(|listener| self.tell(listener));
        Ok(())
    }

    fn tell(&self, listener: Listener<T>) {
        let Listener { callback, location, .. } = listener;
        if let Err(panic) = catch(|| callback(self)) {
            catch_silently(
                || log::error!(target: "tulipa", "the done-callback added at {location} {panic}"),
            );
            catch_silently(|| drop(panic));
        }
    }

    fn wait_until_done(
        &self,
        operation: &str,
        timeout: Option<Duration>,
    ) -> Result<MutexGuard<'_, Inner<T>>, Exception> {
        let mut inner = self.lock();
        if !inner.state.is_done() && timeout != Some(Duration::ZERO) {
            refuse_to_block(operation)?;
            let unfinished = |inner: &Inner<T>| inner.state.is_unfinished();
            inner = sync::wait_while(&self.shared.changed, inner, timeout, unfinished);
        }
        match inner.state.is_done() {
            true => Ok(inner),
            false => {
                Err(TimeoutError::new(format!("{operation} of a {}", type_name::<Self>())).into())
            }
        }
    }

    /// Waits while another thread clones the value: as short as that is, and no reason for a timeout.
    fn wait_until_returned<'a>(&self, inner: MutexGuard<'a, Inner<T>>) -> MutexGuard<'a, Inner<T>> {
        let me = thread::current().id();
        let elsewhere = |inner: &Inner<T>| matches!(inner.state, State::Lent { to } if to != me);
        sync::wait_while(&self.shared.changed, inner, None, elsewhere)
    }

    fn already_done(&self, operation: &str) -> InvalidStateError {
        let state = if self.cancelled() { "cancelled" } else { "finished" };
        InvalidStateError::new(format!("{operation}: the future is already {state}"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        sync::lock(&self.shared.inner)
    }
}

/// Says why this thread must not block, if it must not (F-29).
pub(super) fn refuse_to_block(operation: &str) -> Result<(), InvalidStateError> {
    match current::current_id().is_some() {
        false => Ok(()),
        true => Err(InvalidStateError::new(format!(
            "{operation}: would block the event loop that is running on this thread"
        ))),
    }
}

impl<T> State<T> {
    fn is_unfinished(&self) -> bool {
        matches!(self, State::Pending { .. } | State::Running)
    }

    fn is_done(&self) -> bool {
        !self.is_unfinished()
    }

    /// The value, moved out of a state that becomes `next`; or why there is none.
    fn leave(&mut self, next: impl FnOnce() -> State<T>) -> Result<T, Exception> {
        match std::mem::replace(self, State::Taken) {
            State::Finished(Ok(value)) => {
                *self = next();
                Ok(value)
            }
            other => {
                let error = other.without_value();
                *self = other;
                Err(error)
            }
        }
    }

    /// Why a state that holds no value has no result.
    fn without_value(&self) -> Exception {
        match self {
            State::Finished(Err(exception)) => exception.clone(),
            State::Cancelled { message: None } => CancelledError::new().into(),
            State::Cancelled { message: Some(text) } => {
                CancelledError::with_message(text.clone()).into()
            }
            State::Taken => InvalidStateError::new("the result was taken").into(),
            State::Lent { .. } => InvalidStateError::new("the result is being cloned").into(),
            State::Pending { .. } | State::Running | State::Finished(Ok(_)) => {
                InvalidStateError::new("the result is not ready").into()
            }
        }
    }
}

/// A value that is out for cloning; dropping this brings it back, also when the clone panics.
struct Lent<'a, T: 'static> {
    future: &'a Future<T>,
    value: Option<T>,
}

impl<T: 'static> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.future.lock().state = State::Finished(Ok(value));
            self.future.shared.changed.notify_all();
        }
    }
}

/// A future that is not kept alive.
pub(crate) struct WeakFuture<T: 'static>(Weak<Shared<T>>);

impl<T: 'static> WeakFuture<T> {
    /// A handle, if the future is still alive.
    pub(crate) fn upgrade(&self) -> Option<Future<T>> {
        self.0.upgrade().map(|shared| Future { shared })
    }
}

impl<T: 'static> Default for Future<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> Clone for Future<T> {
    /// Another handle to the same future.
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: 'static> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.lock().state {
            State::Pending { .. } => "pending",
            State::Running => "running",
            State::Finished(Ok(_)) | State::Lent { .. } => "finished",
            State::Finished(Err(_)) => "failed",
            State::Taken => "taken",
            State::Cancelled { .. } => "cancelled",
        };
        write!(f, "concurrent::Future<{}>({state})", type_name::<T>())
    }
}
