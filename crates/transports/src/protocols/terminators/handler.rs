//! [`TerminatorHandler`]: the user's code for one connection whose data end in different ways.

use crate::{Bytes, Eof, Transport};
use futures::Exception;
use std::borrow::Cow;

/// The user's code for one connection: what a [`TerminatorReceiver`](super::TerminatorReceiver) calls. Its
/// life is that of a [`Protocol`](crate::Protocol); its methods may do anything with the transport.
pub trait TerminatorHandler: 'static {
    /// As [`Protocol::connection_made`](crate::Protocol::connection_made).
    fn connection_made(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// Some of the data before the terminator came. Never empty; where they are cut carries no meaning.
    fn collect_incoming_data(&mut self, transport: &dyn Transport, data: &[u8]);

    /// The terminator came, which is not among the data. The answer says what ends the next data.
    ///
    /// After the last byte of a [count](Terminator::Count) this follows at once, also if
    /// `collect_incoming_data` has paused reading.
    fn found_terminator(&mut self, transport: &dyn Transport) -> Terminator;

    /// How much may come before a terminator [of bytes](Terminator::After): 64 KiB by default. A count
    /// needs no such limit: whoever asked for it knows it.
    fn max_length(&self) -> Bytes {
        Bytes::kib(64)
    }

    /// So much was collected, and more comes that is not the terminator. By default the connection is
    /// closed. If it stays open, as much again may come.
    fn terminator_too_far(&mut self, transport: &dyn Transport) {
        transport.close();
    }

    /// As [`Protocol::eof_received`](crate::Protocol::eof_received).
    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        let _ = transport;
        Eof::Close
    }

    /// As [`Protocol::handshake_completed`](crate::Protocol::handshake_completed): what was said before is
    /// worth nothing. The receiver has forgotten what it held; what follows is what the method that asked
    /// for TLS has answered.
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::connection_lost`](crate::Protocol::connection_lost).
    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        let _ = (transport, reason);
    }

    /// As [`Protocol::pause_writing`](crate::Protocol::pause_writing).
    fn pause_writing(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::resume_writing`](crate::Protocol::resume_writing).
    fn resume_writing(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::shutdown_requested`](crate::Protocol::shutdown_requested).
    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        transport.close();
    }

    /// As [`Protocol::memory_held`](crate::Protocol::memory_held): what was collected.
    fn memory_held(&self) -> Bytes {
        Bytes(0)
    }
}

/// What ends the data that come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// These bytes, which are not empty.
    After(Cow<'static, [u8]>),
    /// So many bytes of data. After zero nothing is awaited: `found_terminator` is called at once. It is a
    /// panic to answer that more than ten thousand times in a row.
    Count(u64),
    /// Nothing: data are collected as they come, until the connection ends.
    Never,
}

impl From<&'static str> for Terminator {
    fn from(bytes: &'static str) -> Self {
        Self::from(bytes.as_bytes())
    }
}

impl From<&'static [u8]> for Terminator {
    fn from(bytes: &'static [u8]) -> Self {
        Terminator::After(Cow::Borrowed(bytes))
    }
}

impl From<u64> for Terminator {
    fn from(count: u64) -> Self {
        Terminator::Count(count)
    }
}
