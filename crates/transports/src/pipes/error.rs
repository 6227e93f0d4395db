//! [`PipeError`]: a descriptor that cannot be a pipe of the wanted direction, and is given back.

use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// A descriptor that cannot be a pipe transport, and can be taken back (X-39).
///
/// It comes inside an `io::Error` of the same kind: [`PipeError::of`] finds it.
///
/// # Examples
/// ```
/// use std::fs::File;
/// use eventloop::EventLoop;
/// use tulipa_transports::{NetworkLoop, PipeError, Protocol, Transport};
/// # struct Quiet;
/// # impl Protocol for Quiet {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
/// let event_loop = EventLoop::new()?;
/// let file = File::open(std::env::current_exe()?)?; // a regular file: it is always ready
/// let refused = event_loop.connect_read_pipe(|| Quiet, file).result().map(drop).unwrap_err();
/// let error = PipeError::of(&refused).unwrap();
/// let file = File::from(error.take_descriptor().unwrap());
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Debug)]
pub struct PipeError {
    problem: Problem,
    descriptor: Mutex<Option<OwnedFd>>,
}

#[derive(Debug)]
pub(super) enum Problem {
    RegularFile,
    NotAPipe,
    NotForReading,
    NotForWriting,
    System(io::Error),
}

impl PipeError {
    pub(super) fn new(problem: Problem, descriptor: OwnedFd) -> Self {
        Self { problem, descriptor: Mutex::new(Some(descriptor)) }
    }

    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// The descriptor that was refused, as it was. The first call gets it; if nobody calls, it is
    /// closed with the error.
    pub fn take_descriptor(&self) -> Option<OwnedFd> {
        self.descriptor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn kind(&self) -> io::ErrorKind {
        match &self.problem {
            Problem::System(error) => error.kind(),
            Problem::RegularFile
            | Problem::NotAPipe
            | Problem::NotForReading
            | Problem::NotForWriting => io::ErrorKind::InvalidInput,
        }
    }
}

impl fmt::Display for PipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.problem {
            Problem::RegularFile => {
                "a regular file cannot be a pipe transport: the system calls it always ready"
            }
            Problem::NotAPipe => "only pipes, sockets and character devices can be pipe transports",
            Problem::NotForReading => "the descriptor is not open for reading",
            Problem::NotForWriting => "the descriptor is not open for writing",
            Problem::System(_) => "the descriptor cannot be used as a pipe",
        })
    }
}

impl Error for PipeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::System(error) => Some(error),
            Problem::RegularFile
            | Problem::NotAPipe
            | Problem::NotForReading
            | Problem::NotForWriting => None,
        }
    }
}

impl From<PipeError> for io::Error {
    fn from(error: PipeError) -> Self {
        io::Error::new(error.kind(), error)
    }
}
