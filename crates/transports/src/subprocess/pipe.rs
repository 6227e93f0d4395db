//! The protocols of a child's pipes: they tell the child's own protocol, or feed a stream.

use super::running::Subprocess;
use crate::streams::{StreamReader, StreamReaderProtocol};
use crate::{Eof, Protocol, Transport};
use futures::Exception;
use std::rc::{Rc, Weak};

/// Which pipe of which child. Dropped before its end was told (another protocol was set for the pipe),
/// it tells that the pipe is gone.
pub(super) struct PipeLink {
    subprocess: Weak<Subprocess>,
    fd: usize,
}

impl PipeLink {
    pub(super) fn new(subprocess: &Rc<Subprocess>, fd: usize) -> Self {
        Self { subprocess: Rc::downgrade(subprocess), fd }
    }

    pub(super) fn fd(&self) -> usize {
        self.fd
    }

    fn lost(&self, reason: Option<Exception>) {
        if let Some(subprocess) = self.subprocess.upgrade() {
            subprocess.pipe_lost(self.fd, reason);
        }
    }
}

impl Drop for PipeLink {
    fn drop(&mut self) {
        if let Some(subprocess) = self.subprocess.upgrade() {
            subprocess.pipe_gone(self.fd);
        }
    }
}

/// Hands everything on to the child's protocol.
pub(super) struct ForwardedPipe(pub(super) PipeLink);

impl Protocol for ForwardedPipe {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) {
        if let Some(subprocess) = self.0.subprocess.upgrade() {
            subprocess.pipe_data(self.0.fd, data);
        }
    }

    fn pause_writing(&mut self, _: &dyn Transport) {
        if let Some(subprocess) = self.0.subprocess.upgrade() {
            subprocess.writing_paused(true);
        }
    }

    fn resume_writing(&mut self, _: &dyn Transport) {
        if let Some(subprocess) = self.0.subprocess.upgrade() {
            subprocess.writing_paused(false);
        }
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        self.0.lost(reason);
    }
}

/// A pipe as a stream: the reader's for an output of the child, the writer's for its input.
pub(super) struct StreamedPipe {
    stream: StreamReaderProtocol,
    /// That of a pipe that is only written. It is needed until the connection is made.
    unread: Option<Rc<StreamReader>>,
    link: PipeLink,
}

impl StreamedPipe {
    /// One that feeds `reader`.
    pub(super) fn reading(reader: &StreamReader, link: PipeLink) -> Self {
        Self { stream: StreamReaderProtocol::new(reader), unread: None, link }
    }

    /// Whether what comes may still be read by somebody.
    pub(super) fn has_reader(&self) -> bool {
        self.stream.has_reader()
    }

    /// One that is only written.
    pub(super) fn writing(reader: Rc<StreamReader>, link: PipeLink) -> Self {
        Self { stream: StreamReaderProtocol::new(&reader), unread: Some(reader), link }
    }
}

impl Protocol for StreamedPipe {
    fn connection_made(&mut self, transport: &dyn Transport) {
        if self.unread.is_none() && !self.stream.has_reader() {
            return transport.abort(); // nobody will read: the child shall know
        }
        self.stream.connection_made(transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        match self.stream.has_reader() {
            true => self.stream.data_received(transport, data),
            false => transport.abort(), // as a shell's pipe whose reader has ended
        }
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.stream.eof_received(transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.stream.pause_writing(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.stream.resume_writing(transport);
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        self.stream.connection_lost(transport, reason.clone());
        self.link.lost(reason);
    }
}
