//! [`TlsError`]: what went wrong with an encrypted connection.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// An encrypted connection that could not be made, or broke: what was under way, with whom, and, as
/// `Error::source`, why it failed.
///
/// It comes inside an `io::Error`, whose kind is
///
/// - `InvalidData` if the peer broke the rules, cannot prove who it is, or refused us;
/// - `ConnectionReset` if it left in the middle of the handshake, `UnexpectedEof` if it did so later
///   and had not said goodbye;
/// - `TimedOut` if the handshake took too long;
/// - `ConnectionAborted` if the connection was closed before the handshake was over.
#[derive(Clone, Debug)]
pub struct TlsError {
    failure: Failure,
    /// The name that a client expects the server to have.
    server_name: Option<Arc<str>>,
}

/// What failed.
#[derive(Clone, Debug)]
enum Failure {
    Setup(rustls::Error),
    Handshake(rustls::Error),
    Stream(rustls::Error),
    NoProtocol,
    LeftInHandshake,
    ClosedInHandshake,
    TooSlow(Duration),
    Truncated,
    PlainText(usize),
}

impl TlsError {
    fn new(failure: Failure) -> Self {
        Self { failure, server_name: None }
    }

    /// The configuration does not do.
    pub(crate) fn setup(error: rustls::Error) -> Self {
        Self::new(Failure::Setup(error))
    }

    pub(crate) fn handshake(error: rustls::Error) -> Self {
        Self::new(Failure::Handshake(error))
    }

    pub(crate) fn stream(error: rustls::Error) -> Self {
        Self::new(Failure::Stream(error))
    }

    /// Application protocols were offered, and none was agreed on.
    pub(crate) fn no_protocol() -> Self {
        Self::new(Failure::NoProtocol)
    }

    pub(crate) fn left_in_handshake() -> Self {
        Self::new(Failure::LeftInHandshake)
    }

    pub(crate) fn closed_in_handshake() -> Self {
        Self::new(Failure::ClosedInHandshake)
    }

    pub(crate) fn too_slow(limit: Duration) -> Self {
        Self::new(Failure::TooSlow(limit))
    }

    pub(crate) fn truncated() -> Self {
        Self::new(Failure::Truncated)
    }

    /// So many bytes came before the upgrade, and were not to be taken for encrypted ones (N-55).
    pub(crate) fn plain_text(count: usize) -> Self {
        Self::new(Failure::PlainText(count))
    }

    pub(crate) fn with_name(self, server_name: Option<Arc<str>>) -> Self {
        Self { server_name, ..self }
    }

    /// The library's own error, if it is what found the fault: which alert came, or what is wrong with
    /// the certificate.
    pub fn as_rustls(&self) -> Option<&rustls::Error> {
        match &self.failure {
            Failure::Setup(error) | Failure::Handshake(error) | Failure::Stream(error) => {
                Some(error)
            }
            _ => None,
        }
    }

    /// Whether the peer's certificate is the reason: it is not for this name, has expired, or nobody
    /// who is trusted vouches for it.
    pub fn is_certificate_error(&self) -> bool {
        matches!(self.as_rustls(), Some(rustls::Error::InvalidCertificate(_)))
    }

    /// As which kind of `io::Error` this counts.
    pub fn kind(&self) -> io::ErrorKind {
        match &self.failure {
            Failure::Setup(_) => io::ErrorKind::InvalidInput,
            Failure::Handshake(_) | Failure::Stream(_) => io::ErrorKind::InvalidData,
            Failure::NoProtocol | Failure::PlainText(_) => io::ErrorKind::InvalidData,
            Failure::LeftInHandshake => io::ErrorKind::ConnectionReset,
            Failure::ClosedInHandshake => io::ErrorKind::ConnectionAborted,
            Failure::TooSlow(_) => io::ErrorKind::TimedOut,
            Failure::Truncated => io::ErrorKind::UnexpectedEof,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::Setup(_) => f.write_str("cannot begin TLS")?,
            Failure::Stream(_) => f.write_str("the TLS connection broke")?,
            Failure::Truncated => {
                f.write_str("the TLS stream was cut: it ended without a goodbye")?
            }
            _ => f.write_str("the TLS handshake failed")?,
        }
        if let Some(name) = &self.server_name {
            write!(f, " (server {name})")?;
        }
        match &self.failure {
            Failure::NoProtocol => f.write_str(": no application protocol was agreed on"),
            Failure::LeftInHandshake => f.write_str(": the peer closed the connection"),
            Failure::ClosedInHandshake => f.write_str(": the connection was closed before its end"),
            Failure::TooSlow(limit) => {
                write!(f, ": it took longer than {} seconds", limit.as_secs_f64())
            }
            Failure::PlainText(count) => {
                write!(f, ": {count} bytes came before it that are not encrypted")
            }
            Failure::Setup(_) | Failure::Handshake(_) | Failure::Stream(_) | Failure::Truncated => {
                Ok(())
            }
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.as_rustls().map(|error| error as &(dyn Error + 'static))
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}
