//! Pipes: transports of one direction, over pipes and FIFOs, sockets, terminals and other character
//! devices (X-39…X-42).
//!
//! They are [`StreamTransport`]s over a [`PipeBackend`]. The machine of one that only reads has no
//! direction to the peer, and the reverse, so that what belongs to the other direction does nothing.

mod backend;
mod descriptor;
mod error;
mod options;
mod sigpipe;
mod view;

pub use error::PipeError;
pub use options::PipeOptions;
pub use view::{PipeKind, PipeView};

use crate::Transport;
use crate::connect::{FactoryOnce, fail, give_protocol};
use crate::loop_shared::Owner;
use crate::stream_transport::{Opened, StreamTransport};
use backend::{PipeBackend, PipeEnd};
use descriptor::PipeDescriptor;
use eventloop::AbstractEventLoop;
use futures::{Exception, SchedulerExt};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// See [`NetworkLoop::connect_read_pipe`](crate::NetworkLoop::connect_read_pipe).
pub(crate) fn connect_read_pipe(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: PipeOptions,
) -> Opened {
    connect(event_loop, factory, options, PipeEnd::Read)
}

/// See [`NetworkLoop::connect_write_pipe`](crate::NetworkLoop::connect_write_pipe).
pub(crate) fn connect_write_pipe(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: PipeOptions,
) -> Opened {
    connect(event_loop, factory, options, PipeEnd::Write)
}

fn connect(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: PipeOptions,
    end: PipeEnd,
) -> Opened {
    let future: Opened = event_loop.create_future();
    match attach(event_loop, options, end) {
        Ok(connection) => give_protocol(&connection, factory, &future),
        Err(exception) => fail(&future, exception),
    }
    future
}

fn attach(
    event_loop: &dyn AbstractEventLoop,
    options: PipeOptions,
    end: PipeEnd,
) -> Result<Rc<StreamTransport<PipeBackend>>, Exception> {
    let PipeOptions { descriptor, common } = options;
    common.limits.marks.check()?;
    let descriptor = PipeDescriptor::shared(descriptor, end).map_err(io::Error::from)?;
    let limits = (common.limits != Default::default()).then(|| Rc::new(common.limits));
    let backend = PipeBackend::new(descriptor, end);
    Ok(StreamTransport::attach(Owner::of(event_loop), backend, limits)?)
}

/// A transport over the read end of a pipe, or a socket, that nobody else holds; `connection_made`
/// comes in a turn of its own.
///
/// # Errors
/// What the system says, or that the loop is closed; the descriptor and the protocol are dropped.
pub(crate) fn open_read_end(
    event_loop: &dyn AbstractEventLoop,
    pipe: OwnedFd,
    protocol: Box<dyn crate::Protocol>,
) -> io::Result<Rc<dyn Transport>> {
    open_end(event_loop, pipe, protocol, PipeEnd::Read)
}

/// As [`open_read_end`], over the write end.
///
/// # Errors
/// As there.
pub(crate) fn open_write_end(
    event_loop: &dyn AbstractEventLoop,
    pipe: OwnedFd,
    protocol: Box<dyn crate::Protocol>,
) -> io::Result<Rc<dyn Transport>> {
    open_end(event_loop, pipe, protocol, PipeEnd::Write)
}

fn open_end(
    event_loop: &dyn AbstractEventLoop,
    pipe: OwnedFd,
    protocol: Box<dyn crate::Protocol>,
    end: PipeEnd,
) -> io::Result<Rc<dyn Transport>> {
    let descriptor = PipeDescriptor::exclusive(pipe, end)?;
    let backend = PipeBackend::new(descriptor, end);
    let connection = StreamTransport::attach(Owner::of(event_loop), backend, None)?;
    connection.open(protocol, None);
    Ok(connection.handle())
}
