//! [`Backend`]: the I/O under a stream transport. A socket, a pipe, or memory in tests.
//!
//! A back end moves bytes and reports what the system says; it decides nothing. No method blocks, and
//! none calls user code.

pub(crate) mod descriptors;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod socket;
pub(crate) mod system;
pub(crate) mod watched;

pub(crate) use descriptors::MOST_AT_ONCE as MOST_DESCRIPTORS_AT_ONCE;
pub(crate) use socket::{SocketBackend, SocketKind, is_in_progress, send_file};

use crate::limits::OutputLimits;
use crate::stream_machine::StreamMachine;
use crate::stream_transport::StreamTransport;
use crate::{Address, ExtraInfo, WriteBufferLimits};
use eventloop::Interest;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

/// The I/O under a stream transport.
pub(crate) trait Backend: Sized + 'static {
    /// Whether this is a layer over another transport, which is the one that is counted, and that servers
    /// and loops know.
    const IS_LAYER: bool = false;

    /// The state of a transport over this, which says which directions there are.
    fn new_machine(&self, limits: Option<Rc<OutputLimits>>) -> StreamMachine {
        StreamMachine::new(limits)
    }

    /// Whether our direction can be ended alone.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Whether what came and was not read may be thrown away at the end: nobody else can read it.
    fn may_discard_input(&self) -> bool {
        true
    }

    /// Reads what is there. Zero is the end of file; `WouldBlock` is "nothing now".
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends as much as is taken now, at least one byte.
    fn send(&self, data: &[u8]) -> io::Result<usize>;

    /// As [`send`](Backend::send), from several parts in order.
    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Has the system copy at most `count` bytes of `file` from `offset` on. Zero is the end of the
    /// file; `Unsupported` that it cannot.
    fn send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        let _ = (file, offset, count);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether descriptors can travel along with bytes.
    fn passes_descriptors(&self) -> bool {
        false
    }

    /// As [`send`](Backend::send), with descriptors that go along with the first byte.
    fn send_with_descriptors(&self, data: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
        let _ = (data, descriptors);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// As [`recv`](Backend::recv), with the descriptors that came along.
    fn recv_with_descriptors(
        &self,
        buffer: &mut [u8],
        found: &mut Vec<OwnedFd>,
    ) -> io::Result<usize> {
        let _ = found;
        self.recv(buffer)
    }

    /// Tells the peer that nothing more will be sent.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Puts the connection into the loop, which owns it from then on, without watching anything.
    fn attach(connection: &Rc<StreamTransport<Self>>) -> io::Result<()>;

    /// Sets what is watched. It reaches the kernel at once.
    fn watch(connection: &Rc<StreamTransport<Self>>, interest: Interest) -> io::Result<()>;

    /// Has [`StreamTransport::flush_now`] called before the loop next waits.
    fn flush_later(connection: &Rc<StreamTransport<Self>>);

    /// Takes the connection out of the loop. The descriptor closes with the connection's last count.
    fn detach(connection: &Rc<StreamTransport<Self>>);

    /// Who is at the other end, for the factory.
    fn peer(&self) -> Address {
        Address::Unnamed
    }

    /// How much was handed over and waits in the layer below.
    fn waiting_below(&self) -> usize {
        0
    }

    /// The marks of what may wait have changed.
    fn marks_changed(&self, marks: WriteBufferLimits) {
        let _ = marks;
    }

    /// The memory that this holds.
    fn memory_held(&self) -> usize {
        0
    }

    /// Says goodbye to the peer: all that was written was handed over.
    fn say_goodbye(connection: &Rc<StreamTransport<Self>>) {
        let _ = connection;
    }

    /// Something has changed: a layer looks what it needs from below.
    fn followed_up(connection: &Rc<StreamTransport<Self>>) {
        let _ = connection;
    }

    /// What is known about the connection.
    fn extra_info(connection: &Rc<StreamTransport<Self>>) -> ExtraInfo;

    /// What this is, with its addresses, for people.
    fn describe(&self) -> String;
}
