//! `sock_recv`, `sock_recvfrom`, and the same into the caller's buffers; `sock_accept`.

use super::operation::{Attempt, Base, BufferWork, sealed::Work};
use super::target::address_of;
use crate::Address;
use crate::backend::system;
use crate::loop_shared::LoopShared;
use eventloop::Direction;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::RecvFlags;
use std::io;
use std::os::fd::OwnedFd;

/// Never waits, whatever the socket's own flag says: it is the loop that would stand still.
const FLAGS: RecvFlags = RecvFlags::DONTWAIT;

/// See [`SocketLoop::sock_recv`](crate::SocketLoop::sock_recv).
pub struct Recv {
    pub(super) most: usize,
}

impl Work for Recv {
    type Output = Vec<u8>;
    const NAME: &'static str = "sock_recv";
    const DIRECTION: Direction = Direction::Read;

    fn attempt(&mut self, base: &Base) -> Attempt<Vec<u8>> {
        with_space(base, self.most, |space| {
            let (received, _) =
                retry_on_intr(|| rustix::net::recv(base.socket(), &mut *space, FLAGS))?;
            Ok(space[..received].to_vec())
        })
    }
}

/// See [`SocketLoop::sock_recvfrom`](crate::SocketLoop::sock_recvfrom).
pub struct RecvFrom {
    pub(super) most: usize,
}

impl Work for RecvFrom {
    type Output = (Vec<u8>, Address);
    const NAME: &'static str = "sock_recvfrom";
    const DIRECTION: Direction = Direction::Read;

    fn attempt(&mut self, base: &Base) -> Attempt<(Vec<u8>, Address)> {
        with_space(base, self.most, |space| {
            let (received, _, sender) =
                retry_on_intr(|| rustix::net::recvfrom(base.socket(), &mut *space, FLAGS))?;
            Ok((space[..received].to_vec(), address_of(sender)))
        })
    }
}

/// Whoever asks for more is given this much.
const LARGEST: usize = 1024 * 1024;

/// Receives into the loop's buffer, so that whoever waits holds none meanwhile.
fn with_space<T>(
    base: &Base,
    most: usize,
    receive: impl FnOnce(&mut [u8]) -> io::Result<T>,
) -> Attempt<T> {
    let most = most.min(LARGEST);
    let shared = LoopShared::of(&*base.event_loop);
    let mut buffer = shared.take_read_buffer();
    let received = match buffer.get_mut(..most) {
        Some(space) => receive(space),
        None => receive(&mut vec![0; most]),
    };
    shared.give_back_read_buffer(buffer);
    received.into()
}

/// See [`SocketLoop::sock_recv_into`](crate::SocketLoop::sock_recv_into).
pub struct RecvInto<B> {
    pub(super) buffer: Option<B>,
}

impl<B: AsMut<[u8]>> Work for RecvInto<B> {
    type Output = (usize, B);
    const NAME: &'static str = "sock_recv_into";
    const DIRECTION: Direction = Direction::Read;

    fn attempt(&mut self, base: &Base) -> Attempt<(usize, B)> {
        let received = with_buffer(&mut self.buffer, None, |space| {
            let (_, received) =
                retry_on_intr(|| rustix::net::recv(base.socket(), &mut *space, FLAGS))?;
            Ok(received)
        });
        finish(received, &mut self.buffer, |received, buffer| (received, buffer))
    }
}

impl<B: AsMut<[u8]>> BufferWork for RecvInto<B> {
    type Buffer = B;

    fn take_buffer(&mut self) -> Option<B> {
        self.buffer.take()
    }
}

/// See [`SocketLoop::sock_recvfrom_into`](crate::SocketLoop::sock_recvfrom_into).
pub struct RecvFromInto<B> {
    pub(super) buffer: Option<B>,
    pub(super) most: Option<usize>,
}

impl<B: AsMut<[u8]>> Work for RecvFromInto<B> {
    type Output = (usize, Address, B);
    const NAME: &'static str = "sock_recvfrom_into";
    const DIRECTION: Direction = Direction::Read;

    fn attempt(&mut self, base: &Base) -> Attempt<(usize, Address, B)> {
        let received = with_buffer(&mut self.buffer, self.most, |space| {
            let (_, received, sender) =
                retry_on_intr(|| rustix::net::recvfrom(base.socket(), &mut *space, FLAGS))?;
            Ok((received, address_of(sender)))
        });
        finish(received, &mut self.buffer, |(received, sender), buffer| (received, sender, buffer))
    }
}

impl<B: AsMut<[u8]>> BufferWork for RecvFromInto<B> {
    type Buffer = B;

    fn take_buffer(&mut self) -> Option<B> {
        self.buffer.take()
    }
}

/// Receives into the caller's buffer, or as many bytes of it.
fn with_buffer<B: AsMut<[u8]>, T>(
    buffer: &mut Option<B>,
    most: Option<usize>,
    receive: impl FnOnce(&mut [u8]) -> io::Result<T>,
) -> io::Result<T> {
    let space = buffer.as_mut().map_or(&mut [][..], AsMut::as_mut);
    let size = space.len();
    match space.get_mut(..most.unwrap_or(size)) {
        Some(space) => receive(space),
        None => {
            let most = most.unwrap_or(size);
            let message = format!("{most} bytes do not fit into a buffer of {size}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// The buffer goes along with what was received; else it stays here.
fn finish<B, T, R>(
    received: io::Result<T>,
    buffer: &mut Option<B>,
    give: impl FnOnce(T, B) -> R,
) -> Attempt<R> {
    match (Attempt::from(received), buffer.take()) {
        (Attempt::Done(received), Some(taken)) => Attempt::Done(give(received, taken)),
        (Attempt::Blocked, kept) => {
            *buffer = kept;
            Attempt::Blocked
        }
        (Attempt::Failed(exception), kept) => {
            *buffer = kept;
            Attempt::Failed(exception)
        }
        (Attempt::Done(_) | Attempt::After(_) | Attempt::Later(_), _) => {
            Attempt::Failed(io::Error::other("the buffer was taken").into())
        }
    }
}

/// See [`SocketLoop::sock_accept`](crate::SocketLoop::sock_accept).
pub struct Accept {
    pub(super) checked: bool,
}

impl Work for Accept {
    type Output = (OwnedFd, Address);
    const NAME: &'static str = "sock_accept";
    const DIRECTION: Direction = Direction::Read;

    fn attempt(&mut self, base: &Base) -> Attempt<(OwnedFd, Address)> {
        if !self.checked {
            if let Err(error) = base.check_non_blocking() {
                return Attempt::Failed(error.into());
            }
            self.checked = true;
        }
        for _ in 0..ABORTED_A_TURN {
            match system::accept(base.socket()) {
                Ok((socket, peer)) => return Attempt::Done((socket, address_of(peer))),
                Err(error)
                    if system::is_about_one_connection(error) && error != Errno::OPNOTSUPP => {}
                Err(error) => return Err(io::Error::from(error)).into(),
            }
        }
        Attempt::After(base.next_turn())
    }
}

/// So many connections that were gone before they were accepted, and the others get their turn.
const ABORTED_A_TURN: usize = 64;
