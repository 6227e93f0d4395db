//! The baseline: epoll by its system calls, level-triggered, one buffer for all, and no library in between. It is
//! what somebody would write by hand who wants nothing but this.

use super::BUFFER;
use crate::readiness::wait;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use tulipa::Exception;

/// The time-out of a wait that does not wait.
pub(crate) const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

struct Connection {
    socket: OwnedFd,
    /// What the socket did not take at once; nothing is read before it has.
    unsent: Vec<u8>,
}

/// Serves for ever. `timeout` is that of each wait.
pub(crate) fn serve(listener: &TcpListener, timeout: Option<Timespec>) -> Result<(), Exception> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let listening = listener.as_raw_fd() as usize;
    watch(&epoll, listener, listening)?;
    // By descriptor, as these are small numbers and used again.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    let mut events = Vec::with_capacity(1024);
    loop {
        wait(&epoll, &mut events, timeout.as_ref())?;
        for event in &events {
            let key = event.data.u64() as usize;
            if key == listening {
                accept(&epoll, listener, &mut connections)?;
                continue;
            }
            let Some(Some(connection)) = connections.get_mut(key) else { continue };
            let gone_on = match connection.unsent.is_empty() {
                true => echo(&epoll, connection, &mut buffer),
                false => send_rest(&epoll, connection),
            };
            match gone_on {
                Ok(true) | Err(Errno::AGAIN) => {}
                // Closing also ends the watch.
                Ok(false) | Err(_) => connections[key] = None,
            }
        }
    }
}

fn watch(epoll: &OwnedFd, source: impl std::os::fd::AsFd, key: usize) -> Result<(), Errno> {
    epoll::add(epoll, source, epoll::EventData::new_u64(key as u64), epoll::EventFlags::IN)
}

fn watch_for(epoll: &OwnedFd, socket: &OwnedFd, what: epoll::EventFlags) -> Result<(), Errno> {
    epoll::modify(epoll, socket, epoll::EventData::new_u64(socket.as_raw_fd() as u64), what)
}

fn accept(
    epoll: &OwnedFd,
    listener: &TcpListener,
    connections: &mut Vec<Option<Connection>>,
) -> Result<(), Exception> {
    loop {
        let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        sockopt::set_tcp_nodelay(&socket, true)?;
        let key = socket.as_raw_fd() as usize;
        watch(epoll, &socket, key)?;
        if connections.len() <= key {
            connections.resize_with(key + 1, || None);
        }
        connections[key] = Some(Connection { socket, unsent: Vec::new() });
    }
}

/// Reads once and sends that back. Whether the connection goes on.
fn echo(epoll: &OwnedFd, connection: &mut Connection, buffer: &mut [u8]) -> Result<bool, Errno> {
    let socket = &connection.socket;
    let (count, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
    if count == 0 {
        return Ok(false);
    }
    let sent = match send(socket, &buffer[..count], SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN) => 0,
        sent => sent?,
    };
    if sent < count {
        connection.unsent.extend_from_slice(&buffer[sent..count]);
        watch_for(epoll, socket, epoll::EventFlags::OUT)?;
    }
    Ok(true)
}

fn send_rest(epoll: &OwnedFd, connection: &mut Connection) -> Result<bool, Errno> {
    let sent = send(&connection.socket, &connection.unsent, SendFlags::NOSIGNAL)?;
    connection.unsent.drain(..sent);
    if connection.unsent.is_empty() {
        // What was needed once is not kept.
        connection.unsent = Vec::new();
        watch_for(epoll, &connection.socket, epoll::EventFlags::IN)?;
    }
    Ok(true)
}
