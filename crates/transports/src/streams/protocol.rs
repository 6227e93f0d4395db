//! [`StreamReaderProtocol`]: what stands between a transport, and a reader with its writers.

use super::handler::ConnectionHandler;
use super::{StreamReader, StreamShared, StreamWriter};
use crate::{Bytes, Eof, Protocol, Transport};
use futures::{Exception, ExceptionContext, Task};
use std::io;
use std::rc::Rc;

/// What stands between a transport, and a [`StreamReader`] with its [`StreamWriter`]s: it feeds the
/// one and tells the others about the marks and the end.
///
/// `open_connection` and `start_server` make one for each connection. By hand it turns any transport
/// into a stream: see [`StreamWriter::new`].
///
/// The peer's end leaves the other direction open (Y-27). A loss with a reason is the reader's
/// failure, one without is its end (Y-28). If the reader was dropped before the connection is made,
/// that is aborted and reported (Y-29).
pub struct StreamReaderProtocol {
    shared: Rc<StreamShared>,
    role: Role,
}

enum Role {
    /// Somebody else holds the reader.
    Client,
    /// Nobody does, until the handler is given it.
    Server {
        reader: StreamReader,
        handler: Rc<ConnectionHandler>,
    },
    /// The handler has run.
    Handled {
        task: Option<Task<()>>,
    },
    Lost,
}

impl StreamReaderProtocol {
    /// The protocol that feeds `reader`.
    pub fn new(reader: &StreamReader) -> Self {
        Self { shared: reader.shared().clone(), role: Role::Client }
    }

    /// Whether somebody holds the reader, so that what comes may still be read.
    pub(crate) fn has_reader(&self) -> bool {
        self.shared.has_reader()
    }

    /// The protocol of a connection that is given to `handler` once it is made.
    pub(super) fn serving(reader: StreamReader, handler: Rc<ConnectionHandler>) -> Self {
        Self { shared: reader.shared().clone(), role: Role::Server { reader, handler } }
    }
}

impl Protocol for StreamReaderProtocol {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let handle = transport.handle();
        self.shared.connection_made(handle.clone());
        match std::mem::replace(&mut self.role, Role::Handled { task: None }) {
            Role::Server { reader, handler } => {
                let writer = StreamWriter::new(handle, &reader);
                match handler.call(reader, writer) {
                    Ok(None) => {}
                    Ok(Some(task)) => {
                        close_if_it_fails(&task, handler, transport.handle());
                        self.role = Role::Handled { task: Some(task) };
                    }
                    Err(exception) => handler_failed(&handler, transport, exception),
                }
            }
            other => {
                self.role = other;
                if !self.shared.has_reader() {
                    let message =
                        "the reader of a stream was dropped before its connection was made";
                    report(message.to_owned(), None, transport);
                    transport.abort();
                }
            }
        }
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        self.shared.feed_data(data);
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Eof {
        self.shared.feed_eof();
        Eof::KeepOpen
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        self.shared.connection_lost(reason);
        self.role = Role::Lost;
    }

    fn pause_writing(&mut self, _: &dyn Transport) {
        self.shared.set_writing_paused(true);
    }

    fn resume_writing(&mut self, _: &dyn Transport) {
        self.shared.set_writing_paused(false);
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.shared.connection_upgraded(transport.handle());
    }

    /// What waits for the reader.
    fn memory_held(&self) -> Bytes {
        self.shared.memory()
    }

    /// Cancels the handler's task, so that it may say goodbye; what it does then, or that it is done,
    /// closes the connection. Without one the connection is closed.
    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        match &self.role {
            Role::Handled { task: Some(task) } if !task.done() => {
                task.cancel();
            }
            _ => transport.close(),
        }
    }
}

impl Drop for StreamReaderProtocol {
    /// Another protocol has taken its place, or the loop is gone: then nothing will come any more.
    fn drop(&mut self) {
        if !matches!(self.role, Role::Lost) {
            let error = io::Error::new(
                io::ErrorKind::NotConnected,
                "the stream was cut off from its connection",
            );
            self.shared.connection_lost(Some(error.into()));
        }
    }
}

/// A handler that fails ends its connection; one that returns does not (Y-26).
fn close_if_it_fails(
    task: &Task<()>,
    handler: Rc<ConnectionHandler>,
    transport: Rc<dyn Transport>,
) {
    task.add_done_callback(move |task| {
        if task.cancelled() {
            transport.close();
        } else if let Ok(Some(exception)) = task.exception() {
            handler_failed(&handler, &*transport, exception);
        }
    });
}

fn handler_failed(handler: &ConnectionHandler, transport: &dyn Transport, exception: Exception) {
    if !exception.is_cancelled()
        && let Some(held_back) = handler.reports.pass(futures::current().time())
    {
        let mut message = "unhandled exception in client_connected_cb".to_owned();
        if held_back > 0 {
            message.push_str(&format!(" ({held_back} more were not reported)"));
        }
        report(message, Some(exception), transport);
    }
    transport.close();
}

/// Tells the exception handler of the loop that runs this.
fn report(message: String, exception: Option<Exception>, transport: &dyn Transport) {
    let mut context = ExceptionContext::new(message);
    context.exception = exception;
    context.protocol = Some(std::any::type_name::<StreamReaderProtocol>());
    context.transport = Some(match transport.extra_info().peername {
        Some(peer) => format!("stream transport to {peer}"),
        None => "stream transport".to_owned(),
    });
    futures::current().call_exception_handler(context);
}
