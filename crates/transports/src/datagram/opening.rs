//! Opening an endpoint: look the names up, bind and connect a socket, make the protocol, wait for
//! `connection_made` (N-34…N-37).
//!
//! Look-ups are waited for by an [`Opening`], which the timer of the deadline owns. Invariant: when
//! its future is done, timer and look-ups are gone.

use super::endpoint::Endpoint;
use super::options::Place;
use super::protocol::DatagramFactory;
use super::socket::{Peer, SocketIo, sock_addr};
use super::{DatagramOptions, DatagramTransport, EndpointError};
use crate::loop_shared::LoopShared;
use crate::resolve::resolve;
use crate::server::SocketFile;
use crate::{Address, Family};
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt, TimeoutError, TimerHandle};
use socket2::{Domain, Socket, Type};
use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::rc::Rc;

/// The future that a creator gave its caller.
pub(super) type Opened = Future<Rc<dyn DatagramTransport>>;

/// See [`NetworkLoop::create_datagram_endpoint`](crate::NetworkLoop::create_datagram_endpoint).
pub(crate) fn create_datagram_endpoint(
    event_loop: &dyn AbstractEventLoop,
    factory: DatagramFactory,
    mut options: DatagramOptions,
) -> Opened {
    let future: Opened = event_loop.create_future();
    let shared = LoopShared::of(event_loop);
    if let Err(error) = options.check() {
        fail(&future, error);
        return future;
    }
    if let Some(socket) = options.socket.take() {
        let cleanup = options.cleanup_socket.unwrap_or(false);
        let io = socket.into_io(cleanup);
        start(shared, factory, &options, io, &future);
        return future;
    }
    let unix = |address: &Option<super::DatagramAddress>| match address.as_ref().map(|a| &a.0) {
        Some(Place::Unix(address)) => Some(address.clone()),
        Some(Place::Host { .. } | Place::Ip(_)) | None => None,
    };
    let (local, remote) = (unix(&options.local), unix(&options.remote));
    if local.is_some() || remote.is_some() {
        let cleanup = options.cleanup_socket.unwrap_or(true);
        start(shared, factory, &options, open_unix(local, remote, cleanup), &future);
        return future;
    }
    let looked_up = |address: &Option<super::DatagramAddress>, is_local: bool| {
        let address = address.as_ref()?;
        Some(look_up(event_loop, &address.0, options.family, is_local))
    };
    let local = looked_up(&options.local, true);
    let remote = looked_up(&options.remote, false);
    Opening::begin(shared, factory, options, LookUps { local, remote }, future)
}

/// The addresses of one end. The empty host is all interfaces.
fn look_up(
    event_loop: &dyn AbstractEventLoop,
    place: &Place,
    family: Option<Family>,
    is_local: bool,
) -> Future<Vec<SocketAddr>> {
    let known = match place {
        Place::Host { host, port } if host.is_empty() && is_local => {
            vec![(Ipv4Addr::UNSPECIFIED, *port).into(), (Ipv6Addr::UNSPECIFIED, *port).into()]
        }
        Place::Host { host, port } => return resolve(event_loop, host, *port, family),
        Place::Ip(address) => vec![*address],
        Place::Unix(_) => Vec::new(),
    };
    let future = event_loop.create_future();
    // It is new, hence pending.
    let _ = future.set_result(known);
    future
}

struct LookUps {
    local: Option<Future<Vec<SocketAddr>>>,
    remote: Option<Future<Vec<SocketAddr>>>,
}

impl LookUps {
    fn all(&self) -> impl Iterator<Item = &Future<Vec<SocketAddr>>> {
        self.local.iter().chain(&self.remote)
    }
}

/// An endpoint whose names are being looked up.
struct Opening {
    shared: Rc<LoopShared>,
    factory: Cell<Option<DatagramFactory>>,
    options: DatagramOptions,
    look_ups: RefCell<Option<LookUps>>,
    future: Opened,
    deadline: Cell<Option<TimerHandle>>,
}

