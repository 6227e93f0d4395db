//! [`StreamWriter`]: bytes that go, and waiting until there is room for more.

mod poll;

use super::{StreamReader, StreamShared};
use crate::{ExtraInfo, ExtraValue, Transport, WriteRefusal, WriteState};
use futures::Exception;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;

/// Bytes that go: the writing half of a stream.
///
/// Writing never waits: the bytes are collected and sent by the loop. Whoever writes much calls
/// [`drain`](StreamWriter::drain) now and then, which waits while the peer is too slow:
///
/// ```
/// # use tulipa_transports::streams::StreamWriter;
/// # async fn send(writer: &StreamWriter, pieces: Vec<Vec<u8>>) -> Result<(), futures::Exception> {
/// for piece in pieces {
///     writer.write(&piece);
///     writer.drain().await?;
/// }
/// # Ok(()) }
/// ```
///
/// Clones write to the same connection. **Dropping the last of them closes it** (Y-23), as
/// [`close`](StreamWriter::close) does: what was written is still sent, but nothing more is read. So
/// whoever only wants to read must hold the writer all the same.
pub struct StreamWriter {
    /// The one that it was made with.
    transport: Rc<dyn Transport>,
    pub(super) shared: Rc<StreamShared>,
    /// Why a write of this handle was not taken, until somebody is told. Meanwhile no other is, or
    /// the peer would get bytes with a hole in them.
    refused: Cell<Option<WriteRefusal>>,
    /// What the methods that poll wait for, if one ever had to.
    waits: Option<Box<poll::Waits>>,
}

impl StreamWriter {
    /// A writer for `transport`, whose protocol is the
    /// [`StreamReaderProtocol`](super::StreamReaderProtocol) that feeds `reader`. `open_connection`
    /// and `start_server` do this for you.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{TestLoop, prelude::*};
    /// use tulipa_transports::streams::{StreamReader, StreamReaderProtocol, StreamWriter};
    /// use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
    /// # struct Echo;
    /// # impl tulipa_transports::Protocol for Echo {
    /// #     fn data_received(&mut self, transport: &dyn tulipa_transports::Transport, data: &[u8]) {
    /// #         transport.write(data);
    /// #     }
    /// # }
    /// let event_loop = TestLoop::new();
    /// let mut reader = StreamReader::default();
    /// let protocol = StreamReaderProtocol::new(&reader);
    /// let pair = event_loop.memory_pair(protocol, Echo, MemoryOptions::default());
    /// let writer = StreamWriter::new(pair.left.clone(), &reader);
    /// let task = event_loop.create_task(async move {
    ///     writer.write(b"tulip\n");
    ///     reader.readline().await
    /// });
    /// assert_eq!(event_loop.run_until_complete(task.as_future())?, b"tulip\n");
    /// # event_loop.run_until_idle();
    /// # Ok::<(), futures::Exception>(())
    /// ```
    pub fn new(transport: Rc<dyn Transport>, reader: &StreamReader) -> Self {
        Self::over(transport, reader.shared().clone())
    }

    fn over(transport: Rc<dyn Transport>, shared: Rc<StreamShared>) -> Self {
        shared.writer_made();
        Self { transport, shared, refused: Cell::new(None), waits: None }
    }

    /// Takes `data` to be sent, as [`write`](crate::WriteTransport::write) of the transport does.
    ///
    /// The answer may be ignored: the next [`drain`](StreamWriter::drain) of this handle tells of
    /// what was refused, or of the loss of the connection. Until then this handle takes nothing more,
    /// so that the peer never gets bytes with a hole in them. It takes drains to stay clear of the
    /// hard limit of the output ([`WriteBufferCap`](crate::WriteBufferCap)).
    pub fn write(&self, data: &[u8]) -> WriteState {
        self.unless_refused(|transport| transport.write(data))
    }

    /// As one write of all the parts joined, without joining them.
    pub fn writelines(&self, parts: &[&[u8]]) -> WriteState {
        self.unless_refused(|transport| transport.writelines(parts))
    }

    /// As [`write`](StreamWriter::write); a large buffer that has to wait is kept, not copied.
    pub fn write_vec(&self, data: Vec<u8>) -> WriteState {
        self.unless_refused(|transport| transport.write_vec(data))
    }

