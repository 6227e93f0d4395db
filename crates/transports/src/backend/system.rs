//! What the systems do differently about stream sockets. Linux and the BSDs say it in the call, Apple's
//! systems in calls of their own.

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrAny};
use std::os::fd::{AsFd, OwnedFd};

/// Accepts a connection whose socket does not block and is not inherited by children.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn accept(listener: impl AsFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}

/// Accepts a connection whose socket does not block and is not inherited by children.
#[cfg(target_vendor = "apple")]
pub(crate) fn accept(listener: impl AsFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
    let (socket, peer) = rustix::net::acceptfrom(listener)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(&socket, true)?;
    Ok((socket, peer))
}

/// A peer that is gone must not kill the process.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

/// There is no such flag; [`never_signal`] says it once a socket.
#[cfg(target_vendor = "apple")]
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();

/// Sees to it that sending to a peer that is gone raises no signal.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn never_signal(_socket: impl AsFd) {}

/// Sees to it that sending to a peer that is gone raises no signal.
#[cfg(target_vendor = "apple")]
pub(crate) fn never_signal(socket: impl AsFd) {
    // Rust's runtime ignores the signal in ordinary programs anyway.
    let _ = socket2::SockRef::from(&socket).set_nosigpipe(true);
}

/// Whether an error of accept(2) concerns the connection that was to be accepted, not the listener.
pub(crate) fn is_about_one_connection(error: Errno) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if error == Errno::NONET {
        return true;
    }
    matches!(
        error,
        Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
            | Errno::PERM
            | Errno::TIMEDOUT
    )
}
