//! Strings after a binary length of a fixed size.

use super::string_framing::private::Framing;
use super::{FramingError, StringFraming, StringReceiver, StringTooLongError};

/// Strings after their length as a big-endian number of `BYTES` bytes, of which there are one to eight
/// (W-15): see [`StringFraming`] and [`Int16StringReceiver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct IntString<const BYTES: usize>;

/// Strings after a length of one byte.
pub type Int8String = IntString<1>;
/// Strings after a length of two bytes.
pub type Int16String = IntString<2>;
/// Strings after a length of four bytes.
pub type Int32String = IntString<4>;

/// A protocol that receives strings after a length of one byte, and gives them to a handler `H`: see
/// [`Int16StringReceiver`].
pub type Int8StringReceiver<H> = StringReceiver<Int8String, H>;

/// A protocol that receives strings after a length of two bytes, and gives them to a handler `H`, which
/// is a [`StringHandler`](super::StringHandler).
///
/// A length over the limit is an error as soon as it is known, before a byte of the string has come
/// (W-15). Empty strings are strings.
///
/// # Examples
/// ```
/// use tulipa_transports::protocols::{FramingError, Int16StringReceiver, StringHandler};
/// use tulipa_transports::testing::{Chunking, Notes};
/// use tulipa_transports::{Bytes, Transport};
///
/// struct Log(Notes);
///
/// impl StringHandler for Log {
///     fn string_received(&mut self, _: &dyn Transport, string: &[u8]) {
///         self.0.note(String::from_utf8_lossy(string));
///     }
///     fn broken_peer(&mut self, transport: &dyn Transport, error: FramingError) {
///         self.0.note(error);
///         transport.close();
///     }
/// }
///
/// Chunking::new(|notes| Int16StringReceiver::new(Log(notes)).max_length(Bytes(1000)))
///     .input(b"\0\x05tulip\0\0\0\x04rose\xFF\xFF and so on")
///     .invariant(|run| assert!(run.notes().len() <= 4))
///     .check();
/// ```
pub type Int16StringReceiver<H> = StringReceiver<Int16String, H>;

/// A protocol that receives strings after a length of four bytes, and gives them to a handler `H`: see
/// [`Int16StringReceiver`].
pub type Int32StringReceiver<H> = StringReceiver<Int32String, H>;

impl<const BYTES: usize> StringFraming for IntString<BYTES> {}

impl<const BYTES: usize> Framing for IntString<BYTES> {
    const SUFFIX: &'static [u8] = b"";
    const LONGEST: usize = match BYTES {
        1..=7 if (BYTES as u32) < usize::BITS / 8 => (1 << (8 * BYTES)) - 1,
        1..=8 => usize::MAX,
        _ => panic!("a prefix has one to eight bytes"),
    };

    fn prefix(length: usize) -> Result<impl AsRef<[u8]>, StringTooLongError> {
        if length > Self::LONGEST {
            return Err(StringTooLongError::new(length, Self::LONGEST));
        }
        let mut prefix = [0; BYTES];
        let mut left = length;
        for byte in prefix.iter_mut().rev() {
            *byte = (left & 0xFF) as u8;
            left >>= 8;
        }
        Ok(prefix)
    }

    fn parse(data: &[u8], limit: usize) -> Result<Option<(usize, usize)>, FramingError> {
        let Some(prefix) = data.first_chunk::<BYTES>() else { return Ok(None) };
        let length = prefix.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match length > limit {
            true => Err(FramingError::TooLong { length, limit }),
            false => Ok(Some((BYTES, length))),
        }
    }
}