    fn unless_refused(&self, write: impl FnOnce(&dyn Transport) -> WriteState) -> WriteState {
        if let Some(refusal) = self.refused.get() {
            return WriteState::Refused(refusal);
        }
        let state = write(&**self.transport());
        if let WriteState::Refused(
            refusal @ (WriteRefusal::OverCap
            | WriteRefusal::AfterEof
            | WriteRefusal::ReadOnly
            | WriteRefusal::SendingFile
            | WriteRefusal::Upgraded),
        ) = state
        {
            self.refused.set(Some(refusal)); // a loss is told in any case
        }
        state
    }

    /// Tells once of what was refused.
    pub(super) fn check_refused(&self) -> Result<(), Exception> {
        self.refused.take().map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// Waits while the output is over its high mark, until it has fallen to the low one. Below the
    /// mark it returns at once (Y-17).
    ///
    /// Any number of coroutines may drain at the same time (Y-19). On a transport that is closing it
    /// first gives way for one iteration, so that a loop of writing and draining comes to see the
    /// loss (Y-18).
    ///
    /// While the peer takes everything, drain never waits, so a loop of nothing but `write` and
    /// `drain` can keep all others of the loop waiting: one that may run for long awaits
    /// [`yield_now`](futures::yield_now) every now and then (Y-20).
    ///
    /// # Errors
    /// The reader's exception if there is one; else, when the connection is lost, an `io::Error` of
    /// the kind `ConnectionReset`, also for those who wait at that moment; else, once, the
    /// [`WriteRefusal`] of a write of this handle that was not taken; or a cancellation.
    pub async fn drain(&self) -> Result<(), Exception> {
        if let Some(exception) = self.shared.failure() {
            return Err(exception);
        }
        if self.transport().is_closing() {
            futures::yield_now().await?;
        }
        let mut waiting = None;
        poll_fn(|context| self.poll_below_mark(context, &mut waiting)).await?;
        self.check_refused()
    }

    /// Ends our direction once all that was written is sent; the peer reads the end. Reading goes on.
    pub fn write_eof(&self) {
        self.transport().write_eof();
    }

    /// Whether [`write_eof`](StreamWriter::write_eof) is possible.
    pub fn can_write_eof(&self) -> bool {
        self.transport().can_write_eof()
    }

    /// Closes the connection: reads no more, sends what was written, then ends it. Idempotent.
    pub fn close(&self) {
        self.transport().close();
    }

    /// Whether it is closing or closed.
    pub fn is_closing(&self) -> bool {
        self.transport().is_closing()
    }

    /// Waits until the connection has ended. Before a [`close`](StreamWriter::close) that is until
    /// the peer, or somebody else, ends it. It may be called any number of times, or never (Y-21).
    ///
    /// # Errors
    /// Why the connection was lost, if that was no orderly end; else, once, the [`WriteRefusal`] of a
    /// write of this handle that was not taken; or a cancellation.
    ///
    /// # Examples
    /// ```
    /// # use tulipa_transports::streams::StreamWriter;
    /// # async fn say_goodbye(writer: StreamWriter) -> Result<(), futures::Exception> {
    /// writer.write(b"QUIT\r\n");
    /// writer.close();
    /// writer.wait_closed().await
    /// # }
    /// ```
    pub async fn wait_closed(&self) -> Result<(), Exception> {
        let mut waiting = None;
        poll_fn(|context| self.poll_lost(context, &mut waiting)).await?;
        self.check_refused()
    }

    /// What is known about the connection, by asyncio's names: `peername`, `sockname`, `socket`.
    pub fn get_extra_info(&self, name: &str) -> Option<ExtraValue> {
        self.transport().get_extra_info(name)
    }

    /// What is known about the connection. It stays known after the end.
    pub fn extra_info(&self) -> ExtraInfo {
        self.transport().extra_info()
    }

    /// The transport underneath. After an upgrade, such as `start_tls`, that is the new one.
    pub fn transport(&self) -> &Rc<dyn Transport> {
        self.shared.upgraded_transport().unwrap_or(&self.transport)
    }
}

impl Clone for StreamWriter {
    /// Another handle of the same connection.
    fn clone(&self) -> Self {
        Self::over(self.transport().clone(), self.shared.clone())
    }
}

impl Drop for StreamWriter {
    /// The last one closes the connection (Y-23).
    fn drop(&mut self) {
        if let Some(refusal) = self.refused.get() {
            log::warn!(target: "tulipa", "{self:?} was dropped before anybody was told: {refusal}");
        }
        if self.shared.writer_dropped() {
            self.transport().close();
        }
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter")
            .field("peername", &self.extra_info().peername)
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}
