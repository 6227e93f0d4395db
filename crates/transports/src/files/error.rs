//! [`FileError`]: what was tried with which file, and what the system said.

use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An operation with a file that failed. It comes inside an `io::Error` of the same kind:
/// [`FileError::of`] finds it. `Error::source` is the system's answer.
#[derive(Debug)]
pub struct FileError {
    attempt: Attempt,
    source: io::Error,
}

/// What is tried.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// A verb.
    pub(super) operation: &'static str,
    pub(super) path: PathBuf,
}

impl FileError {
    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.attempt.path
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempt { operation, path } = &self.attempt;
        write!(f, "cannot {operation} {}", path.display())
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// `source`, with what was tried.
pub(super) fn describe(attempt: Attempt, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), FileError { attempt, source })
}
