//! [`DatagramTransport`]: what a protocol may ask of its datagram endpoint.
//!
//! As on every transport, no method blocks, none calls the protocol back before it returns, and each
//! is defined in every state.

use super::DatagramProtocol;
use crate::{
    Address, Bytes, ExtraInfo, ExtraValue, InvalidLimits, ProtocolUnavailable, WriteBufferCap,
    WriteBufferLimits,
};
use futures::{Exception, Future, ScopeMember};
use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// A datagram endpoint: a socket whose every send is one datagram.
pub trait DatagramTransport {
    /// Sends `data` as one datagram, at once if nothing waits before it. It may be empty.
    ///
    /// `address` is required unless the endpoint has a fixed peer; then it must be left out, or be
    /// that peer. It is an address: names are never looked up here.
    ///
    /// If the system can take nothing now, the datagram is queued, in order with all others for the
    /// same receiver. An error of the system is told to
    /// [`error_received`](DatagramProtocol::error_received) as well; the datagram is gone then, and the
    /// endpoint lives. That it was sent does not mean that it arrives.
    fn sendto(&self, data: &[u8], address: Option<&Address>) -> SendState;

    /// As [`sendto`](DatagramTransport::sendto), to the fixed peer.
    fn send(&self, data: &[u8]) -> SendState {
        self.sendto(data, None)
    }

    /// Sends `data` as datagrams of `size` bytes each, the last one perhaps shorter, as that many calls
    /// of [`sendto`](DatagramTransport::sendto) in a row would. Where the system can cut by itself (UDP
    /// on Linux) up to 64 of them leave in one call, at a fifth of the cost.
    ///
    /// The answer is that of the last one, or of the first that was dropped. No data is no datagram.
    fn send_segments(
        &self,
        data: &[u8],
        size: NonZeroUsize,
        address: Option<&Address>,
    ) -> SendState {
        let mut answer = SendState::Sent;
        for segment in data.chunks(size.get()) {
            answer = answer.followed_by(self.sendto(segment, address));
        }
        answer
    }

    /// Whether it is closing or closed: true from the first close or abort on.
    fn is_closing(&self) -> bool;

    /// Closes it: reads no more from this moment, sends what is queued, then calls
    /// `connection_lost(None)`. Idempotent, also mixed with `abort`.
    fn close(&self);

    /// Drops what is queued and ends the endpoint: `connection_lost(None)` follows in a turn of its
    /// own.
    fn abort(&self);

    /// As [`abort`](DatagramTransport::abort), with the reason that `connection_lost` is to be given.
    fn abort_with(&self, reason: Exception);

    /// A future that is done when it is over, whatever ended it: after `connection_lost`.
    fn wait_closed(&self) -> Future<()>;

    /// A future that is done at the next moment at which nothing is queued. It fails if what is
    /// queued is dropped first.
    fn drained(&self) -> Future<()>;

    /// Whether datagrams may be delivered: not while paused, not when closing.
    fn is_reading(&self) -> bool;

    /// Delivers nothing more, from this moment, until
    /// [`resume_reading`](DatagramTransport::resume_reading). The system keeps what comes as long as
    /// it has room, and drops the rest. Idempotent.
    fn pause_reading(&self);

    /// Goes on delivering. Idempotent.
    fn resume_reading(&self);

    /// What is known about the endpoint. It stays known after the end. The socket's view sets
    /// multicast groups, time to live and buffers.
    fn extra_info(&self) -> ExtraInfo;

    /// What is known, by asyncio's names: `peername`, `sockname`, `socket`.
    fn get_extra_info(&self, name: &str) -> Option<ExtraValue> {
        self.extra_info().get(name)
    }

    /// Sets the water marks of what is queued. Each datagram counts eight bytes besides its own, so
    /// that many small ones reach the marks.
    ///
    /// # Errors
    /// If the low mark is above the high one.
    fn set_write_buffer_limits(&self, limits: WriteBufferLimits) -> Result<(), InvalidLimits>;

    /// The water marks.
    fn get_write_buffer_limits(&self) -> WriteBufferLimits;

    /// Sets the hard limit of what is queued, and what happens beyond it. It counts all the memory
    /// that is held.
    fn set_write_buffer_cap(&self, cap: WriteBufferCap);

    /// How much is queued, by the count of the marks.
    fn get_write_buffer_size(&self) -> Bytes;

    /// What it did so far.
    fn stats(&self) -> DatagramStats;

    /// An owned handle of this transport. It keeps nothing alive: the loop owns the endpoint.
    fn handle(&self) -> Rc<dyn DatagramTransport>;

