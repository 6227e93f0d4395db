//! [`Server`]: listening sockets, and the connections that came through them.

mod binding;
mod core;
#[cfg(feature = "tls")]
mod handshakes;
mod intake;
mod listener;
mod options;
mod shutdown;

pub(crate) use self::core::ServerCore;
pub use self::core::ServerStats;
pub use binding::BindError;
pub(crate) use binding::Bound;
pub(crate) use binding::SocketFile;
pub use intake::{GiveError, Intake};
pub use options::{ServerOptions, UnixServerOptions};
pub use shutdown::ShutdownReport;

use self::core::{Consumer, Sink};
use crate::backend::SocketKind;
use crate::factory::BoxedFactory;
use crate::loop_shared::LoopShared;
use crate::resolve::resolve;
use crate::{Address, SocketView};
use binding::{adopt, all_interfaces, bind_all, bind_unix};
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt};
pub(crate) use options::{CommonOptions, Place};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Listening sockets, and the connections that came through them.
///
/// Made by [`create_server`](crate::NetworkLoop::create_server) and
/// [`create_unix_server`](crate::NetworkLoop::create_unix_server). It is a handle: clones name the
/// same server, and dropping all of them stops nothing, since the loop owns the listeners (N-29).
/// [`close`](Server::close) or [`shutdown`](Server::shutdown) end it, and so does closing the loop.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::{NetworkLoop, Protocol, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
/// let event_loop = EventLoop::new()?;
/// let creation = event_loop.create_server(|| Echo, ("127.0.0.1", 0));
/// let server = event_loop.run_until_complete(&creation)?;
/// println!("listening on {}", server.addresses()[0]);
/// let gone = server.shutdown(std::time::Duration::from_secs(5));
/// let report = event_loop.run_until_complete(&gone)?;
/// assert_eq!((report.drained, report.aborted), (0, 0));
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct Server {
    core: Rc<ServerCore>,
}

impl Server {
    /// Restricted views of the listening sockets: names and options. Empty once it is closed (N-23).
    pub fn sockets(&self) -> Vec<SocketView> {
        self.core.sockets()
    }

    /// The addresses that it listens on, with the ports that the system chose. Empty once it is
    /// closed.
    pub fn addresses(&self) -> Vec<Address> {
        self.core.addresses()
    }

    /// Whether it accepts connections.
    pub fn is_serving(&self) -> bool {
        self.core.is_serving()
    }

    /// The loop that it belongs to.
    pub fn get_loop(&self) -> Rc<dyn AbstractEventLoop> {
        self.core.event_loop_rc()
    }

    /// Begins to accept connections. Idempotent (N-20).
    ///
    /// # Errors
    /// If it is closed, or what the system says.
    pub fn start_serving(&self) -> io::Result<()> {
        self.core.start_serving()
    }

    /// Serves until the future is cancelled, which closes the server, or until the server is closed,
    /// which cancels the future (N-28). To see the last connection gone, wait for
    /// [`wait_closed`](Server::wait_closed) afterwards.
    ///
    /// A second call while one is under way fails, and so does one on a closed server.
    pub fn serve_forever(&self) -> Future<()> {
        self.core.serve_forever()
    }

    /// Stops listening at once. Connections that are there stay (N-24). Idempotent.
    pub fn close(&self) {
        self.core.close();
    }

    /// A future that is done when the server is closed and its last connection gone (N-25).
    pub fn wait_closed(&self) -> Future<()> {
        self.core.wait_closed()
    }

    /// Closes every connection; what was written is still sent (N-26).
    pub fn close_clients(&self) {
        self.core.close_clients();
    }

    /// Aborts every connection (N-26).
    pub fn abort_clients(&self) {
        self.core.abort_clients();
    }

    /// Ends the server in good order: stops listening, asks every protocol
    /// ([`shutdown_requested`](crate::Protocol::shutdown_requested)) to come to an end, and aborts
    /// what is still there after `deadline`. The future tells how many there were of each; it is
    /// done soon after the deadline at the latest, whatever the peers do (R-14).
    pub fn shutdown(&self, deadline: Duration) -> Future<ShutdownReport> {
        self.core.shut_down(deadline)
    }

