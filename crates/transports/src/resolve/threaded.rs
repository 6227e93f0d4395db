//! [`ThreadedResolver`]: a resolver that blocks, on threads of its own.

mod pool;

use super::query::{AddressInfo, AddressQuery, NameQuery};
use super::resolver::Resolver;
use super::system::SystemResolver;
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt, concurrent, wrap_future};
use pool::Pool;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A resolver that blocks until it has the answer. It is called on the threads of a
/// [`ThreadedResolver`], several at a time; a panic is the failure of those who asked.
pub trait BlockingResolver: Send + Sync + 'static {
    /// The addresses of a host, the best first.
    ///
    /// # Errors
    /// Why there are none; of the kind `NotFound` if that is certain.
    fn look_up_addresses(&self, query: &AddressQuery) -> io::Result<Vec<AddressInfo>>;

    /// The names of a host and a service.
    ///
    /// # Errors
    /// Why there are none. By default that this is not supported.
    fn look_up_name(&self, query: &NameQuery) -> io::Result<(String, String)> {
        let _ = query;
        Err(io::Error::new(io::ErrorKind::Unsupported, "this resolver knows no names of addresses"))
    }
}

/// A [`BlockingResolver`] on threads of its own, which any number of loops may share; clones are
/// handles to the same threads.
///
/// Threads are started when a look-up finds none idle, and end when they have been idle for a while.
/// Nobody ever waits for one to end: not a loop that closes, nor the process at its exit. Whoever asks
/// what is being looked up already waits for that answer; so a name that hangs takes one thread,
/// however many ask for it. If some of them have given up, the next who asks has it tried once more,
/// up to four times at once; the first that has an answer, or a failure of the kind `NotFound`, speaks
/// for all of them. When all threads hang, others wait until their deadline, and the error says why.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use std::{io, net::SocketAddr};
/// use tulipa_transports::{AddressInfo, AddressQuery, BlockingResolver, ThreadedResolver, prelude::*};
///
/// /// Knows one name.
/// struct OneName;
/// impl BlockingResolver for OneName {
///     fn look_up_addresses(&self, query: &AddressQuery) -> io::Result<Vec<AddressInfo>> {
///         match &*query.host {
///             "tulip.example" => Ok(vec![SocketAddr::from(([127, 0, 0, 7], 0)).into()]),
///             _ => Err(io::ErrorKind::NotFound.into()),
///         }
///     }
/// }
///
/// let event_loop = EventLoop::new()?;
/// event_loop.set_resolver(ThreadedResolver::new(OneName, Default::default()));
/// let found = event_loop.run_until_complete(&event_loop.getaddrinfo(("tulip.example", 80)))?;
/// assert_eq!(found[0].address.to_string(), "127.0.0.7:80");
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct ThreadedResolver {
    handle: Arc<Handle>,
}

/// The limits of a [`ThreadedResolver`].
#[derive(Clone, Debug)]
pub struct ThreadedResolverOptions {
    /// Threads at most, for addresses and for names each; one is the least. Default: 32.
    pub max_threads: usize,
    /// How many callers may wait, for addresses and for names each; more are refused.
    /// Default: 10,000.
    pub max_waiting: usize,
    /// How long a thread waits for the next look-up before it ends. Default: 2 s.
    pub idle_timeout: Duration,
    /// The name of its threads. Default: `tulipa-resolver`.
    pub thread_name: String,
}

impl Default for ThreadedResolverOptions {
    fn default() -> Self {
        Self {
            max_threads: 32,
            max_waiting: 10_000,
            idle_timeout: Duration::from_secs(2),
            thread_name: "tulipa-resolver".to_owned(),
        }
    }
}

/// Both kinds of look-ups, apart: names of addresses hang more often, and are wanted less.
struct Handle {
    addresses: Arc<Pool<AddressQuery, Vec<AddressInfo>>>,
    names: Arc<Pool<NameQuery, (String, String)>>,
}

impl ThreadedResolver {
    /// Threads for `resolver`, none of them yet.
    pub fn new(resolver: impl BlockingResolver, mut options: ThreadedResolverOptions) -> Self {
        options.max_threads = options.max_threads.max(1);
        options.thread_name.retain(|letter| letter != '\0');
        let resolver = Arc::new(resolver);
        let addresses = {
            let resolver = resolver.clone();
            Pool::new(options.clone(), move |query| resolver.look_up_addresses(query))
        };
        let names = Pool::new(options, move |query| resolver.look_up_name(query));
        Self { handle: Arc::new(Handle { addresses, names }) }
    }

    /// The system's resolver, on threads that all loops of the process share.
    pub fn system() -> Self {
        static SHARED: OnceLock<ThreadedResolver> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(SystemResolver, ThreadedResolverOptions::default())).clone()
    }

    /// How many threads there are now, those that hang included.
    pub fn threads(&self) -> usize {
        self.handle.addresses.threads() + self.handle.names.threads()
    }

    /// How many callers wait for an answer.
    pub fn waiting(&self) -> usize {
        self.handle.addresses.waiting() + self.handle.names.waiting()
    }
}

impl Resolver for ThreadedResolver {
    fn look_up_addresses(
        &self,
        event_loop: &dyn AbstractEventLoop,
        query: &AddressQuery,
    ) -> Future<Vec<AddressInfo>> {
        on_loop(event_loop, self.handle.addresses.ask(query))
    }

    fn look_up_name(
        &self,
        event_loop: &dyn AbstractEventLoop,
        query: &NameQuery,
    ) -> Future<(String, String)> {
        on_loop(event_loop, self.handle.names.ask(query))
    }

    fn why_late(&self, query: &AddressQuery) -> Option<String> {
        self.handle.addresses.why_late(query)
    }

    fn why_name_late(&self, query: &NameQuery) -> Option<String> {
        self.handle.names.why_late(query)
    }
}

fn on_loop<A: Send + 'static>(
    event_loop: &dyn AbstractEventLoop,
    asked: Result<concurrent::Future<A>, Exception>,
) -> Future<A> {
    match asked {
        // The loop itself, not a scope of it: whoever asked ends the look-up.
        Ok(answer) => {
            let wrapped = wrap_future(&answer, &*event_loop.to_rc());
            let gives_up = GivesUp(answer);
            wrapped.add_done_callback(move |_| drop(gives_up));
            wrapped
        }
        Err(refused) => {
            let future = event_loop.create_future();
            // It is new, hence pending.
            let _ = future.set_exception(refused);
            future
        }
    }
}

/// A caller who is gone once this is dropped, however that came: a loop that closes drops what waits on
/// it, and cancels nothing.
struct GivesUp<A: Send + 'static>(concurrent::Future<A>);

impl<A: Send + 'static> Drop for GivesUp<A> {
    fn drop(&mut self) {
        self.0.cancel(); // of no effect if it was answered
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.addresses.end_idle_threads();
        self.names.end_idle_threads();
    }
}

impl fmt::Debug for ThreadedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadedResolver({} threads, {} wait)", self.threads(), self.waiting())
    }
}
