//! [`SpawnError`]: a child that could not be started.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A child that could not be started (C-3). (`Error::source` returns the system's answer.)
///
/// The future of a creator fails with it, wrapped in an `io::Error` of the same kind.
#[derive(Debug)]
pub struct SpawnError {
    program: OsString,
    directory: Option<PathBuf>,
    source: io::Error,
}

impl SpawnError {
    pub(super) fn new(program: OsString, directory: Option<PathBuf>, source: io::Error) -> Self {
        Self { program, directory, source }
    }

    /// The program that was to be started.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The directory in which it was to be started, if one was given.
    pub fn current_dir(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start {:?}", self.program)?;
        match &self.directory {
            Some(directory) => write!(f, " in {directory:?}"),
            None => Ok(()),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> io::Error {
        io::Error::new(error.source.kind(), error)
    }
}
