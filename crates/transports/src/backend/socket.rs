//! [`SocketBackend`]: TCP and Unix stream sockets.

use super::system::{SEND_FLAGS, never_signal};
use super::{Backend, watched};
use crate::extra_info::PeerName;
use crate::sigpipe::{is_noticed, without_sigpipe};
use crate::stream_transport::StreamTransport;
use crate::{Address, ExtraInfo, SocketView, StreamSocket};
use eventloop::{Direction, Interest, Source, SourceKind, Taken, Trigger};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

/// A non-blocking stream socket, owned; it closes when this is dropped, and not before.
///
/// The descriptor comes first in memory, since it is next to what each request needs.
#[repr(C)]
pub(crate) struct SocketBackend {
    socket: OwnedFd,
    kind: SocketKind,
    peer: PeerName,
}

/// What a socket is, for reports and for what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketKind {
    Tcp,
    Unix,
}

impl SocketBackend {
    /// `peer` is kept: the system forgets it when the connection ends.
    pub(crate) fn new(socket: OwnedFd, kind: SocketKind, peer: Option<Address>) -> Self {
        never_signal(&socket);
        Self { socket, kind, peer: PeerName::new(peer) }
    }

    /// The socket, to be given to somebody else.
    pub(crate) fn into_stream_socket(self) -> StreamSocket {
        let peer = self.peer.address();
        StreamSocket::accepted(self.socket, self.kind, peer)
    }

    /// The error with which a connect ended, if it did (SO_ERROR).
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.socket).take_error()
    }

    /// Whether the system connected the socket to itself, which happens when a port of this machine
    /// that nobody listens on is picked as our own: nobody is there.
    pub(crate) fn is_connected_to_itself(&self) -> bool {
        let peer = self.peer.address();
        peer.is_some() && peer == self.local_address()
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Nothing was received: tries again if that was because of a signal. Apart from what nearly always
    /// happens, which needs no registers for it.
    #[cold]
    #[inline(never)]
    fn recv_failed(&self, error: Errno, buffer: &mut [u8]) -> io::Result<usize> {
        match error {
            Errno::INTR => {
                let again = || rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty());
                Ok(retry_on_intr(again)?.0)
            }
            error => Err(error.into()),
        }
    }

    /// As [`recv_failed`](Self::recv_failed), of sending.
    #[cold]
    #[inline(never)]
    fn send_failed(&self, error: Errno, data: &[u8]) -> io::Result<usize> {
        match error {
            Errno::INTR => Ok(retry_on_intr(|| rustix::net::send(&self.socket, data, SEND_FLAGS))?),
            error => Err(error.into()),
        }
    }

    fn local_address(&self) -> Option<Address> {
        let address = SockRef::from(&self.socket).local_addr().ok()?;
        Address::from_sock_addr(&address)
    }
}

