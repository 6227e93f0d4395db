//! [`ConnectionLimits`]: how many connections there may be, altogether and from each peer.
//!
//! Invariant: a connection has its place from `connection_made` until it is over, whatever becomes of its
//! protocol meanwhile.

use super::inner_methods::{pass_on_to_factory, pass_on_to_inner};
use super::{Asker, LateFactory};
use crate::{
    Address, BufferedProtocol, Bytes, ClientFactory, Connector, Eof, Factory, Protocol,
    SharedFactory, Transport,
};
use futures::{Exception, catch};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// How many connections there may be, altogether and from each peer. Those that are too many are aborted,
/// or get a protocol that says so.
///
/// Clones count together, so several servers can share the limits. The protocol of a connection is made
/// when its place is found: whom there is no place for costs nothing but being accepted. Beside it, a server has a
/// limit of its own, for all connections of the loop:
/// [`ServerOptions::max_connections`](crate::ServerOptions::max_connections).
///
/// # Examples
/// ```
/// use eventloop::EventLoop;
/// use tulipa_transports::wrappers::ConnectionLimits;
/// use tulipa_transports::{NetworkLoop, Protocol, Transport};
///
/// struct Echo;
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
///         transport.write(data);
///     }
/// }
///
/// /// Tells those for whom there is no place, and closes.
/// struct Full;
/// impl Protocol for Full {
///     fn connection_made(&mut self, transport: &dyn Transport) {
///         transport.write(b"too many connections\r\n");
///         transport.close();
///     }
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// }
///
/// let event_loop = EventLoop::new()?;
/// let limits = ConnectionLimits::new().total(1000).per_peer(5).overflow(50, || Full);
/// let server = event_loop.create_server(limits.wrap(|| Echo), ("127.0.0.1", 0)).result()?;
/// assert_eq!(limits.open(), 0);
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct ConnectionLimits {
    total: usize,
    per_peer: usize,
    ipv6_prefix: u8,
    overflow: Option<(usize, Rc<LateFactory<()>>)>,
    counts: Rc<Counts>,
}

/// The connections that there are.
#[derive(Default)]
struct Counts {
    open: Cell<usize>,
    by_peer: RefCell<HashMap<IpAddr, usize>>,
    overflowing: Cell<usize>,
    refused: Cell<u64>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl ConnectionLimits {
    /// No limits yet.
    pub fn new() -> Self {
        Self {
            total: usize::MAX,
            per_peer: usize::MAX,
            ipv6_prefix: 64,
            overflow: None,
            counts: Rc::default(),
        }
    }

    /// How many there may be altogether.
    #[must_use]
    pub fn total(mut self, most: usize) -> Self {
        self.total = most;
        self
    }

    /// How many there may be from one IP address, or one network of IPv6: those have as many addresses as
    /// they want. Peers of other kinds are not told apart, and not limited by this.
    #[must_use]
    pub fn per_peer(mut self, most: usize) -> Self {
        self.per_peer = most;
        self
    }

    /// How many bits of an IPv6 address are the same for one peer. 64 by default, which one customer has at
    /// least; 128 counts each address.
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits.min(128);
        self
    }

    /// Those that are too many get a protocol of this factory, at most `most` of them at a time; more are
    /// aborted. It should answer and close.
    #[must_use]
    pub fn overflow(mut self, most: usize, factory: impl Factory) -> Self {
        self.overflow = Some((most, LateFactory::new(SharedFactory::new(factory))));
        self
    }

    /// A factory whose connections are limited; `factory` makes the protocols of those that have a place.
    pub fn wrap<F: Factory>(&self, factory: F) -> LimitedFactory<F> {
        let factory = SharedFactory::new(factory);
        let late = LateFactory::new(factory.clone());
        LimitedFactory { limits: self.clone(), factory, late }
    }

    /// How many connections there are that have a place.
    pub fn open(&self) -> usize {
        self.counts.open.get()
    }

    /// How many of them are from this peer.
    pub fn open_from(&self, peer: &Address) -> usize {
        let key = self.key(Some(peer));
        key.and_then(|key| self.counts.by_peer.borrow().get(&key).copied()).unwrap_or(0)
    }

    /// How many had no place so far, be they aborted or told.
    pub fn refused(&self) -> u64 {
        self.counts.refused.get()
    }

    /// The peer, as it is counted.
    fn key(&self, peer: Option<&Address>) -> Option<IpAddr> {
        Some(match peer?.as_ip()?.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let others = 128 - u32::from(self.ipv6_prefix);
                let mask = u128::MAX.checked_shl(others).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        })
    }

    /// A place for a connection from `peer`, if there is one.
    fn enter(&self, peer: Option<&Address>) -> Option<Place> {
        let peer = self.key(peer);
        let counts = &self.counts;
        if counts.open.get() >= self.total {
            return None;
        }
        if let Some(peer) = peer {
            let mut by_peer = counts.by_peer.borrow_mut();
            let of_peer = by_peer.get(&peer).copied().unwrap_or(0);
            if of_peer >= self.per_peer {
                return None;
            }
            by_peer.insert(peer, of_peer + 1);
        }
        counts.open.set(counts.open.get() + 1);
        Some(Place::Inside { counts: counts.clone(), peer })
    }

    fn overflow_factory(&self) -> Option<&Rc<LateFactory<()>>> {
        self.overflow.as_ref().map(|(_, factory)| factory)
    }

    /// A place for one that is too many, if there is one.
    fn overflow_place(&self) -> Option<(Place, Rc<LateFactory<()>>)> {
        let counts = &self.counts;
        counts.refused.set(counts.refused.get() + 1);
        let (most, factory) = self.overflow.as_ref()?;
        if counts.overflowing.get() >= *most {
            return None;
        }
        counts.overflowing.set(counts.overflowing.get() + 1);
        Some((Place::Overflow { counts: counts.clone() }, factory.clone()))
    }
}

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimits")
            .field("total", &self.total)
            .field("per_peer", &self.per_peer)
            .field("open", &self.open())
            .finish_non_exhaustive()
    }
}

