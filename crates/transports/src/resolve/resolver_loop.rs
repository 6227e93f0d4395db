//! [`ResolverLoop`]: look-ups, as methods of every event loop.

use super::query::{AddressInfo, AddressQuery, NameQuery};
use super::resolver::{Resolver, Resolving};
use eventloop::AbstractEventLoop;
use futures::Future;
use std::rc::Rc;
use std::time::Duration;

/// Names to addresses and back, on every [`AbstractEventLoop`].
///
/// Look-ups do not run in the executor, so that one which is full, or shut down, harms none. The
/// system's resolver runs on threads of its own (see [`ThreadedResolver`](super::ThreadedResolver));
/// one that hangs delays only those who asked for that name, up to the look-up's deadline, and holds
/// up neither the loop's end nor that of the process.
pub trait ResolverLoop: AbstractEventLoop {
    /// The addresses of a host and a service, the best first (N-1).
    ///
    /// Addresses with numeric ports need no look-up: the future is done when it is returned (N-2).
    /// Cancelling it ends the wait at once (N-4).
    ///
    /// The future fails with an `io::Error` around a [`ResolveError`](super::ResolveError), which names
    /// what was asked for: at once if that cannot be a name, `TimedOut` if there is no answer within
    /// the [deadline](ResolverLoop::set_look_up_deadline).
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::{AddressQuery, Family, SocketType, prelude::*};
    /// let event_loop = EventLoop::new()?;
    /// let query = AddressQuery::from(("localhost", 80))
    ///     .family(Family::V4)
    ///     .socket_type(SocketType::Stream);
    /// let found = event_loop.run_until_complete(&event_loop.getaddrinfo(query))?;
    /// assert!(found.iter().all(|answer| answer.address.ip().is_loopback()));
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn getaddrinfo(&self, query: impl Into<AddressQuery>) -> Future<Vec<AddressInfo>> {
        let event_loop = self.to_event_loop();
        super::getaddrinfo(&*event_loop, query.into())
    }

    /// The names of a host and its service (N-1).
    ///
    /// A host without a name is told as the text of its address, unless a name is required. Names of
    /// addresses are the claims of whoever owns the address; do not decide by them who may do what.
    ///
    /// The future fails as that of [`getaddrinfo`](ResolverLoop::getaddrinfo) does.
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use std::net::SocketAddr;
    /// use tulipa_transports::{NameQuery, prelude::*};
    /// let event_loop = EventLoop::new()?;
    /// let address: SocketAddr = "127.0.0.1:80".parse()?;
    /// let query = NameQuery::from(address).numeric_host(true).numeric_service(true);
    /// let (host, service) = event_loop.run_until_complete(&event_loop.getnameinfo(query))?;
    /// assert_eq!((&*host, &*service), ("127.0.0.1", "80"));
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn getnameinfo(&self, query: impl Into<NameQuery>) -> Future<(String, String)> {
        let event_loop = self.to_event_loop();
        super::getnameinfo(&*event_loop, query.into())
    }

    /// Replaces whom this loop asks, for all look-ups from now on. By default that is the system's
    /// resolver ([`ThreadedResolver::system`](super::ThreadedResolver::system)).
    fn set_resolver(&self, resolver: impl Resolver + 'static) {
        Resolving::of(self).set_resolver(Rc::new(resolver));
    }

    /// How long one look-up may take.
    fn look_up_deadline(&self) -> Duration {
        Resolving::of(self).deadline()
    }

    /// Sets how long one look-up may take, from now on: 10 seconds by default. It fails then, whatever
    /// the resolver is doing.
    fn set_look_up_deadline(&self, deadline: Duration) {
        Resolving::of(self).set_deadline(deadline);
    }
}

impl<L: AbstractEventLoop + ?Sized> ResolverLoop for L {}
