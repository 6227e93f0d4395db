//! [`LineHandler`]: the user's code for one connection of lines.

use crate::{Bytes, Eof, Transport};
use futures::Exception;

/// The user's code for one connection of lines: what a [`LineReceiver`](super::LineReceiver) calls. Its
/// life is that of a [`Protocol`](crate::Protocol); its methods may do anything with the transport.
pub trait LineHandler: 'static {
    /// As [`Protocol::connection_made`](crate::Protocol::connection_made).
    fn connection_made(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// A line came, without its ending; it may be empty. The answer says what the bytes behind it are.
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode;

    /// Some raw data came. Never empty; where they are cut carries no meaning. The answer says whether
    /// they end here.
    ///
    /// # Panics
    /// By default: whoever asks for raw data is to take them.
    fn raw_data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> RawData {
        let _ = (transport, data);
        panic!("{} has no raw_data_received()", std::any::type_name::<Self>());
    }

    /// The longest line, its ending not counted: 16 KiB by default. Of a line that has not ended no more
    /// than this is held, and a little. It is asked for each line anew.
    fn max_length(&self) -> Bytes {
        Bytes::kib(16)
    }

    /// The line that comes now is longer than it may be. Called once for such a line, before anything of
    /// it is delivered, as soon as that is known: its end may never come. By default the connection is
    /// closed.
    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        let _ = transport;
        LongLine::Close
    }

    /// A piece of a line that is too long, if [`line_too_long`](LineHandler::line_too_long) asked for
    /// [`LongLine::Pieces`]: as long as a line may be, but for the last, which may be shorter.
    ///
    /// # Panics
    /// By default: whoever asks for pieces is to take them.
    fn line_piece_received(&mut self, transport: &dyn Transport, piece: &[u8], is_last: bool) {
        let _ = (transport, piece, is_last);
        panic!("{} has no line_piece_received()", std::any::type_name::<Self>());
    }

    /// As [`Protocol::eof_received`](crate::Protocol::eof_received), with what there is of a line that was
    /// not ended.
    fn eof_received(&mut self, transport: &dyn Transport, unfinished: &[u8]) -> Eof {
        let _ = (transport, unfinished);
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

    /// As [`Protocol::memory_held`](crate::Protocol::memory_held), without what the receiver holds.
    fn memory_held(&self) -> Bytes {
        Bytes(0)
    }
}

/// What a [`LineReceiver`](super::LineReceiver) gives its handler next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LineMode {
    /// Lines.
    #[default]
    Lines,
    /// Bytes as they come, beginning right behind the line.
    Raw,
}

/// How far raw data go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RawData {
    /// All of it was raw data, and more will come.
    #[default]
    More,
    /// So many bytes were, and lines follow right behind them. More than there are is a panic.
    EndsAfter(usize),
}

/// What becomes of a line that is longer than it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LongLine {
    /// The connection is closed; what was written is still sent.
    #[default]
    Close,
    /// The connection is aborted, and `connection_lost` told [`LineTooLong`](super::LineTooLong).
    Fail,
    /// It is delivered in pieces.
    Pieces,
    /// It is dropped up to its end.
    Skip,
}
