//! [`StreamSocket`]: a connected stream socket that is handed over to a transport, by value, so that it
//! is closed exactly once (N-8).

use crate::Address;
use crate::backend::{SocketBackend, SocketKind};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// A connected stream socket, TCP or Unix. From here on the transport owns it.
///
/// # Examples
/// ```
/// use std::os::unix::net::UnixStream;
/// use tulipa_transports::StreamSocket;
/// let (ours, _theirs) = UnixStream::pair()?;
/// let socket = StreamSocket::from(ours);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct StreamSocket {
    socket: Socket,
    /// What is known of one that a listener of ours accepted: it is fit for a loop as it is.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    kind: SocketKind,
    peer: Option<Address>,
}

impl StreamSocket {
    /// A socket that some other code made.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a stream socket (N-7), or what the system says. The descriptor is
    /// closed then.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        if socket.r#type()? != Type::STREAM {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a stream socket"));
        }
        Ok(Self { socket, known: None })
    }

    /// One that a listener accepted.
    pub(crate) fn accepted(socket: OwnedFd, kind: SocketKind, peer: Option<Address>) -> Self {
        Self { socket: socket.into(), known: Some(Known { kind, peer }) }
    }

    /// The peer's address, `None` if there is none to know.
    pub fn peer_addr(&self) -> Option<Address> {
        match &self.known {
            Some(known) => known.peer.clone(),
            None => Address::from_sock_addr(&self.socket.peer_addr().ok()?),
        }
    }

    /// Whether it is a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        self.socket.domain().is_ok_and(|domain| domain == Domain::UNIX)
    }

    /// Makes it fit for the loop: non-blocking, without delay (X-30).
    pub(crate) fn into_backend(self) -> io::Result<SocketBackend> {
        let socket = self.socket;
        if let Some(Known { kind, peer }) = self.known {
            return Ok(SocketBackend::new(socket.into(), kind, peer));
        }
        socket.set_nonblocking(true)?;
        let peer = socket.peer_addr().ok().and_then(|address| Address::from_sock_addr(&address));
        let kind =
            if socket.domain()? == Domain::UNIX { SocketKind::Unix } else { SocketKind::Tcp };
        if kind == SocketKind::Tcp {
            // It only makes small writes faster; a peer that is gone already shows soon enough.
            let _ = socket.set_tcp_nodelay(true);
        }
        Ok(SocketBackend::new(socket.into(), kind, peer))
    }
}

impl From<TcpStream> for StreamSocket {
    fn from(stream: TcpStream) -> Self {
        Self { socket: stream.into(), known: None }
    }
}

impl From<UnixStream> for StreamSocket {
    fn from(stream: UnixStream) -> Self {
        Self { socket: stream.into(), known: None }
    }
}
