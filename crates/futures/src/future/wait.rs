//! Awaiting a [`Future`]: its waker stands among the listeners, in turn.

use super::listeners::Listener;
use super::{Future, State};
use crate::Exception;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T: Clone + 'static> std::future::Future for Future<T> {
    type Output = Result<T, Exception>;

    /// A done future is ready at once (F-22); of a pending one, all who wait are woken in the order
    /// in which they began to (F-23). Each handle waits once: a second poll replaces its waker.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done() {
            self.waiter = None;
            return Poll::Ready(self.result());
        }
        let waker = context.waker();
        if let Some(token) = self.waiter {
            let mut listeners = self.shared.listeners.borrow_mut();
            if let Some(known) = listeners.waiter_mut(token) {
                let replaced = (!known.will_wake(waker)).then(|| {
                    // Cloning may be foreign code, but it is given nothing of ours.
                    std::mem::replace(known, waker.clone())
                });
                drop(listeners);
                drop(replaced);
                return Poll::Pending;
            }
        }
        let listener = Listener::Waiter(waker.clone());
        let token = self.shared.listeners.borrow_mut().push(listener);
        self.waiter = Some(token);
        Poll::Pending
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
