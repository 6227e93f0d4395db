//! One datagram in each call, until there are no more.

use super::LARGEST;
use crate::readiness::wait;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io::ErrorKind;
use std::net::UdpSocket;
use tulipa::Exception;

pub(crate) fn serve(socket: &UdpSocket) -> Result<(), Exception> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, socket, EventData::new_u64(0), EventFlags::IN)?;
    let mut events = Vec::with_capacity(16);
    let mut buffer = [0; LARGEST];
    loop {
        wait(&poll, &mut events, None)?;
        loop {
            let (count, sender) = match socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            // What the network does not take is lost, as datagrams are.
            let _ = socket.send_to(&buffer[..count], sender);
        }
    }
}
