//! The errors that the PEP names: [`CancelledError`], [`InvalidStateError`], [`TimeoutError`].

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// What was waited for was cancelled.
///
/// It carries the message that was given to `cancel` (F-6). Code that catches every error should let
/// this one pass: ask [`Exception::is_cancelled`](crate::Exception::is_cancelled).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CancelledError {
    message: Option<Cow<'static, str>>,
}

impl CancelledError {
    /// A cancellation without a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cancellation that says why.
    pub fn with_message(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: Some(message.into()) }
    }

    /// The message that was given to `cancel`.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl From<Option<Cow<'static, str>>> for CancelledError {
    fn from(message: Option<Cow<'static, str>>) -> Self {
        Self { message }
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "cancelled: {message}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl Error for CancelledError {}

/// The operation is not allowed in the state that the object is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStateError {
    message: Cow<'static, str>,
}

impl InvalidStateError {
    /// An error that says which operation, and which state forbade it.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for InvalidStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for InvalidStateError {}

/// The time allowed for an operation is over.
///
/// If the operation was cancelled for that, the [`CancelledError`] which it ended with is the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutError {
    operation: Cow<'static, str>,
    source: Option<CancelledError>,
}

impl TimeoutError {
    /// An error that names the operation and what it was for.
    pub fn new(operation: impl Into<Cow<'static, str>>) -> Self {
        Self { operation: operation.into(), source: None }
    }

    /// The same, with the cancellation that the operation ended with.
    pub(crate) fn caused_by(self, cancelled: CancelledError) -> Self {
        Self { source: Some(cancelled), ..self }
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out: {}", self.operation)
    }
}

impl Error for TimeoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|cancelled| cancelled as &(dyn Error + 'static))
    }
}

impl From<TimeoutError> for std::io::Error {
    fn from(error: TimeoutError) -> Self {
        std::io::Error::new(std::io::ErrorKind::TimedOut, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f6_errors_say_what_happened() {
        assert_eq!(CancelledError::new().to_string(), "cancelled");
        assert_eq!(CancelledError::new().message(), None);
        let cancelled = CancelledError::with_message("shutdown");
        assert_eq!(
            (cancelled.to_string().as_str(), cancelled.message()),
            ("cancelled: shutdown", Some("shutdown"))
        );
        assert_eq!(InvalidStateError::new("it is done").to_string(), "it is done");
        let error = std::io::Error::from(TimeoutError::new("connecting"));
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "timed out: connecting");
    }
}
