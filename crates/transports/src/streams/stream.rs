//! [`Stream`]: both halves of a connection in one.

use super::{StreamReader, StreamWriter};
use std::fmt;

/// A [`StreamReader`] and a [`StreamWriter`] in one, for libraries that take a connection as a whole.
///
/// By itself it only keeps them together. With the features `futures-io`, `tokio` and `hyper` it is
/// what the library of that name reads from and writes to.
///
/// The two halves may be used at the same time, by the same task. As everywhere, the end of the last
/// writer closes the connection: so dropping this does, if nobody has a clone of the writer (Y-23).
///
/// # Examples
/// ```
/// use eventloop::{TestLoop, prelude::*};
/// use tulipa_transports::streams::{Stream, StreamReader, StreamReaderProtocol, StreamWriter};
/// use tulipa_transports::testing::{MemoryLoop, MemoryOptions};
/// # struct Echo;
/// # impl tulipa_transports::Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn tulipa_transports::Transport, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
/// let event_loop = TestLoop::new();
/// let reader = StreamReader::default();
/// let protocol = StreamReaderProtocol::new(&reader);
/// let pair = event_loop.memory_pair(protocol, Echo, MemoryOptions::default());
/// let writer = StreamWriter::new(pair.left.clone(), &reader);
/// let mut stream: Stream = reader.join(writer);
/// let task = event_loop.create_task(async move {
///     stream.writer().write(b"tulip\n");
///     stream.reader_mut().readline().await
/// });
/// assert_eq!(event_loop.run_until_complete(task.as_future())?, b"tulip\n");
/// # event_loop.run_until_idle();
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct Stream {
    // Dropped first: once the connection is closing, nobody reads on for a reader that goes.
    writer: StreamWriter,
    reader: StreamReader,
}

impl StreamReader {
    /// This and `writer` as one. [`Stream::into_split`] takes them apart again.
    pub fn join(self, writer: StreamWriter) -> Stream {
        Stream { writer, reader: self }
    }
}

impl Stream {
    /// The reading half.
    pub fn reader(&self) -> &StreamReader {
        &self.reader
    }

    /// The reading half, to read.
    pub fn reader_mut(&mut self) -> &mut StreamReader {
        &mut self.reader
    }

    /// The writing half.
    pub fn writer(&self) -> &StreamWriter {
        &self.writer
    }

    /// Both halves at the same time, for as long as the stream is borrowed.
    pub fn halves(&mut self) -> (&mut StreamReader, &mut StreamWriter) {
        (&mut self.reader, &mut self.writer)
    }

    /// Both halves, each with an owner of its own from now on. What was read ahead is in the reader.
    pub fn into_split(self) -> (StreamReader, StreamWriter) {
        (self.reader, self.writer)
    }
}

impl From<(StreamReader, StreamWriter)> for Stream {
    fn from((reader, writer): (StreamReader, StreamWriter)) -> Self {
        reader.join(writer)
    }
}

impl From<Stream> for (StreamReader, StreamWriter) {
    fn from(stream: Stream) -> Self {
        stream.into_split()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("reader", &self.reader)
            .field("writer", &self.writer)
            .finish()
    }
}
