//! [`Opening`] and [`Creating`]: waiting for a creator, so that nothing is left if nobody waits any
//! more.

use super::{StreamReader, StreamWriter};
use crate::Transport;
use futures::{Exception, Future, InvalidStateError};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A stream connection that is being made, from
/// [`StreamLoop::open_connection`](super::StreamLoop::open_connection). Awaiting it gives the reader
/// and the writer.
///
/// Dropping it, or cancelling the task that awaits it, ends the attempt; a connection that was made
/// in the meantime is closed.
#[must_use = "dropping it ends the attempt"]
pub struct Opening {
    reader: Option<StreamReader>,
    creating: Creating<Rc<dyn Transport>>,
}

impl Opening {
    pub(super) fn new(reader: StreamReader, creating: Future<Rc<dyn Transport>>) -> Self {
        let creating = Creating::new(creating, |transport| transport.close());
        Self { reader: Some(reader), creating }
    }

    pub(super) fn failed(creating: Future<Rc<dyn Transport>>) -> Self {
        Self { reader: None, creating: Creating::new(creating, |_| ()) }
    }
}

impl std::future::Future for Opening {
    type Output = Result<(StreamReader, StreamWriter), Exception>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let transport = ready!(Pin::new(&mut self.creating).poll(context))?;
        let Some(reader) = self.reader.take() else {
            return Poll::Ready(Err(InvalidStateError::new("it was awaited before").into()));
        };
        let writer = StreamWriter::new(transport, &reader);
        Poll::Ready(Ok((reader, writer)))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("done", &self.creating.future.done())
            .finish_non_exhaustive()
    }
}

/// The future of a creator while somebody waits for it. Dropped before that has succeeded, it cancels
/// the creation, or undoes it.
pub(super) struct Creating<T: Clone + 'static> {
    future: Future<T>,
    /// `None` once the value was given to somebody.
    undo: Option<fn(T)>,
}

impl<T: Clone + 'static> Creating<T> {
    pub(super) fn new(future: Future<T>, undo: fn(T)) -> Self {
        Self { future, undo: Some(undo) }
    }
}

impl<T: Clone + 'static> std::future::Future for Creating<T> {
    type Output = Result<T, Exception>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.future).poll(context));
        if outcome.is_ok() {
            self.undo = None;
        }
        Poll::Ready(outcome)
    }
}

impl<T: Clone + 'static> Drop for Creating<T> {
    fn drop(&mut self) {
        if let Some(undo) = self.undo
            && !self.future.cancel()
            && let Ok(value) = self.future.result()
        {
            undo(value);
        }
    }
}
