//! [`Scoped`]: a future that brings a value of its own into whatever context it is polled in.

use super::task_local::Key;
use super::{Value, exchange};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future with a value set while it runs. [`TaskLocal::scope`](super::TaskLocal::scope) makes it.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Scoped<F: Future> {
    key: Key,
    /// The value of the scope; while the future runs, the one outside of it.
    other: Option<Value>,
    /// Boxed, so that it can be dropped in its scope; `None` when it is done.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Scoped<F> {
    pub(super) fn new(key: Key, value: Value, future: F) -> Self {
        Self { key, other: Some(value), future: Some(Box::pin(future)) }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    /// # Panics
    /// If it was ready already.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let future = this.future.as_mut().expect("a future is not polled after it was ready");
        let _exchanged = Exchanged::new(this.key, &mut this.other);
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            this.future = None;
        }
        polled
    }
}

impl<F: Future> Drop for Scoped<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            let _exchanged = Exchanged::new(self.key, &mut self.other);
            self.future = None;
        }
    }
}

impl<F: Future> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.future.is_some() { "pending" } else { "done" };
        write!(f, "Scoped<{}>({state})", std::any::type_name::<F>())
    }
}

/// Has a value in the current context change places with `other`, until this is dropped.
pub(super) struct Exchanged<'a> {
    key: Key,
    other: &'a mut Option<Value>,
}

impl<'a> Exchanged<'a> {
    pub(super) fn new(key: Key, other: &'a mut Option<Value>) -> Self {
        let mut exchanged = Self { key, other };
        exchanged.exchange();
        exchanged
    }

    fn exchange(&mut self) {
        *self.other = exchange(self.key, self.other.take());
    }
}

impl Drop for Exchanged<'_> {
    fn drop(&mut self) {
        self.exchange();
    }
}
