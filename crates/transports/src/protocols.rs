//! Protocols to build upon: they cut the stream into messages, and give these to a handler.
//!
//! All of them keep the same promises (W-16): wherever the bytes were cut, the calls are the same; the
//! cost is linear; what is held because of the peer is bounded; and after a close, a pause, or another
//! protocol that was set inside a call nothing more comes of what was received already: it goes back to
//! the transport ([`push_back`](crate::ReadTransport::push_back)).

mod line;
mod timeout;

pub use line::{LineHandler, LineMode, LineReceiver, LineTooLong, LongLine, RawData};
pub use timeout::{IdleTimeout, TimeoutProtocol};
