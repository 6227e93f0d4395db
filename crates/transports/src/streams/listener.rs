//! [`StreamListener`]: a server whose connections are waited for, one after the other.
//!
//! What was accepted stands in a queue until somebody takes it, so a wait that is cancelled or dropped
//! loses no connection. When the queue is full, the others wait in the system's.

use super::{Coroutine, StreamReader, StreamWriter, start_server, start_unix_server};
use crate::server::WeakServer;
use crate::{Server, ServerOptions, UnixServerOptions};
use futures::{Exception, Future, InvalidStateError, SchedulerExt};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Listens for connections that are waited for with [`accept`](StreamListener::accept): the other way
/// to serve streams, for those who do not want a task for each connection.
///
/// Made by [`listen`] and [`listen_unix`]. Dropping it closes the server, and the connections that
/// nobody accepted; those that were given away stay.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::streams::{listen, open_connection};
/// let event_loop = EventLoop::new()?;
/// let task = event_loop.create_task(async {
///     let mut listener = listen(("127.0.0.1", 0)).await?;
///     let port = listener.server().addresses()[0].port().expect("a TCP server has a port");
///     let (mut reader, _writer) = open_connection(("127.0.0.1", port)).await?;
///     let (_, writer) = listener.accept().await?;
///     writer.write(b"welcome\n");
///     reader.readline().await
/// });
/// assert_eq!(event_loop.run_until_complete(task.as_future())?, b"welcome\n");
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct StreamListener {
    server: Server,
    queue: Rc<Queue>,
    waiting: Option<Future<()>>,
}

/// So many connections are accepted and wait; from then on they wait in the system's queue.
const MOST_WAITING: usize = 64;

impl StreamListener {
    /// The next connection. If this is cancelled or dropped, the connection goes to the next call.
    ///
    /// # Errors
    /// [`InvalidStateError`] when the server is closed and no connection is left, or a cancellation.
    pub async fn accept(&mut self) -> Result<(StreamReader, StreamWriter), Exception> {
        struct Wait<'l>(&'l mut StreamListener);
        impl Drop for Wait<'_> {
            fn drop(&mut self) {
                self.0.stop_waiting();
            }
        }
        let wait = Wait(self);
        poll_fn(|context| wait.0.poll_accept(context)).await
    }

    /// The next connection, or the task of `context` is woken when there is one. For adapters;
    /// coroutines use [`accept`](StreamListener::accept).
    ///
    /// # Errors
    /// As there.
    pub fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(StreamReader, StreamWriter), Exception>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                let woken = ready!(std::future::Future::poll(Pin::new(waiting), context));
                self.stop_waiting();
                woken?;
            }
            if let Some(streams) = self.queue.pop() {
                return Poll::Ready(Ok(streams));
            }
            if self.queue.closed.get() {
                return Poll::Ready(Err(InvalidStateError::new("the server is closed").into()));
            }
            let future: Future<()> = self.server.get_loop().create_future();
            let before = self.queue.waits.replace(Some(future.clone()));
            drop(before);
            self.waiting = Some(future);
        }
    }

    /// The server: its addresses, its end.
    pub fn server(&self) -> &Server {
        &self.server
    }

    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            let other_end = self.queue.waits.take();
            drop((waiting, other_end));
        }
    }
}

impl Drop for StreamListener {
    fn drop(&mut self) {
        self.server.close();
        let left = self.queue.streams.take();
        drop(left);
    }
}

impl fmt::Debug for StreamListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.streams.borrow().len();
        write!(f, "StreamListener({:?}, {waiting} not accepted)", self.server)
    }
}

/// Listens for TCP connections on the loop that runs. `address` is what
/// [`start_server`] takes.
///
/// # Errors
/// As there.
pub fn listen(address: impl Into<ServerOptions>) -> Coroutine<StreamListener> {
    let (queue, end) = Queue::new();
    let starting = start_server(move |reader, writer| end.push(reader, writer), address);
    Box::pin(async move { Ok(StreamListener::over(starting.await?, queue)) })
}

/// As [`listen`], for Unix sockets.
///
/// # Errors
/// As there.
pub fn listen_unix(path: impl Into<UnixServerOptions>) -> Coroutine<StreamListener> {
    let (queue, end) = Queue::new();
    let starting = start_unix_server(move |reader, writer| end.push(reader, writer), path);
    Box::pin(async move { Ok(StreamListener::over(starting.await?, queue)) })
}

impl StreamListener {
    fn over(server: Server, queue: Rc<Queue>) -> Self {
        // The queue is new: it has no server yet.
        let _ = queue.server.set(server.downgrade());
        Self { server, queue, waiting: None }
    }
}

/// What was accepted, and who waits for it.
struct Queue {
    streams: RefCell<VecDeque<(StreamReader, StreamWriter)>>,
    waits: RefCell<Option<Future<()>>>,
    server: OnceCell<WeakServer>,
    closed: Cell<bool>,
}

impl Queue {
    fn new() -> (Rc<Self>, QueueEnd) {
        let queue = Rc::new(Self {
            streams: RefCell::default(),
            waits: RefCell::default(),
            server: OnceCell::new(),
            closed: Cell::new(false),
        });
        (queue.clone(), QueueEnd(queue))
    }

    fn pop(&self) -> Option<(StreamReader, StreamWriter)> {
        let streams = self.streams.borrow_mut().pop_front();
        if self.streams.borrow().len() < MOST_WAITING {
            self.set_full(false);
        }
        streams
    }

    fn set_full(&self, full: bool) {
        if let Some(server) = self.server.get() {
            server.set_full(full);
        }
    }

    fn wake(&self) {
        let waiting = self.waits.take();
        if let Some(future) = waiting {
            // If it was cancelled, nobody waits.
            let _ = future.set_result(());
        }
    }
}

/// The server's end of the queue. It is dropped when the server closes.
struct QueueEnd(Rc<Queue>);

impl QueueEnd {
    fn push(&self, reader: StreamReader, writer: StreamWriter) {
        self.0.streams.borrow_mut().push_back((reader, writer));
        if self.0.streams.borrow().len() >= MOST_WAITING {
            self.0.set_full(true);
        }
        self.0.wake();
    }
}

impl Drop for QueueEnd {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.wake();
    }
}
