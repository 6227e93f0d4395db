//! Many datagrams in each call: recvmmsg(2), then sendmmsg(2).

use super::LARGEST;
use crate::readiness::wait;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use tulipa::Exception;

/// So many datagrams in a call.
const BATCH: usize = 64;

pub(crate) fn serve(socket: &UdpSocket) -> Result<(), Exception> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, socket, EventData::new_u64(0), EventFlags::IN)?;
    let mut events = Vec::with_capacity(16);
    let mut buffers = vec![[0; LARGEST]; BATCH];
    let mut incoming = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut outgoing = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut senders = Vec::with_capacity(BATCH);
    let mut lengths = Vec::with_capacity(BATCH);
    loop {
        wait(&poll, &mut events, None)?;
        loop {
            senders.clear();
            lengths.clear();
            let flags = MsgFlags::MSG_DONTWAIT;
            let mut slices: Vec<_> =
                buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            match recvmmsg(socket.as_raw_fd(), &mut incoming, slices.iter_mut(), flags, None) {
                Ok(received) => {
                    for datagram in received {
                        senders.push(datagram.address);
                        lengths.push(datagram.bytes);
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
            let all = buffers.iter().zip(&lengths);
            let answers: Vec<_> =
                all.map(|(buffer, length)| [IoSlice::new(&buffer[..*length])]).collect();
            // What the network does not take is lost, as datagrams are.
            let _ = sendmmsg(
                socket.as_raw_fd(),
                &mut outgoing,
                answers.iter(),
                &senders,
                [],
                MsgFlags::MSG_DONTWAIT,
            );
            if lengths.len() < BATCH {
                break;
            }
        }
    }
}
