//! Pipes as streams, for coroutines: [`open_read_pipe`] and [`open_write_pipe`].

use super::stream_loop::{open, running_loop};
use super::{Coroutine, StreamReader, StreamWriter};
use crate::{NetworkLoop, PipeOptions, Transport};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// A [`StreamReader`] of a pipe. Dropping it closes the pipe.
pub struct ReadPipe {
    reader: StreamReader,
    /// It writes nothing, but closes the pipe.
    closer: StreamWriter,
}

impl ReadPipe {
    /// The transport underneath.
    pub fn transport(&self) -> &Rc<dyn Transport> {
        self.closer.transport()
    }
}

impl Deref for ReadPipe {
    type Target = StreamReader;

    fn deref(&self) -> &StreamReader {
        &self.reader
    }
}

impl DerefMut for ReadPipe {
    fn deref_mut(&mut self) -> &mut StreamReader {
        &mut self.reader
    }
}

impl fmt::Debug for ReadPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadPipe").field(&self.reader).finish()
    }
}

/// Reads from a pipe, a terminal, or standard input, on the loop that runs. `pipe` is what
/// [`connect_read_pipe`](NetworkLoop::connect_read_pipe) takes.
///
/// # Errors
/// As there, for instance for a regular file; or if no loop runs.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::streams::{open_read_pipe, open_write_pipe};
/// let (reader, writer) = std::io::pipe()?;
/// let event_loop = EventLoop::new()?;
/// let line = event_loop.run_coroutine(async {
///     let writer = open_write_pipe(writer).await?;
///     writer.write(b"tulip\n");
///     let mut reader = open_read_pipe(reader).await?;
///     reader.readline().await
/// })?;
/// assert_eq!(line, b"tulip\n");
/// # Ok::<(), futures::Exception>(())
/// ```
///
/// The lines of standard input:
/// ```no_run
/// use tulipa_transports::{PipeOptions, streams::open_read_pipe};
/// # async fn example() -> Result<(), futures::Exception> {
/// let mut input = open_read_pipe(PipeOptions::stdin()?).await?;
/// let mut lines = input.lines();
/// while let Some(line) = lines.next().await? {
///     println!("{}", String::from_utf8_lossy(&line));
/// }
/// # Ok(())
/// # }
/// ```
pub fn open_read_pipe(pipe: impl Into<PipeOptions>) -> Coroutine<ReadPipe> {
    let pipe = pipe.into();
    Box::pin(async move {
        let event_loop = running_loop()?;
        let limit = pipe.common.stream_limit;
        let opening = open(&*event_loop, limit, |protocol| {
            event_loop.connect_read_pipe(move || protocol, pipe)
        });
        let (reader, closer) = opening.await?;
        Ok(ReadPipe { reader, closer })
    })
}

/// Writes to a pipe, a terminal, or standard output, on the loop that runs. `pipe` is what
/// [`connect_write_pipe`](NetworkLoop::connect_write_pipe) takes. Dropping the writer sends what was
/// written, and closes the pipe.
///
/// # Errors
/// As for [`open_read_pipe`].
pub fn open_write_pipe(pipe: impl Into<PipeOptions>) -> Coroutine<StreamWriter> {
    let pipe = pipe.into();
    Box::pin(async move {
        let event_loop = running_loop()?;
        let limit = pipe.common.stream_limit;
        let opening = open(&*event_loop, limit, |protocol| {
            event_loop.connect_write_pipe(move || protocol, pipe)
        });
        Ok(opening.await?.1)
    })
}
