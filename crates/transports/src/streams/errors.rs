//! What can go wrong with reading from a stream, apart from the connection itself.

use std::error::Error;
use std::fmt;

/// The stream ended before there was as much as was asked for.
///
/// What came is in here; the reader does not have it any more (Y-8, Y-9).
///
/// # Examples
/// ```
/// use tulipa_transports::streams::{IncompleteReadError, StreamReader};
/// # use eventloop::{TestLoop, prelude::*};
/// # let event_loop = TestLoop::new();
/// # let task = event_loop.create_task(async {
/// let mut reader = StreamReader::default();
/// reader.feed_data(b"tul");
/// reader.feed_eof();
/// let exception = reader.readexactly(5).await.unwrap_err();
/// let error: &IncompleteReadError = exception.downcast_ref().unwrap();
/// assert_eq!((&error.partial[..], error.expected), (&b"tul"[..], Some(5)));
/// # Ok(()) });
/// # event_loop.run_until_complete(task.as_future())?;
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncompleteReadError {
    /// What came before the end.
    pub partial: Vec<u8>,
    /// How many bytes were asked for; `None` where it was a separator.
    pub expected: Option<usize>,
}

impl fmt::Display for IncompleteReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let came = self.partial.len();
        match self.expected {
            Some(expected) => write!(f, "the stream ended after {came} of {expected} bytes"),
            None => write!(f, "the stream ended after {came} bytes, without a separator"),
        }
    }
}

impl Error for IncompleteReadError {}

/// There were more bytes before the separator than the limit of the reader allows.
///
/// [`readuntil`](super::StreamReader::readuntil) leaves them where they are, so that the caller can
/// read on with other means, or skip `consumed` bytes (Y-10);
/// [`readline`](super::StreamReader::readline) has thrown them away (Y-13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitOverrunError {
    /// How many bytes certainly have no separator in them: all before it, if it was found.
    pub consumed: usize,
    /// Whether the separator was found behind them.
    pub found: bool,
}

impl fmt::Display for LimitOverrunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let consumed = self.consumed;
        match self.found {
            true => write!(f, "the separator comes after {consumed} bytes, beyond the limit"),
            false => write!(f, "no separator within {consumed} bytes, beyond the limit"),
        }
    }
}

impl Error for LimitOverrunError {}

/// The limit of a reader cannot be zero (Y-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLimit;

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limit of a stream reader cannot be zero")
    }
}

impl Error for InvalidLimit {}

impl From<InvalidLimit> for std::io::Error {
    fn from(error: InvalidLimit) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, error)
    }
}

/// There is no separator to look for, or it is empty (Y-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSeparator;

impl fmt::Display for InvalidSeparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a separator must have at least one byte, and there must be one")
    }
}

impl Error for InvalidSeparator {}

impl From<InvalidSeparator> for std::io::Error {
    fn from(error: InvalidSeparator) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, error)
    }
}