impl Backend for SocketBackend {
    #[inline]
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _)) => Ok(count),
            Err(error) => self.recv_failed(error, buffer),
        }
    }

    #[inline]
    fn send(&self, data: &[u8]) -> io::Result<usize> {
        match rustix::net::send(&self.socket, data, SEND_FLAGS) {
            Ok(count) => Ok(count),
            Err(error) => self.send_failed(error, data),
        }
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [part] = parts {
            return self.send(part); // the system has less to read for it
        }
        let mut control = SendAncillaryBuffer::default();
        let sent =
            retry_on_intr(|| rustix::net::sendmsg(&self.socket, parts, &mut control, SEND_FLAGS))?;
        Ok(sent)
    }

    fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        send_file(self.socket.as_fd(), file, offset, count)
    }

    fn passes_descriptors(&self) -> bool {
        self.kind == SocketKind::Unix
    }

    fn send_with_descriptors(&self, data: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
        super::descriptors::send(self.socket.as_fd(), data, descriptors, SendFlags::empty())
    }

    fn recv_with_descriptors(
        &self,
        buffer: &mut [u8],
        found: &mut Vec<OwnedFd>,
    ) -> io::Result<usize> {
        super::descriptors::recv(self.socket.as_fd(), buffer, found, RecvFlags::empty())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.socket, Shutdown::Write)?)
    }

    fn attach(connection: &Rc<StreamTransport<Self>>) -> io::Result<()> {
        watched::attach(connection)
    }

    fn watch(connection: &Rc<StreamTransport<Self>>, interest: Interest) -> io::Result<()> {
        match connection.key() {
            Some(key) => connection.event_loop().set_interest(key, interest),
            None => Ok(()),
        }
    }

    fn flush_later(connection: &Rc<StreamTransport<Self>>) {
        watched::flush_later(connection);
    }

    fn detach(connection: &Rc<StreamTransport<Self>>) {
        watched::detach(connection);
    }

    fn peer(&self) -> Address {
        self.peer.address().unwrap_or(Address::Unnamed)
    }

    fn extra_info(connection: &Rc<StreamTransport<Self>>) -> ExtraInfo {
        let backend = connection.backend();
        let owner: Weak<StreamTransport<Self>> = Rc::downgrade(connection);
        ExtraInfo {
            peername: backend.peer.address(),
            sockname: backend.local_address(),
            socket: Some(SocketView::new(owner)),
            ..ExtraInfo::default()
        }
    }

    fn describe(&self) -> String {
        let kind = match self.kind {
            SocketKind::Tcp => "TCP",
            SocketKind::Unix => "Unix",
        };
        let show = |address: Option<Address>| address.map_or("?".into(), |a| a.to_string());
        let (local, peer) = (show(self.local_address()), show(self.peer.address()));
        format!("{kind} transport {local} to {peer}")
    }
}

/// The connection is what the loop watches: one object, one allocation.
impl Source for StreamTransport<SocketBackend> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.backend().descriptor()
    }

    #[inline]
    fn ready(self: Rc<Self>, direction: Direction) -> Taken {
        match direction {
            Direction::Read => self.ready_to_read(),
            Direction::Write => {
                self.ready_to_write();
                Taken::Unknown
            }
        }
    }

    /// TCP gives all that came at once, up to the size of the buffer. A Unix socket stops where something
    /// came along with the data.
    fn trigger(&self) -> Trigger {
        match self.backend().kind {
            SocketKind::Tcp => Trigger::Edge,
            SocketKind::Unix => Trigger::Level,
        }
    }

    fn flush(self: Rc<Self>) {
        self.flush_now();
    }

    fn loop_closed(self: Rc<Self>) {
        self.forget_loop();
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        self.backend().describe()
    }
}

/// Whether a connect goes on in the background.
pub(crate) fn is_in_progress(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::INPROGRESS.raw_os_error()) || code == Some(Errno::INTR.raw_os_error())
}

/// Has the system copy a part of a file to a socket, as [`Backend::send_file`] does.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let send = || {
        let sent = retry_on_intr(|| {
            let mut offset = offset;
            rustix::fs::sendfile(socket, file, Some(&mut offset), count)
        });
        Ok(sent?)
    };
    if is_noticed() { without_sigpipe(send) } else { send() }
}

/// Other systems' calls differ, and rustix has none of them.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn send_file(
    _socket: BorrowedFd<'_>,
    _file: BorrowedFd<'_>,
    _offset: u64,
    _count: usize,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_a_signal_cut_short_is_tried_again_and_no_other_error() {
        let (one, other) = UnixStream::pair().unwrap();
        let backend = |socket: UnixStream| {
            socket.set_nonblocking(true).unwrap();
            SocketBackend::new(socket.into(), SocketKind::Unix, None)
        };
        let (one, other) = (backend(one), backend(other));
        let mut buffer = [0; 8];
        assert_eq!(one.send_failed(Errno::INTR, b"again").unwrap(), 5);
        assert_eq!(other.recv_failed(Errno::INTR, &mut buffer).unwrap(), 5);
        assert_eq!(&buffer, b"again\0\0\0");

        let error = one.send_failed(Errno::PIPE, b"lost").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = other.recv_failed(Errno::CONNRESET, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = other.recv(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "neither was tried again");
    }
}
