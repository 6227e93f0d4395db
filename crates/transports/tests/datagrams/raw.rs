//! A socket option that no dependency offers safely.
#![allow(unsafe_code)]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Has the system queue the errors that come back to `socket`, those of an unconnected one too
/// (IP_RECVERR).
pub(crate) fn queue_errors(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option is an int, of which address and size are given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_RECVERR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    assert_eq!(done, 0);
}
