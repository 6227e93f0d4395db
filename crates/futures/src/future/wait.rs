//! Awaiting a [`Future`]: a place among its listeners, and one in the wait set of the coroutine.
//!
//! Invariant: a handle with a [`Wait`] is known to its coroutine under the same token, until it is
//! polled to its end or dropped: so a cancellation finds everything that the coroutine waits for.

use super::listeners::Listener;
use super::{CallbackToken, Future};
use crate::current::try_current;
use crate::task::coroutines::{self, CancelRequest, CoroutineId, Waited};
use crate::task::{WakeTarget, running};
use crate::{CancelledError, Exception, InvalidStateError};
use std::pin::Pin;
use std::task::{Context, Poll};

/// One handle's waiting.
pub(crate) struct Wait {
    token: CallbackToken,
    /// The coroutine that waits; `None` if a foreign executor polls.
    coroutine: Option<CoroutineId>,
}

impl<T: Clone + 'static> std::future::Future for Future<T> {
    type Output = Result<T, Exception>;

    /// A done future is ready at once (F-22); of a pending one, all who wait are woken in the order
    /// in which they began to (F-23). Each handle waits once: a second poll replaces its waker.
    ///
    /// Waiting from inside another loop fails with [`InvalidStateError`] (F-24). When the task that
    /// waits is cancelled, this future is cancelled, and the wait ends with [`CancelledError`].
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_done(context).map(|ended| ended.and_then(|()| self.result()))
    }
}

impl<T: 'static> Future<T> {
    /// Polls for its end, and leaves the outcome in it. An error means that waiting has failed.
    pub(crate) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        match &self.wait {
            Some(wait) if wait.coroutine == running::coroutine() => self.poll_again(context),
            Some(_) => {
                // It was moved into another coroutine, which waits from now on.
                self.leave();
                self.poll_first(context)
            }
            None => self.poll_first(context),
        }
    }

    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        if self.done() {
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = self.check_waiter() {
            return Poll::Ready(Err(error.into()));
        }
        // Cloning a waker is user code, which may complete this very future.
        let target = WakeTarget::of(context.waker());
        if self.done() {
            return Poll::Ready(Ok(()));
        }
        let coroutine = running::coroutine();
        if let Some(id) = coroutine
            && let Some(CancelRequest(message)) = coroutines::request(id)
            && self.object.clone().request_cancel(message)
        {
            // The coroutine asked for its own cancellation: it gets it here (T-15).
            coroutines::take_request(id);
            if self.done() {
                return Poll::Ready(Ok(()));
            }
        }
        let token = self.shared().listeners.borrow_mut().push(Listener::Waiter(target));
        if let Some(id) = coroutine {
            coroutines::begin_wait(id, token, Waited::Future(self.object.clone()));
        }
        self.wait = Some(Wait { token, coroutine });
        Poll::Pending
    }

    /// A poll by the coroutine that waits already.
    fn poll_again(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        let request = match &self.wait {
            Some(Wait { coroutine: Some(id), .. }) => coroutines::take_request(*id),
            _ => None,
        };
        if let Some(CancelRequest(message)) = request {
            // It was asked to end between the future's end and this turn: the value stays (T-17).
            self.leave();
            return Poll::Ready(Err(CancelledError::from(message).into()));
        }
        if self.done() {
            self.leave();
            return Poll::Ready(Ok(()));
        }
        self.renew_target(context);
        match self.done() {
            true => {
                self.leave();
                Poll::Ready(Ok(()))
            }
            false => Poll::Pending,
        }
    }

    /// Puts the waker of this poll into the place of the last one's, unless it wakes the same.
    fn renew_target(&mut self, context: &mut Context<'_>) {
        let Some(Wait { token, .. }) = self.wait else { return };
        let known = {
            let mut listeners = self.shared().listeners.borrow_mut();
            listeners.waiter_mut(token).is_some_and(|known| known.will_wake(context.waker()))
        };
        if known {
            return;
        }
        let target = WakeTarget::of(context.waker()); // user code
        let replaced = {
            let mut listeners = self.shared().listeners.borrow_mut();
            listeners.waiter_mut(token).map(|known| std::mem::replace(known, target))
        };
        drop(replaced); // user code too
    }

    /// Whether whoever polls may wait for this.
    fn check_waiter(&self) -> Result<(), InvalidStateError> {
        if try_current().is_some_and(|running| running.id() != self.scheduler_id()) {
            let error = "the future that is awaited belongs to another event loop";
            return Err(InvalidStateError::new(error));
        }
        if let Some(header) = self.object.task()
            && Some(header.id()) == running::task()
        {
            return Err(InvalidStateError::new("a task cannot wait for itself"));
        }
        Ok(())
    }

    /// Ends the waiting.
    fn leave(&mut self) {
        let Some(Wait { token, coroutine }) = self.wait.take() else { return };
        let waited = coroutine.and_then(|id| coroutines::end_wait(id, token));
        let listener = match self.done() {
            true => None,
            false => self.shared().listeners.borrow_mut().remove(token),
        };
        drop((waited, listener)); // what they hold is the user's
    }
}

impl<T: 'static> Drop for Future<T> {
    /// A handle that was waiting waits no more.
    fn drop(&mut self) {
        if self.wait.is_some() {
            self.leave();
        }
    }
}
