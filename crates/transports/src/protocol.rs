//! [`Protocol`] and [`BufferedProtocol`]: the user's code for one connection. They say *which* bytes;
//! the transport says *how*.

use crate::{Bytes, Transport};
use futures::Exception;
use std::any::Any;

/// The user's code for one connection over a stream transport: TCP, Unix.
///
/// One connection, one object, made by a factory. The transport calls its methods, on the loop's
/// thread, one at a time:
///
/// ```text
/// connection_made  (data_received)*  (eof_received)?  connection_lost      P-1
///                   └─ pause_writing resume_writing pause_writing … ─┘     P-6
/// ```
///
/// `connection_made` comes once and first (P-9), `data_received` any number of times, `eof_received`
/// at most once, `connection_lost` exactly once and last (P-7). The two flow-control calls alternate,
/// beginning with `pause_writing`, between the first and the last; the last `resume_writing` may be
/// missing. `shutdown_requested` may come at any time in between.
///
/// A method is never called while another one of the same protocol runs: whatever a call causes
/// (`pause_writing` by a write, `connection_lost` by `abort`) is delivered after it has returned, in
/// order. So a method may do anything with the transport: write, close, abort, pause, replace
/// the protocol; it takes effect at once (P-20).
///
/// A panic in a method is reported, and aborts this connection only (P-14).
///
/// The loop owns the protocol, from its factory until after `connection_lost`. From outside it is
/// reached with [`TransportExt::with_protocol`](crate::TransportExt::with_protocol).
///
/// # Examples
/// ```
/// use tulipa_transports::{Protocol, Transport};
///
/// /// Sends back what it receives.
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
///         transport.write(data);
///     }
/// }
/// ```
pub trait Protocol: Any {
    /// The connection is there. Nothing was read from it yet: a
    /// [`pause_reading`](crate::ReadTransport::pause_reading) here holds back every byte (P-9, X-12).
    fn connection_made(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// Some bytes came. Never empty; where they are cut carries no meaning (P-11).
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]);

    /// The peer will send no more (P-12). The answer says what becomes of the other direction; by
    /// default what is left is sent and the connection closed.
    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        let _ = transport;
        Eof::Close
    }

    /// The connection is gone, and nothing will be called any more. `None` is an orderly end: our
    /// own close or abort, or the peer's end of file; else the reason (P-16).
    ///
    /// Writes are dropped from here on; the addresses can still be asked for.
    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        let _ = (transport, reason);
    }

    /// The output that waits has grown above the high mark: stop writing (P-15).
    ///
    /// It comes after the call that wrote has returned; [`write`](crate::WriteTransport::write)
    /// itself says at once that the mark was passed.
    fn pause_writing(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// The output that waits has fallen to the low mark: go on writing. It may write at once (X-23).
    fn resume_writing(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// The server shuts down: say goodbye, finish what is under way, then close. Whoever has not
    /// closed by the deadline is aborted. By default the connection is closed, which still sends
    /// what was written.
    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        transport.close();
    }

    /// From now on the connection is encrypted: `start_tls` has done its work, and `transport` is the new
    /// one. It comes before any byte that was encrypted.
    ///
    /// Whatever the peer said or was told until now may have been said by somebody on the way: forget
    /// it, who it is above all, and begin anew. There is no second `connection_made` (N-54). What
    /// is encrypted from the beginning is not told this.
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// How much memory this holds besides itself, because of its peer: a line that is not complete, say.
    /// It is asked for the connection's budget only ([`ConnectionBudget::held`]), and is to answer, and
    /// to do nothing else. By default nothing.
    ///
    /// [`ConnectionBudget::held`]: crate::ConnectionBudget::held
    fn memory_held(&self) -> Bytes {
        Bytes(0)
    }

    /// The same protocol as one that provides its own buffers; `None` for one that does not.
    /// [`Buffered`] answers this, and so do wrappers around it.
    #[doc(hidden)]
    fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
        None
    }

    /// Calls `function` with the protocol inside, and the transport as that one sees it: of a protocol that
    /// is around another one. So [`TransportExt::with_protocol`](crate::TransportExt::with_protocol) finds
    /// it. By default there is none.
    #[doc(hidden)]
    fn with_inner(
        &mut self,
        transport: &dyn Transport,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) {
        let _ = (transport, function);
    }

    /// The type, for reports.
    #[doc(hidden)]
    fn type_name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// This one replaces `predecessor`, which is dropped if it is given back. For layers of ours, which
    /// go on with it above them.
    #[doc(hidden)]
    fn take_over(&mut self, predecessor: Box<dyn Protocol>) -> Option<Box<dyn Protocol>> {
        Some(predecessor)
    }
}

