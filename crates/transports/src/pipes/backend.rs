//! [`PipeBackend`]: one direction of a pipe, FIFO, socket, terminal or device.
//!
//! A device that the system cannot watch (`/dev/null`) is ready always: then the readiness comes as
//! ordinary callbacks, one turn at a time.

use super::descriptor::PipeDescriptor;
use super::view::{PipeKind, PipeView};
use crate::ExtraInfo;
use crate::backend::{Backend, watched};
use crate::limits::OutputLimits;
use crate::stream_machine::StreamMachine;
use crate::stream_transport::StreamTransport;
use eventloop::{Direction, Interest, Source, SourceKind, Taken};
use futures::Callback;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

/// One end of a pipe, owned; it closes when this is dropped, and not before.
pub(crate) struct PipeBackend {
    descriptor: PipeDescriptor,
    end: PipeEnd,
    /// Set once the system has said that it cannot watch the descriptor.
    always_ready: Cell<bool>,
    /// What is "watched" then, and whether a turn for it is queued.
    wanted: Cell<Interest>,
    turn_queued: Cell<bool>,
}

/// Which end of a pipe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PipeEnd {
    Read,
    Write,
}

impl PipeBackend {
    pub(super) fn new(descriptor: PipeDescriptor, end: PipeEnd) -> Self {
        Self {
            descriptor,
            end,
            always_ready: Cell::new(false),
            wanted: Cell::new(Interest::NONE),
            turn_queued: Cell::new(false),
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.watched()
    }
}

impl Backend for PipeBackend {
    fn new_machine(&self, limits: Option<Rc<OutputLimits>>) -> StreamMachine {
        match self.end {
            PipeEnd::Read => StreamMachine::only_reading(limits),
            PipeEnd::Write => {
                StreamMachine::only_writing(limits, self.descriptor.tells_of_its_reader())
            }
        }
    }

    fn can_write_eof(&self) -> bool {
        self.end == PipeEnd::Write
    }

    /// Others may hold the same pipe or terminal, and read what we leave.
    fn may_discard_input(&self) -> bool {
        false
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.descriptor.read(buffer)
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.descriptor.write(data)
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.descriptor.write_vectored(parts)
    }

    /// Closing does it: there is no other direction to be kept open.
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn attach(connection: &Rc<StreamTransport<Self>>) -> io::Result<()> {
        watched::attach(connection)
    }

    fn watch(connection: &Rc<StreamTransport<Self>>, interest: Interest) -> io::Result<()> {
        let Some(key) = connection.key() else { return Ok(()) };
        let backend = connection.backend();
        if !backend.always_ready.get() {
            match connection.event_loop().set_interest(key, interest) {
                Err(error) if backend.is_unwatchable(&error) => backend.always_ready.set(true),
                other => return other,
            }
        }
        backend.wanted.set(interest);
        queue_turn(connection);
        Ok(())
    }

    fn flush_later(connection: &Rc<StreamTransport<Self>>) {
        watched::flush_later(connection);
    }

    fn detach(connection: &Rc<StreamTransport<Self>>) {
        connection.backend().wanted.set(Interest::NONE);
        watched::detach(connection);
    }

    fn extra_info(connection: &Rc<StreamTransport<Self>>) -> ExtraInfo {
        let kind = connection.backend().descriptor.kind();
        let pipe = Some(PipeView::new(kind, Rc::downgrade(connection)));
        ExtraInfo { pipe, ..ExtraInfo::default() }
    }

    fn describe(&self) -> String {
        let (kind, number) = (self.descriptor.kind(), self.descriptor().as_raw_fd());
        let end = match self.end {
            PipeEnd::Read => "read",
            PipeEnd::Write => "write",
        };
        format!("{end} pipe transport (a {kind}, descriptor {number})")
    }
}

impl PipeBackend {
    /// Whether `error` says that there is nothing to wait for (`EPERM` of epoll).
    fn is_unwatchable(&self, error: &io::Error) -> bool {
        let device = self.descriptor.kind() == PipeKind::Device;
        device && error.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Queues the next turn of what is always ready.
fn queue_turn(connection: &Rc<StreamTransport<PipeBackend>>) {
    let backend = connection.backend();
    if backend.wanted.get().is_none() || backend.turn_queued.replace(true) {
        return;
    }
    let turn = connection.clone();
    let queued = connection.event_loop().schedule(Callback::new(move || {
        turn.backend().turn_queued.set(false);
        if turn.backend().wanted.get().readable {
            let _ = turn.clone().ready(Direction::Read);
        }
        if turn.backend().wanted.get().writable {
            let _ = turn.clone().ready(Direction::Write);
        }
        queue_turn(&turn);
    }));
    drop(queued); // a closed loop calls nothing
}

/// The connection is what the loop watches: one object, one allocation.
impl Source for StreamTransport<PipeBackend> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.backend().descriptor()
    }

    fn ready(self: Rc<Self>, direction: Direction) -> Taken {
        match (self.backend().end, direction) {
            (PipeEnd::Read, Direction::Read) => return self.ready_to_read(),
            (PipeEnd::Write, Direction::Read) => {
                let gone = self.backend().descriptor.is_hung_up();
                self.ready_to_learn_of_reader(gone);
            }
            (_, Direction::Write) => self.ready_to_write(),
        }
        Taken::Unknown
    }

    fn flush(self: Rc<Self>) {
        self.flush_now();
    }

    fn loop_closed(self: Rc<Self>) {
        self.forget_loop();
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        self.backend().describe()
    }
}
