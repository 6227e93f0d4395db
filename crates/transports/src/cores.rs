//! [`serve_on_cores`]: one server on several cores, each with a thread and an event loop of its own.
//!
//! ```text
//!            coordinator (a thread)                     core 0, 1, … (a thread and a loop each)
//!   resolves, binds ── starts the cores ───────────────► start(Core): the factory of this core
//!   all have started ── now listen ────────────────────► SO_REUSEPORT: accepts by itself
//!   or accepts, and hands over by load ────────────────► makes the protocol
//!   a core ended: report, go by the policy ◄──────────── (poller failed, panic, stop)
//!   shutdown(deadline) ────────────────────────────────► Server::shutdown, then its tasks
//!   one report ◄─────────────────────────────────────────┘
//! ```
//!
//! Invariant: what belongs to a core never leaves its thread; what travels is sockets, commands and
//! reports, by mailbox. The coordinator alone decides, so nothing of it is locked.

mod coordinator;
mod options;
mod pin;
mod report;
mod worker;

pub use options::{Accepting, CoresOptions, OnCoreFailure};
pub use report::{CoreEnd, CoreError, CoreReport, CoresReport};

use crate::factory::BoxedFactory;
use crate::{Address, Factory, GiveError, Intake, StreamSocket};
use coordinator::coordinate;
use futures::channels::mailbox;
use futures::{Exception, concurrent};
use report::News;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// Serves on several cores, each with a thread and an event loop of its own.
///
/// `options` says where, as for [`create_server`](crate::NetworkLoop::create_server), and on how many
/// cores. `start` is called once on each core's thread, in its running loop; it makes what that core
/// needs, and gives the core's protocol factory, which never leaves the thread: so what protocols share
/// is an `Rc`, without locks.
///
/// Nobody is served before all cores have started; then the future is done, with a handle of them all.
/// It fails with what kept the first from starting, or with the `io::Error` of an address that cannot be
/// listened on, and nothing is left then; [`OnCoreFailure::GoOn`] makes do with the cores that did start.
/// Cancelling it ends what was begun, and so does a [`shutdown`](Cores::shutdown) from inside of a `start`,
/// for which it fails with [`InvalidStateError`](futures::InvalidStateError).
///
/// The future can be waited for on any thread: with
/// [`take`](futures::concurrent::Future::take), or in a coroutine through
/// [`wrap_future`](futures::wrap_future).
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use tulipa_transports::{CoresOptions, Protocol, Transport, serve_on_cores};
///
/// /// Sends back what it receives, and counts it for its core.
/// struct Echo { received: Rc<Cell<usize>> }
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
///         self.received.set(self.received.get() + data.len());
///         transport.write(data);
///     }
/// }
///
/// let options = CoresOptions::from(("127.0.0.1", 0)).cores(2.try_into().unwrap());
/// let starting = serve_on_cores(options, |_core| {
///     let received = Rc::new(Cell::new(0));
///     Ok(move || Echo { received: received.clone() })
/// });
/// let cores = starting.take(None)?;
/// println!("listening on {}", cores.addresses()[0]);
/// let report = cores.shutdown(Duration::from_secs(5)).take(None)?;
/// assert_eq!((report.drained, report.aborted), (0, 0));
/// # Ok::<(), futures::Exception>(())
/// ```
pub fn serve_on_cores<F: Factory>(
    options: impl Into<CoresOptions>,
    start: impl Fn(Core) -> Result<F, Exception> + Send + Sync + 'static,
) -> concurrent::Future<Cores> {
    let starting = concurrent::Future::new();
    let start = move |core: Core| start(core).map(|factory| Box::new(factory) as BoxedFactory);
    let (plan, place) = options.into().into_plan(Box::new(start));
    let answer = starting.clone();
    let thread = thread::Builder::new().name("tulipa-cores".to_owned());
    if let Err(error) = thread.spawn(move || coordinate(plan, place, answer)) {
        // It is new; if somebody cancelled it, nobody waits.
        let _ = starting.set_exception(error);
    }
    starting
}

/// One of the cores, as its own `start` sees it.
#[derive(Debug)]
pub struct Core {
    index: usize,
    cores: Cores,
}

impl Core {
    /// Its number, from 0 on.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cores.count()
    }

    /// All of them, to be kept for later: to pass a connection on, or to shut down.
    pub fn cores(&self) -> Cores {
        self.cores.clone()
    }
}

/// A server on several cores, from [`serve_on_cores`].
///
/// It is a handle that can be cloned, sent and shared between threads. Dropping all of them stops
/// nothing; [`shutdown`](Cores::shutdown) does.
#[derive(Clone)]
pub struct Cores {
    shared: Arc<Shared>,
}

struct Shared {
    addresses: OnceLock<Vec<Address>>,
    /// The way in of each core; `None` while it is not there.
    intakes: Box<[Mutex<Option<Intake>>]>,
    /// At which core the next search for the idlest begins.
    next: AtomicUsize,
    shed: Arc<AtomicU64>,
    news: mailbox::Sender<News>,
    ended: concurrent::Future<CoresReport>,
}

/// So many connections may be on the way to a core. One that takes none in is passed over from then on.
const MOST_COMING: usize = 1024;

