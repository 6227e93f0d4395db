//! [`ConnectOptions`] and [`UnixConnectOptions`]: where to connect to, and how.

use crate::encryption::ClientEncryption;
use crate::limits::{OutputLimits, output_limit_options};
use crate::streams::DEFAULT_LIMIT;
use crate::{Bytes, Family, StreamSocket};
use futures::Exception;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What both kinds of connections have in common.
#[derive(Clone, Debug)]
pub(crate) struct CommonOptions {
    pub(crate) deadline: Duration,
    pub(crate) limits: OutputLimits,
    pub(crate) stream_limit: Bytes,
    pub(crate) encryption: ClientEncryption,
}

impl CommonOptions {
    /// Whether these are settings that can be used.
    pub(crate) fn check(&self) -> Result<(), Exception> {
        self.limits.marks.check()?;
        Ok(self.encryption.check()?)
    }
}

impl Default for CommonOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            limits: OutputLimits::default(),
            stream_limit: DEFAULT_LIMIT,
            encryption: Default::default(),
        }
    }
}

/// The builder methods that both kinds of options have.
macro_rules! common_options {
    () => {
        /// How long it may take, all addresses and the look-up included. 30 seconds by default.
        #[must_use]
        pub fn deadline(mut self, deadline: Duration) -> Self {
            self.common.deadline = deadline;
            self
        }

        /// The limit of the [`StreamReader`](crate::streams::StreamReader)s: 64 KiB by default. It is
        /// for streams only (Y-1, Y-24).
        #[must_use]
        pub fn stream_limit(mut self, limit: crate::Bytes) -> Self {
            self.common.stream_limit = limit;
            self
        }

        output_limit_options!("By default as long as it takes.");
    };
}

/// Where to connect to, and how.
///
/// Made from a host and a port, an address, or a connected socket, which the transport then owns.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::{ConnectOptions, Family};
/// let options = ConnectOptions::from(("localhost", 80))
///     .family(Family::V4)
///     .local_addr("127.0.0.1:0".parse().unwrap())
///     .deadline(Duration::from_secs(5));
/// ```
#[derive(Debug)]
pub struct ConnectOptions {
    pub(crate) target: Target,
    pub(crate) family: Option<Family>,
    pub(crate) local_addr: Option<SocketAddr>,
    pub(crate) eyeballs: Eyeballs,
    pub(crate) common: CommonOptions,
}

/// How several addresses are tried (N-14).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eyeballs {
    /// After how long the next one is tried, while those before it are still under way.
    pub(crate) delay: Option<Duration>,
    /// See [`ConnectOptions::interleave`].
    first_count: Option<usize>,
}

impl Eyeballs {
    const DELAY: Duration = Duration::from_millis(250);
    /// RFC 8305, section 5.
    const LEAST_DELAY: Duration = Duration::from_millis(10);

    pub(crate) fn first_count(self) -> usize {
        self.first_count.unwrap_or(usize::from(self.delay.is_some()))
    }
}

/// Whereto: exactly one of these, by type (N-7).
#[derive(Debug)]
pub(crate) enum Target {
    Host { host: String, port: u16 },
    Address(SocketAddr),
    Socket(StreamSocket),
}

impl ConnectOptions {
    fn to(target: Target) -> Self {
        Self {
            target,
            family: None,
            local_addr: None,
            eyeballs: Eyeballs { delay: Some(Eyeballs::DELAY), first_count: None },
            common: CommonOptions::default(),
        }
    }

    /// The same once more; `None` for a socket, which is used once.
    pub(crate) fn again(&self) -> Option<Self> {
        let target = match &self.target {
            Target::Host { host, port } => Target::Host { host: host.clone(), port: *port },
            Target::Address(address) => Target::Address(*address),
            Target::Socket(_) => return None,
        };
        let common = self.common.clone();
        Some(Self { target, common, ..*self })
    }

    /// Connects to addresses of this family only (N-13).
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// The address to connect from; port 0 for any. Addresses of the other family are left out
    /// (N-9). With a port, which only one attempt can have, a host's addresses are tried one after the
    /// other.
    #[must_use]
    pub fn local_addr(mut self, address: SocketAddr) -> Self {
        self.local_addr = Some(address);
        self
    }