    /// How many connections it has: accepted, and not yet told `connection_lost` (N-31).
    pub fn connection_count(&self) -> usize {
        self.core.connection_count()
    }

    /// The way in for connections that other threads, or other loops, have accepted or pass on. They
    /// count as accepted by this server, whether it is serving or not, until it is closed.
    pub fn intake(&self) -> Intake {
        self.core.intake()
    }

    /// What it did so far.
    pub fn stats(&self) -> ServerStats {
        self.core.stats()
    }
}

/// A server that is not kept alive by this.
pub(crate) struct WeakServer(Weak<ServerCore>);

impl Server {
    pub(crate) fn downgrade(&self) -> WeakServer {
        WeakServer(Rc::downgrade(&self.core))
    }
}

impl WeakServer {
    /// Leaves connections in the system's queue, or takes them in again.
    pub(crate) fn set_full(&self, full: bool) {
        if let Some(core) = self.0.upgrade() {
            core.set_full(full);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({}, {} connections)", self.core.describe(), self.connection_count())
    }
}

/// Makes a TCP server; see [`NetworkLoop::create_server`](crate::NetworkLoop::create_server).
pub(crate) fn create_server(
    event_loop: &dyn AbstractEventLoop,
    factory: BoxedFactory,
    options: ServerOptions,
) -> Future<Server> {
    serve_at(event_loop, Consumer::Protocols(factory), options)
}

/// Makes a TCP server that gives the sockets of its connections away; see
/// [`AcceptLoop::create_acceptor`](crate::AcceptLoop::create_acceptor).
pub(crate) fn create_acceptor(
    event_loop: &dyn AbstractEventLoop,
    sink: Sink,
    options: ServerOptions,
) -> Future<Server> {
    serve_at(event_loop, Consumer::Sockets(sink), options)
}

fn serve_at(
    event_loop: &dyn AbstractEventLoop,
    consumer: Consumer,
    options: ServerOptions,
) -> Future<Server> {
    let shared = LoopShared::of(event_loop);
    bind_and(event_loop, options, move |bound, common| launch(shared, consumer, common, bound))
}

/// The sockets of a server, bound and not listening.
pub(crate) fn bind_server(
    event_loop: &dyn AbstractEventLoop,
    options: ServerOptions,
) -> Future<Rc<Cell<Vec<Bound>>>> {
    bind_and(event_loop, options, |bound, _| Ok(Rc::new(Cell::new(bound))))
}

/// As many sockets once more, at the same addresses; for these SO_REUSEPORT is set.
pub(crate) fn bind_again(
    addresses: &[SocketAddr],
    options: &ServerOptions,
) -> Result<Vec<Bound>, BindError> {
    bind_all(addresses, options)
}

/// A server on sockets that are bound, or without any: then it serves what its intake is given.
pub(crate) fn serve_bound(
    event_loop: &dyn AbstractEventLoop,
    factory: BoxedFactory,
    common: &CommonOptions,
    bound: Vec<Bound>,
) -> Result<Server, Exception> {
    launch(LoopShared::of(event_loop), Consumer::Protocols(factory), common, bound)
}

/// As [`create_acceptor`], for a Unix socket.
pub(crate) fn create_unix_acceptor(
    event_loop: &dyn AbstractEventLoop,
    sink: Sink,
    options: UnixServerOptions,
) -> Result<Server, Exception> {
    serve_unix(event_loop, Consumer::Sockets(sink), options)
}

fn bind_and<T: 'static>(
    event_loop: &dyn AbstractEventLoop,
    mut options: ServerOptions,
    make: impl FnOnce(Vec<Bound>, &CommonOptions) -> Result<T, Exception> + 'static,
) -> Future<T> {
    let future = event_loop.create_future();
    let family = options.family;
    let place = std::mem::replace(&mut options.place, Place::Hosts { hosts: Vec::new(), port: 0 });
    let start = Start { make: Box::new(make), options, future: future.clone() };
    match place {
        Place::Listener(listener) => {
            start.with_sockets(|_| Ok(vec![adopt(listener.into(), SocketKind::Tcp, false)?]));
        }
        Place::Address(address) => start.at(&[address]),
        Place::Hosts { hosts, port } if hosts.iter().all(String::is_empty) => {
            start.at(&all_interfaces(port, family));
        }
        Place::Hosts { hosts, port } => {
            let look_ups = hosts.iter().map(|host| match host.is_empty() {
                false => resolve(event_loop, host, port, family),
                true => {
                    let all = event_loop.create_future();
                    // It is new, hence pending.
                    let _ = all.set_result(all_interfaces(port, family));
                    all
                }
            });
            start.when_resolved(look_ups.collect(), Vec::new());
        }
    }
    future
}

