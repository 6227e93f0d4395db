//! [`SockTarget`]: whereto an operation on a raw socket goes.

use crate::Address;
use rustix::net::{SocketAddrAny, SocketAddrUnix};
use socket2::SockAddr;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whereto an operation on a raw socket goes: an address, or a host and a port. A path that begins with
/// a zero byte is an abstract name (Linux).
///
/// # Examples
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use tulipa_transports::SockTarget;
/// let by_name = SockTarget::from(("localhost", 80));
/// let by_address = SockTarget::from((IpAddr::from(Ipv4Addr::LOCALHOST), 80));
/// let by_path = SockTarget::from(std::path::Path::new("/run/mail.sock"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockTarget(pub(super) Place);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Address(Address),
    Host { host: String, port: u16 },
}

impl fmt::Display for SockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Address(address) => address.fmt(f),
            Place::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl From<Address> for SockTarget {
    fn from(address: Address) -> Self {
        Self(Place::Address(address))
    }
}

impl From<SocketAddr> for SockTarget {
    fn from(address: SocketAddr) -> Self {
        Address::Ip(address).into()
    }
}

impl From<(IpAddr, u16)> for SockTarget {
    fn from((ip, port): (IpAddr, u16)) -> Self {
        SocketAddr::new(ip, port).into()
    }
}

impl From<(&str, u16)> for SockTarget {
    fn from((host, port): (&str, u16)) -> Self {
        (host.to_owned(), port).into()
    }
}

impl From<(String, u16)> for SockTarget {
    /// An address that is written out is one.
    fn from((host, port): (String, u16)) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).into(),
            Err(_) => Self(Place::Host { host, port }),
        }
    }
}

impl From<&Path> for SockTarget {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<PathBuf> for SockTarget {
    fn from(path: PathBuf) -> Self {
        match path.as_os_str().as_bytes().strip_prefix(b"\0") {
            Some(name) => Address::Abstract(name.to_owned()).into(),
            None => Address::Path(path).into(),
        }
    }
}

/// As the system wants it.
pub(super) fn sock_addr(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(address) => Ok((*address).into()),
        Address::Path(path) => SockAddr::unix(path),
        Address::Abstract(name) => {
            let path = [b"\0", &name[..]].concat();
            SockAddr::unix(OsStr::from_bytes(&path))
        }
        Address::Unnamed => {
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "nobody has this address"))
        }
    }
}

/// As the system told it. Who has no name is unnamed.
pub(super) fn address_of(address: Option<SocketAddrAny>) -> Address {
    let Some(address) = address else { return Address::Unnamed };
    if let Ok(ip) = SocketAddr::try_from(address.clone()) {
        return Address::Ip(ip);
    }
    let Ok(unix) = SocketAddrUnix::try_from(address) else { return Address::Unnamed };
    #[cfg(target_os = "linux")]
    if let Some(name) = unix.abstract_name() {
        return Address::Abstract(name.to_vec());
    }
    match unix.path_bytes() {
        Some(path) => Address::Path(OsStr::from_bytes(path).into()),
        None => Address::Unnamed,
    }
}
