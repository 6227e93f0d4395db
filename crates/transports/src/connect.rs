//! Outgoing connections: resolve, try one address after the other, make the protocol, wait for
//! `connection_made` (N-5…N-13).
//!
//! One [`Connector`] per call. Invariant: the deadline's timer, the attempt that is under way, or a
//! look-up owns it; when its future is done, all of these are gone.

mod attempt;
mod error;
mod options;

pub use error::ConnectError;
pub use options::{ConnectOptions, UnixConnectOptions};

use crate::backend::{Backend, SocketBackend};
use crate::limits::{ACCEPTED_LINGER, OutputLimits};
use crate::loop_shared::Owner;
use crate::resolve::resolve;
use crate::stream_transport::{Opened, StreamTransport};
use crate::{Address, IntoProtocol, Protocol, StreamSocket};
use attempt::{Attempt, begin};
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt, TimerHandle, catch};
use options::{CommonOptions, Target, UnixTarget};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Makes the one protocol of an outgoing connection.
pub(crate) type FactoryOnce = Box<dyn FnOnce() -> Result<Option<Box<dyn Protocol>>, Exception>>;

/// Wraps `factory`; a panic in it becomes an error (P-23).
pub(crate) fn boxed_factory_once<T: IntoProtocol>(
    factory: impl FnOnce() -> T + 'static,
) -> FactoryOnce {
    Box::new(move || catch(|| factory().into_protocol()).flatten())
}

