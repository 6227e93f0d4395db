//! [`IntoProtocol`]: what a protocol factory may return.

use crate::Protocol;
use futures::Exception;

/// What a protocol factory may return: a [`Protocol`], a [`Buffered`](crate::Buffered) one, a boxed
/// one; or an `Option` of these, where `None` refuses the connection; or a `Result`, where an error
/// fails it (P-23, N-27).
///
/// # Examples
/// ```
/// use std::net::IpAddr;
/// use tulipa_transports::{IntoProtocol, Protocol, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
/// let mut places = 1;
/// let mut factory = move || {
///     places -= 1;
///     (places >= 0).then_some(Echo)
/// };
/// assert!(factory().into_protocol().unwrap().is_some());
/// assert!(factory().into_protocol().unwrap().is_none());
/// ```
pub trait IntoProtocol {
    /// The protocol, or `None` to refuse the connection.
    ///
    /// # Errors
    /// Why there is no protocol.
    fn into_protocol(self) -> Result<Option<Box<dyn Protocol>>, Exception>;
}

impl<P: Protocol> IntoProtocol for P {
    fn into_protocol(self) -> Result<Option<Box<dyn Protocol>>, Exception> {
        Ok(Some(Box::new(self)))
    }
}

impl IntoProtocol for Box<dyn Protocol> {
    fn into_protocol(self) -> Result<Option<Box<dyn Protocol>>, Exception> {
        Ok(Some(self))
    }
}

impl<T: IntoProtocol> IntoProtocol for Option<T> {
    fn into_protocol(self) -> Result<Option<Box<dyn Protocol>>, Exception> {
        self.map_or(Ok(None), IntoProtocol::into_protocol)
    }
}

impl<T: IntoProtocol, E: Into<Exception>> IntoProtocol for Result<T, E> {
    fn into_protocol(self) -> Result<Option<Box<dyn Protocol>>, Exception> {
        self.map_err(Into::into)?.into_protocol()
    }
}
