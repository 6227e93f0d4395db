//! [`TerminatorReceiver`]: data until something ends them: certain bytes, or a count of bytes.
//!
//! Invariant: between two calls of the transport it holds nothing but what may be the beginning of a
//! terminator. What could be delivered and may not be now is pushed back.

mod cutter;
mod handler;
#[cfg(test)]
mod tests;

pub use handler::{Terminator, TerminatorHandler};

use super::give_back;
use super::handler_methods::{handler_access, pass_on_to_handler};
use crate::{Bytes, Eof, Protocol, Transport};
use cutter::{Cutter, Part};
use futures::Exception;

/// So often in a row a handler may await nothing. One that did so for ever would hang the loop.
const MOST_IN_VAIN: u32 = 10_000;

/// A protocol whose messages end in different ways, as asynchat's do: its handler collects data, and says
/// after each terminator what ends the next data: for a head an empty line, then for the body its length.
///
/// # Examples
/// ```
/// use tulipa_transports::protocols::{Terminator, TerminatorHandler, TerminatorReceiver};
/// use tulipa_transports::testing::RecordingTransport;
/// use tulipa_transports::{Protocol, Transport};
///
/// /// A length in digits, an empty line, and then so many bytes.
/// #[derive(Default)]
/// struct Messages { collected: Vec<u8>, in_body: bool, messages: Vec<Vec<u8>> }
///
/// impl TerminatorHandler for Messages {
///     fn collect_incoming_data(&mut self, _: &dyn Transport, data: &[u8]) {
///         self.collected.extend_from_slice(data);
///     }
///     fn found_terminator(&mut self, _: &dyn Transport) -> Terminator {
///         let collected = std::mem::take(&mut self.collected);
///         self.in_body = !self.in_body;
///         if self.in_body {
///             let length = String::from_utf8_lossy(&collected).parse().unwrap_or(0);
///             Terminator::Count(length)
///         } else {
///             self.messages.push(collected);
///             Terminator::from("\r\n\r\n")
///         }
///     }
/// }
///
/// let mut protocol = TerminatorReceiver::new(Messages::default(), "\r\n\r\n");
/// let transport = RecordingTransport::new();
/// protocol.data_received(&transport, b"5\r\n\r\ntulip6\r\n\r\n\r\n\r\n\r\n");
/// assert_eq!(protocol.handler().messages, [&b"tulip"[..], b"\r\n\r\n\r\n"]);
/// ```
#[derive(Debug)]
pub struct TerminatorReceiver<H> {
    handler: H,
    terminator: Terminator,
    cutter: Cutter,
    /// So much was collected since the last terminator.
    collected: usize,
}

impl<H: TerminatorHandler> TerminatorReceiver<H> {
    /// The first data end with `terminator`.
    ///
    /// # Panics
    /// If that is no byte at all.
    pub fn new(handler: H, terminator: impl Into<Terminator>) -> Self {
        let terminator = checked(terminator.into());
        Self { handler, terminator, cutter: Cutter::default(), collected: 0 }
    }

    handler_access!();

    /// What ends the data that are being collected; of a count, what is left of it.
    pub fn terminator(&self) -> &Terminator {
        &self.terminator
    }

    /// From now on something else ends the data. This is for the outside, by
    /// [`with_protocol`](crate::TransportExt::with_protocol): the handler says it by what it returns.
    ///
    /// # Panics
    /// If that is no byte at all.
    pub fn set_terminator(&mut self, transport: &dyn Transport, terminator: impl Into<Terminator>) {
        self.terminator = checked(terminator.into());
        transport.push_back(self.cutter.take_held());
    }

    /// Delivers the next part of `input`, and moves that behind it. Says whether there was one.
    fn deliver(&mut self, transport: &dyn Transport, input: &mut &[u8]) -> bool {
        let most = match self.terminator {
            Terminator::After(_) => {
                self.handler.max_length().0.max(1).saturating_sub(self.collected)
            }
            Terminator::Count(_) | Terminator::Never => usize::MAX,
        };
        match self.cutter.next(input, &mut self.terminator, most) {
            None => return false,
            Some(Part::TooLong) => {
                self.collected = 0;
                self.handler.terminator_too_far(transport);
            }
            Some(Part::Data { data, ends }) => {
                if matches!(self.terminator, Terminator::After(_)) {
                    self.collected += data.len();
                }
                self.handler.collect_incoming_data(transport, data);
                if ends && !transport.is_closing() {
                    self.found(transport);
                }
            }
            Some(Part::End) => self.found(transport),
        }
        true
    }

    fn found(&mut self, transport: &dyn Transport) {
        self.collected = 0;
        self.terminator = checked(self.handler.found_terminator(transport));
    }
}

/// Nothing at all would be found everywhere, and for ever.
fn checked(terminator: Terminator) -> Terminator {
    if let Terminator::After(bytes) = &terminator {
        assert!(!bytes.is_empty(), "a terminator has at least one byte");
    }
    terminator
}

impl<H: TerminatorHandler> Protocol for TerminatorReceiver<H> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.handler.connection_made(transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let mut input = data;
        let mut in_vain = 0;
        while self.deliver(transport, &mut input) {
            let awaits_nothing = self.terminator == Terminator::Count(0);
            in_vain = if awaits_nothing { in_vain + 1 } else { 0 };
            assert!(in_vain <= MOST_IN_VAIN, "found_terminator() answers Count(0) for ever");
            let goes_on = awaits_nothing && !transport.is_closing();
            if !goes_on && !transport.can_deliver() {
                give_back(transport, self.cutter.take_held(), input);
                break;
            }
        }
        self.cutter.tidy();
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        let held = self.cutter.take_held();
        if !held.is_empty() {
            self.handler.collect_incoming_data(transport, &held);
            if transport.is_closing() {
                return Eof::Close;
            }
        }
        self.handler.eof_received(transport)
    }

    /// What is held came in clear, from whomever: it is forgotten.
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        drop(self.cutter.take_held());
        self.collected = 0;
        self.handler.handshake_completed(transport);
    }

    pass_on_to_handler!();

    fn memory_held(&self) -> Bytes {
        Bytes(self.cutter.memory().saturating_add(self.handler.memory_held().0))
    }
}
