//! Channels: values that go one way, from senders to receivers.
//!
//! - [`watch`]: the latest value of something, for any number of receivers.
//! - [`broadcast`]: every item for every receiver; who is too slow is told how many it lost.
//! - [`mailbox`]: from any thread to a task of the loop.
//!
//! A [`Queue`](crate::Queue) is the channel from tasks to tasks where each item goes to one of them.
//!
//! Receivers get `Ok(None)` when all senders are gone and everything was received, so that a loop
//! reads `while let Some(item) = receiver.recv().await? { … }`. Cancelling a wait loses nothing. As all
//! that waits in this crate, a channel belongs to the loop on which somebody first had to wait (S-1).

mod audience;
pub mod broadcast;
pub mod mailbox;
pub mod watch;

use std::error::Error;
use std::fmt;

/// Nobody is left to receive the item, which comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(
    /// The item that was not sent.
    pub T,
);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot send an item: nobody is left to receive it")
    }
}

impl<T> Error for SendError<T> {}
