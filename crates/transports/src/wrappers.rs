//! Protocols around other protocols: limits of connections and of bandwidth, a log of what passes, and the real address of
//! who is behind a proxy.
//!
//! Each wraps what a factory makes, and gives a factory: so they go around each other, in any order, and
//! around protocols of any kind. The one that is written first is the outermost: it sees the connection
//! first.
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
mod proxy_protocol;
mod shared_factory;
mod throttle;
mod traffic_log;
mod wrapped;
mod wrapped_transport;

pub use connection_limits::{ConnectionLimits, LimitedConnection};
pub use proxy_protocol::{
    InvalidNetwork, Proxied, ProxyHeader, ProxyHeaderError, ProxyProtocol, ProxyValue,
    TrustedProxies, Untrusted,
};
pub use throttle::{Throttle, Throttled};
pub use traffic_log::{LoggedTraffic, TrafficLog};
pub use wrapped::{ProtocolWrapper, Wrapped, wrap};

use shared_factory::SharedFactory;
use wrapped_transport::WrappedTransport;
