//! Internet Relay Chat (RFC 1459 and 2812, the everyday part): a server, and a client that stays connected.
//!
//! [`Network`] is all that the server knows: a plain machine, lines in, lines out. [`IrcServer`] is the
//! factory that puts connections around it. [`Client`] is the other side: it connects again when the
//! connection is lost, and goes back to its channels.

mod client;
mod input;
mod message;
mod names;
mod network;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientSession};
pub use input::Keyboard;
pub use message::Message;
pub use network::{Limits, Network, Output, UserId};
pub use server::{IrcServer, ServerSettings, Session};
