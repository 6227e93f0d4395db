//! [`LineReceiver`]: lines, and raw data in between.
//!
//! Invariant: between two calls of the transport it holds nothing but the beginning of a line, which is
//! no longer than the limit. What could be delivered and may not be now is pushed back.

mod errors;
mod handler;
mod splitter;
#[cfg(test)]
mod tests;

pub use errors::LineTooLong;
pub use handler::{LineHandler, LineMode, LongLine, RawData};

use super::give_back;
use super::handler_methods::{handler_access, pass_on_to_handler};
use crate::{Bytes, Eof, Protocol, Transport};
use futures::Exception;
use splitter::{Part, Splitter};
use std::borrow::Cow;

/// A protocol of lines: its handler is given each without its ending (W-8).
///
/// A line ends with CR LF, or with what [`delimiter`](LineReceiver::delimiter) says, and with nothing else:
/// a CR or LF alone is a byte like any other. Two programs that disagree about where a line ends can be
/// played off against each other, so whoever is lenient here should know why.
///
/// A line may be as long as [`LineHandler::max_length`] says; what becomes of a longer one is decided by
/// [`LineHandler::line_too_long`]. A line that came in one piece is not copied.
///
/// Each call of the handler says whether lines or raw data follow. From outside the receiver is reached
/// with [`with_protocol`](crate::TransportExt::with_protocol), and its handler through it.
///
/// # Examples
/// ```
/// use tulipa_transports::protocols::{LineHandler, LineMode, LineReceiver};
/// use tulipa_transports::testing::RecordingTransport;
/// use tulipa_transports::{Protocol, Transport, TransportExt};
///
/// /// Says hello to whoever gives a name.
/// struct Greeter;
///
/// impl LineHandler for Greeter {
///     fn connection_made(&mut self, transport: &dyn Transport) {
///         transport.send_line(b"who are you?");
///     }
///     fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
///         transport.send_line(&[b"hello ", line].concat());
///         LineMode::Lines
///     }
/// }
///
/// let transport = RecordingTransport::new();
/// let mut protocol = LineReceiver::new(Greeter);
/// protocol.connection_made(&transport);
/// protocol.data_received(&transport, b"Ann\r\nBo");
/// protocol.data_received(&transport, b"b\r\n");
/// assert_eq!(transport.take_written(), b"who are you?\r\nhello Ann\r\nhello Bob\r\n");
/// ```
#[derive(Debug)]
pub struct LineReceiver<H> {
    handler: H,
    splitter: Splitter,
    mode: LineMode,
}

impl<H: LineHandler> LineReceiver<H> {
    /// Lines that end with CR LF.
    pub fn new(handler: H) -> Self {
        Self { handler, splitter: Splitter::new(Cow::Borrowed(b"\r\n")), mode: LineMode::Lines }
    }

    /// Lines end with this instead.
    ///
    /// # Panics
    /// If it is empty.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<Cow<'static, [u8]>>) -> Self {
        let delimiter = delimiter.into();
        assert!(!delimiter.is_empty(), "a line ends with at least one byte");
        self.splitter = Splitter::new(delimiter);
        self
    }

    /// Begins with lines, as it does by default, or with raw data.
    #[must_use]
    pub fn begin_with(mut self, mode: LineMode) -> Self {
        self.mode = mode;
        self
    }

    handler_access!();

    /// What the receiver gives its handler now.
    pub fn mode(&self) -> LineMode {
        self.mode
    }

    /// From now on gives its handler lines, or raw data. The beginning of a line that is held becomes
    /// raw data, in a turn of its own (W-9). This is for the outside: the handler's own methods say it by
    /// what they return.
    pub fn set_mode(&mut self, transport: &dyn Transport, mode: LineMode) {
        if self.mode == mode {
            return;
        }
        self.mode = mode;
        transport.push_back(self.splitter.take_held());
    }

    /// Takes out, and forgets, the beginning of a line that is held (W-12). For whoever replaces the
    /// protocol from outside and gives what this has to the next one.
    pub fn clear_line_buffer(&mut self) -> Vec<u8> {
        self.splitter.take_held()
    }

    /// Delivers the next part of `input`, and moves that behind it. Says whether there was one.
    fn deliver(&mut self, transport: &dyn Transport, input: &mut &[u8]) -> bool {
        if self.mode == LineMode::Raw {
            let data = std::mem::take(input);
            if data.is_empty() {
                return false;
            }
            if let RawData::EndsAfter(count) = self.handler.raw_data_received(transport, data) {
                assert!(count <= data.len(), "more was raw data than there was");
                *input = &data[count..];
                self.mode = LineMode::Lines;
            }
            return true;
        }
        let limit = self.handler.max_length().0;
        let Some(part) = self.splitter.next(input, limit) else { return false };
        match part {
            Part::Line(line) => self.mode = self.handler.line_received(transport, line),
            Part::Piece { piece, is_last } => {
                self.handler.line_piece_received(transport, piece, is_last);
            }
            Part::TooLong => match self.handler.line_too_long(transport) {
                LongLine::Close => {
                    self.splitter.skip(); // somebody may put the close off
                    transport.close();
                }
                LongLine::Fail => {
                    self.splitter.skip();
                    transport.abort_with(LineTooLong::new(Bytes(limit)).into());
                }
                LongLine::Pieces => self.splitter.deliver_pieces(),
                LongLine::Skip => self.splitter.skip(),
            },
        }
        true
    }
}

impl<H: LineHandler> Protocol for LineReceiver<H> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.handler.connection_made(transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        let mut input = data;
        while self.deliver(transport, &mut input) {
            if !transport.can_deliver() {
                // Whoever takes over gets a line from its beginning.
                give_back(transport, self.splitter.take_undelivered(), input);
                break;
            }
        }
        self.splitter.tidy();
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        let unfinished = self.splitter.take_held();
        self.handler.eof_received(transport, &unfinished)
    }

    /// What is held came in clear, from whomever: it is forgotten.
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        drop(self.splitter.take_held());
        self.handler.handshake_completed(transport);
    }

    pass_on_to_handler!();

    fn memory_held(&self) -> Bytes {
        Bytes(self.splitter.memory().saturating_add(self.handler.memory_held().0))
    }
}
