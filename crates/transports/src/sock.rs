//! [`SocketLoop`]: operations on sockets that stay the caller's, for who wants neither transports nor
//! streams.

mod claim;
mod connecting;
mod error;
mod operation;
mod receiving;
mod sending;
mod sending_file;
mod target;

pub use error::SockError;
pub use operation::{BufferWork, SockOperation, Work};
pub use target::SockTarget;

/// What operations do, for their types' sake.
pub mod works {
    pub use super::connecting::Connect;
    pub use super::receiving::{Accept, Recv, RecvFrom, RecvFromInto, RecvInto};
    pub use super::sending::{SendAll, SendTo};
    pub use super::sending_file::SendFileWork;
}

use crate::{SendFile, Transport};
use eventloop::AbstractEventLoop;
use futures::Future;
use std::os::fd::AsFd;
use works::{
    Accept, Connect, Recv, RecvFrom, RecvFromInto, RecvInto, SendAll, SendFileWork, SendTo,
};

/// Operations on non-blocking sockets that stay the caller's, on every [`AbstractEventLoop`]: the PEP's
/// `sock_…` calls.
///
/// A socket is handed over as something that can be cloned and keeps it open, such as an `Rc<TcpStream>`
/// (N-42). Each operation is something to await (see [`SockOperation`]); it tries first, and waits only
/// if it has to (N-43). Where there is no coroutine, `create_task` and `run_coroutine` take it.
///
/// For each direction of a socket one operation may be under way; a second one fails with
/// `ResourceBusy` (N-47), and so does one on a socket that belongs to a transport, or has a callback from
/// `add_reader` or `add_writer` (N-48). Errors are `io::Error`s around a [`SockError`].
///
/// Operations that are always ready still let the others run: every so often one waits for its turn.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use std::{os::unix::net::UnixStream, rc::Rc};
/// use tulipa_transports::SocketLoop;
/// let event_loop = EventLoop::new()?;
/// let (ours, theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// theirs.set_nonblocking(true)?;
/// let (ours, theirs, handle) = (Rc::new(ours), Rc::new(theirs), event_loop.handle());
/// let answer = event_loop.run_coroutine(async move {
///     handle.sock_sendall(&ours, b"tulip").await?;
///     handle.sock_recv(&theirs, 1024).await
/// })?;
/// assert_eq!(answer, b"tulip");
/// # Ok::<(), futures::Exception>(())
/// ```
pub trait SocketLoop: AbstractEventLoop {
    /// Receives at most `most` bytes, and at most 1 MiB, whatever is there. No bytes are the end of the stream (N-45), or
    /// an empty datagram; or what was asked for was nothing.
    ///
    /// A wait that is cancelled loses nothing. While it waits no buffer is held.
    fn sock_recv<S: AsFd + Clone + 'static>(&self, socket: &S, most: usize) -> SockOperation<Recv> {
        SockOperation::new(self.to_event_loop(), socket, Recv { most })
    }

    /// As [`sock_recv`](SocketLoop::sock_recv), into `buffer`, which comes back together with the number
    /// of bytes that were filled. After an error, or a cancellation, it can be had from
    /// [`into_buffer`](SockOperation::into_buffer).
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use std::{io::Write, os::unix::net::UnixStream, rc::Rc};
    /// use tulipa_transports::SocketLoop;
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let ours = Rc::new(ours);
    /// theirs.write_all(b"tulip")?;
    /// let receiving = event_loop.sock_recv_into(&ours, [0; 16]);
    /// let (count, buffer) = event_loop.run_coroutine(receiving)?;
    /// assert_eq!(buffer[..count], *b"tulip");
    /// # Ok::<(), futures::Exception>(())
    /// ```
    fn sock_recv_into<S: AsFd + Clone + 'static, B: AsMut<[u8]>>(
        &self,
        socket: &S,
        buffer: B,
    ) -> SockOperation<RecvInto<B>> {
        SockOperation::new(self.to_event_loop(), socket, RecvInto { buffer: Some(buffer) })
    }

    /// Receives one datagram, of which at most `most` bytes are kept, and its sender.
    fn sock_recvfrom<S: AsFd + Clone + 'static>(
        &self,
        socket: &S,
        most: usize,
    ) -> SockOperation<RecvFrom> {
        SockOperation::new(self.to_event_loop(), socket, RecvFrom { most })
    }

    /// As [`sock_recvfrom`](SocketLoop::sock_recvfrom), into `buffer`, or the first `most` bytes of it;
    /// more than it has are an error (N-45). Gives the number of bytes, the sender, and the buffer.
    fn sock_recvfrom_into<S: AsFd + Clone + 'static, B: AsMut<[u8]>>(
        &self,
        socket: &S,
        buffer: B,
        most: Option<usize>,
    ) -> SockOperation<RecvFromInto<B>> {
        let buffer = Some(buffer);
        SockOperation::new(self.to_event_loop(), socket, RecvFromInto { buffer, most })
    }

    /// Hands all of `data` over to the system, in pieces as the peer takes them, and gives it back
    /// (N-45). [`sent`](SockOperation::sent) says how much was handed over so far, also after an error.
    ///
    /// Awaited again after a cancellation, it goes on with the rest.
    fn sock_sendall<S: AsFd + Clone + 'static, D: AsRef<[u8]>>(
        &self,
        socket: &S,
        data: D,
    ) -> SockOperation<SendAll<D>> {
        SockOperation::new(self.to_event_loop(), socket, SendAll { data: Some(data), sent: 0 })
    }

    /// Sends `data` as one datagram to `target`, which must be an address: names are not looked up.
    /// Gives the number of bytes that were sent, and `data`.
    fn sock_sendto<S: AsFd + Clone + 'static, D: AsRef<[u8]>>(
        &self,
        socket: &S,
        data: D,
        target: impl Into<SockTarget>,
    ) -> SockOperation<SendTo<D>> {
        let work = SendTo { data: Some(data), target: target.into(), address: None };
        SockOperation::new(self.to_event_loop(), socket, work)
    }

    /// Connects the socket to `target`. The name of a host is looked up in the socket's family, and its
    /// first address taken (N-46). While the queue of a Unix server is full, it is tried again and again:
    /// give it a deadline.
    ///
    /// Cancelling it leaves the socket to the caller as it is; the system may go on connecting.
    fn sock_connect<S: AsFd + Clone + 'static>(
        &self,
        socket: &S,
        target: impl Into<SockTarget>,
    ) -> SockOperation<Connect> {
        SockOperation::new(self.to_event_loop(), socket, Connect::new(target.into()))
    }

    /// Sends a file over the socket, which must be a non-blocking stream (N-53): as
    /// [`sendfile`](SocketLoop::sendfile) does over a transport. Gives how many bytes were sent.
    ///
    /// Awaited again after a cancellation, it goes on with the rest. After an error it does not: see
    /// [`SendFileError`](crate::SendFileError) for how much was sent.
    fn sock_sendfile<S: AsFd + Clone + 'static>(
        &self,
        socket: &S,
        file: impl Into<SendFile>,
    ) -> SockOperation<SendFileWork> {
        SockOperation::new(self.to_event_loop(), socket, SendFileWork::new(file.into()))
    }

    /// Sends a file over a transport: [`WriteTransport::send_file`](crate::WriteTransport::send_file) by
    /// the PEP's name.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use std::{fs::File, io::Read, net::{TcpListener, TcpStream}};
    /// use tulipa_transports::{SendFile, prelude::*};
    /// # struct Quiet;
    /// # impl Protocol for Quiet {
    /// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
    /// # }
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let ours = TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// let event_loop = EventLoop::new()?;
    /// let opening = event_loop.connect_accepted_socket(|| Quiet, ours);
    /// let transport = event_loop.run_until_complete(&opening)?;
    /// let file = SendFile::from(File::open(std::env::current_exe()?)?).count(1000);
    /// let sending = event_loop.sendfile(&*transport, file);
    /// assert_eq!(event_loop.run_until_complete(&sending)?, 1000);
    /// peer.read_exact(&mut [0; 1000])?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    fn sendfile(&self, transport: &dyn Transport, file: impl Into<SendFile>) -> Future<u64> {
        transport.send_file(file.into())
    }

    /// Accepts a connection. Its socket does not block, is not inherited by children, and is the
    /// caller's (N-46): make a `TcpStream` or a `UnixStream` of it, or a
    /// [`StreamSocket`](crate::StreamSocket).
    fn sock_accept<S: AsFd + Clone + 'static>(&self, socket: &S) -> SockOperation<Accept> {
        SockOperation::new(self.to_event_loop(), socket, Accept { checked: false })
    }
}

impl<L: AbstractEventLoop + ?Sized> SocketLoop for L {}
