//! [`SockError`]: an operation on a raw socket that failed.

use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;

/// An operation on a raw socket that failed: which one, with which address, and, as `Error::source`,
/// what the system said.
///
/// It comes inside an `io::Error` of the same kind.
#[derive(Debug)]
pub struct SockError {
    operation: &'static str,
    target: Option<String>,
    source: Exception,
}

impl SockError {
    /// `exception`, with the operation that it ended; unless it is none of the system's.
    pub(super) fn wrap(
        operation: &'static str,
        target: Option<String>,
        exception: Exception,
    ) -> Exception {
        match exception.io_kind() {
            Some(kind) if !exception.is_cancelled() => {
                io::Error::new(kind, Self { operation, target, source: exception }).into()
            }
            _ => exception,
        }
    }

    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// The name of the operation.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The number of the system's error, if it came from the system.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.downcast_ref::<io::Error>()?.raw_os_error()
    }
}

impl fmt::Display for SockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            None => write!(f, "{} failed", self.operation),
            Some(target) => write!(f, "{} failed for {target}", self.operation),
        }
    }
}

impl Error for SockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_error())
    }
}
