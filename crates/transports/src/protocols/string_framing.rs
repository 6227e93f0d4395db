//! [`StringFraming`]: how a string tells its length in a stream. Plain functions of bytes.
//!
//! Invariant: what the first bytes of a string say does not change when more of it comes, so a receiver
//! may look as early and as often as it likes.

use crate::{WriteState, WriteTransport};
use std::error::Error;
use std::fmt;

/// How strings of bytes are told apart in a stream: each is preceded by its length.
///
/// There are [`Netstring`](super::Netstring) and [`IntString`](super::IntString). A
/// [`StringReceiver`](super::StringReceiver) finds them again.
///
/// # Examples
/// ```
/// use tulipa_transports::protocols::{Int8String, Int16String, Netstring, StringFraming};
/// use tulipa_transports::testing::RecordingTransport;
/// let transport = RecordingTransport::new();
/// Int16String::send_string(&transport, b"tulip")?;
/// assert_eq!(transport.take_written(), b"\0\x05tulip");
/// assert_eq!(Netstring::encode(b"tulip")?, b"5:tulip,");
/// let refused = Int8String::encode(&[0; 256]).unwrap_err();
/// assert_eq!(refused.to_string(), "a string of 256 bytes is too long: its prefix can tell 255");
/// # Ok::<(), tulipa_transports::protocols::StringTooLongError>(())
/// ```
pub trait StringFraming: private::Framing + 'static {
    /// Writes `string` to `transport`, as one message (W-15).
    ///
    /// # Errors
    /// [`StringTooLongError`] if the prefix cannot tell the length; nothing is written then. The
    /// transport's own answer says whether it was taken.
    fn send_string<T>(transport: &T, string: &[u8]) -> Result<WriteState, StringTooLongError>
    where
        T: WriteTransport + ?Sized,
    {
        let prefix = Self::prefix(string.len())?;
        Ok(transport.writelines(&[prefix.as_ref(), string, Self::SUFFIX]))
    }

    /// The message as it is sent.
    ///
    /// # Errors
    /// As [`send_string`](StringFraming::send_string).
    fn encode(string: &[u8]) -> Result<Vec<u8>, StringTooLongError> {
        let prefix = Self::prefix(string.len())?;
        Ok([prefix.as_ref(), string, Self::SUFFIX].concat())
    }
}

pub(super) mod private {
    use super::{FramingError, StringTooLongError};

    /// What the framings differ in.
    pub trait Framing {
        /// What follows the string.
        const SUFFIX: &'static [u8];
        /// The longest string that a prefix can tell of.
        const LONGEST: usize;

        /// What precedes a string of this length.
        fn prefix(length: usize) -> Result<impl AsRef<[u8]>, StringTooLongError>;

        /// What `data` begins with: the length of the prefix, and that of the string. `None` if that
        /// much of it has not come yet.
        fn parse(data: &[u8], limit: usize) -> Result<Option<(usize, usize)>, FramingError>;
    }
}

/// What a peer sent in place of a string, or that it announced one that is too long (W-14, W-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// A string of `length` bytes was announced, or of even more, and `limit` are allowed. It was not
    /// received.
    TooLong {
        /// At least so long.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The length of a netstring has something else than digits, or begins with a zero.
    NotALength {
        /// The byte that is wrong.
        found: u8,
    },
    /// A netstring is not followed by a comma.
    MissingComma {
        /// What follows it.
        found: u8,
    },
    /// The stream ended within a string.
    Truncated {
        /// How much of it came, with its prefix.
        received: usize,
    },
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |byte: &u8| std::ascii::escape_default(*byte);
        match self {
            FramingError::TooLong { length, limit } => {
                write!(f, "a string of {length} bytes or more was announced, the limit is {limit}")
            }
            FramingError::NotALength { found } => {
                write!(f, "the length of a netstring is not a number: '{}'", show(found))
            }
            FramingError::MissingComma { found } => {
                write!(f, "a netstring is followed by '{}' instead of a comma", show(found))
            }
            FramingError::Truncated { received } => {
                write!(f, "the stream ended {received} bytes into a string")
            }
        }
    }
}

impl Error for FramingError {}

/// A string that cannot be sent, because its prefix cannot tell how long it is (W-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringTooLongError {
    length: usize,
    longest: usize,
}

impl StringTooLongError {
    pub(super) fn new(length: usize, longest: usize) -> Self {
        Self { length, longest }
    }

    /// How long the string is.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How long it may be.
    pub fn longest(&self) -> usize {
        self.longest
    }
}

impl fmt::Display for StringTooLongError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, longest } = self;
        write!(f, "a string of {length} bytes is too long: its prefix can tell {longest}")
    }
}

impl Error for StringTooLongError {}
