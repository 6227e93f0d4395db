//! [`PipeView`]: the restricted view of a pipe.

use super::backend::PipeBackend;
use crate::stream_transport::StreamTransport;
use std::fmt;
use std::io;
use std::rc::Weak;

/// What is behind a pipe transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PipeKind {
    /// A pipe, with a name (FIFO) or without.
    Pipe,
    /// A socket, of which one direction is used.
    Socket,
    /// A terminal.
    Terminal,
    /// Another character device.
    Device,
}

impl fmt::Display for PipeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PipeKind::Pipe => "pipe",
            PipeKind::Socket => "socket",
            PipeKind::Terminal => "terminal",
            PipeKind::Device => "device",
        })
    }
}

/// A restricted view of a pipe: what it is, and how much it holds, but no reading, writing or
/// closing, which are the transport's. After the end every call says so.
#[derive(Clone)]
pub struct PipeView {
    kind: PipeKind,
    owner: Weak<StreamTransport<PipeBackend>>,
}

impl PipeView {
    pub(super) fn new(kind: PipeKind, owner: Weak<StreamTransport<PipeBackend>>) -> Self {
        Self { kind, owner }
    }

    /// What is behind the transport.
    pub fn kind(&self) -> PipeKind {
        self.kind
    }

    /// How much the system holds between the two ends (Linux).
    ///
    /// # Errors
    /// What the system says, for instance of what is not a pipe, or that it is closed.
    #[cfg(target_os = "linux")]
    pub fn capacity(&self) -> io::Result<usize> {
        let owner = self.owner.upgrade().ok_or_else(closed)?;
        Ok(rustix::pipe::fcntl_getpipe_size(owner.backend().descriptor())?)
    }

    /// Sets how much the system may hold between the two ends (Linux). It rounds up; the capacity
    /// that results is given back.
    ///
    /// # Errors
    /// What the system says, for instance of more than it allows, or that it is closed.
    #[cfg(target_os = "linux")]
    pub fn set_capacity(&self, size: usize) -> io::Result<usize> {
        let owner = self.owner.upgrade().ok_or_else(closed)?;
        Ok(rustix::pipe::fcntl_setpipe_size(owner.backend().descriptor(), size)?)
    }
}

impl fmt::Debug for PipeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner.upgrade() {
            Some(owner) => {
                use crate::backend::Backend;
                write!(f, "PipeView({})", owner.backend().describe())
            }
            None => f.write_str("PipeView(closed)"),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the pipe is closed")
}
