//! Protocols around other protocols: limits of connections and of bandwidth, a log of what passes, and the real address of
//! who is behind a proxy.
//!
//! Each goes around a [`Factory`](crate::Factory) and gives one: so they go around each other, in any order,
//! and around protocols of any kind. The one that is written first is the outermost: it sees the connection
//! first. The factory inside is started and stopped as if it were alone, and told who connects: behind a
//! [`ProxyProtocol`] that is the client of the header.
//!
//! A creator that makes one connection takes a closure: `move || factory.build_protocol(&Address::Unnamed)`.
//!
//! ```
//! use eventloop::EventLoop;
//! use tulipa_transports::wrappers::{ConnectionLimits, ProxyProtocol, TrafficLog, TrustedProxies};
//! use tulipa_transports::{NetworkLoop, Protocol, Transport};
//!
//! struct Echo;
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
//!         transport.write(data);
//!     }
//! }
//!
//! let event_loop = EventLoop::new()?;
//! let per_client = ConnectionLimits::new().per_peer(5);
//! let echo = TrafficLog::new().wrap(|| Echo);
//! let limited = per_client.wrap(echo); // it counts the clients, since it is inside of:
//! let factory = ProxyProtocol::new(TrustedProxies::everybody()).wrap_factory(limited);
//! let server = event_loop.create_server(factory, ("127.0.0.1", 0)).result()?;
//! # Ok::<(), futures::Exception>(())
//! ```

mod connection_limits;
mod inner_methods;
mod late_factory;
mod proxy_protocol;
mod throttle;
mod traffic_log;
mod wrapped;
mod wrapped_factory;
mod wrapped_transport;

pub use connection_limits::{ConnectionLimits, LimitedConnection, LimitedFactory};
pub use proxy_protocol::{
    InvalidNetwork, Proxied, ProxiedFactory, ProxyHeader, ProxyHeaderError, ProxyProtocol,
    ProxyValue, TrustedProxies, Untrusted,
};
pub use throttle::{Throttle, Throttled};
pub use traffic_log::{LoggedTraffic, TrafficLog};
pub use wrapped::{ProtocolWrapper, Wrapped};
pub use wrapped_factory::{WrappedFactory, wrap};

use late_factory::{Asker, Late, LateFactory};
use wrapped_transport::WrappedTransport;
