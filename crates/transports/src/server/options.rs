//! [`ServerOptions`] and [`UnixServerOptions`]: where a server listens, and how.

use crate::encryption::ServerEncryption;
use crate::limits::{ACCEPTED_LINGER, OutputLimits, output_limit_options};
use crate::streams::DEFAULT_LIMIT;
use crate::{Bytes, Family};
use futures::Exception;
use rustix::process::{Resource, getrlimit};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What servers of both kinds have in common.
#[derive(Clone, Debug)]
pub(crate) struct CommonOptions {
    pub(crate) backlog: u32,
    pub(crate) start_serving: bool,
    pub(crate) max_connections: Option<usize>,
    /// Where those that are too many are counted besides, for servers that belong together.
    pub(crate) shed: Option<Arc<AtomicU64>>,
    pub(crate) limits: OutputLimits,
    pub(crate) stream_limit: Bytes,
    pub(crate) encryption: ServerEncryption,
}

impl Default for CommonOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            start_serving: true,
            max_connections: None,
            shed: None,
            limits: OutputLimits { linger: ACCEPTED_LINGER, ..OutputLimits::default() },
            stream_limit: DEFAULT_LIMIT,
            encryption: Default::default(),
        }
    }
}

impl CommonOptions {
    /// Whether these are settings that can be used.
    pub(crate) fn check(&self) -> Result<(), Exception> {
        self.limits.marks.check()?;
        Ok(self.encryption.check()?)
    }

    pub(crate) fn limits(&self) -> Rc<OutputLimits> {
        Rc::new(self.limits)
    }

    pub(crate) fn most_connections(&self) -> usize {
        self.max_connections.unwrap_or_else(default_max_connections)
    }
}

/// The builder methods that both kinds of options have.
macro_rules! common_options {
    () => {
        /// How many connections may wait to be accepted. 1,024 by default (asyncio: 100, which a
        /// burst of clients overruns); the system may allow less.
        #[must_use]
        pub fn backlog(mut self, backlog: u32) -> Self {
            self.common.backlog = backlog;
            self
        }

        /// Whether the server listens when the creator's future is done, as it does by default, or
        /// only from [`Server::start_serving`](crate::Server::start_serving) on (N-20).
        #[must_use]
        pub fn start_serving(mut self, now: bool) -> Self {
            self.common.start_serving = now;
            self
        }

        /// How many connections the loop may have, those of other servers and clients included;
        /// more are accepted and closed at once, and counted. By default the limit of descriptors
        /// less 64, which are kept back for files, pipes and look-ups.
        #[must_use]
        pub fn max_connections(mut self, count: usize) -> Self {
            self.common.max_connections = Some(count);
            self
        }

        /// The limit of the [`StreamReader`](crate::streams::StreamReader)s: 64 KiB by default. It is
        /// for streams only (Y-1, Y-24).
        #[must_use]
        pub fn stream_limit(mut self, limit: crate::Bytes) -> Self {
            self.common.stream_limit = limit;
            self
        }

        output_limit_options!("30 seconds by default, `None` for as long as it takes.");
    };
}

/// Where a TCP server listens, and how.
///
/// Made from a host and a port, a port alone (all interfaces), an address, or a listening socket;
/// port 0 picks a free one, which [`Server::sockets`](crate::Server::sockets) tells.
///
/// # Examples
/// ```
/// use tulipa_transports::ServerOptions;
/// let options = ServerOptions::from(("127.0.0.1", 0)).backlog(64).keep_alive(true);
/// let everywhere = ServerOptions::from(8080).host("::1");
/// ```
#[derive(Debug)]
pub struct ServerOptions {
    pub(crate) place: Place,
    pub(crate) family: Option<Family>,
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
    pub(crate) keep_alive: bool,
    pub(crate) only_v6: bool,
    pub(crate) common: CommonOptions,
}

/// Where to listen: exactly one of these, by type (N-17).
#[derive(Debug)]
pub(crate) enum Place {
    /// No hosts: all interfaces.
    Hosts {
        hosts: Vec<String>,
        port: u16,
    },
    Address(SocketAddr),
    Listener(TcpListener),
}

/// So many descriptors are kept back for files, pipes and look-ups.
const KEPT_BACK: u64 = 64;

fn default_max_connections() -> usize {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(soft.saturating_sub(KEPT_BACK).max(1)).unwrap_or(usize::MAX)
}

