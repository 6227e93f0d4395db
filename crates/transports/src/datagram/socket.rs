//! [`DatagramSocket`], a socket that is handed over to a transport, and [`SocketIo`], what an endpoint
//! does with its own.

#[cfg(target_os = "linux")]
use super::segments::send_segments;
use crate::Address;
use crate::backend::system::{SEND_FLAGS, never_signal};
use crate::server::SocketFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SocketAddrAny, SocketAddrUnix};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// A datagram socket, UDP or Unix, that some other code made: bound, connected, or neither. From here
/// on the transport owns it.
///
/// # Examples
/// ```
/// use std::net::UdpSocket;
/// use tulipa_transports::DatagramSocket;
/// let socket = DatagramSocket::from(UdpSocket::bind("127.0.0.1:0")?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct DatagramSocket {
    socket: Socket,
}

impl DatagramSocket {
    /// A socket that some other code made.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a datagram socket (N-35), or what the system says. The descriptor is
    /// closed then.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        if socket.r#type()? != Type::DGRAM {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a datagram socket"));
        }
        Ok(Self { socket })
    }

    pub(super) fn into_io(self, cleanup: bool) -> io::Result<SocketIo> {
        let socket = self.socket;
        socket.set_nonblocking(true)?;
        let peer = socket.peer_addr().ok().and_then(|address| Address::from_sock_addr(&address));
        let file = match socket.local_addr()?.as_pathname() {
            Some(path) if cleanup => SocketFile::of(path.to_owned()),
            _ => None,
        };
        SocketIo::new(socket, Peer::connected(peer), file)
    }
}

impl From<UdpSocket> for DatagramSocket {
    fn from(socket: UdpSocket) -> Self {
        Self { socket: socket.into() }
    }
}

impl From<UnixDatagram> for DatagramSocket {
    fn from(socket: UnixDatagram) -> Self {
        Self { socket: OwnedFd::from(socket).into() }
    }
}

/// To whom an endpoint sends.
#[derive(Debug)]
pub(super) enum Peer {
    /// To whom `sendto` says.
    Any,
    /// Always to this one, whom the system knows.
    Connected(Address),
    /// Always to this one, whom the system does not know.
    Fixed(Address),
}

impl Peer {
    fn connected(address: Option<Address>) -> Self {
        address.map_or(Peer::Any, Peer::Connected)
    }

    pub(super) fn address(&self) -> Option<&Address> {
        match self {
            Peer::Any => None,
            Peer::Connected(address) | Peer::Fixed(address) => Some(address),
        }
    }
}

/// A non-blocking datagram socket, owned; it closes when this is dropped, and its file is removed.
pub(super) struct SocketIo {
    socket: OwnedFd,
    is_unix: bool,
    peer: Peer,
    /// The fixed peer of a Unix socket is gone: the system has forgotten whom we listen to.
    peer_gone: Cell<bool>,
    local: Option<Address>,
    file: Option<SocketFile>,
}

/// A datagram that came.
pub(super) struct Received {
    pub(super) count: usize,
    pub(super) sender: Address,
}

