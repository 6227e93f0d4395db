//! What can go wrong with a queue. The reasons bear the PEP's names; [`PutError`] is a reason together
//! with the item that was refused.

use crate::Exception;
use std::error::Error;
use std::fmt;

/// There was no room in the queue.
#[doc(alias = "QueueOverflow")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// There was no item in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEmpty;

/// The queue was shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueShutDown;

/// As many wait for items as [may](crate::Queue::set_backlog).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueUnderflow;

/// An item that could not be put, and why.
///
/// `?` makes the reason into an [`Exception`] and drops the item, which need not be `Send`. Therefore
/// this is not a `std::error::Error` itself, as [`Exception`] is none.
///
/// # Examples
/// ```
/// use tulipa_futures::{Queue, QueueFull};
/// let queue = Queue::bounded(1);
/// queue.put_nowait("first").unwrap();
/// let error = queue.put_nowait("second").unwrap_err();
/// assert!(error.reason().is::<QueueFull>());
/// assert_eq!(error.into_item(), "second");
/// ```
pub struct PutError<T> {
    item: T,
    reason: Reason,
}

/// Why a queue refused an item. A full queue is usual, and costs no allocation.
#[derive(Clone)]
pub(super) enum Reason {
    Full,
    ShutDown,
    Other(Exception),
}

impl<T> PutError<T> {
    pub(super) fn new(item: T, reason: Reason) -> Self {
        Self { item, reason }
    }

    /// The item that was refused.
    pub fn into_item(self) -> T {
        self.item
    }

    /// Why: [`QueueFull`], [`QueueShutDown`], or what ended the wait.
    pub fn reason(&self) -> Exception {
        self.reason.clone().into()
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self.reason, Reason::Full)
    }

    /// Whether the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        matches!(self.reason, Reason::ShutDown)
    }

    /// Whether the task was cancelled while it waited for room.
    pub fn is_cancelled(&self) -> bool {
        matches!(&self.reason, Reason::Other(exception) if exception.is_cancelled())
    }
}

impl<T> From<PutError<T>> for Exception {
    fn from(error: PutError<T>) -> Self {
        error.reason.into()
    }
}

impl From<Reason> for Exception {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Full => QueueFull.into(),
            Reason::ShutDown => QueueShutDown.into(),
            Reason::Other(exception) => exception,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot put an item: {}", self.reason())
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError").field("reason", &self.reason()).finish_non_exhaustive()
    }
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full")
    }
}

impl fmt::Display for QueueEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is empty")
    }
}

impl fmt::Display for QueueShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue was shut down")
    }
}

impl fmt::Display for QueueUnderflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many wait for items of the queue")
    }
}

impl Error for QueueFull {}
impl Error for QueueEmpty {}
impl Error for QueueShutDown {}
impl Error for QueueUnderflow {}
