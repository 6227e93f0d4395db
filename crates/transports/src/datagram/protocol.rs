//! [`DatagramProtocol`]: the user's code for one datagram endpoint, and what a factory of them may
//! return.

use super::{DatagramError, DatagramTransport};
use crate::Address;
use futures::{Exception, catch};
use std::any::Any;

/// The user's code for one datagram endpoint: UDP, Unix.
///
/// One endpoint, one object. The transport calls its methods, on the loop's thread, one at a time:
///
/// ```text
/// connection_made  (datagram_received | error_received)*  connection_lost      P-3
///                   └─── pause_writing resume_writing … ───┘                   P-6
/// ```
///
/// `connection_made` comes once and first, `connection_lost` once and last; there is no connection,
/// the names are those of every [`Protocol`](crate::Protocol). As there, no method is called while
/// another one runs, a method may do anything with the transport, and a panic in one is reported and
/// aborts this endpoint only.
///
/// # Examples
/// ```
/// use tulipa_transports::{Address, DatagramProtocol, DatagramTransport};
///
/// /// Sends back what it receives.
/// struct Echo;
///
/// impl DatagramProtocol for Echo {
///     fn datagram_received(
///         &mut self,
///         transport: &dyn DatagramTransport,
///         data: &[u8],
///         sender: &Address,
///     ) {
///         transport.sendto(data, Some(sender));
///     }
/// }
/// ```
pub trait DatagramProtocol: Any {
    /// The endpoint is there. Nothing was read from it yet.
    fn connection_made(&mut self, transport: &dyn DatagramTransport) {
        let _ = transport;
    }

    /// One whole datagram came, perhaps an empty one (P-18). `sender` is where an answer goes;
    /// [`Address::Unnamed`] for a Unix socket without a name, which cannot be answered.
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        sender: &Address,
    );

    /// The system reported an error of sending or receiving, for instance that nobody listens where
    /// something was sent to. The endpoint goes on (P-18, X-34).
    fn error_received(&mut self, transport: &dyn DatagramTransport, error: DatagramError) {
        let _ = (transport, error);
    }

    /// The endpoint is gone, and nothing will be called any more. `None` is our own close or abort,
    /// else the reason.
    fn connection_lost(&mut self, transport: &dyn DatagramTransport, reason: Option<Exception>) {
        let _ = (transport, reason);
    }

    /// What waits to be sent has grown above the high mark: stop sending.
    fn pause_writing(&mut self, transport: &dyn DatagramTransport) {
        let _ = transport;
    }

    /// What waits has fallen to the low mark: go on. It may send at once.
    fn resume_writing(&mut self, transport: &dyn DatagramTransport) {
        let _ = transport;
    }

    /// The type, for reports.
    #[doc(hidden)]
    fn type_name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

/// What the factory of a datagram endpoint may return: a [`DatagramProtocol`], a boxed one; an
/// `Option` of these, where `None` calls the endpoint off; or a `Result`, where an error does (P-23).
pub trait IntoDatagramProtocol {
    /// The protocol, or `None` for no endpoint.
    ///
    /// # Errors
    /// Why there is no protocol.
    fn into_protocol(self) -> Result<Option<Box<dyn DatagramProtocol>>, Exception>;
}

impl<P: DatagramProtocol> IntoDatagramProtocol for P {
    fn into_protocol(self) -> Result<Option<Box<dyn DatagramProtocol>>, Exception> {
        Ok(Some(Box::new(self)))
    }
}

impl IntoDatagramProtocol for Box<dyn DatagramProtocol> {
    fn into_protocol(self) -> Result<Option<Box<dyn DatagramProtocol>>, Exception> {
        Ok(Some(self))
    }
}

impl<T: IntoDatagramProtocol> IntoDatagramProtocol for Option<T> {
    fn into_protocol(self) -> Result<Option<Box<dyn DatagramProtocol>>, Exception> {
        self.map_or(Ok(None), IntoDatagramProtocol::into_protocol)
    }
}

impl<T: IntoDatagramProtocol, E: Into<Exception>> IntoDatagramProtocol for Result<T, E> {
    fn into_protocol(self) -> Result<Option<Box<dyn DatagramProtocol>>, Exception> {
        self.map_err(Into::into)?.into_protocol()
    }
}

/// Makes the one protocol of an endpoint.
pub(crate) type DatagramFactory =
    Box<dyn FnOnce() -> Result<Option<Box<dyn DatagramProtocol>>, Exception>>;

/// Wraps `factory`; a panic in it becomes an error (P-23).
pub(crate) fn boxed_factory<T: IntoDatagramProtocol>(
    factory: impl FnOnce() -> T + 'static,
) -> DatagramFactory {
    Box::new(move || catch(|| factory().into_protocol()).flatten())
}