impl SocketIo {
    pub(super) fn new(socket: Socket, peer: Peer, file: Option<SocketFile>) -> io::Result<Self> {
        let is_unix = socket.domain()? == Domain::UNIX;
        let local = socket.local_addr().ok().and_then(|name| Address::from_sock_addr(&name));
        let socket = OwnedFd::from(socket);
        never_signal(&socket);
        Ok(Self { socket, is_unix, peer, peer_gone: Cell::new(false), local, file })
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(super) fn is_unix(&self) -> bool {
        self.is_unix
    }

    /// Whether a receiver that is full says so for itself only.
    pub(super) fn blocks_by_receiver(&self) -> bool {
        self.is_unix && !matches!(self.peer, Peer::Connected(_))
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Our own address now: the system gives one to a socket that first sends.
    pub(super) fn local_address(&self) -> Option<Address> {
        let now = SockRef::from(&self.socket).local_addr().ok();
        now.and_then(|name| Address::from_sock_addr(&name)).or_else(|| self.local.clone())
    }

    /// Whether what comes from `sender` is not to be seen, because another peer is fixed (N-36). The
    /// system sees to that by itself, but not before it was told of the peer, and not after it has
    /// forgotten it.
    pub(super) fn is_stranger(&self, sender: &Address) -> bool {
        match &self.peer {
            Peer::Connected(peer @ Address::Ip(_)) => !is_same(peer, sender),
            Peer::Connected(_) => self.peer_gone.get(),
            Peer::Fixed(_) | Peer::Any => false,
        }
    }

    /// Sends one datagram: to `to`, or to the peer that the system knows.
    pub(super) fn send(&self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        let sent = match to {
            None => {
                let sent = retry_on_intr(|| rustix::net::send(&self.socket, data, SEND_FLAGS));
                if sent == Err(Errno::CONNREFUSED) && self.is_unix {
                    self.peer_gone.set(true);
                }
                sent?
            }
            Some(Address::Ip(ip)) => {
                retry_on_intr(|| rustix::net::sendto(&self.socket, data, SEND_FLAGS, ip))?
            }
            Some(other) => self.send_unix(data, &sock_addr(other)?)?,
        };
        debug_assert_eq!(sent, data.len(), "a datagram is sent whole");
        Ok(())
    }

    /// Sends several datagrams of `size` bytes each in one call: all of them, or none.
    #[cfg(target_os = "linux")]
    pub(super) fn send_segments(
        &self,
        data: &[u8],
        size: NonZeroUsize,
        to: Option<&Address>,
    ) -> io::Result<()> {
        let Ok(size) = u16::try_from(size.get()) else { return Err(cannot_cut()) };
        if self.is_unix {
            return Err(cannot_cut());
        }
        let to = to.map(sock_addr).transpose()?;
        send_segments(self.descriptor(), data, size, to.as_ref())
    }

    /// The system cannot do that.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn send_segments(
        &self,
        _data: &[u8],
        _size: NonZeroUsize,
        _to: Option<&Address>,
    ) -> io::Result<()> {
        Err(cannot_cut())
    }

    fn send_unix(&self, data: &[u8], to: &SockAddr) -> io::Result<usize> {
        let flags = SEND_FLAGS.bits().cast_signed();
        loop {
            match SockRef::from(&self.socket).send_to_with_flags(data, to, flags) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Receives one datagram. One that does not fit is cut; that shows as a full buffer.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let (count, _, name) = retry_on_intr(|| {
            rustix::net::recvfrom(&self.socket, &mut *buffer, RecvFlags::empty())
        })?;
        let sender = name.map_or(Address::Unnamed, address_of);
        Ok(Received { count, sender })
    }

    /// Whether there is something to receive, or an error, as the system has it now.
    pub(super) fn is_ready_to_receive(&self) -> bool {
        let mut asked = [PollFd::new(&self.socket, PollFlags::IN)];
        // One that cannot be asked is as good as ready: it will be tried.
        poll(&mut asked, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
    }

    /// Takes one entry out of the queue of errors, which a socket has if it was set up so. Says which
    /// receiver the error concerns, if there is one.
    #[cfg(target_os = "linux")]
    pub(super) fn take_queued_error(&self) -> Option<Address> {
        if self.is_unix {
            return None; // it has none, and would give a datagram instead
        }
        let found = retry_on_intr(|| {
            rustix::net::recvfrom(&self.socket, &mut [0; 64], RecvFlags::ERRQUEUE)
        });
        match found {
            Ok((_, _, name)) => Some(name.map_or(Address::Unnamed, address_of)),
            Err(_) => None, // it is empty, or there is none
        }
    }

    /// There is no such queue.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn take_queued_error(&self) -> Option<Address> {
        None
    }

    /// The error that the socket has and told nobody yet.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        SockRef::from(&self.socket).take_error().ok().flatten()
    }

    pub(super) fn describe(&self) -> String {
        let kind = if self.is_unix { "Unix datagram endpoint" } else { "UDP endpoint" };
        let local = self.local_address().map_or("?".into(), |address| address.to_string());
        match self.peer.address() {
            Some(peer) => format!("{kind} {local} to {peer}"),
            None => format!("{kind} {local}"),
        }
    }
}

impl Drop for SocketIo {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

fn cannot_cut() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// The system's form of an address.
pub(super) fn sock_addr(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(ip) => Ok((*ip).into()),
        Address::Path(path) => SockAddr::unix(path),
        Address::Abstract(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", &name[..]].concat())),
        Address::Unnamed => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

fn address_of(name: SocketAddrAny) -> Address {
    if matches!(name.address_family(), AddressFamily::INET | AddressFamily::INET6) {
        return SocketAddr::try_from(name).map_or(Address::Unnamed, Address::Ip);
    }
    let Ok(unix) = SocketAddrUnix::try_from(name) else { return Address::Unnamed };
    #[cfg(target_os = "linux")]
    if let Some(name) = unix.abstract_name() {
        return Address::Abstract(name.to_owned());
    }
    match unix.path_bytes() {
        Some(path) => Address::Path(PathBuf::from(OsString::from_vec(path.to_owned()))),
        None => Address::Unnamed,
    }
}

/// Whether two addresses name the same end. A scope that is not given is any scope.
pub(super) fn is_same(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Ip(SocketAddr::V6(a)), Address::Ip(SocketAddr::V6(b))) => {
            let scopes = [a.scope_id(), b.scope_id()];
            (a.ip(), a.port()) == (b.ip(), b.port())
                && (scopes[0] == scopes[1] || scopes.contains(&0))
        }
        _ => one == other,
    }
}

/// Whether an error says that the system is short of something, so that trying again at once is of
/// no use.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let codes = [Errno::NOMEM, Errno::NOBUFS, Errno::NFILE, Errno::MFILE];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}