    /// How long an attempt at one of several addresses has before the next is tried beside it ("happy
    /// eyeballs", RFC 8305). 250 milliseconds by default, 10 at least; with `None` the next is tried
    /// only when the one before has failed (N-14).
    #[must_use]
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.eyeballs.delay = delay.into().map(|delay| delay.max(Eyeballs::LEAST_DELAY));
        self
    }

    /// How many addresses of the family that the resolver put first are tried before one of the other
    /// family is; from then on the families take turns. With 0 the order is the resolver's. By default
    /// 1 with a [delay](ConnectOptions::happy_eyeballs_delay), and 0 without (N-14).
    #[must_use]
    pub fn interleave(mut self, first_family_count: usize) -> Self {
        self.eyeballs.first_count = Some(first_family_count);
        self
    }

    common_options!();
}

impl From<(&str, u16)> for ConnectOptions {
    fn from((host, port): (&str, u16)) -> Self {
        (host.to_owned(), port).into()
    }
}

impl From<(String, u16)> for ConnectOptions {
    fn from((host, port): (String, u16)) -> Self {
        Self::to(Target::Host { host, port })
    }
}

impl From<SocketAddr> for ConnectOptions {
    fn from(address: SocketAddr) -> Self {
        Self::to(Target::Address(address))
    }
}

impl From<(IpAddr, u16)> for ConnectOptions {
    fn from(address: (IpAddr, u16)) -> Self {
        Self::to(Target::Address(address.into()))
    }
}

impl From<StreamSocket> for ConnectOptions {
    fn from(socket: StreamSocket) -> Self {
        Self::to(Target::Socket(socket))
    }
}

impl From<TcpStream> for ConnectOptions {
    fn from(socket: TcpStream) -> Self {
        Self::to(Target::Socket(socket.into()))
    }
}

/// Which Unix socket to connect to, and how.
///
/// Made from a path, or a connected socket. A path that begins with a zero byte is an abstract name
/// (Linux).
///
/// # Examples
/// ```
/// use tulipa_transports::UnixConnectOptions;
/// let options = UnixConnectOptions::from("/run/mail.sock");
/// ```
#[derive(Debug)]
pub struct UnixConnectOptions {
    pub(crate) target: UnixTarget,
    pub(crate) common: CommonOptions,
}

#[derive(Debug)]
pub(crate) enum UnixTarget {
    Path(PathBuf),
    Socket(StreamSocket),
}

impl UnixConnectOptions {
    fn to(target: UnixTarget) -> Self {
        Self { target, common: CommonOptions::default() }
    }

    /// The same once more; `None` for a socket, which is used once.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.target {
            UnixTarget::Path(path) => {
                let target = UnixTarget::Path(path.clone());
                Some(Self { target, common: self.common.clone() })
            }
            UnixTarget::Socket(_) => None,
        }
    }

    common_options!();
}

impl From<&str> for UnixConnectOptions {
    fn from(path: &str) -> Self {
        Self::to(UnixTarget::Path(path.into()))
    }
}

impl From<&[u8]> for UnixConnectOptions {
    fn from(path: &[u8]) -> Self {
        Self::to(UnixTarget::Path(OsString::from_vec(path.to_vec()).into()))
    }
}

impl From<&Path> for UnixConnectOptions {
    fn from(path: &Path) -> Self {
        Self::to(UnixTarget::Path(path.to_owned()))
    }
}

impl From<PathBuf> for UnixConnectOptions {
    fn from(path: PathBuf) -> Self {
        Self::to(UnixTarget::Path(path))
    }
}

impl From<UnixStream> for UnixConnectOptions {
    fn from(socket: UnixStream) -> Self {
        Self::to(UnixTarget::Socket(socket.into()))
    }
}

impl From<StreamSocket> for UnixConnectOptions {
    fn from(socket: StreamSocket) -> Self {
        Self::to(UnixTarget::Socket(socket))
    }
}
