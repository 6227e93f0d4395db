//! [`StringReceiver`]: finds strings in a stream, and gives them to a handler one by one.
//!
//! A string that lies in what came is given as it lies there. Only one that is cut is collected, and only
//! as it comes: a length that a peer announces reserves nothing. The cost is linear in what comes,
//! however it is cut (W-16).

use super::StringFraming;
use super::handler_methods::{handler_access, pass_on_to_handler};
use super::string_framing::FramingError;
use crate::{Bytes, Eof, Protocol, Transport};
use futures::Exception;
use std::marker::PhantomData;

#[cfg(test)]
mod tests;

/// Memory of this size is kept for the next string that is cut.
const KEPT: usize = 16 * 1024;

/// A protocol that finds the strings in a stream, and gives them to a handler: the
/// [`NetstringReceiver`](super::NetstringReceiver), and that for each kind of
/// [`IntString`](super::IntString).
///
/// The handler may do anything with the transport. Once it has paused reading, no string is given to it
/// until reading goes on; once it has closed, none at all; and when it sets another protocol, that one
/// gets what lies behind the string, as it came (W-11, P-20). From outside the receiver is reached with
/// [`with_protocol`](crate::TransportExt::with_protocol), and its handler through it.
pub struct StringReceiver<F, H> {
    handler: H,
    limit: usize,
    /// A string of which not all has come, with its prefix.
    begun: Vec<u8>,
    /// How long it is, with prefix and suffix, and how long its prefix is; once that is known.
    parts: Option<Parts>,
    /// What came is none of ours: nothing more is looked at.
    broken: bool,
    framing: PhantomData<F>,
}

/// Where a message has its string.
#[derive(Clone, Copy)]
struct Parts {
    begin: usize,
    end: usize,
}

