//! [`Resolver`]: who knows names and addresses; each loop has one.

use super::query::{AddressInfo, AddressQuery, NameQuery};
use super::threaded::ThreadedResolver;
use eventloop::{AbstractEventLoop, AbstractEventLoopExt};
use futures::{Future, SchedulerExt};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Who knows the addresses of names, and the names of addresses.
///
/// Each loop has one; [`set_resolver`](super::ResolverLoop::set_resolver) replaces it. It is asked on
/// the loop's thread, only what has to be looked up, and never what cannot be a name. When nobody
/// wants the answer any more, or the look-up's deadline is over, the future that it gave is
/// cancelled, and the answer is moved out of it: give each who asks one of its own. One that blocks is
/// a [`BlockingResolver`](super::BlockingResolver), in a [`ThreadedResolver`].
///
/// # Examples
/// ```
/// use eventloop::{AbstractEventLoop, EventLoop, prelude::*};
/// use futures::Future;
/// use std::net::SocketAddr;
/// use tulipa_transports::{AddressInfo, AddressQuery, Resolver, prelude::*};
///
/// /// Every name is this machine's.
/// struct AllHere;
/// impl Resolver for AllHere {
///     fn look_up_addresses(
///         &self,
///         event_loop: &dyn AbstractEventLoop,
///         _: &AddressQuery,
///     ) -> Future<Vec<AddressInfo>> {
///         let answer = event_loop.create_future();
///         let here: SocketAddr = ([127, 0, 0, 1], 0).into();
///         answer.set_result(vec![here.into()]).expect("a new future is pending");
///         answer
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// event_loop.set_resolver(AllHere);
/// let found = event_loop.run_until_complete(&event_loop.getaddrinfo(("example.org", 80)))?;
/// assert_eq!(found[0].address.to_string(), "127.0.0.1:80");
/// # Ok::<(), futures::Exception>(())
/// ```
pub trait Resolver {
    /// The addresses of a host, the best first. The future fails, best with an `io::Error`, if there
    /// are none: with the kind `NotFound` if that is certain.
    fn look_up_addresses(
        &self,
        event_loop: &dyn AbstractEventLoop,
        query: &AddressQuery,
    ) -> Future<Vec<AddressInfo>>;

    /// The names of a host and a service. By default an error: not supported.
    fn look_up_name(
        &self,
        event_loop: &dyn AbstractEventLoop,
        query: &NameQuery,
    ) -> Future<(String, String)> {
        let _ = query;
        let answer = event_loop.create_future();
        let error =
            io::Error::new(io::ErrorKind::Unsupported, "this resolver knows no names of addresses");
        answer.set_exception(error).expect("a new future is pending");
        answer
    }

    /// Why there may be no answer yet, for the error of a look-up whose deadline is over.
    fn why_late(&self, query: &AddressQuery) -> Option<String> {
        let _ = query;
        None
    }

    /// As [`why_late`](Resolver::why_late), of the name of an address.
    fn why_name_late(&self, query: &NameQuery) -> Option<String> {
        let _ = query;
        None
    }
}

/// Who is asked on one loop, and how long.
pub(super) struct Resolving {
    resolver: RefCell<Rc<dyn Resolver>>,
    deadline: Cell<Duration>,
}

/// How long one look-up may take by default.
const DEADLINE: Duration = Duration::from_secs(10);

impl Resolving {
    /// That of `event_loop`, which keeps it.
    pub(super) fn of<L: AbstractEventLoop + ?Sized>(event_loop: &L) -> Rc<Self> {
        event_loop.local(|| Self {
            resolver: RefCell::new(Rc::new(ThreadedResolver::system())),
            deadline: Cell::new(DEADLINE),
        })
    }

    pub(super) fn resolver(&self) -> Rc<dyn Resolver> {
        self.resolver.borrow().clone()
    }

    pub(super) fn set_resolver(&self, resolver: Rc<dyn Resolver>) {
        let previous = self.resolver.replace(resolver);
        drop(previous);
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline.get()
    }

    pub(super) fn set_deadline(&self, deadline: Duration) {
        self.deadline.set(deadline);
    }
}
