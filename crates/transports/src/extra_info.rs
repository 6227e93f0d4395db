//! [`ExtraInfo`]: what is known about a connection, and [`SocketView`], the restricted view of its
//! socket.

use crate::{PipeView, TlsCipher, TlsInfo, TlsVersion};
use eventloop::Source;
use socket2::SockRef;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// What is known about a connection. It stays known after the end.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExtraInfo {
    /// The peer's address. `None` if there is none to know.
    pub peername: Option<Address>,
    /// Our own address.
    pub sockname: Option<Address>,
    /// The socket, where there is one.
    pub socket: Option<SocketView>,
    /// The pipe, where there is one.
    pub pipe: Option<PipeView>,
    /// What is known of the encryption, where there is any.
    pub tls: Option<Rc<TlsInfo>>,
}

impl ExtraInfo {
    /// The same by asyncio's names: `peername`, `sockname`, `socket`, `pipe`; of an encrypted
    /// connection `peercert`, `cipher`, `ssl_object`, and besides `version` and `alpn`.
    pub fn get(&self, name: &str) -> Option<ExtraValue> {
        let tls = self.tls.as_ref();
        match name {
            "peername" => self.peername.clone().map(ExtraValue::Address),
            "sockname" => self.sockname.clone().map(ExtraValue::Address),
            "socket" => self.socket.clone().map(ExtraValue::Socket),
            "pipe" => self.pipe.clone().map(ExtraValue::Pipe),
            "peercert" => {
                let own = tls?.peer_certificates.first()?;
                Some(ExtraValue::Certificate(own.clone()))
            }
            "cipher" => tls.map(|tls| ExtraValue::Cipher(tls.cipher.clone(), tls.version)),
            "version" => tls.map(|tls| ExtraValue::Version(tls.version)),
            "alpn" => tls?.alpn.clone().map(ExtraValue::Protocol),
            "ssl_object" => tls.cloned().map(ExtraValue::Tls),
            _ => None,
        }
    }
}

/// A value of [`BaseTransport::get_extra_info`](crate::BaseTransport::get_extra_info).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExtraValue {
    /// Of `peername` and `sockname`.
    Address(Address),
    /// Of `socket`.
    Socket(SocketView),
    /// Of `pipe`.
    Pipe(PipeView),
    /// Of `peercert`: the peer's own certificate, in DER.
    Certificate(Vec<u8>),
    /// Of `cipher`.
    Cipher(TlsCipher, TlsVersion),
    /// Of `version`.
    Version(TlsVersion),
    /// Of `alpn`.
    Protocol(Vec<u8>),
    /// Of `ssl_object`.
    Tls(Rc<TlsInfo>),
}

/// The address of one end of a connection, or of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Path(PathBuf),
    /// The abstract name of a Unix socket, without the zero byte in front (Linux).
    Abstract(Vec<u8>),
    /// A Unix socket that has no name, as clients usually have none (N-41).
    Unnamed,
}