/// What a [`StringReceiver`] calls: a [`Protocol`] that is given strings in place of bytes.
pub trait StringHandler: 'static {
    /// As [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// A string came, without its prefix. It may be empty.
    fn string_received(&mut self, transport: &dyn Transport, string: &[u8]);

    /// What the peer sends is no string, or is longer than allowed: nothing more is looked at, and what
    /// comes is dropped; but another protocol that is set now gets it all, with the beginning of the string
    /// that is none. By default the connection is closed, which still sends what was written.
    ///
    /// At the end of file within a string it is called as well, before `eof_received`.
    #[doc(alias = "lengthLimitExceeded")]
    fn broken_peer(&mut self, transport: &dyn Transport, error: FramingError) {
        log::debug!(target: "tulipa", "{}: {error}", std::any::type_name::<Self>());
        transport.close();
    }

    /// As [`Protocol::eof_received`].
    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        let _ = transport;
        Eof::Close
    }

    /// As [`Protocol::connection_lost`].
    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        let _ = (transport, reason);
    }

    /// As [`Protocol::pause_writing`].
    fn pause_writing(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::resume_writing`].
    fn resume_writing(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::shutdown_requested`].
    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        transport.close();
    }

    /// As [`Protocol::handshake_completed`]. A string that had begun before is forgotten.
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::memory_held`], of the handler itself.
    fn memory_held(&self) -> Bytes {
        Bytes(0)
    }
}

impl<F: StringFraming, H: StringHandler> StringReceiver<F, H> {
    /// Gives strings of at most 99,999 bytes to `handler`.
    pub fn new(handler: H) -> Self {
        let broken = false;
        Self {
            handler,
            limit: 99_999,
            begun: Vec::new(),
            parts: None,
            broken,
            framing: PhantomData,
        }
    }

    /// How long a string may be.
    #[must_use]
    pub fn max_length(mut self, limit: Bytes) -> Self {
        self.limit = limit.0;
        self
    }

    handler_access!();

    /// Takes from the front of `data` what belongs to one string, and gives that to the handler if it is
    /// complete.
    fn take_one<'a>(
        &mut self,
        transport: &dyn Transport,
        data: &'a [u8],
    ) -> Result<&'a [u8], FramingError> {
        if self.begun.is_empty() {
            match Parts::of::<F>(data, self.limit)? {
                Some(parts) if data.len() >= parts.whole::<F>() => {
                    let (message, rest) = data.split_at(parts.whole::<F>());
                    self.give(transport, parts, message)?;
                    return Ok(rest);
                }
                parts => self.parts = parts,
            }
            self.begun.extend_from_slice(data);
            return Ok(&[]);
        }
        let Some(parts) = self.parts else {
            // A prefix is short: byte by byte is soon done.
            let (next, rest) = data.split_at(1);
            self.begun.extend_from_slice(next);
            self.parts = Parts::of::<F>(&self.begun, self.limit)?;
            return self.give_if_complete(transport).map(|()| rest);
        };
        let missing = parts.whole::<F>() - self.begun.len();
        let (next, rest) = data.split_at(missing.min(data.len()));
        self.begun.extend_from_slice(next);
        self.give_if_complete(transport).map(|()| rest)
    }

    fn give_if_complete(&mut self, transport: &dyn Transport) -> Result<(), FramingError> {
        let Some(parts) = self.parts.filter(|it| self.begun.len() == it.whole::<F>()) else {
            return Ok(());
        };
        self.parts = None;
        let mut message = std::mem::take(&mut self.begun);
        let given = self.give(transport, parts, &message);
        if given.is_err() {
            self.begun = message; // it may be for somebody else
        } else if message.capacity() <= KEPT {
            message.clear();
            self.begun = message;
        }
        given
    }

    fn give(
        &mut self,
        transport: &dyn Transport,
        parts: Parts,
        message: &[u8],
    ) -> Result<(), FramingError> {
        let (string, suffix) = (&message[parts.begin..parts.end], &message[parts.end..]);
        if suffix != F::SUFFIX {
            return Err(FramingError::MissingComma { found: suffix[0] });
        }
        self.handler.string_received(transport, string);
        Ok(())
    }

    /// `message` is no string, and what follows it is looked at by another protocol, if at all.
    fn break_off(&mut self, transport: &dyn Transport, error: FramingError, message: Vec<u8>) {
        self.broken = true;
        self.begun = Vec::new();
        self.handler.broken_peer(transport, error);
        if !transport.can_deliver() {
            transport.push_back(message);
        }
    }
}

impl Parts {
    fn of<F: StringFraming>(data: &[u8], limit: usize) -> Result<Option<Self>, FramingError> {
        let limit = limit.min(F::LONGEST);
        let parsed = F::parse(data, limit)?;
        Ok(parsed.map(|(begin, length)| Self { begin, end: begin.saturating_add(length) }))
    }

    fn whole<F: StringFraming>(self) -> usize {
        self.end.saturating_add(F::SUFFIX.len())
    }
}

impl<F: StringFraming, H: StringHandler> Protocol for StringReceiver<F, H> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.handler.connection_made(transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() && !self.broken {
            let held = self.begun.len();
            match self.take_one(transport, rest) {
                Ok(behind) => rest = behind,
                Err(error) => {
                    self.begun.truncate(held);
                    let message = [&self.begun, rest].concat();
                    return self.break_off(transport, error, message);
                }
            }
            if !rest.is_empty() && !transport.can_deliver() {
                return transport.push_back(rest.to_vec());
            }
        }
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        if !self.begun.is_empty() {
            let received = self.begun.len();
            self.break_off(transport, FramingError::Truncated { received }, Vec::new());
        }
        self.handler.eof_received(transport)
    }

    pass_on_to_handler!();

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        // Somebody on the way may have sent the beginning of what the peer sends now.
        self.begun = Vec::new();
        self.parts = None;
        self.broken = false;
        self.handler.handshake_completed(transport);
    }

    fn memory_held(&self) -> Bytes {
        Bytes(self.begun.capacity() + self.handler.memory_held().0)
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<H>()
    }
}
