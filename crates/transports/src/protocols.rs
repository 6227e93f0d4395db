//! Protocols that carry others: they find the messages in a stream, so that a handler is given whole ones.

mod int_string;
mod netstring;
mod string_framing;
mod string_receiver;

pub use int_string::{
    Int8String, Int8StringReceiver, Int16String, Int16StringReceiver, Int32String,
    Int32StringReceiver, IntString,
};
pub use netstring::{Netstring, NetstringReceiver};
pub use string_framing::{FramingError, StringFraming, StringTooLongError};
pub use string_receiver::{StringHandler, StringReceiver};
