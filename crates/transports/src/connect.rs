//! Outgoing connections: resolve, try the addresses, make the protocol, wait for `connection_made`
//! (N-5…N-15).

mod accepted;
mod attempt;
mod connector;
mod error;
mod options;
mod race;

pub use accepted::AcceptedOptions;
pub use error::ConnectError;
pub use options::{ConnectOptions, UnixConnectOptions};

use crate::backend::{Backend, SocketBackend};
use crate::factory::Made;
use crate::limits::OutputLimits;
use crate::loop_shared::Owner;
use crate::resolve::resolve;
use crate::stream_transport::{Opened, StreamTransport};
use crate::{Address, IntoProtocol, StreamSocket};
use connector::Connector;
use eventloop::AbstractEventLoop;
use futures::{Exception, SchedulerExt, catch};
use options::{CommonOptions, Target, UnixTarget};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Makes the one protocol of an outgoing connection.
pub(crate) type FactoryOnce = Box<dyn FnOnce(&Address) -> Made>;

/// Wraps `factory`; a panic in it becomes an error (P-23).
pub(crate) fn boxed_factory_once<T: IntoProtocol>(
    factory: impl FnOnce() -> T + 'static,
) -> FactoryOnce {
    Box::new(move |_| catch(|| factory().into_protocol()).flatten())
}

/// See [`NetworkLoop::create_connection`](crate::NetworkLoop::create_connection).
pub(crate) fn create_connection(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: ConnectOptions,
) -> Opened {
    let ConnectOptions { target, family, local_addr, mut eyeballs, mut common } = options;
    match target {
        Target::Socket(socket) => over_socket(event_loop, factory, socket, common),
        Target::Address(address) if family.is_some_and(|family| !family.matches(&address)) => {
            let future = event_loop.create_future();
            let message =
                format!("cannot connect to {address}: it is an address of the other family");
            fail(&future, io::Error::new(io::ErrorKind::NotFound, message).into());
            future
        }
        Target::Address(address) => {
            common.encryption.connects_to_address(address.ip());
            let connector = Connector::new(event_loop, factory, common);
            connector.connect_from(local_addr).try_all(address.to_string(), [Address::Ip(address)])
        }
        Target::Host { host, port } => {
            if local_addr.is_some_and(|local| local.port() != 0) {
                eyeballs.delay = None; // only one attempt at a time can have that port
            }
            common.encryption.connects_to_host(&host);
            let connector = Connector::new(event_loop, factory, common);
            let name = match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            };
            let found = resolve(event_loop, &host, port, family);
            connector.connect_from(local_addr).try_resolved(name, found, eyeballs)
        }
    }
}

/// See [`NetworkLoop::create_unix_connection`](crate::NetworkLoop::create_unix_connection).
pub(crate) fn create_unix_connection(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: UnixConnectOptions,
) -> Opened {
    match options.target {
        UnixTarget::Socket(socket) if !socket.is_unix() => {
            let future = event_loop.create_future();
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a Unix socket");
            // It is new, hence pending.
            let _ = future.set_exception(error);
            future
        }
        UnixTarget::Socket(socket) => over_socket(event_loop, factory, socket, options.common),
        UnixTarget::Path(path) => {
            let address = match path.as_os_str().as_bytes().strip_prefix(b"\0") {
                Some(name) => Address::Abstract(name.to_owned()),
                None => Address::Path(path),
            };
            let connector = Connector::new(event_loop, factory, options.common);
            connector.try_all(address.to_string(), [address])
        }
    }
}

/// A connection over a socket that is connected already (N-8).
fn over_socket(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    socket: StreamSocket,
    common: CommonOptions,
) -> Opened {
    let future: Opened = event_loop.create_future();
    let attached = common.check().and_then(|()| attach(event_loop, socket, common.limits));
    match attached {
        Err(exception) => fail(&future, exception),
        Ok(connection) => common.encryption.give_protocol(&connection, factory, &future),
    }
    future
}

/// As [`over_socket`], for a peer that came to us (N-32).
pub(crate) fn over_accepted(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: AcceptedOptions,
) -> Opened {
    let AcceptedOptions { socket, common } = options;
    let future: Opened = event_loop.create_future();
    let checked = common.limits.marks.check().map_err(Exception::from);
    let checked = checked.and_then(|()| Ok(common.encryption.check()?));
    match checked.and_then(|()| attach(event_loop, socket, common.limits)) {
        Err(exception) => fail(&future, exception),
        Ok(connection) => common.encryption.give_protocol(&connection, factory, &future),
    }
    future
}

fn attach(
    event_loop: &dyn AbstractEventLoop,
    socket: StreamSocket,
    limits: OutputLimits,
) -> Result<Rc<StreamTransport<SocketBackend>>, Exception> {
    let backend = socket.into_backend()?;
    Ok(StreamTransport::attach(Owner::of(event_loop), backend, shared(limits))?)
}

/// `None` for the limits that all share.
fn shared(limits: OutputLimits) -> Option<Rc<OutputLimits>> {
    (limits != OutputLimits::default()).then(|| Rc::new(limits))
}

/// The connection is there: makes its protocol (N-5). If there is none, nothing is left.
pub(crate) fn give_protocol<B: Backend>(
    connection: &Rc<StreamTransport<B>>,
    factory: FactoryOnce,
    future: &Opened,
) {
    if future.cancelled() {
        return connection.discard();
    }
    match factory(&connection.backend().peer()) {
        Ok(Some(protocol)) => connection.open(protocol, Some(future.clone())),
        Ok(None) => {
            connection.discard();
            fail(future, refused());
        }
        Err(exception) => {
            connection.discard();
            fail(future, exception);
        }
    }
}

/// What becomes of a connection whose factory gives no protocol.
pub(crate) fn refused() -> Exception {
    let message = "the protocol factory refused the connection";
    io::Error::new(io::ErrorKind::ConnectionAborted, message).into()
}

pub(crate) fn fail(future: &Opened, exception: Exception) {
    // If it was cancelled, nobody waits for this.
    let _ = future.set_exception(exception);
}