impl ServerOptions {
    /// The same, to be used at other places.
    pub(crate) fn without_place(&self) -> Self {
        Self {
            place: Place::Hosts { hosts: Vec::new(), port: 0 },
            common: self.common.clone(),
            ..*self
        }
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            family: None,
            reuse_address: true,
            reuse_port: false,
            keep_alive: false,
            only_v6: true,
            common: CommonOptions::default(),
        }
    }

    /// One more host to listen on, at the same port. Addresses that several hosts share are used
    /// once (N-16). Without effect on a given address or socket.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        if let Place::Hosts { hosts, .. } = &mut self.place {
            hosts.push(host.into());
        }
        self
    }

    /// Listens on addresses of this family only.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Whether the address may be bound while connections of an earlier server linger
    /// (SO_REUSEADDR). On by default (N-18).
    #[must_use]
    pub fn reuse_address(mut self, enabled: bool) -> Self {
        self.reuse_address = enabled;
        self
    }

    /// Whether several processes may listen on the same port and share the connections
    /// (SO_REUSEPORT). Off by default.
    #[must_use]
    pub fn reuse_port(mut self, enabled: bool) -> Self {
        self.reuse_port = enabled;
        self
    }

    /// Whether the system probes silent connections (SO_KEEPALIVE). Off by default.
    #[must_use]
    pub fn keep_alive(mut self, enabled: bool) -> Self {
        self.keep_alive = enabled;
        self
    }

    /// Whether IPv6 listeners leave IPv4 alone (IPV6_V6ONLY). On by default, so that listening on
    /// all interfaces uses one socket for each family (N-18).
    #[must_use]
    pub fn only_v6(mut self, enabled: bool) -> Self {
        self.only_v6 = enabled;
        self
    }

    common_options!();
}

impl From<(&str, u16)> for ServerOptions {
    /// A host and a port. The empty host is all interfaces.
    fn from((host, port): (&str, u16)) -> Self {
        (host.to_owned(), port).into()
    }
}

impl From<(String, u16)> for ServerOptions {
    /// A host and a port. The empty host is all interfaces.
    fn from((host, port): (String, u16)) -> Self {
        let hosts = if host.is_empty() { Vec::new() } else { vec![host] };
        Self::at(Place::Hosts { hosts, port })
    }
}

impl From<u16> for ServerOptions {
    /// A port on all interfaces.
    fn from(port: u16) -> Self {
        Self::at(Place::Hosts { hosts: Vec::new(), port })
    }
}

impl From<SocketAddr> for ServerOptions {
    fn from(address: SocketAddr) -> Self {
        Self::at(Place::Address(address))
    }
}

impl From<(IpAddr, u16)> for ServerOptions {
    fn from(address: (IpAddr, u16)) -> Self {
        Self::at(Place::Address(address.into()))
    }
}

impl From<TcpListener> for ServerOptions {
    /// A socket that is bound, and may be listening already.
    fn from(listener: TcpListener) -> Self {
        Self::at(Place::Listener(listener))
    }
}

/// Where a Unix server listens, and how.
///
/// Made from a path, or a listening socket. A path that begins with a zero byte is an abstract name
/// (Linux).
///
/// # Examples
/// ```
/// use tulipa_transports::UnixServerOptions;
/// let options = UnixServerOptions::from("/run/mail.sock").cleanup_socket(false);
/// let hidden = UnixServerOptions::from("\0mail");
/// ```
#[derive(Debug)]
pub struct UnixServerOptions {
    pub(crate) place: UnixPlace,
    pub(crate) cleanup_socket: bool,
    pub(crate) common: CommonOptions,
}

#[derive(Debug)]
pub(crate) enum UnixPlace {
    Path(PathBuf),
    Listener(UnixListener),
}

impl UnixServerOptions {
    fn at(place: UnixPlace) -> Self {
        Self { place, cleanup_socket: true, common: CommonOptions::default() }
    }

    /// Whether the socket's file is removed when the server closes, if it is still the same one
    /// (N-40). On by default.
    #[must_use]
    pub fn cleanup_socket(mut self, enabled: bool) -> Self {
        self.cleanup_socket = enabled;
        self
    }

    common_options!();
}

impl From<&str> for UnixServerOptions {
    fn from(path: &str) -> Self {
        Self::at(UnixPlace::Path(path.into()))
    }
}

impl From<&[u8]> for UnixServerOptions {
    fn from(path: &[u8]) -> Self {
        Self::at(UnixPlace::Path(OsString::from_vec(path.to_vec()).into()))
    }
}

impl From<&Path> for UnixServerOptions {
    fn from(path: &Path) -> Self {
        Self::at(UnixPlace::Path(path.to_owned()))
    }
}

impl From<PathBuf> for UnixServerOptions {
    fn from(path: PathBuf) -> Self {
        Self::at(UnixPlace::Path(path))
    }
}

impl From<UnixListener> for UnixServerOptions {
    fn from(listener: UnixListener) -> Self {
        Self::at(UnixPlace::Listener(listener))
    }
}
