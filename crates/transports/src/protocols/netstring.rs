//! Netstrings: `5:tulip,`. The grammar is exact: one way to write each string, and nothing else.

use super::string_framing::private::Framing;
use super::{FramingError, StringFraming, StringReceiver, StringTooLongError};

/// Strings as `<decimal length>:<bytes>,` (W-14): see [`StringFraming`] and [`NetstringReceiver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Netstring;

/// A protocol that receives netstrings, and gives them to a handler `H`, which is a
/// [`StringHandler`](super::StringHandler).
///
/// Anything else than `<decimal length>:<bytes>,` is an error: zeros before the number, signs, spaces, a
/// comma that is not there; and so is a length over the limit, as soon as its digits say so (W-14).
///
/// # Examples
/// ```
/// use tulipa_transports::Transport;
/// use tulipa_transports::protocols::{Netstring, NetstringReceiver, StringFraming, StringHandler};
/// use tulipa_transports::testing::Chunking;
///
/// /// Sends every string back.
/// struct Echo;
///
/// impl StringHandler for Echo {
///     fn string_received(&mut self, transport: &dyn Transport, string: &[u8]) {
///         // What came in a netstring fits into one.
///         let _ = Netstring::send_string(transport, string);
///     }
/// }
///
/// Chunking::new(|_| NetstringReceiver::new(Echo))
///     .input(b"5:tulip,0:,4:rose,")
///     .check();
/// ```
pub type NetstringReceiver<H> = StringReceiver<Netstring, H>;

impl StringFraming for Netstring {}

impl Framing for Netstring {
    const SUFFIX: &'static [u8] = b",";
    const LONGEST: usize = usize::MAX;

    fn prefix(length: usize) -> Result<impl AsRef<[u8]>, StringTooLongError> {
        Ok(format!("{length}:"))
    }

    fn parse(data: &[u8], limit: usize) -> Result<Option<(usize, usize)>, FramingError> {
        let mut length = 0_usize;
        for (index, byte) in data.iter().enumerate() {
            match byte {
                b':' if index > 0 => return Ok(Some((index + 1, length))),
                // A zero stands alone.
                b'0'..=b'9' if index == 0 || length > 0 => {
                    length = length.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                    if length > limit {
                        return Err(FramingError::TooLong { length, limit });
                    }
                }
                _ => return Err(FramingError::NotALength { found: *byte }),
            }
        }
        Ok(None)
    }
}
