//! Awaiting a [`Future`]: a place among its listeners, and one in the wait set of the coroutine.
//!
//! Both places have the same token, so that a cancellation finds everything that a coroutine waits
//! for, and can tell what nobody waits for any more.

use super::listeners::{Listener, Waiter};
use super::{CallbackToken, Future, Shared};
use crate::current::current_id;
use crate::task::wait_set::{CancelRequest, Waited};
use crate::task::{WakeTarget, running};
use crate::{Exception, InvalidStateError};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

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
    pub(crate) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        let Some(token) = self.wait else {
            return match self.done() {
                true => Poll::Ready(Ok(())),
                false => self.begin_wait(context),
            };
        };
        if self.done() {
            self.wait = None;
            let request = running::with_wait_set(|wait_set| {
                let wait_set = wait_set?;
                wait_set.end(token);
                wait_set.take_request()
            });
            return Poll::Ready(match request {
                // It was asked to end between the future's end and this turn: the value stays (T-17).
                Some(request) => Err(request.into_exception()),
                None => Ok(()),
            });
        }
        if let Some(request) = running::with_wait_set(|it| it?.take_declined_request()) {
            self.leave();
            return Poll::Ready(Err(request.into_exception()));
        }
        if self.pass_request_on() {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        self.wait_on(token, context)
    }

    /// The first poll of a pending future.
    fn begin_wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        if let Err(error) = self.check_waiter() {
            return Poll::Ready(Err(error.into()));
        }
        // Cloning a waker is user code, which may complete this very future.
        let target = WakeTarget::of(context.waker());
        if self.done() || self.pass_request_on() {
            return Poll::Ready(Ok(()));
        }
        let waiter = Waiter { target, within: running::wait_set_id() };
        let token = self.shared().listeners.borrow_mut().push(Listener::Waiter(waiter));
        self.wait = Some(token);
        self.enter_wait_set();
        Poll::Pending
    }

    /// A poll while it waits already.
    fn wait_on(
        &mut self,
        token: CallbackToken,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Exception>> {
        let knows_waker = |shared: &Shared<T>| {
            let mut listeners = shared.listeners.borrow_mut();
            listeners.waiter_mut(token).is_some_and(|known| {
                // The coroutine that waits now may be another one than began to.
                known.within = running::wait_set_id();
                known.target.will_wake(context.waker())
            })
        };
        self.enter_wait_set();
        if knows_waker(self.shared()) {
            return Poll::Pending;
        }
        let target = WakeTarget::of(context.waker()); // user code
        let replaced = {
            let mut listeners = self.shared().listeners.borrow_mut();
            listeners.waiter_mut(token).map(|known| std::mem::replace(&mut known.target, target))
        };
        drop(replaced); // user code too
        if self.done() {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn enter_wait_set(&self) {
        let Some(token) = self.wait else { return };
        running::with_wait_set(|wait_set| {
            if let Some(wait_set) = wait_set {
                wait_set.begin(token, || {
                    let object: Weak<_> = Rc::downgrade(&self.object);
                    Waited::Future(object)
                });
            }
        });
    }

    /// If the coroutine was asked to end and nothing has taken that yet, it gets it here, by way of
    /// this future (T-15). True if the future is done now.
    #[inline]
    fn pass_request_on(&self) -> bool {
        let Some(CancelRequest(message)) = take_request() else { return false };
        if !self.object.clone().request_cancel(message.clone()) {
            running::with_wait_set(|wait_set| {
                wait_set.map(|wait_set| wait_set.set_request(CancelRequest(message)))
            });
        }
        self.done()
    }

    /// Whether whoever polls may wait for this.
    #[inline]
    fn check_waiter(&self) -> Result<(), InvalidStateError> {
        running::with_task(|running| {
            let Some(running) = running else { return self.check_loop() };
            if std::ptr::addr_eq(Rc::as_ptr(running.task()), Rc::as_ptr(&self.object)) {
                return Err(InvalidStateError::new("a task cannot wait for itself"));
            }
            let (own, their) = (&self.shared().scheduler, running.task().scheduler());
            match std::ptr::addr_eq(Rc::as_ptr(own), Rc::as_ptr(their)) {
                true => Ok(()),
                false => self.check_loop(),
            }
        })
    }

    #[cold]
    fn check_loop(&self) -> Result<(), InvalidStateError> {
        if current_id().is_some_and(|running| running != self.scheduler_id()) {
            let error = "the future that is awaited belongs to another event loop";
            return Err(InvalidStateError::new(error));
        }
        Ok(())
    }

    /// Ends the waiting.
    #[inline]
    fn leave(&mut self) {
        let Some(token) = self.wait.take() else { return };
        running::with_wait_set(|wait_set| wait_set.map(|wait_set| wait_set.end(token)));
        if !self.done() {
            let listener = self.shared().listeners.borrow_mut().remove(token);
            drop(listener); // what it holds is the user's
        }
    }
}

/// The cancellation that the running coroutine has yet to take.
#[inline]
fn take_request() -> Option<CancelRequest> {
    running::with_wait_set(|wait_set| wait_set?.take_request())
}

impl<T: 'static> Drop for Future<T> {
    /// A handle that was waiting waits no more.
    #[inline]
    fn drop(&mut self) {
        if self.wait.is_some() {
            self.leave();
        }
    }
}
