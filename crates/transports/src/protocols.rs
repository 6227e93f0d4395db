//! Protocols to build upon: they cut the stream into messages, and give these to a handler.
//!
//! All of them keep the same promises (W-16): wherever the bytes were cut, the calls are the same; the
//! cost is linear; what is held because of the peer is bounded; and after a close, a pause, or another
//! protocol that was set inside a call nothing more comes of what was received already: it goes back to
//! the transport ([`push_back`](crate::ReadTransport::push_back)).

mod int_string;
mod line;
mod netstring;
mod string_framing;
mod string_receiver;
mod timeout;

pub use int_string::{
    Int8String, Int8StringReceiver, Int16String, Int16StringReceiver, Int32String,
    Int32StringReceiver, IntString,
};
pub use line::{LineHandler, LineMode, LineReceiver, LineTooLong, LongLine, RawData};
pub use netstring::{Netstring, NetstringReceiver};
pub use string_framing::{FramingError, StringFraming, StringTooLongError};
pub use string_receiver::{StringHandler, StringReceiver};
pub use timeout::{IdleTimeout, TimeoutProtocol};
