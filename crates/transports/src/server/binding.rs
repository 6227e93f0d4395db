//! Making the sockets of a server: bound, not listening yet. Either all that is needed is there, or
//! nothing is left.

use super::options::{ServerOptions, UnixPlace, UnixServerOptions};
use crate::backend::SocketKind;
use crate::{Address, Family};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A socket that is bound.
pub(crate) struct Bound {
    pub(super) socket: Socket,
    pub(super) kind: SocketKind,
    pub(super) file: Option<SocketFile>,
}

impl Bound {
    /// Where it is bound.
    pub(crate) fn address(&self) -> Option<Address> {
        Address::from_sock_addr(&self.socket.local_addr().ok()?)
    }
}

/// The addresses that mean "all interfaces", of one family or both (N-16).
pub(super) fn all_interfaces(port: u16, family: Option<Family>) -> Vec<SocketAddr> {
    let both = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
    both.into_iter().filter(|address| family.is_none_or(|family| family.matches(address))).collect()
}

/// Binds `addresses`. A family that the system lacks, or an address that it does not have, is left
/// out; none left is an error, and so is any other failure (N-19).
pub(super) fn bind_all(
    addresses: &[SocketAddr],
    options: &ServerOptions,
) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::new();
    let mut skipped = Vec::new();
    for address in addresses {
        match bind(*address, options) {
            Ok(socket) => bound.push(Bound { socket, kind: SocketKind::Tcp, file: None }),
            Err(failure) => {
                let skip = failure.skippable;
                skipped.push((Address::Ip(*address), failure.error));
                if !skip {
                    return Err(BindError { failures: skipped.split_off(skipped.len() - 1) });
                }
            }
        }
    }
    if bound.is_empty() { Err(BindError { failures: skipped }) } else { Ok(bound) }
}

struct Failure {
    error: io::Error,
    skippable: bool,
}

fn bind(address: SocketAddr, options: &ServerOptions) -> Result<Socket, Failure> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None)
        .map_err(|error| Failure { error, skippable: true })?;
    let configure = || {
        socket.set_reuse_address(options.reuse_address)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if options.keep_alive {
            socket.set_keepalive(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(options.only_v6)?;
        }
        // Accepted sockets inherit it, which saves a call for each.
        socket.set_tcp_nodelay(true)
    };
    configure().map_err(|error| Failure { error, skippable: false })?;
    match socket.bind(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) => {
            let skippable = error.raw_os_error() == Some(Errno::ADDRNOTAVAIL.raw_os_error());
            Err(Failure { error, skippable })
        }
    }
}

/// Takes over a listener that somebody else made.
pub(super) fn adopt(socket: Socket, kind: SocketKind, cleanup: bool) -> io::Result<Bound> {
    socket.set_nonblocking(true)?;
    if kind == SocketKind::Tcp {
        socket.set_tcp_nodelay(true)?;
    }
    let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
    let file = path.filter(|_| cleanup).and_then(SocketFile::of);
    Ok(Bound { socket, kind, file })
}

/// Binds a Unix socket. A socket's file that is left over at its path is removed; anything else
/// there is an error (N-39).
pub(super) fn bind_unix(options: UnixServerOptions) -> Result<Bound, BindError> {
    let path = match options.place {
        UnixPlace::Listener(listener) => {
            let cleanup = options.cleanup_socket;
            return adopt(listener.into(), SocketKind::Unix, cleanup)
                .map_err(|error| BindError::one(Address::Unnamed, error));
        }
        UnixPlace::Path(path) => path,
    };
    let bytes = path.as_os_str().as_bytes();
    let address = match bytes.strip_prefix(b"\0") {
        Some(name) => Address::Abstract(name.to_owned()),
        None => Address::Path(path.clone()),
    };
    let is_file = matches!(address, Address::Path(_));
    let bind = || {
        if is_file {
            remove_stale(&path)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        Ok(socket)
    };
    let socket = bind().map_err(|error: io::Error| BindError::one(address, error))?;
    let file = if is_file && options.cleanup_socket { SocketFile::of(path) } else { None };
    Ok(Bound { socket, kind: SocketKind::Unix, file })
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "the address is already in use by something that is not a socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a Unix socket, to be removed at the end if it is still the same one (N-40).
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    pub(crate) fn of(path: PathBuf) -> Option<Self> {
        let found = fs::symlink_metadata(&path).ok()?;
        Some(Self { path, device: found.dev(), inode: found.ino() })
    }

    /// Removes the file, unless it is gone, or somebody else's by now.
    pub(crate) fn remove(&self) {
        let Ok(found) = fs::symlink_metadata(&self.path) else { return };
        if (found.dev(), found.ino()) != (self.device, self.inode) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!(target: "tulipa", "cannot remove the socket {}: {error}", self.path.display());
        }
    }
}

/// A server that cannot listen: on this address, or on any of several. (`Error::source` is the
/// system's answer for a single address; of several, the message has all.)
#[derive(Debug)]
pub struct BindError {
    failures: Vec<(Address, io::Error)>,
}

impl BindError {
    pub(super) fn one(address: Address, error: io::Error) -> Self {
        Self { failures: vec![(address, error)] }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failures[..] {
            [(address, _)] => write!(f, "cannot listen on {address}"),
            all => {
                f.write_str("cannot listen on any of")?;
                for (index, (address, error)) in all.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {address} ({error})")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.failures[..] {
            [(_, error)] => Some(error),
            _ => None, // the message has them all
        }
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        let kind = error.failures.first().map_or(io::ErrorKind::Other, |(_, cause)| cause.kind());
        io::Error::new(kind, error)
    }
}