/// A protocol that provides the buffers which are read into: no copy between the system and it.
///
/// Give it to a creator as [`Buffered`]. Its life is that of a [`Protocol`], with two calls in place
/// of `data_received` (P-2):
///
/// ```text
/// connection_made  (get_buffer buffer_updated?)*  (eof_received)?  connection_lost
/// ```
///
/// `buffer_updated` always belongs to the `get_buffer` right before it; it is missing when there was
/// nothing to read.
///
/// # Examples
/// ```
/// use tulipa_transports::{BufferedProtocol, Transport};
///
/// /// Counts bytes, without ever copying one.
/// struct Count { buffer: Box<[u8; 4096]>, total: usize }
///
/// impl BufferedProtocol for Count {
///     fn get_buffer(&mut self, _: &dyn Transport, _size_hint: Option<usize>) -> &mut [u8] {
///         &mut *self.buffer
///     }
///     fn buffer_updated(&mut self, _: &dyn Transport, count: usize) {
///         self.total += count;
///     }
/// }
/// ```
pub trait BufferedProtocol: Any {
    /// As [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// Where the next bytes go: a buffer that is not empty, of any size. `size_hint` is how much is
    /// likely to come, `None` if that is not known. An empty one ends the connection with an error
    /// (P-13).
    fn get_buffer(&mut self, transport: &dyn Transport, size_hint: Option<usize>) -> &mut [u8];

    /// The first `count` bytes of the buffer were filled, at least one.
    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize);

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

    /// As [`Protocol::handshake_completed`].
    fn handshake_completed(&mut self, transport: &dyn Transport) {
        let _ = transport;
    }

    /// As [`Protocol::memory_held`].
    fn memory_held(&self) -> Bytes {
        Bytes(0)
    }
}

/// What becomes of the connection when the peer has ended its direction (P-12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Eof {
    /// The transport closes itself: it sends what is left, then `connection_lost(None)`.
    #[default]
    Close,
    /// Writing goes on, until the protocol closes or ends its own direction too (X-28); not over TLS,
    /// which closes in any case. With nothing
    /// to read and nothing to send nothing is watched either: that the peer is gone altogether shows
    /// at the next write, so a protocol that waits here should have a deadline.
    KeepOpen,
}

/// A [`BufferedProtocol`] as the [`Protocol`] that creators and `set_protocol` take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffered<P>(pub P);

impl<P: BufferedProtocol> Protocol for Buffered<P> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.0.connection_made(transport);
    }

    /// For those who have the bytes already: copies them into the protocol's own buffers.
    fn data_received(&mut self, transport: &dyn Transport, mut data: &[u8]) {
        while !data.is_empty() {
            let buffer = self.0.get_buffer(transport, Some(data.len()));
            assert!(!buffer.is_empty(), "get_buffer() returned an empty buffer");
            let count = buffer.len().min(data.len());
            buffer[..count].copy_from_slice(&data[..count]);
            data = &data[count..];
            self.0.buffer_updated(transport, count);
        }
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.0.eof_received(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        self.0.connection_lost(transport, reason);
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.0.pause_writing(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.0.resume_writing(transport);
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        self.0.shutdown_requested(transport);
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.0.handshake_completed(transport);
    }

    fn memory_held(&self) -> Bytes {
        self.0.memory_held()
    }

    fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
        Some(&mut self.0)
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<P>()
    }
}
