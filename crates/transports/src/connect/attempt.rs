//! One attempt to connect to one address.

use crate::Address;
use crate::backend::{SocketBackend, SocketKind, is_in_progress};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

/// How an attempt began.
pub(super) enum Attempt {
    Connected(SocketBackend),
    /// The socket is ready to write when it is decided.
    InProgress(SocketBackend),
    /// The server's queue is full: nothing is under way, and the only remedy is to try again.
    QueueFull,
}

/// Begins to connect to `address`, from `local` if that is given.
pub(super) fn begin(address: &Address, local: Option<SocketAddr>) -> io::Result<Attempt> {
    let (domain, kind, target) = match address {
        Address::Ip(ip) => (Domain::for_address(*ip), SocketKind::Tcp, SockAddr::from(*ip)),
        Address::Path(path) => (Domain::UNIX, SocketKind::Unix, SockAddr::unix(path)?),
        Address::Abstract(name) => {
            let path = [b"\0", &name[..]].concat();
            (Domain::UNIX, SocketKind::Unix, SockAddr::unix(OsStr::from_bytes(&path))?)
        }
        Address::Unnamed => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None)?;
    if kind == SocketKind::Tcp {
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(local) = local {
        bind(&socket, local)?;
    }
    let outcome = socket.connect(&target);
    let backend = |socket: Socket| SocketBackend::new(socket.into(), kind, Some(address.clone()));
    match outcome {
        Ok(()) => Ok(Attempt::Connected(backend(socket))),
        Err(error) if is_in_progress(&error) => Ok(Attempt::InProgress(backend(socket))),
        Err(error)
            if kind == SocketKind::Unix
                && error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) =>
        {
            Ok(Attempt::QueueFull)
        }
        Err(error) => Err(error),
    }
}

fn bind(socket: &Socket, local: SocketAddr) -> io::Result<()> {
    socket.bind(&local.into()).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot bind to the local address {local}: {error}"))
    })
}
