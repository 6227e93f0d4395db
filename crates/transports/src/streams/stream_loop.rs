//! [`StreamLoop`] and the functions: making streams, on a given loop or on the one that runs.

use super::handler::{ConnectionHandler, HandlerResult};
use super::opening::{Creating, Opening};
use super::{StreamReader, StreamReaderProtocol, StreamWriter};
use crate::{
    Bytes, ConnectOptions, NetworkLoop, Server, ServerOptions, Transport, UnixConnectOptions,
    UnixServerOptions,
};
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, InvalidStateError, SchedulerExt};
use std::pin::Pin;
use std::rc::Rc;

/// Connections and servers of streams, on every event loop.
///
/// The functions of the same names do this on the loop that runs.
pub trait StreamLoop: NetworkLoop {
    /// Connects by TCP; the attempt begins at once. See [`open_connection`].
    fn open_connection(&self, target: impl Into<ConnectOptions>) -> Opening {
        let target = target.into();
        open(self, target.common.stream_limit, |protocol| {
            self.create_connection(move || protocol, target)
        })
    }

    /// Connects to a Unix socket; the attempt begins at once. See [`open_connection`].
    fn open_unix_connection(&self, path: impl Into<UnixConnectOptions>) -> Opening {
        let path = path.into();
        open(self, path.common.stream_limit, |protocol| {
            self.create_unix_connection(move || protocol, path)
        })
    }

    /// Serves TCP connections as streams. See [`start_server`].
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::streams::{StreamLoop, StreamReader, StreamWriter};
    /// async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<(), futures::Exception> {
    ///     while !reader.fill_buf().await?.is_empty() {
    ///         writer.write_vec(reader.read(65_536).await?);
    ///         writer.drain().await?;
    ///     }
    ///     Ok(())
    /// }
    /// let event_loop = EventLoop::new()?;
    /// let server = event_loop.start_server(echo, ("127.0.0.1", 0)).result()?;
    /// println!("listening on {}", server.addresses()[0]);
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn start_server<R, Kind>(
        &self,
        handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
        address: impl Into<ServerOptions>,
    ) -> Future<Server>
    where
        R: HandlerResult<Kind> + 'static,
        Kind: 'static,
    {
        let address = address.into();
        match serve(handler, address.common.stream_limit) {
            Ok(factory) => self.create_server(factory, address),
            Err(exception) => failed(self, exception),
        }
    }

    /// Serves the connections of a Unix socket as streams. See [`start_server`].
    #[track_caller]
    fn start_unix_server<R, Kind>(
        &self,
        handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
        path: impl Into<UnixServerOptions>,
    ) -> Future<Server>
    where
        R: HandlerResult<Kind> + 'static,
        Kind: 'static,
    {
        let path = path.into();
        match serve(handler, path.common.stream_limit) {
            Ok(factory) => self.create_unix_server(factory, path),
            Err(exception) => failed(self, exception),
        }
    }
}

impl<L: NetworkLoop + ?Sized> StreamLoop for L {}

/// A coroutine that has not begun, and owns all that it needs.
pub type Coroutine<T> = Pin<Box<dyn std::future::Future<Output = Result<T, Exception>>>>;

/// Connects by TCP on the loop that runs, and gives the stream's two halves (Y-24).
///
/// `target` is what [`create_connection`](NetworkLoop::create_connection) takes, with all of its
/// options; [`stream_limit`](ConnectOptions::stream_limit) is the limit of the reader. Cancelled or
/// dropped, the attempt ends and nothing is left.
///
/// Hold the writer for as long as the connection is needed, also if nothing is written: dropping it
/// closes the connection.
///
/// # Errors
/// As there; or if no loop runs.
///
/// # Examples
/// ```no_run
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::streams::open_connection;
/// let event_loop = EventLoop::new()?;
/// let task = event_loop.create_task(async {
///     let (mut reader, writer) = open_connection(("example.org", 80)).await?;
///     writer.write(b"HEAD / HTTP/1.0\r\nHost: example.org\r\n\r\n");
///     let mut lines = reader.lines();
///     while let Some(line) = lines.next().await? {
///         print!("{}", String::from_utf8_lossy(&line));
///     }
///     Ok(())
/// });
/// event_loop.run_until_complete(task.as_future())?;
/// # Ok::<(), futures::Exception>(())
/// ```
pub fn open_connection(
    target: impl Into<ConnectOptions>,
) -> Coroutine<(StreamReader, StreamWriter)> {
    let target = target.into();
    Box::pin(async move { running_loop()?.open_connection(target).await })
}

