//! [`Shared`]: state and listeners of a future, whatever object they are a part of.
//!
//! Invariant: only [`finish`](Shared::finish) ends the pending state, and whoever calls it tells
//! everybody who waits when nothing is borrowed any more (F-10).

use super::listeners::{Announced, Listeners};
use super::{AnyFuture, CallbackToken, FutureObject, teardown};
use crate::catch::catch;
use crate::task::wait_set::WaitSetId;
use crate::task::{CancelMessage, WakeTarget, panicked};
use crate::{Callback, CancelledError, Exception, ExceptionContext, InvalidStateError, Scheduler};
use std::any::type_name;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::{forget, replace};
use std::panic::Location;
use std::rc::Rc;

/// State and listeners of a future.
pub(crate) struct Shared<T: 'static> {
    pub(super) scheduler: Rc<dyn Scheduler>,
    pub(super) created_at: &'static Location<'static>,
    pub(super) state: RefCell<State<T>>,
    /// Those who wait for a pending future; of a done one, the callbacks that are queued to run.
    pub(super) listeners: RefCell<Listeners<T>>,
    /// Whether somebody asked for the exception (F-19).
    pub(super) retrieved: Cell<bool>,
    /// Whether a callback looks for an exception that nobody asks for (T-55).
    watched: Cell<bool>,
    /// Whether only a coroutine completes it (T-5).
    pub(super) of_task: bool,
}

pub(crate) enum State<T> {
    Pending,
    Finished(Result<T, Exception>),
    /// It finished with a value, which [`Future::take`] moved out.
    Taken,
    /// Boxed, as it is rare: states whose tag hides in a text take longer to tell apart.
    Cancelled {
        message: Option<Box<Cow<'static, str>>>,
    },
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
        self.complete(|| this.clone(), message, State::cancelled).is_ok()
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
        self.finish(outcome, state_of)?;
        self.tell_all(this);
        Ok(())
    }

    /// The first half of [`complete`](Self::complete): moves from pending to another state.
    #[inline(always)]
    pub(crate) fn finish<V>(
        &self,
        outcome: V,
        state_of: impl FnOnce(V) -> State<T>,
    ) -> Result<(), V> {
        match self.state.try_borrow_mut() {
            // Made where it will lie; what was there has nothing to drop.
            Ok(mut current) if matches!(*current, State::Pending) => {
                forget(replace(&mut *current, state_of(outcome)));
                Ok(())
            }
            _ => Err(outcome),
        }
    }

    /// The second half: tells everybody who waits. Nothing of users' may be called between the two.
    #[inline(always)]
    pub(crate) fn tell_all(&self, this: impl Fn() -> Rc<dyn FutureObject<T>>) {
        // Who asked a pending future for its exception has not seen the one that came (F-19).
        self.retrieved.set(false);
        if self.failed() {
            self.note_panic(&this());
        }
        let only = self.listeners.borrow_mut().take_only_task();
        match only {
            Some(task) => task.schedule_step_by(&*self.scheduler),
            None => self.tell_others(this),
        }
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
            WakeTarget::Task(task) => task.schedule_step_by(&*self.scheduler),
            target => {
                self.report_panic("waking who waits for a future", || target.wake());
            }
        }
    }

    /// Queues `callback`; on a closed loop it is dropped silently, for nobody can hear it (F-21).
    pub(super) fn schedule(&self, callback: Callback) {
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

impl<T> State<T> {
    /// The state of a future that was cancelled with this message.
    pub(crate) fn cancelled(message: CancelMessage) -> Self {
        State::Cancelled { message: message.map(Box::new) }
    }

    /// Why a state that holds neither value nor exception has no result.
    pub(super) fn without_value(&self) -> Exception {
        match self {
            State::Cancelled { message: None } => CancelledError::new().into(),
            State::Cancelled { message: Some(text) } => {
                CancelledError::with_message((**text).clone()).into()
            }
            State::Taken => InvalidStateError::new("the result was taken").into(),
            State::Pending => InvalidStateError::new("the result is not ready").into(),
            State::Finished(_) => InvalidStateError::new("the future is finished").into(),
        }
    }
}

impl<T> From<Result<T, Exception>> for State<T> {
    /// The state of a future with this outcome: cancelled, if the exception says so.
    fn from(outcome: Result<T, Exception>) -> Self {
        match outcome {
            Err(exception) => match exception.cancelled() {
                Some(cancelled) => {
                    State::cancelled(cancelled.message().map(|text| text.to_owned().into()))
                }
                None => State::Finished(Err(exception)),
            },
            value => State::Finished(value),
        }
    }
}

/// The right to run one callback: the first that has not run yet. One of these is queued for each. If
/// it is dropped unrun, because the loop closed, the callback goes with it.
struct Turn<T: 'static>(Option<Rc<dyn FutureObject<T>>>);

impl<T: 'static> Turn<T> {
    #[inline(always)]
    fn run(mut self) {
        let Some(object) = self.0.take() else { return };
        let next = object.shared().listeners.borrow_mut().pop_callback();
        if let Some(closure) = next {
            closure.call(object);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_a_future_is_as_small_as_it_was() {
        assert_eq!(size_of::<State<()>>(), 3 * size_of::<usize>());
        assert_eq!(size_of::<State<u64>>(), 3 * size_of::<usize>());
        // With the two counts of an `Rc`: what the allocator gives out as 160 bytes.
        assert!(size_of::<Shared<u64>>() <= 17 * size_of::<usize>());
    }
}