impl Opening {
    fn begin(
        shared: Rc<LoopShared>,
        factory: DatagramFactory,
        options: DatagramOptions,
        look_ups: LookUps,
        future: Opened,
    ) -> Opened {
        let limit = options.deadline;
        let waiting: Vec<_> = look_ups.all().filter(|found| !found.done()).cloned().collect();
        let opening = Rc::new(Self {
            shared,
            factory: Cell::new(Some(factory)),
            options,
            look_ups: RefCell::new(Some(look_ups)),
            future: future.clone(),
            deadline: Cell::new(None),
        });
        opening.advance();
        if future.done() || opening.look_ups.borrow().is_none() {
            return future;
        }
        // The timer owns it, everything else holds it weakly.
        let owner = opening.clone();
        let deadline = opening.shared.event_loop().call_later(limit, move || {
            let error = TimeoutError::new("opening a datagram endpoint");
            fail(&owner.future, error);
            owner.let_go();
        });
        opening.deadline.set(Some(deadline));
        let weak = Rc::downgrade(&opening);
        future.add_done_callback(move |_| {
            if let Some(opening) = weak.upgrade() {
                opening.let_go();
            }
        });
        for found in waiting {
            let weak = Rc::downgrade(&opening);
            found.add_done_callback(move |_| {
                if let Some(opening) = weak.upgrade() {
                    opening.advance();
                }
            });
        }
        future
    }

    /// Opens the endpoint if everything is known; fails it if something never will be.
    fn advance(&self) {
        let (local, remote) = match &*self.look_ups.borrow() {
            Some(look_ups) => (look_ups.local.clone(), look_ups.remote.clone()),
            None => return,
        };
        let (local, remote) = match (known(local), known(remote)) {
            (Known::Failed(exception), _) | (_, Known::Failed(exception)) => {
                fail(&self.future, exception);
                return self.let_go();
            }
            (Known::NotYet, _) | (_, Known::NotYet) => return,
            (Known::Addresses(local), Known::Addresses(remote)) => (local, remote),
        };
        self.let_go();
        let Some(factory) = self.factory.take() else { return };
        if self.future.cancelled() {
            return;
        }
        let io = open_any(&self.options, local.as_deref(), remote.as_deref());
        start(self.shared.clone(), factory, &self.options, io, &self.future);
    }

    /// What was under way for it ends.
    fn let_go(&self) {
        if let Some(timer) = self.deadline.take() {
            timer.cancel();
        }
        let look_ups = self.look_ups.borrow_mut().take();
        for found in look_ups.iter().flat_map(LookUps::all) {
            found.cancel();
        }
    }
}

/// What is known of one end.
enum Known {
    /// `None` where no address was asked for.
    Addresses(Option<Vec<SocketAddr>>),
    NotYet,
    Failed(Exception),
}

fn known(look_up: Option<Future<Vec<SocketAddr>>>) -> Known {
    match look_up {
        None => Known::Addresses(None),
        Some(found) if !found.done() => Known::NotYet,
        Some(found) => match found.result() {
            Ok(addresses) => Known::Addresses(Some(addresses)),
            Err(exception) => Known::Failed(exception),
        },
    }
}

