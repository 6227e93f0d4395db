//! [`Output`]: where it is shown. A pipe or a terminal is written to by the loop, which then knows when
//! nobody reads it any more; a file by a thread.

use std::io::{self, Write};
use std::path::Path;
use tulipa::prelude::*;
use tulipa::{Event, PipeError, PipeOptions, StreamWriter, current, open_write_pipe};

/// Where it is shown.
pub struct Output(Kind);

enum Kind {
    Stream(StreamWriter),
    /// Standard output, which is a file.
    File,
}

impl Output {
    /// Standard output.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub async fn stdout() -> Result<Self, Exception> {
        match open_write_pipe(PipeOptions::stdout()?).await {
            Ok(writer) => Ok(Self(Kind::Stream(writer))),
            Err(error) if PipeError::of(&error).is_some() => Ok(Self(Kind::File)),
            Err(error) => Err(error),
        }
    }

    /// A stream.
    pub fn to(writer: StreamWriter) -> Self {
        Self(Kind::Stream(writer))
    }

    /// Writes `data`, and waits until there is place for more.
    ///
    /// # Errors
    /// If that failed.
    pub async fn write(&self, data: Vec<u8>) -> Result<(), Exception> {
        match &self.0 {
            Kind::Stream(writer) => {
                writer.write_vec(data);
                writer.drain().await
            }
            Kind::File => {
                let write = move |_: &Path| {
                    let mut stdout = io::stdout().lock();
                    stdout.write_all(&data).and_then(|()| stdout.flush())
                };
                current().file_job("write to", "standard output", write).await
            }
        }
    }

    /// Waits until nobody reads it any more.
    ///
    /// # Errors
    /// The cancellation.
    pub async fn closed(&self) -> Result<(), Exception> {
        match &self.0 {
            Kind::Stream(writer) => writer.transport().wait_closed().await,
            Kind::File => Event::new().wait().await, // files have no readers
        }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// If that failed, though not because nobody reads it any more.
    pub async fn finish(self) -> Result<(), Exception> {
        let Kind::Stream(writer) = self.0 else { return Ok(()) };
        writer.close();
        match writer.wait_closed().await {
            Err(error) if error.io_kind() == Some(io::ErrorKind::BrokenPipe) => Ok(()),
            other => other,
        }
    }
}
