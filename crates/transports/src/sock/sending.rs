//! `sock_sendall` and `sock_sendto`.

use super::operation::{Attempt, Base, BufferWork, SockOperation, sealed::Work};
use super::target::{Place, SockTarget, sock_addr};
use crate::backend::system::SEND_FLAGS;
use eventloop::Direction;
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use socket2::{SockAddr, SockRef};
use std::io;

/// So much is handed over in one turn, then the others get theirs.
const BYTES_A_TURN: usize = 256 * 1024;

/// Never waits, whatever the socket's own flag says: it is the loop that would stand still.
pub(super) fn flags() -> SendFlags {
    SEND_FLAGS | SendFlags::DONTWAIT
}

/// See [`SocketLoop::sock_sendall`](crate::SocketLoop::sock_sendall).
pub struct SendAll<D> {
    pub(super) data: Option<D>,
    pub(super) sent: usize,
}

impl<D: AsRef<[u8]>> Work for SendAll<D> {
    type Output = D;
    const NAME: &'static str = "sock_sendall";
    const DIRECTION: Direction = Direction::Write;

    fn attempt(&mut self, base: &Base) -> Attempt<D> {
        let data = self.data.as_ref().map_or(&[][..], AsRef::as_ref);
        let turn_ends = self.sent.saturating_add(BYTES_A_TURN);
        while self.sent < data.len() {
            if self.sent >= turn_ends {
                return Attempt::After(base.next_turn());
            }
            let rest = &data[self.sent..data.len().min(turn_ends)];
            match retry_on_intr(|| rustix::net::send(base.socket(), rest, flags())) {
                Ok(sent) => self.sent += sent,
                Err(error) => return Err(io::Error::from(error)).into(),
            }
        }
        done(&mut self.data)
    }
}

impl<D: AsRef<[u8]>> BufferWork for SendAll<D> {
    type Buffer = D;

    fn take_buffer(&mut self) -> Option<D> {
        self.data.take()
    }
}

impl<D: AsRef<[u8]>> SockOperation<SendAll<D>> {
    /// How much was handed over to the system so far; how much of that the peer will get, nobody knows
    /// (N-45).
    pub fn sent(&self) -> usize {
        self.work().sent
    }
}

/// See [`SocketLoop::sock_sendto`](crate::SocketLoop::sock_sendto).
pub struct SendTo<D> {
    pub(super) data: Option<D>,
    pub(super) target: SockTarget,
    pub(super) address: Option<SockAddr>,
}

impl<D: AsRef<[u8]>> Work for SendTo<D> {
    type Output = (usize, D);
    const NAME: &'static str = "sock_sendto";
    const DIRECTION: Direction = Direction::Write;

    fn attempt(&mut self, base: &Base) -> Attempt<(usize, D)> {
        let data = self.data.as_ref().map_or(&[][..], AsRef::as_ref);
        let address = match (self.address.take(), &self.target.0) {
            (Some(address), _) => Ok(address),
            (None, Place::Address(address)) => sock_addr(address),
            (None, Place::Host { .. }) => {
                let message = "names are not looked up for datagrams";
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        };
        let sent = address.and_then(|address| {
            let sent = send_to(base, data, &address);
            self.address = Some(address);
            sent
        });
        match (Attempt::from(sent), self.data.take()) {
            (Attempt::Done(sent), Some(data)) => Attempt::Done((sent, data)),
            (Attempt::Blocked, kept) => {
                self.data = kept;
                Attempt::Blocked
            }
            (Attempt::Failed(exception), kept) => {
                self.data = kept;
                Attempt::Failed(exception)
            }
            (Attempt::Done(_) | Attempt::After(_) | Attempt::Later(_), _) => taken(),
        }
    }

    fn target(&self) -> Option<String> {
        Some(self.target.to_string())
    }
}

fn send_to(base: &Base, data: &[u8], address: &SockAddr) -> io::Result<usize> {
    let socket = base.socket();
    // The bits are the system's own.
    let flags = flags().bits().cast_signed();
    loop {
        match SockRef::from(&socket).send_to_with_flags(data, address, flags) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

impl<D: AsRef<[u8]>> BufferWork for SendTo<D> {
    type Buffer = D;

    fn take_buffer(&mut self) -> Option<D> {
        self.data.take()
    }
}

/// All was handed over: the buffer goes back.
fn done<D>(data: &mut Option<D>) -> Attempt<D> {
    match data.take() {
        Some(data) => Attempt::Done(data),
        None => taken(),
    }
}

fn taken<T>() -> Attempt<T> {
    Attempt::Failed(io::Error::other("the buffer was taken").into())
}
