//! What the tests share: sockets in pairs, and looking at what is left.

#[path = "../real_time/mod.rs"]
mod real_time;

pub(crate) use real_time::run_until;

use eventloop::TestLoop;
use socket2::{Domain, Socket, Type};
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// A connected pair of non-blocking Unix sockets.
pub(crate) fn unix_pair() -> (Rc<UnixStream>, Rc<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Rc::new(ours), Rc::new(theirs))
}

/// A connected pair of TCP sockets: ours non-blocking, theirs blocking.
pub(crate) fn tcp_pair() -> (Rc<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    theirs.set_nodelay(true).unwrap();
    ours.set_nonblocking(true).unwrap();
    (Rc::new(ours), theirs)
}

/// A non-blocking UDP socket of this machine.
pub(crate) fn udp() -> Rc<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    Rc::new(socket)
}

/// A non-blocking TCP socket that is not connected.
pub(crate) fn tcp() -> Rc<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
    Rc::new(socket)
}

/// So many bytes from a socket of the system, while the loop runs.
#[track_caller]
pub(crate) fn read_all(event_loop: &TestLoop, socket: &mut TcpStream, size: usize) -> Vec<u8> {
    socket.set_nonblocking(true).unwrap();
    let (mut received, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    run_until(event_loop, || {
        while let Ok(count) = socket.read(&mut buffer) {
            received.extend_from_slice(&buffer[..count]);
        }
        received.len() == size
    });
    received
}

/// Bytes that are different at every place for a while.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}

/// How many descriptors the loop watches, or owns.
pub(crate) fn watched(event_loop: &TestLoop) -> usize {
    event_loop.stats().sources
}
