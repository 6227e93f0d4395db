//! Metrics: agents measure their hosts and send what they find to a collector, which sums it up.
//!
//! Both sides speak in strings, told apart by one of four [`Framing`]s; what they say is in [`Message`].
//! An agent keeps what it measured until the collector has it, so that a lost connection loses nothing;
//! the collector knows how far it has come with each, so that nothing counts twice.

mod agent;
mod collector;
mod framing;
mod message;
mod system;
#[cfg(test)]
mod tests;

pub use agent::Agent;
pub use collector::Collector;
pub use framing::Framing;
pub use message::{BadMessage, Message};
pub use system::measure;

/// Something that was measured: its name and its value.
pub type Sample = (String, f64);
