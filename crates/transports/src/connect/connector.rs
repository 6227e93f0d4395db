//! [`Connector`]: one call of a creator, until it is decided.
//!
//! Invariant: the deadline's timer, the attempts that are under way, and the timers between them own
//! it, until an attempt has won: from then on the connection is on its own, and too late for nothing.
//! When its future is done, all of these are gone, a look-up included. Of several attempts only the one
//! that won is still there when user code hears of it (N-15).

use super::attempt::{Attempt, begin};
use super::options::{CommonOptions, Eyeballs};
use super::race::{Race, interleave};
use super::{ConnectError, FactoryOnce, Opened, shared};
use crate::Address;
use crate::backend::SocketBackend;
use crate::loop_shared::Owner;
use crate::stream_transport::StreamTransport;
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt, TimerHandle};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

type Connection = StreamTransport<SocketBackend>;

pub(super) struct Connector {
    owner: Rc<Owner>,
    factory: Cell<Option<FactoryOnce>>,
    future: Opened,
    local_addr: Cell<Option<SocketAddr>>,
    common: CommonOptions,
    /// What is being connected to, for people.
    name: RefCell<String>,
    look_up: Cell<Option<Future<Vec<SocketAddr>>>>,
    race: RefCell<Race<Address>>,
    /// How long an attempt has before the next begins beside it.
    delay: Cell<Option<Duration>>,
    under_way: RefCell<Vec<UnderWay>>,
    failures: RefCell<Vec<Failure>>,
    /// Until the next attempt.
    pause: Cell<Option<TimerHandle>>,
    deadline: Cell<Option<TimerHandle>>,
}

/// An attempt that has begun, and not ended.
struct UnderWay {
    number: usize,
    address: Address,
    waits_for: WaitsFor,
}

enum WaitsFor {
    Connection(Weak<Connection>),
    /// A place in a Unix server's queue.
    Retry(TimerHandle),
}

struct Failure {
    number: usize,
    address: Address,
    error: io::Error,
}

/// A name server may have sent thousands of addresses that fail at once; others want their turn.
const MOST_FAILURES_A_TURN: usize = 16;

/// How long to wait for a place in a Unix server's queue: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(2);
const LAST_RETRY: Duration = Duration::from_millis(100);

impl Connector {
    pub(super) fn new(
        event_loop: &dyn AbstractEventLoop,
        factory: FactoryOnce,
        common: CommonOptions,
    ) -> Rc<Self> {
        let time = common.deadline;
        let connector = Rc::new(Self {
            owner: Owner::of(event_loop),
            factory: Cell::new(Some(factory)),
            future: event_loop.create_future(),
            local_addr: Cell::new(None),
            common,
            name: RefCell::default(),
            look_up: Cell::new(None),
            race: RefCell::new(Race::new([])),
            delay: Cell::new(None),
            under_way: RefCell::default(),
            failures: RefCell::default(),
            pause: Cell::new(None),
            deadline: Cell::new(None),
        });
        let owner = connector.clone();
        let deadline = event_loop.call_later(time, move || owner.time_is_over());
        connector.deadline.set(Some(deadline));
        let weak = Rc::downgrade(&connector);
        connector.future.add_done_callback(move |_| {
            if let Some(connector) = weak.upgrade() {
                connector.let_go(); // N-12: nothing is left, however it ended
            }
        });
        connector
    }

    pub(super) fn connect_from(self: Rc<Self>, local_addr: Option<SocketAddr>) -> Rc<Self> {
        self.local_addr.set(local_addr);
        self
    }

    pub(super) fn try_resolved(
        self: Rc<Self>,
        name: String,
        found: Future<Vec<SocketAddr>>,
        eyeballs: Eyeballs,
    ) -> Opened {
        self.delay.set(eyeballs.delay);
        if found.done() {
            return self.try_found(name, &found, eyeballs);
        }
        self.name.borrow_mut().clone_from(&name);
        self.look_up.set(Some(found.clone()));
        // Weakly: the deadline owns the connector, which owns the look-up.
        let connector = Rc::downgrade(&self);
        found.add_done_callback(move |found| {
            if let Some(connector) = connector.upgrade() {
                connector.try_found(name, found, eyeballs);
            }
        });
        self.future.clone()
    }

