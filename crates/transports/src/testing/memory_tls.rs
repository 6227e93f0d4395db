//! [`MemoryTlsLoop::memory_tls_pair`]: two protocols connected by TLS, without a network.

use super::{MemoryLoop, MemoryOptions, MemoryPair};
use crate::stream_transport::Opened;
use crate::tls::{Later, Opening, TlsClientConfig, TlsLayer, TlsRole, TlsServerConfig};
use crate::{Protocol, Transport};
use futures::{Future, SchedulerExt};
use std::rc::Rc;

/// Two ends of an encrypted connection on one loop.
pub struct MemoryTlsPair {
    /// The client's end, when the handshake is done.
    pub left: Future<Rc<dyn Transport>>,
    /// The server's end.
    pub right: Future<Rc<dyn Transport>>,
    /// What is underneath, to be cut. Its transports belong to the encrypted ones.
    pub pair: MemoryPair,
}

/// Encrypted transports in memory, on every event loop.
pub trait MemoryTlsLoop: MemoryLoop {
    /// Connects a client and a server. Each is told `connection_made` when its handshake is done; if that
    /// fails they hear nothing, and the futures say why.
    ///
    /// # Panics
    /// If the loop is closed.
    fn memory_tls_pair(
        &self,
        left: impl Protocol,
        (client, server_name): (TlsClientConfig, &str),
        right: impl Protocol,
        server: TlsServerConfig,
        options: MemoryOptions,
    ) -> MemoryTlsPair {
        let client = TlsRole::Client { config: client, server_name: server_name.to_owned() };
        let (left_opened, right_opened) = (self.create_future(), self.create_future());
        let pair = self.memory_pair(
            layer(client, left, &left_opened),
            layer(TlsRole::Server { config: server }, right, &right_opened),
            options,
        );
        MemoryTlsPair { left: left_opened, right: right_opened, pair }
    }
}

impl<L: MemoryLoop + ?Sized> MemoryTlsLoop for L {}

fn layer(role: TlsRole, protocol: impl Protocol, opened: &Opened) -> TlsLayer {
    let protocol = Later::Make(Box::new(move || Ok(Some(Box::new(protocol)))));
    TlsLayer::new(Opening { role, protocol, opened: Some(opened.clone()), on_failure: None })
}