/// As [`open_connection`], for Unix sockets.
///
/// # Errors
/// As there.
pub fn open_unix_connection(
    path: impl Into<UnixConnectOptions>,
) -> Coroutine<(StreamReader, StreamWriter)> {
    let path = path.into();
    Box::pin(async move { running_loop()?.open_unix_connection(path).await })
}

/// Serves TCP connections as streams, on the loop that runs: `handler` is called with the reader and
/// the writer of each (Y-24).
///
/// `address` is what [`create_server`](NetworkLoop::create_server) takes, with all of its options;
/// [`stream_limit`](ServerOptions::stream_limit) is the limit of the readers.
///
/// The handler is a plain function, or an `async` one: that becomes a task, which lives as long as
/// it needs (Y-25). If it fails or panics, that is reported and the connection closed; if it is
/// cancelled, the connection is closed. (Ten reports a second, then a count.) Its return closes
/// nothing, but the drop of the last writer does: a handler that gave away neither half has ended its
/// connection when it returns (Y-26).
///
/// [`Server::shutdown`] cancels the tasks of the handlers, which may still say goodbye.
///
/// # Errors
/// As there; or if no loop runs.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::streams::{open_connection, start_server};
/// let event_loop = EventLoop::new()?;
/// let task = event_loop.create_task(async {
///     let server = start_server(
///         |mut reader, writer| async move {
///             let name = reader.readline().await?;
///             writer.writelines(&[b"hello ", &name]);
///             writer.drain().await
///         },
///         ("127.0.0.1", 0),
///     )
///     .await?;
///     let port = server.addresses()[0].port().expect("a TCP server has a port");
///     let (mut reader, writer) = open_connection(("127.0.0.1", port)).await?;
///     writer.write(b"tulip\n");
///     reader.readline().await
/// });
/// assert_eq!(event_loop.run_until_complete(task.as_future())?, b"hello tulip\n");
/// # Ok::<(), futures::Exception>(())
/// ```
pub fn start_server<R, Kind>(
    handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
    address: impl Into<ServerOptions>,
) -> Coroutine<Server>
where
    R: HandlerResult<Kind> + 'static,
    Kind: 'static,
{
    let address = address.into();
    Box::pin(async move {
        let creating = running_loop()?.start_server(handler, address);
        Creating::new(creating, |server| server.close()).await
    })
}

/// As [`start_server`], for Unix sockets.
///
/// # Errors
/// As there.
pub fn start_unix_server<R, Kind>(
    handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
    path: impl Into<UnixServerOptions>,
) -> Coroutine<Server>
where
    R: HandlerResult<Kind> + 'static,
    Kind: 'static,
{
    let path = path.into();
    Box::pin(async move {
        let creating = running_loop()?.start_unix_server(handler, path);
        Creating::new(creating, |server| server.close()).await
    })
}

pub(crate) fn running_loop() -> Result<Rc<dyn AbstractEventLoop>, Exception> {
    eventloop::try_current()
        .ok_or_else(|| InvalidStateError::new("no event loop is running on this thread").into())
}

pub(super) fn open<L: NetworkLoop + ?Sized>(
    event_loop: &L,
    limit: Bytes,
    connect: impl FnOnce(StreamReaderProtocol) -> Future<Rc<dyn Transport>>,
) -> Opening {
    match StreamReader::new(limit) {
        Ok(reader) => {
            let creating = connect(StreamReaderProtocol::new(&reader));
            Opening::new(reader, creating)
        }
        Err(error) => Opening::failed(failed(event_loop, error.into())),
    }
}

/// A factory of protocols that call `handler`.
fn serve<R, Kind>(
    handler: impl FnMut(StreamReader, StreamWriter) -> R + 'static,
    limit: Bytes,
) -> Result<impl FnMut() -> Result<StreamReaderProtocol, Exception> + 'static, Exception>
where
    R: HandlerResult<Kind> + 'static,
    Kind: 'static,
{
    let handler = Rc::new(ConnectionHandler::new(handler));
    StreamReader::new(limit)?; // whether it is a limit
    Ok(move || {
        let reader = StreamReader::new(limit)?;
        Ok(StreamReaderProtocol::serving(reader, handler.clone()))
    })
}

fn failed<L: NetworkLoop + ?Sized, T: 'static>(event_loop: &L, exception: Exception) -> Future<T> {
    let future = event_loop.create_future();
    // It is new, hence pending.
    let _ = future.set_exception(exception);
    future
}
