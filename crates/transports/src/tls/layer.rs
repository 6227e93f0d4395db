//! [`TlsLayer`]: the protocol of the transport below an encrypted connection.
//!
//! It owns the connection above: loop, lower transport, this, upper transport, the user's protocol. What
//! points back is weak.

use super::backend::{TlsBackend, TlsConnection};
use super::handshake::{Handshake, Later, OnFailure};
use super::session::TlsSession;
use super::{Early, TlsClientConfig, TlsError, TlsLimits, TlsServerConfig, server_name};
use crate::backend::Backend;
use crate::limits::OutputLimits;
use crate::loop_shared::Owner;
use crate::stream_transport::{Bandwidths, Opened, StreamTransport, Upper};
use crate::{Bytes, Eof, Protocol, Transport};
use futures::Exception;
use rustls::{ClientConnection, Connection, ServerConnection};
use std::io;
use std::rc::{Rc, Weak};

/// What a transport gives to the layer above it.
#[doc(hidden)]
pub struct Below {
    /// The transport, which users see no more.
    pub(crate) transport: Rc<dyn Transport>,
    pub(crate) owner: Rc<Owner>,
    /// What bounds the connection.
    pub(crate) limits: Rc<OutputLimits>,
    /// What it keeps to.
    pub(crate) bandwidths: Bandwidths,
    /// Whether the protocol was told to pause writing.
    pub(crate) paused: bool,
    /// What was pushed back.
    pub(crate) unread: Vec<u8>,
}

/// The transport over another one.
#[doc(hidden)]
pub struct UpperLink(pub(crate) Weak<dyn Upper>);

/// Puts something around a handle.
#[doc(hidden)]
pub type Dress = Box<dyn FnOnce(Rc<dyn Transport>) -> Rc<dyn Transport>>;

/// Which side we are on.
#[derive(Clone)]
pub enum TlsRole {
    /// We connected, and expect the server's certificate to be for `server_name`.
    Client {
        /// Whom to trust, and more.
        config: TlsClientConfig,
        /// A host name, or an IP address.
        server_name: String,
    },
    /// The peer connected.
    Server {
        /// Who we are, and more.
        config: TlsServerConfig,
    },
}

/// What there is before there is a connection.
pub(crate) struct Opening {
    pub(crate) role: TlsRole,
    pub(crate) protocol: Later,
    /// The creator's future.
    pub(crate) opened: Option<Opened>,
    /// Is told of a handshake that failed. For servers: nobody else is.
    pub(crate) on_failure: Option<OnFailure>,
}

impl Opening {
    /// The session of this role, and its limits.
    ///
    /// # Errors
    /// If there can be none: the name is none, or the configuration does not do.
    pub(super) fn session(role: &TlsRole) -> io::Result<(TlsSession, TlsLimits)> {
        match role {
            TlsRole::Client { config, server_name: name } => {
                let limits = config.limits.check()?;
                let rustls = config.as_rustls().clone();
                let connection = ClientConnection::new(rustls, server_name(name)?);
                let connection = Connection::Client(connection.map_err(TlsError::setup)?);
                let (truncation, needed) = (limits.truncation, config.needs_protocol);
                let session = TlsSession::new(connection, truncation, Some(name), needed);
                Ok((session, limits))
            }
            TlsRole::Server { config } => {
                let limits = config.limits.check()?;
                let connection = ServerConnection::new(config.as_rustls().clone());
                let connection = Connection::Server(connection.map_err(TlsError::setup)?);
                let session = TlsSession::new(connection, limits.truncation, None, false);
                Ok((session, limits))
            }
        }
    }
}

/// The protocol below an encrypted connection.
pub(crate) struct TlsLayer {
    stage: Stage,
    /// What becomes of bytes that its predecessor gives back.
    early: Early,
}

enum Stage {
    /// The transport below is not there yet.
    Waiting(Option<Box<Opening>>),
    Above(Rc<TlsConnection>),
}

impl TlsLayer {
    /// The protocol of a transport that will be encrypted from its beginning.
    pub(crate) fn new(opening: Opening) -> Self {
        Self { stage: Stage::Waiting(Some(Box::new(opening))), early: Early::Feed }
    }

    /// As [`new`](TlsLayer::new), over a transport that is there. The layer is to become its protocol.
    pub(super) fn over(
        below: &Below,
        opening: Opening,
        session: TlsSession,
        limits: TlsLimits,
    ) -> io::Result<Self> {
        let backend = TlsBackend::new(below.transport.clone(), session, limits);
        backend.marks_changed(below.limits.marks);
        let limits = Some(below.limits.clone());
        let connection = StreamTransport::attach(below.owner.clone(), backend, limits)?;
        connection.limit_bandwidth(&below.bandwidths.read, &below.bandwidths.write);
        let weak: Weak<dyn Upper> = Rc::<TlsConnection>::downgrade(&connection);
        below.transport.set_upper(UpperLink(weak));
        let Opening { protocol, opened, on_failure, .. } = opening;
        let handshake = Handshake::new(protocol, opened, on_failure);
        connection.backend().handshake.set(Some(handshake));
        Ok(Self { stage: Stage::Above(connection), early: Early::Feed })
    }