/// Makes a Unix server; see
/// [`NetworkLoop::create_unix_server`](crate::NetworkLoop::create_unix_server).
pub(crate) fn create_unix_server(
    event_loop: &dyn AbstractEventLoop,
    factory: BoxedFactory,
    options: UnixServerOptions,
) -> Future<Server> {
    let future = event_loop.create_future();
    let made = serve_unix(event_loop, Consumer::Protocols(factory), options);
    // It is new, hence pending.
    let _ = future.set_outcome(made);
    future
}

fn serve_unix(
    event_loop: &dyn AbstractEventLoop,
    consumer: Consumer,
    options: UnixServerOptions,
) -> Result<Server, Exception> {
    let common = options.common.clone();
    common.check()?;
    let bound = bind_unix(options).map_err(io::Error::from)?;
    launch(LoopShared::of(event_loop), consumer, &common, vec![bound])
}

fn launch(
    shared: Rc<LoopShared>,
    consumer: Consumer,
    options: &CommonOptions,
    bound: Vec<Bound>,
) -> Result<Server, Exception> {
    let core = Rc::new(ServerCore::new(shared, consumer, options));
    core.attach(bound)?;
    core.start_factory()?;
    let server = Server { core };
    if options.start_serving
        && let Err(error) = server.start_serving()
    {
        server.close();
        return Err(error.into());
    }
    Ok(server)
}

type Make<T> = Box<dyn FnOnce(Vec<Bound>, &CommonOptions) -> Result<T, Exception>>;

/// Sockets that are being bound for something that is made of them.
struct Start<T: 'static> {
    make: Make<T>,
    options: ServerOptions,
    future: Future<T>,
}

impl<T: 'static> Start<T> {
    /// Waits for one look-up after the other; they run at the same time.
    fn when_resolved(self, mut look_ups: Vec<Future<Vec<SocketAddr>>>, found: Vec<SocketAddr>) {
        if self.future.cancelled() {
            for look_up in look_ups {
                look_up.cancel();
            }
        } else if look_ups.is_empty() {
            self.at(&found);
        } else {
            let next = look_ups.remove(0);
            match next.done() {
                true => self.resolved(&next, look_ups, found),
                false => {
                    next.add_done_callback(move |next| self.resolved(next, look_ups, found));
                }
            }
        }
    }

    fn resolved(
        self,
        look_up: &Future<Vec<SocketAddr>>,
        others: Vec<Future<Vec<SocketAddr>>>,
        mut found: Vec<SocketAddr>,
    ) {
        match look_up.take() {
            Err(exception) => {
                for look_up in others {
                    look_up.cancel();
                }
                self.finish(Err(exception));
            }
            Ok(addresses) => {
                for address in addresses {
                    if !found.contains(&address) {
                        found.push(address); // N-16: equal ones once
                    }
                }
                self.when_resolved(others, found);
            }
        }
    }

    fn at(self, addresses: &[SocketAddr]) {
        self.with_sockets(|options| Ok(bind_all(addresses, options).map_err(io::Error::from)?));
    }

    fn with_sockets(self, bind: impl FnOnce(&ServerOptions) -> Result<Vec<Bound>, Exception>) {
        if self.future.cancelled() {
            return;
        }
        let Self { make, options, future } = self;
        let made = options.common.check().and_then(|()| {
            let bound = bind(&options)?;
            make(bound, &options.common)
        });
        // It is pending still: it was not cancelled, and nobody else sets it.
        let _ = future.set_outcome(made);
    }

    fn finish(self, outcome: Result<T, Exception>) {
        // If it was cancelled, nobody waits for this.
        let _ = self.future.set_outcome(outcome);
    }
}