    fn try_found(
        self: Rc<Self>,
        name: String,
        found: &Future<Vec<SocketAddr>>,
        eyeballs: Eyeballs,
    ) -> Opened {
        self.look_up.set(None);
        match found.take() {
            Ok(addresses) => {
                let order = interleave(addresses, eyeballs.first_count());
                self.try_all(name, order.into_iter().map(Address::Ip))
            }
            Err(exception) => {
                self.fail(exception);
                self.future.clone()
            }
        }
    }

    pub(super) fn try_all(
        self: Rc<Self>,
        name: String,
        candidates: impl IntoIterator<Item = Address>,
    ) -> Opened {
        *self.name.borrow_mut() = name;
        *self.race.borrow_mut() = Race::new(candidates);
        match self.common.check() {
            Err(exception) => self.fail(exception),
            Ok(()) => self.begin_next(),
        }
        self.future.clone()
    }

    /// Begins with the next address, or with the one after it if that fails at once, and so on.
    fn begin_next(self: &Rc<Self>) {
        cancel(&self.pause);
        for _ in 0..MOST_FAILURES_A_TURN {
            if self.future.done() {
                return;
            }
            let next = self.race.borrow_mut().begin();
            let Some((number, address)) = next else { return self.give_up_if_lost() };
            match self.try_one(number, &address, FIRST_RETRY) {
                Ok(()) => return self.begin_next_after(self.delay.get()),
                Err(error) => {
                    self.race.borrow_mut().failed(number);
                    self.failures.borrow_mut().push(Failure { number, address, error });
                }
            }
        }
        self.give_up_if_lost();
        self.begin_next_after(Some(Duration::ZERO)); // if any is left
    }

    fn begin_next_after(self: &Rc<Self>, delay: Option<Duration>) {
        let Some(delay) = delay else { return };
        if self.future.done() || self.race.borrow().left() == 0 {
            return;
        }
        cancel(&self.pause);
        let connector = self.clone();
        let timer = self.event_loop().call_later(delay, move || connector.begin_next());
        self.pause.set(Some(timer));
    }

    fn try_one(
        self: &Rc<Self>,
        number: usize,
        address: &Address,
        retry: Duration,
    ) -> io::Result<()> {
        let local = match (self.local_addr.get(), address.as_ip()) {
            (Some(local), Some(remote)) if local.is_ipv4() != remote.is_ipv4() => {
                let message = format!("no matching local address: {local} is of another family");
                return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
            }
            (local, _) => local,
        };
        let waits_for = match begin(address, local)? {
            Attempt::Connected(backend) => {
                let connection = self.attach(backend)?;
                self.connected(&connection);
                return Ok(());
            }
            Attempt::InProgress(backend) => {
                let connection = self.attach(backend)?;
                let connector = self.clone();
                connection.set_connecting(Box::new(move |connection| {
                    connector.decided(number, connection);
                }));
                if let Err(error) = connection.watch_connecting() {
                    connection.discard();
                    return Err(error);
                }
                WaitsFor::Connection(Rc::downgrade(&connection))
            }
            Attempt::QueueFull => {
                let connector = self.clone();
                let again = (retry * 2).min(LAST_RETRY);
                let timer = self.event_loop().call_later(retry, move || {
                    connector.try_again(number, again);
                });
                WaitsFor::Retry(timer)
            }
        };
        let attempt = UnderWay { number, address: address.clone(), waits_for };
        self.under_way.borrow_mut().push(attempt);
        Ok(())
    }

