//! Errors of datagram endpoints: [`DatagramError`] of one that is open, [`EndpointError`] of one that
//! could not be opened.

use crate::Address;
use futures::Exception;
use std::error::Error;
use std::fmt;
use std::io;

/// An error that the system reported for a datagram endpoint, which goes on.
/// (`Error::source` is the system's answer.)
#[derive(Debug)]
pub struct DatagramError {
    operation: DatagramOperation,
    address: Option<Address>,
    source: io::Error,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatagramOperation {
    /// Sending: the datagram is gone.
    Send,
    /// Receiving; or the network's answer to something that was sent before.
    Receive,
}

impl DatagramError {
    pub(crate) fn new(
        operation: DatagramOperation,
        address: Option<Address>,
        source: io::Error,
    ) -> Self {
        Self { operation, address, source }
    }

    /// What failed.
    pub fn operation(&self) -> DatagramOperation {
        self.operation
    }

    /// Whom it concerns, if that is known.
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// The kind of the system's answer.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The system's answer.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.operation, &self.address) {
            (DatagramOperation::Send, Some(address)) => {
                write!(f, "cannot send a datagram to {address}")
            }
            (DatagramOperation::Send, None) => f.write_str("cannot send a datagram"),
            (DatagramOperation::Receive, Some(address)) => {
                write!(f, "receiving from {address} failed")
            }
            (DatagramOperation::Receive, None) => f.write_str("receiving failed"),
        }
    }
}

impl Error for DatagramError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<DatagramError> for io::Error {
    fn from(error: DatagramError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

/// A datagram endpoint that could not be opened: at which addresses, of all that were tried the first.
/// (`Error::source` is the system's answer.)
///
/// It comes inside an `io::Error` of the same kind.
#[derive(Debug)]
pub struct EndpointError {
    local: Option<Address>,
    remote: Option<Address>,
    source: io::Error,
}

impl EndpointError {
    pub(crate) fn new(local: Option<Address>, remote: Option<Address>, source: io::Error) -> Self {
        Self { local, remote, source }
    }

    /// The error inside `exception`, if it is one of this kind.
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }

    /// The local address that was tried.
    pub fn local(&self) -> Option<&Address> {
        self.local.as_ref()
    }

    /// The remote address that was tried.
    pub fn remote(&self) -> Option<&Address> {
        self.remote.as_ref()
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot open a datagram endpoint")?;
        if let Some(local) = &self.local {
            write!(f, " at {local}")?;
        }
        if let Some(remote) = &self.remote {
            write!(f, " to {remote}")?;
        }
        Ok(())
    }
}

impl Error for EndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<EndpointError> for io::Error {
    fn from(error: EndpointError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}