/// See [`NetworkLoop::create_connection`](crate::NetworkLoop::create_connection).
pub(crate) fn create_connection(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    options: ConnectOptions,
) -> Opened {
    let ConnectOptions { target, family, local_addr, common } = options;
    match target {
        Target::Socket(socket) => over_socket(event_loop, factory, socket, common),
        Target::Address(address) => {
            let connector = Connector::new(event_loop, factory, local_addr, common);
            connector.try_all(address.to_string(), vec![Address::Ip(address)])
        }
        Target::Host { host, port } => {
            let connector = Connector::new(event_loop, factory, local_addr, common);
            let name = format!("{host}:{port}");
            let found = resolve(event_loop, &host, port, family);
            connector.try_resolved(name, found)
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
            let connector = Connector::new(event_loop, factory, None, options.common);
            connector.try_all(address.to_string(), vec![address])
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
    let owner = Owner::of(event_loop);
    let future: Opened = event_loop.create_future();
    let limits = shared_limits(&common);
    let attached = common.limits.marks.check().map_err(Exception::from).and_then(|()| {
        let backend = socket.into_backend()?;
        Ok(StreamTransport::attach(owner, backend, limits)?)
    });
    match attached {
        Err(exception) => fail(&future, exception),
        Ok(connection) => give_protocol(&connection, factory, &future),
    }
    future
}

/// As [`over_socket`], for a peer that came to us (N-32).
pub(crate) fn over_accepted(
    event_loop: &dyn AbstractEventLoop,
    factory: FactoryOnce,
    socket: StreamSocket,
) -> Opened {
    let mut common = CommonOptions::default();
    common.limits.linger = ACCEPTED_LINGER;
    over_socket(event_loop, factory, socket, common)
}

/// `None` for the limits that all share.
fn shared_limits(common: &CommonOptions) -> Option<Rc<OutputLimits>> {
    (common.limits != OutputLimits::default()).then(|| Rc::new(common.limits))
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
    match factory() {
        Ok(Some(protocol)) => connection.open(protocol, Some(future.clone())),
        Ok(None) => {
            connection.discard();
            let message = "the protocol factory refused the connection";
            fail(future, io::Error::new(io::ErrorKind::ConnectionAborted, message).into());
        }
        Err(exception) => {
            connection.discard();
            fail(future, exception);
        }
    }
}

pub(crate) fn fail(future: &Opened, exception: Exception) {
    // If it was cancelled, nobody waits for this.
    let _ = future.set_exception(exception);
}

/// One call of a creator, until it is decided.
struct Connector {
    owner: Rc<Owner>,
    factory: Cell<Option<FactoryOnce>>,
    future: Opened,
    local_addr: Option<SocketAddr>,
    common: CommonOptions,
    /// What is being connected to, for people.
    name: RefCell<String>,
    candidates: RefCell<VecDeque<Address>>,
    failures: RefCell<Vec<(Address, io::Error)>>,
    under_way: RefCell<UnderWay>,
    deadline: Cell<Option<TimerHandle>>,
}

/// What is waited for.
enum UnderWay {
    Nothing,
    LookUp(Future<Vec<SocketAddr>>),
    Attempt(Weak<StreamTransport<SocketBackend>>),
    Retry(TimerHandle),
}

/// How long to wait for a place in a Unix server's queue: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(2);
const LAST_RETRY: Duration = Duration::from_millis(100);

impl Connector {
    fn new(
        event_loop: &dyn AbstractEventLoop,
        factory: FactoryOnce,
        local_addr: Option<SocketAddr>,
        common: CommonOptions,
    ) -> Rc<Self> {
        let connector = Rc::new(Self {
            owner: Owner::of(event_loop),
            factory: Cell::new(Some(factory)),
            future: event_loop.create_future(),
            local_addr,
            common,
            name: RefCell::default(),
            candidates: RefCell::default(),
            failures: RefCell::default(),
            under_way: RefCell::new(UnderWay::Nothing),
            deadline: Cell::new(None),
        });
        let owner = connector.clone();
        let deadline = event_loop.call_later(common.deadline, move || owner.time_is_over());
        connector.deadline.set(Some(deadline));
        let weak = Rc::downgrade(&connector);
        connector.future.add_done_callback(move |_| {
            if let Some(connector) = weak.upgrade() {
                connector.let_go(); // N-12: nothing is left, however it ended
            }
        });
        connector
    }

    fn event_loop(&self) -> &dyn AbstractEventLoop {
        &**self.owner.shared.event_loop()
    }

    fn try_resolved(self: Rc<Self>, name: String, found: Future<Vec<SocketAddr>>) -> Opened {
        let future = self.future.clone();
        if found.done() {
            match found.take() {
                Ok(addresses) => {
                    return self.try_all(name, addresses.into_iter().map(Address::Ip).collect());
                }
                Err(exception) => self.fail(exception),
            }
            return future;
        }
        self.name.borrow_mut().clone_from(&name);
        *self.under_way.borrow_mut() = UnderWay::LookUp(found.clone());
        // Weakly: the deadline owns the connector, which owns the look-up.
        let connector = Rc::downgrade(&self);
        found.add_done_callback(move |found| {
            let Some(connector) = connector.upgrade() else { return };
            match found.take() {
                Ok(addresses) => {
                    connector.try_all(name, addresses.into_iter().map(Address::Ip).collect());
                }
                Err(exception) => connector.fail(exception),
            }
        });
        future
    }

    fn try_all(self: Rc<Self>, name: String, candidates: Vec<Address>) -> Opened {
        let future = self.future.clone();
        *self.name.borrow_mut() = name;
        *self.candidates.borrow_mut() = candidates.into();
        if let Err(error) = self.common.limits.marks.check() {
            self.fail(error.into());
        } else {
            self.try_next();
        }
        future
    }

    /// Tries one address after the other, in order, until one is under way (N-5).
    fn try_next(self: &Rc<Self>) {
        while !self.future.done() {
            let candidate = self.candidates.borrow_mut().pop_front();
            let Some(address) = candidate else { return self.give_up(None) };
            match self.try_one(&address, FIRST_RETRY) {
                Ok(()) => return,
                Err(error) => self.failures.borrow_mut().push((address, error)),
            }
        }
    }

    fn try_one(self: &Rc<Self>, address: &Address, retry: Duration) -> io::Result<()> {
        let local = match (self.local_addr, address.as_ip()) {
            (Some(local), Some(remote)) if local.is_ipv4() != remote.is_ipv4() => {
                let message = format!("no matching local address: {local} is of another family");
                return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
            }
            (local, _) => local,
        };
        match begin(address, local)? {
            Attempt::Connected(backend) => {
                let connection = self.attach(backend)?;
                self.connected(&connection);
            }
            Attempt::InProgress(backend) => {
                let connection = self.attach(backend)?;
                let (connector, address) = (self.clone(), address.clone());
                connection.set_connecting(Box::new(move |connection| {
                    connector.decided(connection, address);
                }));
                if let Err(error) = connection.watch_connecting() {
                    connection.discard();
                    return Err(error);
                }
                *self.under_way.borrow_mut() = UnderWay::Attempt(Rc::downgrade(&connection));
            }
            Attempt::QueueFull => {
                let (connector, address) = (self.clone(), address.clone());
                let timer = self.event_loop().call_later(retry, move || {
                    connector.try_again(address, (retry * 2).min(LAST_RETRY));
                });
                *self.under_way.borrow_mut() = UnderWay::Retry(timer);
            }
        }
        Ok(())
    }

    fn try_again(self: &Rc<Self>, address: Address, retry: Duration) {
        if self.future.done() {
            return;
        }
        if let Err(error) = self.try_one(&address, retry) {
            self.failures.borrow_mut().push((address, error));
            self.try_next();
        }
    }

    fn attach(&self, backend: SocketBackend) -> io::Result<Rc<StreamTransport<SocketBackend>>> {
        StreamTransport::attach(self.owner.clone(), backend, shared_limits(&self.common))
    }

    /// The attempt that was under way has ended, well or badly.
    fn decided(self: &Rc<Self>, connection: &Rc<StreamTransport<SocketBackend>>, address: Address) {
        *self.under_way.borrow_mut() = UnderWay::Nothing;
        let failure = match connection.backend().take_error() {
            Ok(None) if connection.backend().is_connected_to_itself() => {
                Some(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(failure) => failure,
            Err(error) => Some(error),
        };
        match failure {
            None => self.connected(connection),
            Some(error) => {
                connection.discard(); // N-11: closed at once
                self.failures.borrow_mut().push((address, error));
                self.try_next();
            }
        }
    }

    fn connected(&self, connection: &Rc<StreamTransport<SocketBackend>>) {
        match self.factory.take() {
            Some(factory) => give_protocol(connection, factory, &self.future),
            None => connection.discard(),
        }
    }

    fn time_is_over(&self) {
        self.give_up(Some(self.common.deadline));
        self.let_go();
    }

    /// No address is left to be tried, or no time.
    fn give_up(&self, deadline: Option<Duration>) {
        let name = self.name.borrow().clone();
        let error = ConnectError::new(name, self.failures.take(), deadline);
        self.fail(io::Error::from(error).into());
    }

    fn fail(&self, exception: Exception) {
        fail(&self.future, exception);
    }

    /// It is decided: what was under way for it ends.
    fn let_go(&self) {
        if let Some(timer) = self.deadline.take() {
            timer.cancel();
        }
        let under_way = self.under_way.replace(UnderWay::Nothing);
        match under_way {
            UnderWay::Nothing => {}
            UnderWay::LookUp(look_up) => {
                look_up.cancel();
            }
            UnderWay::Retry(timer) => {
                timer.cancel();
            }
            UnderWay::Attempt(connection) => {
                if let Some(connection) = connection.upgrade() {
                    connection.discard();
                }
            }
        }
        drop(self.factory.take());
    }
}
