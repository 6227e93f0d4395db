//! [`DatagramOptions`]: which socket a datagram endpoint has, and how it is used.

use super::DatagramSocket;
use crate::limits::OutputLimits;
use crate::{Address, Family, WriteBufferCap, WriteBufferLimits};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which socket a datagram endpoint has, and how it is used.
///
/// Made from what it is bound to: a host and a port, a port alone (all interfaces), an address, the
/// path of a Unix socket; or from a socket, which the transport then owns. A remote address makes an
/// endpoint with a fixed peer. There is no option to reuse a local address: it would let another
/// program take the datagrams (N-37).
///
/// # Examples
/// ```
/// use tulipa_transports::DatagramOptions;
/// let server = DatagramOptions::from(("0.0.0.0", 5353)).reuse_port(true);
/// let client = DatagramOptions::to(("localhost", 5353));
/// let both = DatagramOptions::from(("::1", 0)).remote_addr(("::1", 5353));
/// ```
#[derive(Debug)]
pub struct DatagramOptions {
    pub(super) socket: Option<DatagramSocket>,
    pub(super) local: Option<DatagramAddress>,
    pub(super) remote: Option<DatagramAddress>,
    pub(super) family: Option<Family>,
    pub(super) reuse_port: bool,
    pub(super) broadcast: bool,
    pub(super) only_v6: Option<bool>,
    pub(super) cleanup_socket: Option<bool>,
    pub(super) deadline: Duration,
    pub(super) limits: OutputLimits,
}

impl Default for DatagramOptions {
    /// Nothing yet: an address, a family or a socket has to be added.
    fn default() -> Self {
        Self {
            socket: None,
            local: None,
            remote: None,
            family: None,
            reuse_port: false,
            broadcast: false,
            only_v6: None,
            cleanup_socket: None,
            deadline: Duration::from_secs(30),
            limits: OutputLimits { linger: LINGER, ..OutputLimits::default() },
        }
    }
}

const LINGER: Option<Duration> = Some(Duration::from_secs(30));

impl DatagramOptions {
    /// An endpoint with a fixed peer, at any local address.
    #[must_use]
    pub fn to(remote: impl Into<DatagramAddress>) -> Self {
        Self::default().remote_addr(remote)
    }

    /// Binds to this address. Port 0 is any port; the empty host is all interfaces.
    #[must_use]
    pub fn local_addr(mut self, address: impl Into<DatagramAddress>) -> Self {
        self.local = Some(address.into());
        self
    }

    /// Fixes the peer: the socket is connected to it, so that others' datagrams are not seen, and the
    /// network's errors come back (N-36). With [`allow_broadcast`](DatagramOptions::allow_broadcast)
    /// it is only where datagrams go to.
    #[must_use]
    pub fn remote_addr(mut self, address: impl Into<DatagramAddress>) -> Self {
        self.remote = Some(address.into());
        self
    }

    /// Only addresses of this family. Without any address: a socket of this family that is bound
    /// when it first sends.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Whether several sockets may be bound to the same port and share what comes (SO_REUSEPORT).
    /// Off by default.
    #[must_use]
    pub fn reuse_port(mut self, enabled: bool) -> Self {
        self.reuse_port = enabled;
        self
    }

    /// Whether datagrams may be sent to broadcast addresses. Off by default.
    #[must_use]
    pub fn allow_broadcast(mut self, enabled: bool) -> Self {
        self.broadcast = enabled;
        self
    }

    /// Whether an IPv6 socket leaves IPv4 alone (IPV6_V6ONLY); by default as the system has it.
    #[must_use]
    pub fn only_v6(mut self, enabled: bool) -> Self {
        self.only_v6 = Some(enabled);
        self
    }

    /// Whether the file of a Unix socket is removed at the end, if it is still the same one. On by
    /// default for those that are bound here.
    #[must_use]
    pub fn cleanup_socket(mut self, enabled: bool) -> Self {
        self.cleanup_socket = Some(enabled);
        self
    }

    /// How long opening may take, look-ups included. 30 seconds by default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long sending what is queued may take after a close; then the rest is dropped. 30 seconds
    /// by default, `None` for as long as it takes.
    #[must_use]
    pub fn linger(mut self, limit: Option<Duration>) -> Self {
        self.limits.linger = limit;
        self
    }

    /// The water marks of what is queued.
    #[must_use]
    pub fn write_buffer_limits(mut self, limits: WriteBufferLimits) -> Self {
        self.limits.marks = limits;
        self
    }

    /// The hard limit of what is queued.
    #[must_use]
    pub fn write_buffer_cap(mut self, cap: WriteBufferCap) -> Self {
        self.limits.cap = cap;
        self
    }

    /// Whether the options fit together (N-35).
    pub(super) fn check(&self) -> io::Result<()> {
        if let Err(error) = self.limits.marks.check() {
            return Err(invalid(error.to_string()));
        }
        if self.socket.is_some() {
            return self.check_with_socket();
        }
        let unix = |address: &Option<DatagramAddress>| {
            address.as_ref().map(|address| matches!(address.0, Place::Unix(_)))
        };
        match (unix(&self.local), unix(&self.remote)) {
            (None, None) if self.family.is_none() => {
                Err(invalid("neither an address nor a family nor a socket was given"))
            }
            (Some(local), Some(remote)) if local != remote => Err(self.different_families()),
            (local, remote) if local.or(remote) == Some(true) => self.check_unix(),
            _ if self.cleanup_socket.is_some() => {
                Err(invalid("cleanup_socket is for Unix sockets with a path"))
            }
            _ => Ok(()),
        }
    }

