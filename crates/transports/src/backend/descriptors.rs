//! Descriptors that travel along with bytes, over Unix sockets (SCM_RIGHTS).
//!
//! Whatever the system gives us is owned at once, and not inherited by children; what is not wanted is
//! closed by being dropped.

use super::system::SEND_FLAGS;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// So many descriptors go along with one piece of data (SCM_MAX_FD).
pub(crate) const MOST_AT_ONCE: usize = 253;

/// Room for as many, and for the name of the sender, which comes first if the socket was told to ask for
/// it (SO_PASSCRED): what does not fit is lost.
#[cfg(target_os = "linux")]
const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST_AT_ONCE), ScmCredentials(1));
#[cfg(not(target_os = "linux"))]
const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST_AT_ONCE));

/// Sends as much of `data` as is taken now, and all of `descriptors` with its first byte.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    data: &[u8],
    descriptors: &[OwnedFd],
    flags: SendFlags,
) -> io::Result<usize> {
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
    let sent = retry_on_intr(|| {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(Errno::INVAL);
        }
        rustix::net::sendmsg(socket, &[IoSlice::new(data)], &mut control, SEND_FLAGS | flags)
    });
    Ok(sent?)
}

/// Reads what is there into `buffer`, and the descriptors that came along into `found`.
///
/// # Errors
/// What the system says; of the kind of EMFILE, if descriptors got lost because the process may have no
/// more: what was read then is lost too.
pub(crate) fn recv(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    found: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let parts = &mut [IoSliceMut::new(buffer)];
        rustix::net::recvmsg(socket, parts, &mut control, flags | CLOSE_ON_EXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            found.extend(descriptors);
        }
    }
    #[cfg(target_vendor = "apple")]
    for descriptor in &*found {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::MFILE.into());
    }
    Ok(received.bytes)
}

#[cfg(not(target_vendor = "apple"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();
