//! Protocols to build upon: they cut the stream into messages, and give these to a handler.
//!
//! All of them keep the same promises (W-16): wherever the bytes were cut, the calls are the same; the
//! cost is linear; what is held because of the peer is bounded; and after a close, a pause, or another
//! protocol that was set inside a call nothing more comes of what was received already: it goes back to
//! the transport ([`push_back`](crate::ReadTransport::push_back)).

mod handler_methods;
mod int_string;
mod line;
mod netstring;
mod string_framing;
mod string_receiver;
mod terminators;
mod timeout;

pub use int_string::{
    Int8String, Int8StringReceiver, Int16String, Int16StringReceiver, Int32String,
    Int32StringReceiver, IntString,
};
pub use line::{LineHandler, LineMode, LineReceiver, LineTooLong, LongLine, RawData};
pub use netstring::{Netstring, NetstringReceiver};
pub use string_framing::{FramingError, StringFraming, StringTooLongError};
pub use string_receiver::{StringHandler, StringReceiver};
pub use terminators::{Terminator, TerminatorHandler, TerminatorReceiver};
pub use timeout::{IdleTimeout, TimeoutProtocol};

use crate::Transport;
use memchr::memmem;

/// Gives back what is not to be delivered now: what is held, and the input that follows it.
fn give_back(transport: &dyn Transport, mut held: Vec<u8>, input: &[u8]) {
    held.extend_from_slice(input);
    transport.push_back(held);
}

/// Where `needle` is. Most are short, and for those a search need not be prepared.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => memchr::memchr(*byte, haystack),
        [first, second] => {
            // The second is the rarer one in text: an LF rarely comes without its CR.
            let mut lasts = memchr::memchr_iter(*second, haystack);
            lasts.find(|&last| last > 0 && haystack[last - 1] == *first).map(|last| last - 1)
        }
        _ => memmem::find(haystack, needle),
    }
}