impl Cores {
    fn new(count: usize, news: mailbox::Sender<News>) -> Self {
        let shared = Shared {
            addresses: OnceLock::new(),
            intakes: (0..count).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
            shed: Arc::default(),
            news,
            ended: concurrent::Future::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The addresses that are listened on, with the port that the system chose.
    pub fn addresses(&self) -> &[Address] {
        self.shared.addresses.get().map_or(&[], Vec::as_slice)
    }

    /// How many cores there are, those that have ended included.
    pub fn count(&self) -> usize {
        self.shared.intakes.len()
    }

    /// How many connections each core has now, those on the way to it included; `None` for one that is
    /// not there.
    pub fn loads(&self) -> Vec<Option<usize>> {
        (0..self.count()).map(|index| self.intake(index).map(|intake| intake.load())).collect()
    }

    /// How many connections were closed at once, because no core took any more in, or the one that they
    /// came to had as many as it may.
    pub fn shed(&self) -> u64 {
        self.shared.shed.load(Relaxed)
    }

    /// Gives a connection to the core that has fewest. Its factory makes the protocol, as for a
    /// connection that came by itself.
    ///
    /// # Errors
    /// [`GiveError`] gives the socket back: no core is there, or each has a thousand on the way already.
    pub fn give(&self, socket: impl Into<StreamSocket>) -> Result<(), GiveError> {
        let mut socket = socket.into();
        for _ in 0..self.count() {
            match self.idlest() {
                Idlest::Core(intake) => match intake.give(socket) {
                    Ok(()) => return Ok(()),
                    Err(refused) => socket = refused.into_socket(), // it ended just now
                },
                Idlest::AllBusy => return Err(GiveError::busy(socket)),
                Idlest::NoneThere => break,
            }
        }
        Err(GiveError::closed(socket))
    }

    /// Gives a connection to one core.
    ///
    /// # Errors
    /// [`GiveError`] gives the socket back: there is no core of that number, or not any more.
    pub fn give_to(&self, core: usize, socket: impl Into<StreamSocket>) -> Result<(), GiveError> {
        match self.intake(core) {
            Some(intake) => intake.give(socket),
            None => Err(GiveError::closed(socket.into())),
        }
    }

    /// Ends all cores in good order, at the same time: each stops listening, asks its protocols to come
    /// to an end ([`shutdown_requested`](crate::Protocol::shutdown_requested)), and aborts what is left
    /// after `deadline`; then its tasks are cancelled, and its loop is closed.
    ///
    /// The future is done when the last has ended, and half a second after the deadline at the latest: a
    /// core whose thread is stuck in somebody's code is reported as [`CoreEnd::Stuck`], and left to
    /// itself. A second call with an earlier deadline hastens the end. Once all have ended, every call
    /// gives the same report.
    pub fn shutdown(&self, deadline: Duration) -> concurrent::Future<CoresReport> {
        // Somebody may cancel what they are given; the end is everybody's.
        let answer = concurrent::Future::new();
        let waiting = answer.clone();
        self.shared.ended.add_done_callback(move |ended| {
            // One that was cancelled waits no more.
            let _ = waiting.set_outcome(ended.result(None));
        });
        // If nobody receives it, the end is there already.
        let _ = self.shared.news.send(News::ShutDown(deadline));
        answer
    }

    /// A future that is done when all cores have ended, whatever ended them: a shutdown that anybody
    /// asked for, or a failure.
    pub fn ended(&self) -> concurrent::Future<CoresReport> {
        let answer = concurrent::Future::new();
        let waiting = answer.clone();
        self.shared.ended.add_done_callback(move |ended| {
            // One that was cancelled waits no more.
            let _ = waiting.set_outcome(ended.result(None));
        });
        answer
    }

    fn intake(&self, index: usize) -> Option<Intake> {
        lock(self.shared.intakes.get(index)?).clone()
    }

    fn set_intake(&self, index: usize, intake: Option<Intake>) {
        *lock(&self.shared.intakes[index]) = intake;
    }

    /// The core with the fewest connections; of equal ones another each time.
    fn idlest(&self) -> Idlest {
        let count = self.count();
        let first = self.shared.next.fetch_add(1, Relaxed);
        let there = (0..count).filter_map(|step| self.intake((first.wrapping_add(step)) % count));
        let there: Vec<Intake> = there.filter(|intake| !intake.is_closed()).collect();
        let free = there.iter().filter(|intake| intake.coming() < MOST_COMING);
        match free.min_by_key(|intake| intake.load()) {
            Some(intake) => Idlest::Core(intake.clone()),
            None if there.is_empty() => Idlest::NoneThere,
            None => Idlest::AllBusy,
        }
    }

    /// A connection that the coordinator accepted.
    fn hand_over(&self, socket: StreamSocket) {
        if let Err(refused) = self.give(socket) {
            let count = self.shared.shed.fetch_add(1, Relaxed) + 1;
            // The first, then ever fewer: a flood must not become a flood of log lines.
            if count.is_power_of_two() {
                log::warn!(target: "tulipa", "{refused}; {count} connections were closed so far");
            }
        }
    }
}

enum Idlest {
    Core(Intake),
    AllBusy,
    NoneThere,
}

fn lock(intake: &Mutex<Option<Intake>>) -> std::sync::MutexGuard<'_, Option<Intake>> {
    // Nothing that can panic is done under the mutex.
    intake.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cores(")?;
        for address in self.addresses() {
            write!(f, "{address}, ")?;
        }
        write!(f, "connections: {:?})", self.loads())
    }
}
