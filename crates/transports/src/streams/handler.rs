//! [`ConnectionHandler`]: the function or coroutine function that a stream server calls for each
//! connection.

use super::{StreamReader, StreamWriter};
use crate::report_limit::ReportLimit;
use futures::{Exception, InvalidStateError, SchedulerExt, Task, catch};
use std::cell::Cell;

/// What the handler of a stream server may return (Y-25).
///
/// - A plain function: nothing, or a `Result<(), E>`.
/// - A coroutine function: a future with one of these as its output. It becomes a task.
///
/// `Kind` says which of the two; it is inferred.
pub trait HandlerResult<Kind> {
    /// Begins what there is to do: the task, if it is a coroutine.
    ///
    /// # Errors
    /// That of a plain function.
    #[doc(hidden)]
    fn start(self) -> Result<Option<Task<()>>, Exception>;
}

/// The kind of handlers that have done their work when they return.
#[derive(Debug)]
pub enum PlainFunction {}

/// The kind of handlers that return a coroutine.
#[derive(Debug)]
pub enum CoroutineFunction {}

/// Nothing, or whether it went well.
pub trait HandlerOutcome {
    /// The outcome as a result.
    ///
    /// # Errors
    /// What went wrong.
    #[doc(hidden)]
    fn into_outcome(self) -> Result<(), Exception>;
}

impl HandlerOutcome for () {
    fn into_outcome(self) -> Result<(), Exception> {
        Ok(())
    }
}

impl<E: Into<Exception>> HandlerOutcome for Result<(), E> {
    fn into_outcome(self) -> Result<(), Exception> {
        self.map_err(Into::into)
    }
}

impl<O: HandlerOutcome> HandlerResult<PlainFunction> for O {
    fn start(self) -> Result<Option<Task<()>>, Exception> {
        self.into_outcome().map(|()| None)
    }
}

impl<C> HandlerResult<CoroutineFunction> for C
where
    C: std::future::Future + 'static,
    C::Output: HandlerOutcome,
{
    fn start(self) -> Result<Option<Task<()>>, Exception> {
        let coroutine = async move { self.await.into_outcome() };
        Ok(Some(futures::current().create_task(coroutine)))
    }
}

type Handler = Box<dyn FnMut(StreamReader, StreamWriter) -> Result<Option<Task<()>>, Exception>>;

/// What a stream server does with each connection.
pub(super) struct ConnectionHandler {
    /// Out of its place while it runs.
    handler: Cell<Option<Handler>>,
    pub(super) reports: ReportLimit,
}

impl ConnectionHandler {
    pub(super) fn new<R, Kind>(
        mut handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
    ) -> Self
    where
        R: HandlerResult<Kind> + 'static,
        Kind: 'static,
    {
        let handler: Handler = Box::new(move |reader, writer| handler(reader, writer).start());
        Self { handler: Cell::new(Some(handler)), reports: ReportLimit::default() }
    }

    /// Calls it; a panic becomes an error.
    pub(super) fn call(
        &self,
        reader: StreamReader,
        writer: StreamWriter,
    ) -> Result<Option<Task<()>>, Exception> {
        let Some(mut handler) = self.handler.take() else {
            return Err(InvalidStateError::new("the handler of the server is running").into());
        };
        let outcome = catch(|| handler(reader, writer));
        self.handler.set(Some(handler));
        outcome.flatten()
    }
}
