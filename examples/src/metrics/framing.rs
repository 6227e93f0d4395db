//! [`Framing`]: how agent and collector tell their strings apart; both have to use the same.

use clap::ValueEnum;
use std::time::Duration;
use tulipa::protocols::{
    Int8String, Int8StringReceiver, Int16String, Int16StringReceiver, Int32String,
    Int32StringReceiver, Netstring, NetstringReceiver, StringFraming, StringHandler,
};
use tulipa::{Bytes, Protocol, TimeoutProtocol, Transport, WriteState};

/// How strings are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Framing {
    /// `5:tulip,`
    Netstring,
    /// A length of one byte before each.
    Int8,
    /// A length of two bytes.
    Int16,
    /// A length of four bytes.
    Int32,
}

/// No message is longer. It fits into every framing.
const LONGEST: Bytes = Bytes(200);

impl Framing {
    /// All of them.
    pub const ALL: [Framing; 4] =
        [Framing::Netstring, Framing::Int8, Framing::Int16, Framing::Int32];

    /// A protocol that gives strings to `handler`; one whose peer is silent for longer than `silence` is
    /// closed.
    pub fn receiver(
        self,
        handler: impl StringHandler,
        silence: Option<Duration>,
    ) -> Box<dyn Protocol> {
        match self {
            Framing::Netstring => {
                within(silence, NetstringReceiver::new(handler).max_length(LONGEST))
            }
            Framing::Int8 => within(silence, Int8StringReceiver::new(handler).max_length(LONGEST)),
            Framing::Int16 => {
                within(silence, Int16StringReceiver::new(handler).max_length(LONGEST))
            }
            Framing::Int32 => {
                within(silence, Int32StringReceiver::new(handler).max_length(LONGEST))
            }
        }
    }

    /// Writes a message. Says whether more of them may follow now.
    pub fn send(self, transport: &dyn Transport, message: &super::Message<'_>) -> bool {
        let text = message.to_string();
        let sent = match self {
            Framing::Netstring => Netstring::send_string(transport, text.as_bytes()),
            Framing::Int8 => Int8String::send_string(transport, text.as_bytes()),
            Framing::Int16 => Int16String::send_string(transport, text.as_bytes()),
            Framing::Int32 => Int32String::send_string(transport, text.as_bytes()),
        };
        match sent {
            Ok(state) => state == WriteState::Taken,
            Err(error) => {
                transport.abort_with(error.into());
                false
            }
        }
    }
}

fn within(silence: Option<Duration>, protocol: impl Protocol) -> Box<dyn Protocol> {
    match silence {
        Some(silence) => Box::new(TimeoutProtocol::new(protocol, silence)),
        None => Box::new(protocol),
    }
}