/// Tries every pair of a local and a remote address of one family, in order; all failed is the first
/// error (N-35).
fn open_any(
    options: &DatagramOptions,
    local: Option<&[SocketAddr]>,
    remote: Option<&[SocketAddr]>,
) -> io::Result<SocketIo> {
    let fits = |address: &&SocketAddr| options.family.is_none_or(|f| f.matches(address));
    let ends = |addresses: Option<&[SocketAddr]>| -> Vec<Option<SocketAddr>> {
        match addresses {
            None => vec![None],
            Some(all) => all.iter().filter(fits).copied().map(Some).collect(),
        }
    };
    let (locals, remotes) = (ends(local), ends(remote));
    let mut first = None;
    for remote in &remotes {
        for local in &locals {
            if let (Some(local), Some(remote)) = (local, remote)
                && local.is_ipv4() != remote.is_ipv4()
            {
                continue;
            }
            match open(options, *local, *remote) {
                Ok(io) => return Ok(io),
                Err(error) => {
                    let (local, remote) = (local.map(Address::Ip), remote.map(Address::Ip));
                    first.get_or_insert(EndpointError::new(local, remote, error));
                }
            }
        }
    }
    Err(first.map_or_else(|| options.different_families(), io::Error::from))
}

fn open(
    options: &DatagramOptions,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
) -> io::Result<SocketIo> {
    let domain = match (local.or(remote), options.family) {
        (Some(address), _) => Domain::for_address(address),
        (None, Some(Family::V6)) => Domain::IPV6,
        (None, Some(Family::V4) | None) => Domain::IPV4,
    };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), None)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if options.broadcast {
        socket.set_broadcast(true)?;
    }
    if let Some(only_v6) = options.only_v6
        && domain == Domain::IPV6
    {
        socket.set_only_v6(only_v6)?;
    }
    if let Some(local) = local {
        socket.bind(&local.into())?;
    }
    let peer = match remote {
        None => Peer::Any,
        Some(remote) if options.broadcast => Peer::Fixed(Address::Ip(remote)),
        Some(remote) => {
            socket.connect(&remote.into())?;
            let known = socket.peer_addr()?;
            Peer::Connected(Address::from_sock_addr(&known).unwrap_or(Address::Ip(remote)))
        }
    };
    SocketIo::new(socket, peer, None)
}

fn open_unix(
    local: Option<Address>,
    remote: Option<Address>,
    cleanup: bool,
) -> io::Result<SocketIo> {
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking().cloexec(), None)?;
        // First connected, then bound, so that nobody else can have sent something in between.
        let peer = match &remote {
            None => Peer::Any,
            Some(remote) => {
                socket.connect(&sock_addr(remote)?)?;
                Peer::Connected(remote.clone())
            }
        };
        let mut file = None;
        if let Some(local) = &local {
            if let Address::Path(path) = local {
                remove_stale(path);
            }
            socket.bind(&sock_addr(local)?)?;
            file = local.as_path().filter(|_| cleanup).and_then(|p| SocketFile::of(p.to_owned()));
        }
        SocketIo::new(socket, peer, file)
    };
    open()
        .map_err(|error: io::Error| EndpointError::new(local.clone(), remote.clone(), error).into())
}

/// Removes a socket's file that is in the way. Anything else stays, and binding says so (N-37).
fn remove_stale(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && let Err(error) = fs::remove_file(path) {
        let path = path.display();
        log::warn!(target: "tulipa", "cannot remove the socket {path}, which is in the way: {error}");
    }
}

/// Makes the protocol and opens the endpoint. If there is none, nothing is left.
fn start(
    shared: Rc<LoopShared>,
    factory: DatagramFactory,
    options: &DatagramOptions,
    io: io::Result<SocketIo>,
    future: &Opened,
) {
    let made = io.map_err(Exception::from).and_then(|io| {
        let endpoint = Endpoint::attach(shared, io, options.limits)?;
        match factory() {
            Ok(Some(protocol)) => {
                endpoint.open(protocol, future.clone());
                Ok(())
            }
            Ok(None) => {
                endpoint.discard();
                let message = "the protocol factory called the endpoint off";
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, message).into())
            }
            Err(exception) => {
                endpoint.discard();
                Err(exception)
            }
        }
    });
    if let Err(exception) = made {
        fail(future, exception);
    }
}

fn fail(future: &Opened, exception: impl Into<Exception>) {
    // If it was cancelled, nobody waits for this.
    let _ = future.set_exception(exception);
}