impl Address {
    /// The IP address and port, if it is one.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Path(_) | Address::Abstract(_) | Address::Unnamed => None,
        }
    }

    /// The port, if it has one.
    pub fn port(&self) -> Option<u16> {
        self.as_ip().map(|address| address.port())
    }

    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Address::Path(path) => Some(path),
            Address::Ip(_) | Address::Abstract(_) | Address::Unnamed => None,
        }
    }

    pub(crate) fn from_sock_addr(address: &socket2::SockAddr) -> Option<Self> {
        if let Some(address) = address.as_socket() {
            return Some(Address::Ip(address));
        }
        if !address.is_unix() {
            return None;
        }
        if let Some(path) = address.as_pathname() {
            return Some(Address::Path(path.to_owned()));
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = address.as_abstract_namespace() {
            return Some(Address::Abstract(name.to_owned()));
        }
        Some(Address::Unnamed)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Ip(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Path(path) => path.display().fmt(f),
            Address::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Address::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

/// A restricted view of a socket: names and options, but no reading, writing or closing, which are
/// the transport's. After the end every call says so.
#[derive(Clone)]
pub struct SocketView {
    owner: Weak<dyn Source>,
}

impl SocketView {
    pub(crate) fn new(owner: Weak<dyn Source>) -> Self {
        Self { owner }
    }

    /// Our own address.
    ///
    /// # Errors
    /// What the system says, or that the socket is closed; so for all that follow.
    pub fn local_addr(&self) -> io::Result<Address> {
        let address = self.with(|socket| socket.local_addr())?;
        Address::from_sock_addr(&address).ok_or_else(unknown_family)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// As above.
    pub fn peer_addr(&self) -> io::Result<Address> {
        let address = self.with(|socket| socket.peer_addr())?;
        Address::from_sock_addr(&address).ok_or_else(unknown_family)
    }

    /// Whether small segments are sent without waiting for more (TCP_NODELAY). On by default.
    ///
    /// # Errors
    /// As above.
    pub fn tcp_nodelay(&self) -> io::Result<bool> {
        self.with(|socket| socket.tcp_nodelay())
    }

    /// Sets TCP_NODELAY.
    ///
    /// # Errors
    /// As above.
    pub fn set_tcp_nodelay(&self, enabled: bool) -> io::Result<()> {
        self.with(|socket| socket.set_tcp_nodelay(enabled))
    }

    /// Whether silent connections are probed (SO_KEEPALIVE). Off by default.
    ///
    /// # Errors
    /// As above.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.with(|socket| socket.keepalive())
    }

    /// Sets SO_KEEPALIVE.
    ///
    /// # Errors
    /// As above.
    pub fn set_keepalive(&self, enabled: bool) -> io::Result<()> {
        self.with(|socket| socket.set_keepalive(enabled))
    }

    /// Probes a silent connection after `idle`, then every `interval`, and gives it up after
    /// `retries` without an answer; switches SO_KEEPALIVE on.
    ///
    /// # Errors
    /// As above.
    pub fn set_keepalive_times(
        &self,
        idle: Duration,
        interval: Duration,
        retries: u32,
    ) -> io::Result<()> {
        let times = socket2::TcpKeepalive::new()
            .with_time(idle)
            .with_interval(interval)
            .with_retries(retries);
        self.with(|socket| socket.set_tcp_keepalive(&times))
    }

    /// The size of the system's receive buffer.
    ///
    /// # Errors
    /// As above.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.with(|socket| socket.recv_buffer_size())
    }

    /// Sets the size of the system's receive buffer. The system may take another.
    ///
    /// # Errors
    /// As above.
    pub fn set_recv_buffer_size(&self, size: usize) -> io::Result<()> {
        self.with(|socket| socket.set_recv_buffer_size(size))
    }

    /// The size of the system's send buffer.
    ///
    /// # Errors
    /// As above.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.with(|socket| socket.send_buffer_size())
    }

    /// Sets the size of the system's send buffer. The system may take another.
    ///
    /// # Errors
    /// As above.
    pub fn set_send_buffer_size(&self, size: usize) -> io::Result<()> {
        self.with(|socket| socket.set_send_buffer_size(size))
    }

    /// How long closing the descriptor waits, or, with zero, that it resets the connection
    /// (SO_LINGER). `None` is the system's default.
    ///
    /// # Errors
    /// As above.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.with(|socket| socket.set_linger(linger))
    }

    /// Whether several sockets may listen on the port (SO_REUSEPORT).
    ///
    /// # Errors
    /// As above.
    pub fn reuse_port(&self) -> io::Result<bool> {
        self.with(|socket| socket.reuse_port())
    }

    /// Whether the address may be bound again at once (SO_REUSEADDR).
    ///
    /// # Errors
    /// As above.
    pub fn reuse_address(&self) -> io::Result<bool> {
        self.with(|socket| socket.reuse_address())
    }

    /// Whether an IPv6 socket leaves IPv4 to others (IPV6_V6ONLY).
    ///
    /// # Errors
    /// As above.
    pub fn only_v6(&self) -> io::Result<bool> {
        self.with(|socket| socket.only_v6())
    }

    /// Whether datagrams may be sent to broadcast addresses (SO_BROADCAST).
    ///
    /// # Errors
    /// As above.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.with(|socket| socket.broadcast())
    }

    /// Sets SO_BROADCAST.
    ///
    /// # Errors
    /// As above.
    pub fn set_broadcast(&self, enabled: bool) -> io::Result<()> {
        self.with(|socket| socket.set_broadcast(enabled))
    }

    /// Receives what is sent to the IPv4 multicast `group`, through the interface with this address;
    /// [`Ipv4Addr::UNSPECIFIED`] leaves the choice to the system.
    ///
    /// # Errors
    /// As above.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.with(|socket| socket.join_multicast_v4(&group, &interface))
    }

    /// Ends [`join_multicast_v4`](SocketView::join_multicast_v4).
    ///
    /// # Errors
    /// As above.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.with(|socket| socket.leave_multicast_v4(&group, &interface))
    }

    /// Receives what is sent to the IPv6 multicast `group`, through the interface with this number;
    /// 0 leaves the choice to the system.
    ///
    /// # Errors
    /// As above.
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.with(|socket| socket.join_multicast_v6(&group, interface))
    }

    /// Ends [`join_multicast_v6`](SocketView::join_multicast_v6).
    ///
    /// # Errors
    /// As above.
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.with(|socket| socket.leave_multicast_v6(&group, interface))
    }

    /// The interface, by its address, through which IPv4 multicast leaves.
    ///
    /// # Errors
    /// As above.
    pub fn set_multicast_interface_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        self.with(|socket| socket.set_multicast_if_v4(&interface))
    }

    /// The interface, by its number, through which IPv6 multicast leaves.
    ///
    /// # Errors
    /// As above.
    pub fn set_multicast_interface_v6(&self, interface: u32) -> io::Result<()> {
        self.with(|socket| socket.set_multicast_if_v6(interface))
    }

    /// Whether this machine receives the IPv4 multicast that it sends. On by default.
    ///
    /// # Errors
    /// As above.
    pub fn set_multicast_loop_v4(&self, enabled: bool) -> io::Result<()> {
        self.with(|socket| socket.set_multicast_loop_v4(enabled))
    }

    /// Whether this machine receives the IPv6 multicast that it sends. On by default.
    ///
    /// # Errors
    /// As above.
    pub fn set_multicast_loop_v6(&self, enabled: bool) -> io::Result<()> {
        self.with(|socket| socket.set_multicast_loop_v6(enabled))
    }

    /// How many routers IPv4 multicast may pass: 1 by default, which is the local network.
    ///
    /// # Errors
    /// As above.
    pub fn set_multicast_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.with(|socket| socket.set_multicast_ttl_v4(hops))
    }

    /// How many routers IPv6 multicast may pass: 1 by default, which is the local network.
    ///
    /// # Errors
    /// As above.
    pub fn set_multicast_hops_v6(&self, hops: u32) -> io::Result<()> {
        self.with(|socket| socket.set_multicast_hops_v6(hops))
    }

    /// How many routers an IPv4 datagram may pass.
    ///
    /// # Errors
    /// As above.
    pub fn set_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.with(|socket| socket.set_ttl_v4(hops))
    }

    /// How many routers an IPv6 datagram may pass.
    ///
    /// # Errors
    /// As above.
    pub fn set_unicast_hops_v6(&self, hops: u32) -> io::Result<()> {
        self.with(|socket| socket.set_unicast_hops_v6(hops))
    }

    /// Which process is at the other end of a Unix socket (N-41).
    ///
    /// # Errors
    /// As above.
    #[cfg(target_os = "linux")]
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        let owner = self.owner.upgrade().ok_or_else(closed)?;
        let found = rustix::net::sockopt::socket_peercred(owner.descriptor())?;
        Ok(Credentials {
            process: found.pid.as_raw_nonzero().get(),
            user: found.uid.as_raw(),
            group: found.gid.as_raw(),
        })
    }

    fn with<R>(&self, function: impl FnOnce(&SockRef<'_>) -> io::Result<R>) -> io::Result<R> {
        let owner = self.owner.upgrade().ok_or_else(closed)?;
        let descriptor: BorrowedFd<'_> = owner.descriptor();
        function(&SockRef::from(&descriptor))
    }
}