    fn check_with_socket(&self) -> io::Result<()> {
        let others = [
            (self.local.is_some(), "local_addr"),
            (self.remote.is_some(), "remote_addr"),
            (self.family.is_some(), "family"),
            (self.reuse_port, "reuse_port"),
            (self.broadcast, "allow_broadcast"),
            (self.only_v6.is_some(), "only_v6"),
        ];
        let given: Vec<&str> =
            others.into_iter().filter_map(|(is_given, name)| is_given.then_some(name)).collect();
        if given.is_empty() {
            return Ok(());
        }
        Err(invalid(format!("a socket is given, so these cannot be: {}", given.join(", "))))
    }

    fn check_unix(&self) -> io::Result<()> {
        if self.family.is_some() || self.only_v6.is_some() || self.broadcast || self.reuse_port {
            let message =
                "family, only_v6, allow_broadcast and reuse_port are not for Unix sockets";
            return Err(invalid(message));
        }
        Ok(())
    }

    /// No local address fits a remote one.
    pub(super) fn different_families(&self) -> io::Error {
        let show = |address: &Option<DatagramAddress>| match address {
            Some(address) => address.to_string(),
            None => "any address".into(),
        };
        let (local, remote) = (show(&self.local), show(&self.remote));
        let family = match self.family {
            Some(family) => format!(" of family {family:?}"),
            None => String::new(),
        };
        invalid(format!("no addresses of one family{family} for {local} and {remote}"))
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
}

impl<A: Into<DatagramAddress>> From<A> for DatagramOptions {
    /// Binds to this address.
    fn from(local: A) -> Self {
        Self::default().local_addr(local)
    }
}

impl From<DatagramSocket> for DatagramOptions {
    fn from(socket: DatagramSocket) -> Self {
        Self { socket: Some(socket), ..Self::default() }
    }
}

impl From<UdpSocket> for DatagramOptions {
    fn from(socket: UdpSocket) -> Self {
        DatagramSocket::from(socket).into()
    }
}

impl From<UnixDatagram> for DatagramOptions {
    fn from(socket: UnixDatagram) -> Self {
        DatagramSocket::from(socket).into()
    }
}

/// An address of a datagram endpoint: a host and a port, a port alone, an IP address, or the path of
/// a Unix socket, where one that begins with a zero byte is an abstract name (Linux).
#[derive(Clone, Debug)]
pub struct DatagramAddress(pub(super) Place);

#[derive(Clone, Debug)]
pub(super) enum Place {
    Host { host: String, port: u16 },
    Ip(SocketAddr),
    Unix(Address),
}

impl DatagramAddress {
    fn unix(path: PathBuf) -> Self {
        Self(Place::Unix(match path.as_os_str().as_bytes().strip_prefix(b"\0") {
            Some(name) => Address::Abstract(name.to_owned()),
            None => Address::Path(path),
        }))
    }
}

impl fmt::Display for DatagramAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Host { host, port } => write!(f, "{host}:{port}"),
            Place::Ip(address) => address.fmt(f),
            Place::Unix(address) => address.fmt(f),
        }
    }
}

impl From<(&str, u16)> for DatagramAddress {
    fn from((host, port): (&str, u16)) -> Self {
        (host.to_owned(), port).into()
    }
}

impl From<(String, u16)> for DatagramAddress {
    fn from((host, port): (String, u16)) -> Self {
        Self(Place::Host { host, port })
    }
}

impl From<u16> for DatagramAddress {
    fn from(port: u16) -> Self {
        ("", port).into()
    }
}

impl From<SocketAddr> for DatagramAddress {
    fn from(address: SocketAddr) -> Self {
        Self(Place::Ip(address))
    }
}

impl From<(IpAddr, u16)> for DatagramAddress {
    fn from(address: (IpAddr, u16)) -> Self {
        Self(Place::Ip(address.into()))
    }
}

impl From<(Ipv4Addr, u16)> for DatagramAddress {
    fn from(address: (Ipv4Addr, u16)) -> Self {
        Self(Place::Ip(address.into()))
    }
}

impl From<(Ipv6Addr, u16)> for DatagramAddress {
    fn from(address: (Ipv6Addr, u16)) -> Self {
        Self(Place::Ip(address.into()))
    }
}

impl From<&Path> for DatagramAddress {
    fn from(path: &Path) -> Self {
        Self::unix(path.to_owned())
    }
}

impl From<PathBuf> for DatagramAddress {
    fn from(path: PathBuf) -> Self {
        Self::unix(path)
    }
}

impl From<Address> for DatagramAddress {
    fn from(address: Address) -> Self {
        match address {
            Address::Ip(address) => Self(Place::Ip(address)),
            other => Self(Place::Unix(other)),
        }
    }
}
