//! How the connections of creators are encrypted, if their options say so: the settings that wait in the
//! options until there is a connection. Without the feature `tls` there are none: `encryption/none.rs`.

use crate::backend::Backend;
use crate::connect::{FactoryOnce, give_protocol, refused};
use crate::loop_shared::Owner;
use crate::server::ServerCore;
use crate::stream_transport::{Opened, StreamTransport};
use crate::tls::{
    Later, Opening, TlsClientConfig, TlsConfigError, TlsLayer, TlsRole, TlsServerConfig,
    server_name,
};
use crate::{
    AcceptedOptions, Address, ConnectOptions, Protocol, ServerOptions, UnixConnectOptions,
    UnixServerOptions,
};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

/// That of connections that we make.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientEncryption {
    config: Option<TlsClientConfig>,
    /// Whom the server's certificate has to name.
    server_name: Option<String>,
}

impl ClientEncryption {
    /// The server's name, unless another one was set.
    pub(crate) fn connects_to_host(&mut self, host: &str) {
        if self.config.is_some() {
            self.server_name.get_or_insert_with(|| host.to_owned());
        }
    }

    /// The server's address, which is its name unless another one was set.
    pub(crate) fn connects_to_address(&mut self, address: IpAddr) {
        if self.config.is_some() {
            self.server_name.get_or_insert_with(|| address.to_string());
        }
    }

    /// Whether the settings can be used, before anything is done.
    pub(crate) fn check(&self) -> io::Result<()> {
        let Some(config) = &self.config else { return Ok(()) };
        config.limits.check()?;
        match &self.server_name {
            Some(name) => server_name(name).map(drop),
            None => Err(TlsConfigError::setting(
                "TLS over this kind of connection needs the server's name: set server_name",
            )
            .into()),
        }
    }

    /// The connection is there: makes its protocol, after the handshake if there is to be one.
    pub(crate) fn give_protocol<B: Backend>(
        &self,
        connection: &Rc<StreamTransport<B>>,
        factory: FactoryOnce,
        future: &Opened,
    ) {
        let (Some(config), Some(server_name)) = (&self.config, &self.server_name) else {
            return give_protocol(connection, factory, future);
        };
        let role = TlsRole::Client { config: config.clone(), server_name: server_name.clone() };
        give_protocol_later(role, connection, factory, future);
    }
}

/// The connection is there: makes its protocol after the handshake.
fn give_protocol_later<B: Backend>(
    role: TlsRole,
    connection: &Rc<StreamTransport<B>>,
    factory: FactoryOnce,
    future: &Opened,
) {
    if future.cancelled() {
        return connection.discard();
    }
    let peer = connection.backend().peer();
    let opening = Opening {
        role,
        protocol: Later::Make(Box::new(move || factory(&peer)?.ok_or_else(refused).map(Some))),
        opened: Some(future.clone()),
        on_failure: None,
    };
    connection.open(Box::new(TlsLayer::new(opening)), None);
}

/// That of connections that come to us.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerEncryption {
    config: Option<TlsServerConfig>,
}

impl ServerEncryption {
    /// Whether the settings can be used.
    pub(crate) fn check(&self) -> io::Result<()> {
        if let Some(config) = &self.config {
            config.limits.check()?;
        }
        Ok(())
    }

    /// As [`ClientEncryption::give_protocol`], for a connection that has no server.
    pub(crate) fn give_protocol<B: Backend>(
        &self,
        connection: &Rc<StreamTransport<B>>,
        factory: FactoryOnce,
        future: &Opened,
    ) {
        match self.config.clone() {
            None => give_protocol(connection, factory, future),
            Some(config) => {
                give_protocol_later(TlsRole::Server { config }, connection, factory, future);
            }
        }
    }

    /// What a connection of `owner`'s server begins with instead of a protocol, if it is to be encrypted:
    /// a layer that asks the server for one when the handshake has succeeded.
    pub(crate) fn layer(&self, owner: &Rc<Owner>, peer: &Address) -> Option<Box<dyn Protocol>> {
        let config = self.config.clone()?;
        let server = owner.server.clone()?;
        let pending = Rc::new(PendingHandshake::of(server));
        let (failing, peer) = (pending.clone(), peer.clone());
        let failed_with = peer.clone();
        let opening = Opening {
            role: TlsRole::Server { config },
            protocol: Later::Make(Box::new(move || Ok(pending.0.protocol_after_handshake(&peer)))),
            opened: None,
            on_failure: Some(Box::new(move |exception| {
                failing.0.handshake_failed(&failed_with, exception);
            })),
        };
        Some(Box::new(TlsLayer::new(opening)))
    }
}

/// A connection of a server that has no protocol yet. The server keeps its factory for it.
struct PendingHandshake(Rc<ServerCore>);

impl PendingHandshake {
    fn of(server: Rc<ServerCore>) -> Self {
        server.handshake_began();
        Self(server)
    }
}

impl Drop for PendingHandshake {
    fn drop(&mut self) {
        self.0.handshake_ended();
    }
}

/// The builder methods of both kinds of outgoing connections.
macro_rules! client_options {
    ($name:literal) => {
        /// Speaks TLS as a client. The future of the creator is done after the handshake, or fails with
        /// an `io::Error` around a [`TlsError`](crate::tls::TlsError); only then is the protocol made
        ///
        ///
        /// The [deadline](Self::deadline) of connecting does not count the handshake, which has one of its
        /// own.
        #[must_use]
        pub fn tls(mut self, config: TlsClientConfig) -> Self {
            self.common.encryption.config = Some(config);
            self
        }

        #[doc = $name]
        #[must_use]
        pub fn server_name(mut self, name: impl Into<String>) -> Self {
            self.common.encryption.server_name = Some(name.into());
            self
        }
    };
}

impl ConnectOptions {
    client_options!(
        "Whom the server's certificate has to name, a host or an IP address; and the name that the server \
         is asked for (SNI). By default the host, or address, that is connected to. Over a socket that is \
         connected already it has to be set. Without [`tls`](Self::tls) it has no effect."
    );
}

impl UnixConnectOptions {
    client_options!(
        "Whom the server's certificate has to name, a host or an IP address; and the name that the server \
         is asked for (SNI). With [`tls`](Self::tls) it has to be set, without it has no effect."
    );
}

/// The builder methods of both kinds of servers.
macro_rules! server_options {
    () => {
        /// Speaks TLS as a server, on every connection. A protocol is made once the handshake has
        /// succeeded. A connection whose handshake fails is closed, counted in
        /// [`ServerStats::handshakes_failed`](crate::ServerStats::handshakes_failed), and logged at level
        /// debug.
        ///
        /// Whoever takes the sockets themselves ([`AcceptLoop`](crate::AcceptLoop)) takes them as they
        /// came.
        #[must_use]
        pub fn tls(mut self, config: TlsServerConfig) -> Self {
            self.common.encryption.config = Some(config);
            self
        }
    };
}

impl ServerOptions {
    server_options!();
}

impl UnixServerOptions {
    server_options!();
}

impl AcceptedOptions {
    /// Speaks TLS as a server. The future of the creator is done after the handshake, or fails with an
    /// `io::Error` around a [`TlsError`](crate::tls::TlsError); only then is the protocol made.
    #[must_use]
    pub fn tls(mut self, config: TlsServerConfig) -> Self {
        self.common.encryption.config = Some(config);
        self
    }
}
