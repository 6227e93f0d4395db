//! [`AcceptedOptions`]: a connection that something else accepted, and what holds for it.

use crate::StreamSocket;
use crate::encryption::ServerEncryption;
use crate::limits::{ACCEPTED_LINGER, OutputLimits, output_limit_options};

/// A connection that something else accepted, and what holds for it: the defaults are those of a server's
/// connections.
///
/// Made from the socket, which the transport then owns.
///
/// # Examples
/// ```
/// use std::os::unix::net::UnixStream;
/// use tulipa_transports::{AcceptedOptions, Bytes, WriteBufferLimits};
/// let (ours, _theirs) = UnixStream::pair()?;
/// let options =
///     AcceptedOptions::from(ours).write_buffer_limits(WriteBufferLimits::from_high(Bytes::kib(16)));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct AcceptedOptions {
    pub(crate) socket: StreamSocket,
    pub(crate) common: AcceptedCommon,
}

/// What holds for the connection.
#[derive(Debug)]
pub(crate) struct AcceptedCommon {
    pub(crate) limits: OutputLimits,
    pub(crate) encryption: ServerEncryption,
}

impl AcceptedOptions {
    output_limit_options!("30 seconds by default; `None`: as long as it takes.");
}

impl<S: Into<StreamSocket>> From<S> for AcceptedOptions {
    fn from(socket: S) -> Self {
        let limits = OutputLimits { linger: ACCEPTED_LINGER, ..OutputLimits::default() };
        let common = AcceptedCommon { limits, encryption: Default::default() };
        Self { socket: socket.into(), common }
    }
}