    /// Replaces the protocol; see [`DatagramTransportExt::set_protocol`].
    fn set_boxed_protocol(&self, protocol: Box<dyn DatagramProtocol>);

    /// Calls `function` with the protocol; see [`DatagramTransportExt::with_protocol`].
    ///
    /// # Errors
    /// As there, the type excepted.
    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn DatagramProtocol, &dyn DatagramTransport),
    ) -> Result<(), ProtocolUnavailable>;
}

/// The generic methods of every [`DatagramTransport`].
pub trait DatagramTransportExt: DatagramTransport {
    /// Replaces the protocol. The new one is not told `connection_made`; the one that is there at the
    /// end is told `connection_lost`. If sending is paused, the new one is told so as well (P-21).
    ///
    /// Called from inside the old protocol, it takes effect when its method returns.
    fn set_protocol(&self, protocol: impl DatagramProtocol) {
        self.set_boxed_protocol(Box::new(protocol));
    }

    /// Calls `function` with the protocol, which must be a `P`, from outside of it.
    ///
    /// # Errors
    /// [`ProtocolUnavailable`] while the protocol runs, if it is another type, or after the end.
    fn with_protocol<P: Any, R>(
        &self,
        function: impl FnOnce(&mut P, &dyn DatagramTransport) -> R,
    ) -> Result<R, ProtocolUnavailable> {
        let mut function = Some(function);
        let mut result = Err(ProtocolUnavailable::OtherType { expected: type_name::<P>() });
        self.with_boxed_protocol(&mut |protocol, transport| {
            let protocol: &mut dyn Any = protocol;
            if let Some(protocol) = protocol.downcast_mut::<P>()
                && let Some(function) = function.take()
            {
                result = Ok(function(protocol, transport));
            }
        })?;
        result
    }
}

impl<T: DatagramTransport + ?Sized> DatagramTransportExt for T {}

/// A scope that ends closes the endpoint, so that what is queued is still sent, and aborts it when its
/// deadline is over.
impl ScopeMember for dyn DatagramTransport {
    fn close(&self) {
        DatagramTransport::close(self);
    }

    fn abort(&self) {
        DatagramTransport::abort(self);
    }

    fn closed(&self) -> Future<()> {
        self.wait_closed()
    }
}

/// What became of a datagram that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    /// The system has it.
    Sent,
    /// It waits until the system takes more.
    Queued {
        /// Whether so much waits that one should stop until `resume_writing`.
        over_high_mark: bool,
    },
    /// It is gone.
    Dropped(SendRefusal),
}

impl SendState {
    /// Whether it was sent or queued.
    pub fn is_taken(self) -> bool {
        !matches!(self, SendState::Dropped(_))
    }

    /// What became of two in a row.
    pub(super) fn followed_by(self, next: Self) -> Self {
        if self.is_taken() { next } else { self }
    }

    /// The refusal as an error, for `?`.
    ///
    /// # Errors
    /// Why the datagram was dropped.
    pub fn into_result(self) -> Result<(), SendRefusal> {
        match self {
            SendState::Sent | SendState::Queued { .. } => Ok(()),
            SendState::Dropped(refusal) => Err(refusal),
        }
    }
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefusal {
    /// The endpoint is closing, or closed.
    Closed,
    /// The endpoint has no fixed peer, and no address was given; or that of a socket without a name.
    AddressRequired,
    /// The endpoint has a fixed peer, and this is not its address.
    NotThePeer,
    /// What is queued has reached its hard limit.
    OverCap,
    /// The system refused it; `error_received` is told more.
    Failed(io::ErrorKind),
}

impl fmt::Display for SendRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendRefusal::Closed => f.write_str("the endpoint is closed"),
            SendRefusal::AddressRequired => f.write_str("an address to send to is required"),
            SendRefusal::NotThePeer => {
                f.write_str("the address is not that of the endpoint's fixed peer")
            }
            SendRefusal::OverCap => f.write_str("what is queued has reached its hard limit"),
            SendRefusal::Failed(kind) => write!(f, "the system refused it: {kind}"),
        }
    }
}

impl Error for SendRefusal {}

/// What a datagram endpoint did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramStats {
    /// Datagrams that the system took.
    pub sent: u64,
    /// Datagrams that were delivered to the protocol.
    pub received: u64,
    /// Datagrams that were given to `sendto` and never sent: refused, failed, or dropped from the queue.
    pub dropped: u64,
    /// Datagrams that came and were not delivered: too large for the buffer, or from a stranger
    /// before the peer was fixed.
    pub discarded: u64,
    /// Errors that the system reported. All but those of a burst are told to `error_received`.
    pub errors: u64,
}
