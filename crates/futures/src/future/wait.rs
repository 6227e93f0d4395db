//! Awaiting a [`Future`]: its waker stands among the listeners, in turn.

use super::listeners::Listener;
use super::{Future, State};
use crate::current::try_current;
use crate::{Exception, InvalidStateError};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

impl<T: Clone + 'static> std::future::Future for Future<T> {
    type Output = Result<T, Exception>;

    /// A done future is ready at once (F-22); of a pending one, all who wait are woken in the order
    /// in which they began to (F-23). Each handle waits once: a second poll replaces its waker.
    ///
    /// Waiting from inside another loop fails with [`InvalidStateError`] (F-24).
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = context.waker();
        if !self.done() && !self.waits_with(waker) {
            if try_current().is_some_and(|running| running.id() != self.scheduler_id()) {
                let error = "the future that is awaited belongs to another event loop";
                return Poll::Ready(Err(InvalidStateError::new(error).into()));
            }
            // Cloning a waker is user code, which may complete this very future.
            let waker = waker.clone();
            if !self.done() {
                self.wait_with(waker);
            }
        }
        match self.done() {
            true => {
                self.waiter = None;
                Poll::Ready(self.result())
            }
            false => Poll::Pending,
        }
    }
}

impl<T: 'static> Future<T> {
    /// Whether a waker that wakes the same stands in this handle's place.
    fn waits_with(&self, waker: &Waker) -> bool {
        let Some(token) = self.waiter else { return false };
        let mut listeners = self.shared.listeners.borrow_mut();
        listeners.waiter_mut(token).is_some_and(|known| known.will_wake(waker))
    }

    /// Puts `waker` into this handle's place among the listeners, or into a new one at the end.
    fn wait_with(&mut self, waker: Waker) {
        let shared = self.shared.clone();
        let mut listeners = shared.listeners.borrow_mut();
        let known = self.waiter.and_then(|token| listeners.waiter_mut(token));
        let replaced = match known {
            Some(known) => Some(std::mem::replace(known, waker)),
            None => {
                self.waiter = Some(listeners.push(Listener::Waiter(waker)));
                None
            }
        };
        drop(listeners);
        drop(replaced); // user code too
    }
}

impl<T: 'static> Drop for Future<T> {
    /// A handle that was waiting waits no more.
    fn drop(&mut self) {
        let Some(token) = self.waiter else { return };
        let pending = matches!(*self.shared.state.borrow(), State::Pending);
        let removed = match pending {
            true => self.shared.listeners.borrow_mut().remove(token),
            false => None,
        };
        drop(removed);
    }
}
