//! Protocols and transports of Tulipa, after PEP 3156 and PEP 3153: a protocol says *which* bytes, a
//! transport says *how*. TCP and Unix streams, servers, datagrams, pipes, and helpers for tests.
//!
//! ```
//! use eventloop::{EventLoop, prelude::*};
//! use tulipa_transports::prelude::*;
//!
//! /// Sends back what it receives.
//! struct Echo;
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
//!         transport.write(data);
//!     }
//! }
//!
//! /// Says hello, and stops the loop when the answer is complete.
//! struct Hello { event_loop: eventloop::LoopHandle, answer: Vec<u8> }
//! impl Protocol for Hello {
//!     fn connection_made(&mut self, transport: &dyn Transport) {
//!         transport.write(b"hello");
//!     }
//!     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
//!         self.answer.extend_from_slice(data);
//!         if self.answer == b"hello" {
//!             transport.close();
//!             self.event_loop.stop();
//!         }
//!     }
//! }
//!
//! let event_loop = EventLoop::new()?;
//! let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result()?;
//! let port = server.addresses()[0].port().expect("a TCP server has a port");
//! let client = Hello { event_loop: event_loop.handle(), answer: Vec::new() };
//! event_loop.create_connection(move || client, ("127.0.0.1", port));
//! event_loop.run_forever()?;
//! # Ok::<(), futures::Exception>(())
//! ```
//!
//! - [`Protocol`] and [`BufferedProtocol`] are the user's side; [`Transport`] is what they are given.
//! - [`NetworkLoop`] adds the creators to every event loop: `create_server`, `create_connection` and
//!   their Unix twins, `create_datagram_endpoint`, `connect_read_pipe` and `connect_write_pipe`.
//! - [`DatagramProtocol`] and [`DatagramTransport`] are the same for UDP and Unix datagrams.
//! - [`files`] are read and written by threads, as futures; `files::Watcher` (feature `inotify`) tells
//!   of their changes.
//! - [`ResolverLoop`] looks names up: `getaddrinfo`, `getnameinfo`, and who is asked.
//! - [`protocols`] cut the stream into messages: lines, and more.
//! - [`streams`] are for coroutines: a reader and a writer in place of a protocol.
//! - `interop` puts other libraries on our streams, behind features: `futures-core`, `futures-io`,
//!   `tokio`, `hyper`.
//! - `tls` encrypts connections, behind the feature of that name.
//! - [`subprocess`] starts other programs, and talks to them through pipes.
//! - [`testing`] has transports without a network, and a recorder that checks the life of any protocol.

#![deny(unsafe_code)]

mod accept_loop;
mod activation;
mod backend;
mod bandwidth;
mod budget;
mod burst;
mod connect;
mod cores;
mod datagram;
mod descriptors;
#[cfg_attr(not(feature = "tls"), path = "encryption/none.rs")]
mod encryption;
mod extra_info;
mod factory;
pub mod files;
#[cfg(any(feature = "futures-core", feature = "futures-io", feature = "hyper", feature = "tokio"))]
pub mod interop;
mod into_protocol;
mod limits;
mod loop_shared;
mod network_loop;
mod pipes;
mod protocol;
mod protocol_slot;
pub mod protocols;
mod report_limit;
mod resolve;
mod scope;
mod send_file;
mod server;
mod sigpipe;
pub mod sock;
mod stream_machine;
mod stream_socket;
mod stream_transport;
pub mod streams;
pub mod subprocess;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
mod tls_info;
mod transport;
pub mod wrappers;

pub use accept_loop::AcceptLoop;
pub use activation::{PassedSocket, PassedSocketError, listen_fds};
pub use bandwidth::Bandwidth;
pub use budget::{BudgetExceeded, BudgetPolicy, ConnectionBudget};
pub use connect::{AcceptedOptions, ConnectError, ConnectOptions, UnixConnectOptions};
pub use cores::{
    Accepting, Core, CoreEnd, CoreError, CoreReport, Cores, CoresOptions, CoresReport,
    OnCoreFailure, serve_on_cores,
};
pub use datagram::{
    DatagramAddress, DatagramError, DatagramOperation, DatagramOptions, DatagramProtocol,
    DatagramSocket, DatagramStats, DatagramTransport, DatagramTransportExt, EndpointError,
    IntoDatagramProtocol, SendRefusal, SendState,
};
pub use descriptors::DescriptorsRefused;
pub use extra_info::{Address, Credentials, ExtraInfo, ExtraValue, SocketView};
pub use factory::{
    Backoff, ClientEvent, ClientFactory, Connector, ConnectorError, ConnectorState, DynFactory,
    Factory, Jitter, ReconnectOptions, ReconnectingClient, SharedFactory, StoppedError,
};
pub use into_protocol::IntoProtocol;
pub use limits::{Bytes, CapPolicy, InvalidLimits, WriteBufferCap, WriteBufferLimits};
pub use network_loop::NetworkLoop;
pub use pipes::{PipeError, PipeKind, PipeOptions, PipeView};
pub use protocol::{Buffered, BufferedProtocol, Eof, Protocol};
pub use protocols::{IdleTimeout, TimeoutProtocol};
pub use resolve::{
    AddressInfo, AddressQuery, BlockingResolver, Family, NameQuery, ResolveError, Resolver,
    ResolverLoop, Service, SocketType, SystemResolver, ThreadedResolver, ThreadedResolverOptions,
};
pub use send_file::{SendFile, SendFileError};
pub use server::{
    BindError, GiveError, Intake, Server, ServerOptions, ServerStats, ShutdownReport,
    UnixServerOptions,
};
pub use sock::{SockError, SockOperation, SockTarget, SocketLoop};
pub use stream_socket::StreamSocket;
pub use tls_info::{TlsCipher, TlsInfo, TlsVersion};
pub use transport::{
    BaseTransport, ProtocolUnavailable, ReadTransport, Transport, TransportExt, WriteRefusal,
    WriteState, WriteTransport,
};

/// What most programs need.
pub mod prelude {
    pub use crate::files::FileLoop;
    pub use crate::streams::StreamLoop;
    pub use crate::subprocess::{SubprocessLoop, SubprocessTransportExt};
    pub use crate::{
        AcceptLoop, BaseTransport, Buffered, BufferedProtocol, DatagramProtocol, DatagramTransport,
        DatagramTransportExt, Eof, NetworkLoop, Protocol, ReadTransport, ResolverLoop, Server,
        SocketLoop, Transport, TransportExt, WriteTransport,
    };
}
