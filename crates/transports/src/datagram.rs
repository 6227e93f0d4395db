//! Datagram endpoints: UDP, and Unix sockets that carry datagrams. One protocol, one socket, no
//! connection; what is sent is one datagram, and arrives whole or not at all.
//!
//! The machine holds what waits to be sent and decides what the protocol is told; the endpoint does
//! the I/O and makes the calls; a handle is what users see.

mod endpoint;
mod error;
mod handle;
mod machine;
mod opening;
mod options;
mod patience;
mod protocol;
#[cfg(target_os = "linux")]
mod segments;
mod socket;
mod transport;

pub use error::{DatagramError, DatagramOperation, EndpointError};
pub(crate) use opening::create_datagram_endpoint;
pub use options::{DatagramAddress, DatagramOptions};
pub(crate) use protocol::boxed_factory;
pub use protocol::{DatagramProtocol, IntoDatagramProtocol};
pub use socket::DatagramSocket;
pub use transport::{
    DatagramStats, DatagramTransport, DatagramTransportExt, SendRefusal, SendState,
};
