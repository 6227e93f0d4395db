//! [`ResolveError`]: a look-up that failed.

use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;

/// A look-up that failed, with what was asked for. (`Error::source` returns the resolver's answer.)
///
/// It comes inside an `io::Error` of the kind of that answer: `NotFound` for a name or an address that
/// does not exist, `InvalidInput` for what cannot be a name, `TimedOut` for one that was not answered
/// within the look-up's deadline, `ResourceBusy` if the name servers cannot tell at the moment.
#[derive(Debug)]
pub struct ResolveError {
    asked: String,
    source: Exception,
}

impl ResolveError {
    /// As an exception.
    pub(super) fn exception(asked: String, source: impl Into<Exception>) -> Exception {
        io::Error::from(Self { asked, source: source.into() }).into()
    }

    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// What was asked for: a host, with its service if that was a name, or an address.
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// The kind of the resolver's answer.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.io_kind().unwrap_or(io::ErrorKind::Other)
    }

    /// Whether asking again later may have another result.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ResourceBusy)
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot resolve {:?}", self.asked)
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_error())
    }
}

impl From<ResolveError> for io::Error {
    fn from(error: ResolveError) -> Self {
        io::Error::new(error.kind(), error)
    }
}
