//! Awaiting a [`Future`]: a place among its listeners, and one in the wait set of the coroutine.
//!
//! Both places have the same token, so that a cancellation finds everything that a coroutine waits
//! for, and can tell what nobody waits for any more.

use super::listeners::{Listener, Waiter};
use super::{CallbackToken, Future, FutureObject, Shared};
use crate::current::current_id;
use crate::task::running::RunningTask;
use crate::task::wait_set::{WaitSet, WaitSetId, Waited};
use crate::task::{WakeTarget, running};
use crate::{Exception, InvalidStateError};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

impl<T: Clone + 'static> std::future::Future for Future<T> {
    type Output = Result<T, Exception>;

    /// A done future is ready at once (F-22); of a pending one, all who wait are woken in the order
    /// in which they began to (F-23). Each handle waits once: a second poll replaces its waker.
    ///
    /// Waiting from inside another loop fails with [`InvalidStateError`] (F-24). When the task that
    /// waits is cancelled, this future is cancelled, and the wait ends with
    /// [`CancelledError`](crate::CancelledError).
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_done(context).map(|ended| ended.and_then(|()| self.result()))
    }
}

impl<T: 'static> Future<T> {
    /// Polls for its end, and leaves the outcome in it. An error means that waiting has failed.
    #[inline]
    pub(crate) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        let shared = self.shared();
        match (shared.done(), self.wait) {
            (true, None) => Poll::Ready(Ok(())),
            (true, Some(token)) => Poll::Ready(self.end_wait(token)),
            (false, None) => match self.begin_wait(shared, context) {
                Ok(token) => {
                    self.wait = Some(token);
                    Poll::Pending
                }
                Err(outcome) => Poll::Ready(outcome),
            },
            (false, Some(token)) => self.wait_on(token, context),
        }
    }

    /// The first poll of a pending future. An error is the outcome of one that cannot be waited for, or
    /// need not be any more.
    #[inline]
    fn begin_wait(
        &self,
        shared: &Shared<T>,
        context: &mut Context<'_>,
    ) -> Result<CallbackToken, Result<(), Exception>> {
        running::with_running(|task, wait_set| {
            self.check_waiter(shared, task).map_err(|error| Err(error.into()))?;
            let within = wait_set.map_or(WaitSetId::NONE, WaitSet::id);
            if self.pass_request_on(wait_set) {
                return Err(Ok(()));
            }
            let token = match task.filter(|task| task.lent(context.waker())) {
                Some(task) => shared.listeners.borrow_mut().push(|| {
                    let target = WakeTarget::Task(task.task().clone());
                    Listener::Waiter(Waiter { target, within })
                }),
                None => self.add_waker(shared, context.waker(), within)?,
            };
            self.enter(wait_set, token);
            Ok(token)
        })
    }

    /// Has somebody's waker told.
    #[cold]
    fn add_waker(
        &self,
        shared: &Shared<T>,
        waker: &Waker,
        within: WaitSetId,
    ) -> Result<CallbackToken, Result<(), Exception>> {
        // Cloning it is user code, which may complete this very future.
        let target = WakeTarget::Waker(waker.clone());
        match shared.done() {
            true => Err(Ok(())),
            false => {
                let waiter = || Listener::Waiter(Waiter { target, within });
                Ok(shared.listeners.borrow_mut().push(waiter))
            }
        }
    }

    /// The poll after its end.
    #[inline]
    fn end_wait(&mut self, token: CallbackToken) -> Result<(), Exception> {
        self.wait = None;
        let request = running::with_wait_set(|wait_set| {
            let wait_set = wait_set?;
            wait_set.end(token);
            wait_set.take_request()
        });
        match request {
            // It was asked to end between the future's end and this turn: the value stays (T-17).
            Some(request) => Err(request.into_exception()),
            None => Ok(()),
        }
    }

    /// A poll while it waits already.
    #[inline(never)]
    fn wait_on(
        &mut self,
        token: CallbackToken,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Exception>> {
        if let Some(request) = running::with_wait_set(|it| it?.take_declined_request()) {
            self.leave();
            return Poll::Ready(Err(request.into_exception()));
        }
        if running::with_wait_set(|wait_set| self.pass_request_on(wait_set)) {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        let knows_waker = |shared: &Shared<T>| {
            let mut listeners = shared.listeners.borrow_mut();
            listeners.waiter_mut(token).is_some_and(|known| {
                // The coroutine that waits now may be another one than began to.
                known.within = running::wait_set_id();
                known.target.will_wake(context.waker())
            })
        };
        running::with_wait_set(|wait_set| self.enter(wait_set, token));
        if knows_waker(self.shared()) {
            return Poll::Pending;
        }
        // Cloning a waker is user code, which may complete this very future: then nobody waits any more.
        let mut target = running::with_task(|task| WakeTarget::of(task, context.waker()));
        if let Some(known) = self.shared().listeners.borrow_mut().waiter_mut(token) {
            std::mem::swap(&mut known.target, &mut target);
        }
        drop(target); // user code too
        if self.done() {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Notes in the wait set that the coroutine waits for this.
    #[inline]
    fn enter(&self, wait_set: Option<&WaitSet>, token: CallbackToken) {
        let Some(wait_set) = wait_set else { return };
        wait_set.begin(token, || {
            let object: Weak<_> = Rc::downgrade(&self.object);
            Waited::Future(object)
        });
    }

    /// If the coroutine was asked to end and nothing has taken that yet, it gets it here, by way of
    /// this future (T-15). True if the future is done now.
    #[inline]
    fn pass_request_on(&self, wait_set: Option<&WaitSet>) -> bool {
        wait_set.is_some_and(|wait_set| wait_set.has_request() && self.give_request(wait_set))
    }

    #[cold]
    fn give_request(&self, wait_set: &WaitSet) -> bool {
        let Some(request) = wait_set.take_request() else { return false };
        if !self.object().clone().request_cancel(request.0.clone()) {
            wait_set.set_request(request);
        }
        self.done()
    }

    /// Whether whoever polls may wait for this.
    #[inline]
    fn check_waiter(
        &self,
        shared: &Shared<T>,
        waiter: Option<&RunningTask>,
    ) -> Result<(), InvalidStateError> {
        let Some(waiter) = waiter else { return self.check_loop() };
        if shared.of_task && std::ptr::addr_eq(Rc::as_ptr(waiter.task()), Rc::as_ptr(&self.object))
        {
            return Err(InvalidStateError::new("a task cannot wait for itself"));
        }
        match waiter.runs_on(&*shared.scheduler) {
            true => Ok(()),
            false => self.check_loop(),
        }
    }

    #[cold]
    fn check_loop(&self) -> Result<(), InvalidStateError> {
        if current_id().is_some_and(|running| running != self.scheduler_id()) {
            let error = "the future that is awaited belongs to another event loop";
            return Err(InvalidStateError::new(error));
        }
        Ok(())
    }

    /// Ends the waiting before the future is done.
    #[inline]
    fn leave(&mut self) {
        if let Some(token) = self.wait.take() {
            leave(&**self.object, token);
        }
    }
}

/// Ends the wait for `object` under `token`. The handle, which need not lie in memory, is not given.
#[cold]
pub(super) fn leave<T: 'static>(object: &dyn FutureObject<T>, token: CallbackToken) {
    running::with_wait_set(|wait_set| wait_set.map(|wait_set| wait_set.end(token)));
    let shared = object.shared();
    if !shared.done() {
        let listener = shared.listeners.borrow_mut().remove(token);
        drop(listener); // what it holds is the user's
    }
}
