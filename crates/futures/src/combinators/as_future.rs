//! [`AsFuture`]: what is a future under another name.

use crate::{Future, Task};

/// A handle to a future of a loop: a [`Future`], a [`Task`], or a reference to one. What
/// [`wait`](crate::wait) takes, and gives back.
pub trait AsFuture {
    /// What the future's value is.
    type Value: 'static;

    /// The future.
    fn as_future(&self) -> &Future<Self::Value>;
}

impl<T: 'static> AsFuture for Future<T> {
    type Value = T;

    fn as_future(&self) -> &Future<T> {
        self
    }
}

impl<T: 'static> AsFuture for Task<T> {
    type Value = T;

    fn as_future(&self) -> &Future<T> {
        Task::as_future(self)
    }
}

impl<H: AsFuture> AsFuture for &H {
    type Value = H::Value;

    fn as_future(&self) -> &Future<H::Value> {
        (*self).as_future()
    }
}