/// A connection is counted, until this is dropped.
enum Place {
    Inside { counts: Rc<Counts>, peer: Option<IpAddr> },
    Overflow { counts: Rc<Counts> },
}

impl Drop for Place {
    fn drop(&mut self) {
        match self {
            Place::Overflow { counts } => counts.overflowing.set(counts.overflowing.get() - 1),
            Place::Inside { counts, peer } => {
                counts.open.set(counts.open.get() - 1);
                let Some(peer) = peer else { return };
                let mut by_peer = counts.by_peer.borrow_mut();
                match by_peer.get_mut(peer) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => {
                        by_peer.remove(peer);
                    }
                }
            }
        }
    }
}

/// A factory whose connections are limited; see [`ConnectionLimits`]. The factory inside is asked for the
/// protocols of those that have a place.
pub struct LimitedFactory<F> {
    limits: ConnectionLimits,
    factory: SharedFactory<F>,
    /// The same, for connections.
    late: Rc<LateFactory<()>>,
}

impl<F: Factory> Factory for LimitedFactory<F> {
    type Protocol = LimitedConnection;

    fn start_factory(&mut self) {
        let overflow = self.limits.overflow_factory().map(Asker::begin);
        self.factory.start_factory(); // if this panics, the other one is stopped again
        if let Some(overflow) = overflow {
            overflow.stay();
        }
    }

    fn build_protocol(&mut self, _peer: &Address) -> LimitedConnection {
        let (limits, asker) = (self.limits.clone(), Asker::begin(&self.late));
        LimitedConnection { state: State::New { limits, asker } }
    }

    fn stop_factory(&mut self) {
        if let Some(overflow) = self.limits.overflow_factory() {
            overflow.end();
        }
        self.factory.stop_factory();
    }
}

impl<F: ClientFactory> ClientFactory for LimitedFactory<F> {
    pass_on_to_factory!();
}

impl<F> fmt::Debug for LimitedFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimitedFactory").field(&self.limits).finish()
    }
}

/// The protocol of a connection that [`ConnectionLimits`] counts: it passes everything on to the one inside.
pub struct LimitedConnection {
    state: State,
}

enum State {
    New { limits: ConnectionLimits, asker: Asker<()> },
    Open(Box<dyn Protocol>),
    Refused,
}

impl LimitedConnection {
    fn inner(&mut self) -> Option<&mut dyn Protocol> {
        match &mut self.state {
            State::Open(inner) => Some(&mut **inner),
            State::New { .. } | State::Refused => None,
        }
    }
}

impl Protocol for LimitedConnection {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let State::New { limits, asker } = std::mem::replace(&mut self.state, State::Refused)
        else {
            return;
        };
        let peer = transport.extra_info().peername;
        let found = match limits.enter(peer.as_ref()) {
            Some(place) => Some((place, Ok(asker))),
            None => {
                let found = limits.overflow_place();
                // It is started, unless the server has closed meanwhile.
                found.map(|(place, factory)| (place, catch(|| Asker::begin(&factory))))
            }
        };
        let Some((place, asker)) = found else {
            log::debug!(target: "tulipa", "no place for one more connection from {peer:?}");
            return transport.abort();
        };
        let asker = match asker {
            Ok(asker) => asker,
            Err(exception) => return transport.abort_with(exception),
        };
        let peer = peer.unwrap_or(Address::Unnamed);
        let Some(inner) = asker.ask(transport, &peer, &()) else { return };
        // Not kept in here: another protocol may follow, and the connection is still there.
        transport.wait_closed().add_done_callback(move |_| drop(place));
        self.state = State::Open(inner);
        if let Some(inner) = self.inner() {
            inner.connection_made(transport);
        }
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        if let Some(inner) = self.inner() {
            inner.data_received(transport, data);
        }
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.inner().map_or(Eof::Close, |inner| inner.eof_received(transport))
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        if let Some(inner) = self.inner() {
            inner.connection_lost(transport, reason);
        }
    }

    pass_on_to_inner!();

    fn memory_held(&self) -> Bytes {
        match &self.state {
            State::Open(inner) => Bytes(size_of_val(&**inner) + inner.memory_held().0),
            State::New { .. } | State::Refused => Bytes(0),
        }
    }

    fn type_name(&self) -> &'static str {
        match &self.state {
            State::Open(inner) => inner.type_name(),
            State::New { .. } | State::Refused => std::any::type_name::<Self>(),
        }
    }
}