    fn try_again(self: &Rc<Self>, number: usize, retry: Duration) {
        let Some(attempt) = self.take_attempt(number) else { return };
        if let Err(error) = self.try_one(number, &attempt.address, retry) {
            self.failed(attempt, error);
        }
    }

    fn attach(&self, backend: SocketBackend) -> io::Result<Rc<Connection>> {
        StreamTransport::attach(self.owner.clone(), backend, shared(self.common.limits))
    }

    fn take_attempt(&self, number: usize) -> Option<UnderWay> {
        let mut under_way = self.under_way.borrow_mut();
        let index = under_way.iter().position(|attempt| attempt.number == number)?;
        Some(under_way.remove(index))
    }

    /// An attempt has ended, well or badly.
    fn decided(self: &Rc<Self>, number: usize, connection: &Rc<Connection>) {
        let Some(attempt) = self.take_attempt(number) else { return };
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
                connection.discard();
                self.failed(attempt, error);
            }
        }
    }

    fn failed(self: &Rc<Self>, attempt: UnderWay, error: io::Error) {
        let UnderWay { number, address, .. } = attempt;
        self.failures.borrow_mut().push(Failure { number, address, error });
        let begin_next = self.race.borrow_mut().failed(number);
        self.give_up_if_lost();
        if begin_next {
            // In a turn of its own: by then the socket that failed is closed, and its port free (N-11).
            self.begin_next_after(Some(Duration::ZERO));
        }
    }

    /// The winner, which is not among those under way any more.
    fn connected(&self, connection: &Rc<Connection>) {
        cancel(&self.deadline); // it came in time, though its protocol hears of it later
        *self.race.borrow_mut() = Race::new([]);
        self.end_attempts(); // N-15: before anybody hears of it
        match self.factory.take() {
            Some(factory) => {
                self.common.encryption.give_protocol(connection, factory, &self.future);
            }
            None => connection.discard(),
        }
    }

    fn give_up_if_lost(&self) {
        if self.race.borrow().is_lost() {
            self.give_up(None);
        }
    }

    fn time_is_over(&self) {
        for UnderWay { number, address, .. } in self.under_way.borrow().iter() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "no answer");
            let failure = Failure { number: *number, address: address.clone(), error };
            self.failures.borrow_mut().push(failure);
        }
        self.give_up(Some(self.common.deadline));
        self.let_go();
    }

    /// No address is left to be tried, or no time.
    fn give_up(&self, deadline: Option<Duration>) {
        let name = self.name.borrow().clone();
        let mut failures = self.failures.take();
        failures.sort_by_key(|failure| failure.number);
        let failures = failures.into_iter().map(|failure| (failure.address, failure.error));
        let look_up = self.look_up.take();
        let mut error = ConnectError::new(name, failures.collect());
        error.deadline = deadline;
        error.unresolved = look_up.is_some();
        error.untried = self.race.borrow().left();
        self.look_up.set(look_up);
        self.fail(io::Error::from(error).into());
    }

    fn fail(&self, exception: Exception) {
        super::fail(&self.future, exception);
    }

    /// It is decided: what was under way for it ends.
    fn let_go(&self) {
        cancel(&self.deadline);
        if let Some(look_up) = self.look_up.take() {
            look_up.cancel();
        }
        self.end_attempts();
        drop(self.factory.take());
    }

    fn end_attempts(&self) {
        cancel(&self.pause);
        let attempts = self.under_way.take();
        for attempt in attempts {
            match attempt.waits_for {
                WaitsFor::Retry(timer) => {
                    timer.cancel();
                }
                WaitsFor::Connection(connection) => {
                    if let Some(connection) = connection.upgrade() {
                        connection.discard();
                    }
                }
            }
        }
    }

    fn event_loop(&self) -> &dyn AbstractEventLoop {
        &**self.owner.shared.event_loop()
    }
}

fn cancel(timer: &Cell<Option<TimerHandle>>) {
    if let Some(timer) = timer.take() {
        timer.cancel();
    }
}
