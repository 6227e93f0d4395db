//! [`PipeOptions`]: which pipe, and how.

use crate::Bytes;
use crate::limits::{OutputLimits, output_limit_options};
use crate::streams::DEFAULT_LIMIT;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

/// Which pipe [`connect_read_pipe`](crate::NetworkLoop::connect_read_pipe) and
/// [`connect_write_pipe`](crate::NetworkLoop::connect_write_pipe) are to use, and how.
///
/// Made from anything that owns a descriptor, which the transport then owns. For the process's own
/// streams there are [`stdin`](PipeOptions::stdin), [`stdout`](PipeOptions::stdout) and
/// [`stderr`](PipeOptions::stderr).
///
/// # Examples
/// ```
/// use tulipa_transports::{PipeOptions, WriteBufferLimits, Bytes};
/// let (reader, writer) = std::io::pipe()?;
/// let reading = PipeOptions::from(reader);
/// let writing = PipeOptions::from(writer)
///     .write_buffer_limits(WriteBufferLimits::from_high(Bytes::kib(4)));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct PipeOptions {
    pub(crate) descriptor: OwnedFd,
    pub(crate) common: PipeCommon,
}

/// What has nothing to do with which pipe it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipeCommon {
    pub(crate) limits: OutputLimits,
    pub(crate) stream_limit: Bytes,
}

impl Default for PipeCommon {
    fn default() -> Self {
        Self { limits: OutputLimits::default(), stream_limit: DEFAULT_LIMIT }
    }
}

impl PipeOptions {
    /// The standard input of this process, by a descriptor of its own: closing the transport leaves
    /// the stream open for others.
    ///
    /// Do not read it by `std::io::stdin` as well: what that has buffered does not come here.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn stdin() -> io::Result<Self> {
        Self::copy_of(io::stdin())
    }

    /// The standard output of this process, by a descriptor of its own. What `print!` has collected
    /// is written by `print!`, at its own time.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn stdout() -> io::Result<Self> {
        Self::copy_of(io::stdout())
    }

    /// The standard error of this process, by a descriptor of its own.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn stderr() -> io::Result<Self> {
        Self::copy_of(io::stderr())
    }

    /// The limit of the [`StreamReader`](crate::streams::StreamReader): 64 KiB by default. It is for
    /// streams only (Y-1).
    #[must_use]
    pub fn stream_limit(mut self, limit: Bytes) -> Self {
        self.common.stream_limit = limit;
        self
    }

    output_limit_options!("By default as long as it takes.");

    fn copy_of(stream: impl AsFd) -> io::Result<Self> {
        Ok(stream.as_fd().try_clone_to_owned()?.into())
    }
}

impl From<OwnedFd> for PipeOptions {
    fn from(descriptor: OwnedFd) -> Self {
        Self { descriptor, common: PipeCommon::default() }
    }
}

macro_rules! from_owners {
    ($($owner:ty),*) => {
        $(impl From<$owner> for PipeOptions {
            fn from(owner: $owner) -> Self {
                OwnedFd::from(owner).into()
            }
        })*
    };
}
from_owners!(File, PipeReader, PipeWriter, UnixStream, ChildStdin, ChildStdout, ChildStderr);
