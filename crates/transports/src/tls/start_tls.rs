//! [`StartTls`]: an open connection becomes an encrypted one (STARTTLS, proxies, TLS inside TLS).

use super::handshake::{Handshake, Later};
use super::{Opening, TlsError, TlsLayer, TlsRole};
use crate::Transport;
use crate::tls::backend::TlsBackend;
use futures::{Callback, Future, SchedulerExt};
use std::io;
use std::rc::Rc;

/// What becomes of bytes that came before the upgrade, and that nobody has taken: those that
/// [`start_tls`](StartTls::start_tls) is given, and those that were
/// [pushed back](crate::ReadTransport::push_back), also by the method that asks for the upgrade and after it
/// has asked. There is no default, for the wrong choice is a hole: an
/// attacker on the way can put bytes in front of the encrypted ones, and they must never be taken for
/// bytes of the peer (N-55).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Early {
    /// If there are any, the connection is ended with an error: for protocols in which the peer has to
    /// wait for an answer before it begins.
    Refuse,
    /// They are a part of the handshake, whatever they are: for protocols whose peers may begin at once.
    Feed,
}

/// Encrypting a connection that is open.
pub trait StartTls: Transport {
    /// Encrypts the connection from here on, in the `role` of the client or the server, whoever connected.
    /// Gives the transport that takes the place of this one when the handshake is done.
    ///
    /// What was written before leaves before, as it is. The protocol goes on: it is not told of a second
    /// connection, but [`handshake_completed`](crate::Protocol::handshake_completed), before anything that
    /// was encrypted; and `connection_lost` once, whatever happens (N-54, N-56). Meanwhile, and if this is
    /// called from inside one of its methods as soon as that returns, it is told nothing. This transport
    /// refuses all writes from now on, says that it is closing, and does nothing more. The new one has its
    /// limits and its budget.
    ///
    /// The new transport reads, also if this one was paused, and tells a protocol that was to pause writing
    /// when it may go on.
    ///
    /// `unread` is what the protocol has received and not taken: what followed the command in the same
    /// piece, say. See [`Early`].
    ///
    /// Cancelling the future, and a handshake that fails, end the connection.
    ///
    /// # Errors
    /// The future fails, and the connection is over: with a [`TlsError`] inside an `io::Error` if the
    /// handshake fails or takes too long, or if bytes came that were not to come; with an `io::Error` if
    /// this is no stream in both directions, if one of them has ended, while a file is sent, or if the
    /// server's name is none.
    ///
    /// # Examples
    /// ```no_run
    /// use tulipa_transports::tls::{Early, StartTls, TlsRole, TlsServerConfig};
    /// use tulipa_transports::{Protocol, Transport};
    ///
    /// /// Knows one command before the connection is encrypted.
    /// struct Session { config: TlsServerConfig, user: Option<String> }
    ///
    /// impl Protocol for Session {
    ///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
    ///         if let Some(unread) = data.strip_prefix(b"STARTTLS\r\n") {
    ///             transport.write(b"220 go ahead\r\n");
    ///             let role = TlsRole::Server { config: self.config.clone() };
    ///             drop(transport.start_tls(role, Early::Refuse, unread.to_vec()));
    ///         }
    ///     }
    ///     fn handshake_completed(&mut self, _: &dyn Transport) {
    ///         self.user = None; // whoever it was until now, nobody has proved it
    ///     }
    /// }
    /// ```
    fn start_tls(&self, role: TlsRole, early: Early, unread: Vec<u8>) -> Future<Rc<dyn Transport>> {
        let closed = self.wait_closed();
        let opened = closed.get_loop().create_future();
        closed.cancel(); // it was asked for its loop only
        let mut early_bytes = unread;
        early_bytes.extend(self.take_pushed_back());
        let refused = early == Early::Refuse && !early_bytes.is_empty();
        let begun = match refused {
            true => Err(TlsError::plain_text(early_bytes.len()).into()),
            false => begin(self, role, opened.clone(), early, early_bytes),
        };
        if let Err(error) = begun {
            let exception = futures::Exception::from(error);
            self.abort_with(exception.clone());
            // It is new, hence pending.
            let _ = opened.set_exception(exception);
        }
        opened
    }
}

impl<T: Transport + ?Sized> StartTls for T {}

fn begin<T: Transport + ?Sized>(
    transport: &T,
    role: TlsRole,
    opened: Future<Rc<dyn Transport>>,
    early: Early,
    unread: Vec<u8>,
) -> io::Result<()> {
    let (session, limits) = Opening::session(&role)?;
    let dress = transport.dress();
    let below = transport.go_below(limits.shutdown)?;
    let protocol = Later::Resume(None);
    let opening = Opening { role, protocol, opened: Some(opened), on_failure: None };
    let layer = TlsLayer::over(&below, opening, session, limits)?;
    let Some(connection) = layer.connection().cloned() else { return Ok(()) };
    if let Some(dress) = dress {
        connection.dress_with(dress);
    }
    if below.paused {
        connection.begin_paused();
    }
    below.transport.set_boxed_protocol(Box::new(layer.early(early)));
    Handshake::begin(&connection, &unread);
    if !unread.is_empty() {
        // What they cause comes in a turn of its own: a method of the protocol may be running.
        let event_loop = below.owner.shared.event_loop();
        let queued = event_loop.schedule(Callback::new(move || TlsBackend::go_on(&connection)));
        drop(queued); // a closed loop delivers nothing
    }
    Ok(())
}