impl fmt::Debug for SocketView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner.upgrade() {
            Some(owner) => write!(f, "SocketView({})", owner.describe()),
            None => f.write_str("SocketView(closed)"),
        }
    }
}

/// Which process is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The number of the process.
    pub process: i32,
    /// The user it runs as.
    pub user: u32,
    /// The group it runs as.
    pub group: u32,
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is closed")
}

fn unknown_family() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "an address of an unknown family")
}

/// An address in sixteen bytes, since every idle connection has one.
#[derive(Debug, Default)]
pub(crate) enum PeerName {
    #[default]
    Unknown,
    Unnamed,
    V4 {
        port: u16,
        ip: [u8; 4],
    },
    Other(Box<Address>),
}

impl PeerName {
    pub(crate) fn new(address: Option<Address>) -> Self {
        match address {
            None => PeerName::Unknown,
            Some(Address::Unnamed) => PeerName::Unnamed,
            Some(Address::Ip(SocketAddr::V4(v4))) => {
                PeerName::V4 { port: v4.port(), ip: v4.ip().octets() }
            }
            Some(other) => PeerName::Other(Box::new(other)),
        }
    }

    pub(crate) fn address(&self) -> Option<Address> {
        match self {
            PeerName::Unknown => None,
            PeerName::Unnamed => Some(Address::Unnamed),
            PeerName::V4 { port, ip } => Some(Address::Ip((*ip, *port).into())),
            PeerName::Other(address) => Some((**address).clone()),
        }
    }
}
