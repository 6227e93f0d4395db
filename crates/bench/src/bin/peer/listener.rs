//! The listening socket, the same for all.

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use tulipa::Exception;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Listens on a port of 127.0.0.1 (0: any), without blocking, and says so.
pub(crate) fn listener(port: u16) -> Result<TcpListener, Exception> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