    pub(super) fn connection(&self) -> Option<&Rc<TlsConnection>> {
        match &self.stage {
            Stage::Waiting(_) => None,
            Stage::Above(connection) => Some(connection),
        }
    }

    /// What becomes of bytes that its predecessor gives back after it has asked for the layer: a framer
    /// does, with the rest of what it was given, when its handler returns (N-55).
    pub(super) fn early(mut self, early: Early) -> Self {
        self.early = early;
        self
    }

    fn refuse_early_bytes(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        let early = backend.lower().take_pushed_back();
        if !early.is_empty() {
            Handshake::fail(connection, backend.error(TlsError::plain_text(early.len())));
        }
    }

    fn begin(&mut self, transport: &dyn Transport, opening: Opening) -> io::Result<()> {
        let (session, limits) = match Opening::session(&opening.role) {
            Ok(made) => made,
            Err(error) => return Err(Self::refuse(opening, error)),
        };
        let below = match transport.go_below(limits.shutdown) {
            Ok(below) => below,
            Err(error) => return Err(Self::refuse(opening, error)),
        };
        let layer = Self::over(&below, opening, session, limits)?;
        if let Some(connection) = layer.connection() {
            Handshake::begin(connection, &below.unread);
        }
        let before = std::mem::replace(self, layer);
        drop(before); // it has given away all that it had
        Ok(())
    }

    /// There will be no connection.
    fn refuse(opening: Opening, error: io::Error) -> io::Error {
        let kind = error.kind();
        let exception = Exception::from(error);
        if let Some(on_failure) = opening.on_failure {
            on_failure(&exception);
        }
        if let Some(opened) = opening.opened {
            // One that was called off waits no more.
            let _ = opened.set_exception(exception);
        }
        kind.into()
    }
}

impl Protocol for TlsLayer {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let Stage::Waiting(opening) = &mut self.stage else { return };
        let Some(opening) = opening.take() else { return };
        if opening.opened.as_ref().is_some_and(|opened| opened.done()) {
            return transport.abort(); // it was called off (N-12)
        }
        if let Err(error) = self.begin(transport, *opening) {
            transport.abort_with(error.into());
        }
    }

    fn data_received(&mut self, _: &dyn Transport, cipher: &[u8]) {
        if let Some(connection) = self.connection() {
            TlsBackend::received(connection, cipher);
        }
    }

    /// What came before may wait for its reader, so that the connection above decides when it ends, unless
    /// the one below cannot wait.
    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        if let Some(connection) = self.connection() {
            TlsBackend::received_eof(connection);
        }
        match transport.can_write_eof() {
            true => Eof::KeepOpen,
            false => Eof::Close,
        }
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        if let Some(connection) = self.connection() {
            TlsBackend::lower_lost(connection, reason);
        }
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        match self.connection() {
            None => transport.close(),
            Some(connection) if Handshake::is_under_way(connection.backend()) => {
                Handshake::call_off(connection);
            }
            Some(connection) => connection.shut_down_soon(),
        }
    }

    /// The connection above has limits of its own.
    fn memory_held(&self) -> Bytes {
        Bytes(0)
    }

    fn type_name(&self) -> &'static str {
        "TLS"
    }

    fn take_over(&mut self, predecessor: Box<dyn Protocol>) -> Option<Box<dyn Protocol>> {
        match self.connection() {
            None => Some(predecessor),
            Some(connection) => {
                let left = Handshake::resume_with(connection, predecessor);
                if self.early == Early::Refuse {
                    Self::refuse_early_bytes(connection);
                }
                left
            }
        }
    }
}

impl Upper for TlsConnection {
    fn close(self: Rc<Self>) {
        if Handshake::is_under_way(self.backend()) {
            Handshake::call_off(&self);
        } else {
            self.close_all();
        }
    }

    fn lost_reason(&self) -> Option<Exception> {
        self.kept_reason()
    }

    fn transport(self: Rc<Self>) -> Option<Rc<dyn Transport>> {
        (!Handshake::is_under_way(self.backend())).then(|| self.handle())
    }
}

impl Drop for TlsLayer {
    /// The transport below ended before it was told to anybody: its creator still waits. Or the loop was
    /// closed: nothing will be called, but handles still answer (L-30).
    fn drop(&mut self) {
        match &mut self.stage {
            Stage::Above(connection) if !connection.is_over() => connection.leave_word(None),
            Stage::Above(_) => {}
            Stage::Waiting(opening) => {
                let opened = opening.take().and_then(|opening| opening.opened);
                if let Some(opened) = opened.filter(|opened| !opened.get_loop().is_closed()) {
                    let error = io::Error::from(TlsError::closed_in_handshake());
                    // One that was called off waits no more.
                    let _ = opened.set_exception(error);
                }
            }
        }
    }
}
