//! [`ServerCore`]: what a server knows: its listeners, its connections, and who waits for what.

use super::binding::{BindError, Bound};
use super::intake::Intake;
use super::listener::Listener;
use super::options::CommonOptions;
use super::shutdown::{Shutdown, ShutdownReport};
use crate::backend::{Backend, SocketBackend};
use crate::encryption::ServerEncryption;
use crate::factory::BoxedFactory;
use crate::limits::OutputLimits;
use crate::loop_shared::{LoopShared, Owner, add_waiting};
use crate::report_limit::ReportLimit;
use crate::stream_transport::StreamTransport;
use crate::{Address, Protocol, SocketView, StreamSocket};
use eventloop::AbstractEventLoop;
use futures::{
    Exception, ExceptionContext, Future, InvalidStateError, SchedulerExt, TimeoutError, catch,
};
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The part of a server that its listeners, its connections and its handles share.
pub(crate) struct ServerCore {
    shared: Rc<LoopShared>,
    /// Out of its place while it runs; gone when the server is closed.
    pub(super) consumer: Cell<Option<Consumer>>,
    /// That of its connections.
    owner: RefCell<Weak<Owner>>,
    /// The way in from other threads, once somebody has asked for it.
    intake: OnceCell<Intake>,
    limits: Rc<OutputLimits>,
    encryption: ServerEncryption,
    /// How many connections have no protocol yet, and will need the factory.
    pub(super) handshakes: Cell<usize>,
    backlog: u32,
    /// A connection is being made, which may end up in the list.
    taking_in: Cell<bool>,
    /// Nobody has room for more connections: they wait in the system's queue.
    full: Cell<bool>,
    max_connections: usize,
    /// Where connections that are too many are counted besides.
    shed: Option<Arc<AtomicU64>>,
    state: Cell<State>,
    listeners: RefCell<Vec<Weak<Listener>>>,
    /// Each connection knows its place in here.
    connections: RefCell<Vec<Weak<StreamTransport<SocketBackend>>>>,
    wait_closed: RefCell<Vec<Future<()>>>,
    forever: RefCell<Option<Future<()>>>,
    shutdowns: RefCell<Vec<Shutdown>>,
    counts: Cell<ServerStats>,
    reports: ReportLimit,
}

/// What becomes of a connection that was accepted.
pub(super) enum Consumer {
    /// It gets a protocol.
    Protocols(BoxedFactory),
    /// Somebody else takes the socket.
    Sockets(Sink),
}

pub(super) type Sink = Box<dyn FnMut(StreamSocket)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The addresses are taken, nobody can connect yet (N-20).
    Bound,
    Serving,
    Closed,
}

/// What a server did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that were accepted, whatever became of them.
    pub accepted: u64,
    /// Of these, closed at once because there were too many.
    pub shed: u64,
    /// Of these, refused by the factory, which returned `None`.
    pub refused: u64,
    /// Of these, dropped because the factory failed.
    pub failed: u64,
    /// Of these, closed because their TLS handshake failed, or took too long.
    pub handshakes_failed: u64,
    /// How often a connection exceeded its budget.
    pub over_budget: u64,
}

impl ServerCore {
    pub(super) fn new(shared: Rc<LoopShared>, consumer: Consumer, options: &CommonOptions) -> Self {
        Self {
            shared,
            consumer: Cell::new(Some(consumer)),
            owner: RefCell::default(),
            intake: OnceCell::new(),
            limits: options.limits(),
            encryption: options.encryption.clone(),
            handshakes: Cell::new(0),
            backlog: options.backlog,
            taking_in: Cell::new(false),
            full: Cell::new(false),
            max_connections: options.most_connections(),
            shed: options.shed.clone(),
            state: Cell::new(State::Bound),
            listeners: RefCell::default(),
            connections: RefCell::default(),
            wait_closed: RefCell::default(),
            forever: RefCell::default(),
            shutdowns: RefCell::default(),
            counts: Cell::default(),
            reports: ReportLimit::default(),
        }
    }

    pub(crate) fn event_loop(&self) -> &dyn AbstractEventLoop {
        &**self.shared.event_loop()
    }

    pub(super) fn event_loop_rc(&self) -> Rc<dyn AbstractEventLoop> {
        self.shared.event_loop().clone()
    }

    // Listening

    /// Takes the sockets over; if one fails, all are given up.
    pub(super) fn attach(self: &Rc<Self>, bound: Vec<Bound>) -> io::Result<()> {
        let owner = self.owner();
        for one in bound {
            match Listener::attach(one, &owner, self) {
                Ok(listener) => self.listeners.borrow_mut().push(Rc::downgrade(&listener)),
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// To whom the connections belong. The circle through it lasts as long as one of them, or a
    /// listener.
    fn owner(self: &Rc<Self>) -> Rc<Owner> {
        let known = self.owner.borrow().upgrade();
        known.unwrap_or_else(|| {
            let owner = Rc::new(Owner { shared: self.shared.clone(), server: Some(self.clone()) });
            *self.owner.borrow_mut() = Rc::downgrade(&owner);
            owner
        })
    }

    /// The way in from other threads.
    pub(super) fn intake(self: &Rc<Self>) -> Intake {
        let make = || {
            let number = self.shared.add_server(Rc::downgrade(self));
            Intake::new(self.event_loop().threadsafe_handle(), number)
        };
        let intake = self.intake.get_or_init(make).clone();
        intake.set_open(self.connection_count());
        intake
    }

    /// How many connections there are has changed.
    fn tell_intake(&self, count: usize) {
        if let Some(intake) = self.intake.get() {
            intake.set_open(count);
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.state.get() == State::Serving
    }

    /// Whether it takes no more connections, for good.
    pub(super) fn is_closed(&self) -> bool {
        self.state.get() == State::Closed
    }

    /// Whether connections are taken in right now.
    pub(super) fn is_accepting(&self) -> bool {
        self.is_serving() && !self.full.get()
    }

    /// Leaves connections in the system's queue, or takes them in again.
    pub(crate) fn set_full(&self, full: bool) {
        if self.full.replace(full) != full && self.is_serving() {
            self.listeners().iter().for_each(|listener| listener.review());
        }
    }

    pub(super) fn start_serving(&self) -> io::Result<()> {
        match self.state.get() {
            State::Serving => return Ok(()),
            State::Closed => return Err(io::Error::other(closed())),
            State::Bound => {}
        }
        let listeners = self.listeners();
        let begun = listeners.iter().try_for_each(|listener| {
            let failed = |error| BindError::one(listener.address.clone(), error);
            listener.listen(self.backlog).map_err(failed)
        });
        match begun {
            Ok(()) => self.state.set(State::Serving),
            // Nobody accepts: one that went on listening would be ready for ever.
            Err(_) => listeners.iter().for_each(|listener| listener.unlisten()),
        }
        Ok(begun?)
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.listeners().iter().map(|listener| listener.address.clone()).collect()
    }

    pub(super) fn sockets(&self) -> Vec<SocketView> {
        let listeners = self.listeners.borrow();
        listeners.iter().map(|listener| SocketView::new(listener.clone())).collect()
    }

    fn listeners(&self) -> Vec<Rc<Listener>> {
        self.listeners.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    // Connections

    /// A connection came: it gets its protocol, or is dropped. Nothing that goes wrong with it
    /// concerns the listener (N-27).
    pub(super) fn take_in(&self, owner: &Rc<Owner>, backend: SocketBackend) {
        self.taking_in.set(true);
        self.make_connection(owner, backend);
        self.taking_in.set(false);
        if self.state.get() == State::Closed {
            self.check_all_gone(); // the factory closed its own server
        }
    }

    /// A connection came from another thread.
    pub(super) fn take_over(self: &Rc<Self>, socket: StreamSocket) {
        match socket.into_backend() {
            Ok(backend) => self.take_in(&self.owner(), backend),
            Err(error) => self.connection_failed("it cannot be taken over", error.into()),
        }
    }

    fn make_connection(&self, owner: &Rc<Owner>, backend: SocketBackend) {
        self.count(|counts| counts.accepted += 1);
        if self.shared.connections() >= self.max_connections {
            if let Some(shed) = &self.shed {
                shed.fetch_add(1, Relaxed);
            }
            return self.count(|counts| counts.shed += 1);
        }
        if self.is_closed() {
            return; // its factory may be there still, for those in their handshakes
        }
        let Some(mut consumer) = self.consumer.take() else { return };
        let protocol = match &mut consumer {
            Consumer::Sockets(sink) => {
                let sent = catch(|| sink(backend.into_stream_socket()));
                self.put_back(consumer);
                if let Err(panic) = sent {
                    self.connection_failed("who was to take it panicked", panic);
                }
                return;
            }
            Consumer::Protocols(factory) => {
                let peer = backend.peer();
                let made = match self.encryption.layer(owner, &peer) {
                    Some(layer) => Ok(Some(layer)),
                    None => factory.build(&peer),
                };
                self.put_back(consumer);
                self.accept_made(made)
            }
        };
        let Some(protocol) = protocol else { return };
        let limits = Some(self.limits.clone());
        match StreamTransport::attach(owner.clone(), backend, limits) {
            Err(error) => self.connection_failed("cannot be watched", error.into()),
            Ok(connection) => {
                let mut connections = self.connections.borrow_mut();
                connection.set_index(u32::try_from(connections.len()).unwrap_or(u32::MAX));
                connections.push(Rc::downgrade(&connection));
                self.tell_intake(connections.len());
                drop(connections);
                connection.open(protocol, None);
                if !self.shutdowns.borrow().is_empty() {
                    connection.shut_down_soon();
                }
            }
        }
    }

    /// What the factory made; `None` if that is no protocol, which was said then.
    pub(super) fn accept_made(
        &self,
        made: Result<Option<Box<dyn Protocol>>, Exception>,
    ) -> Option<Box<dyn Protocol>> {
        match made {
            Ok(Some(protocol)) => return Some(protocol),
            Ok(None) => self.count(|counts| counts.refused += 1),
            Err(exception) => self.connection_failed("the factory failed", exception),
        }
        None
    }

    pub(super) fn put_back(&self, consumer: Consumer) {
        if self.state.get() == State::Closed && self.handshakes.get() == 0 {
            self.retire(consumer); // it closed its own server
        } else {
            self.consumer.set(Some(consumer));
        }
    }

    /// Reports a connection that came to nothing: ten a second, then a count.
    fn connection_failed(&self, what: &str, exception: Exception) {
        self.count(|counts| counts.failed += 1);
        let Some(held_back) = self.reports.pass(self.event_loop().time()) else { return };
        let mut message = format!("an incoming connection was dropped: {what}");
        if held_back > 0 {
            message.push_str(&format!(" ({held_back} more were not reported)"));
        }
        let mut context = ExceptionContext::with_exception(message, exception);
        context.server = Some(self.describe());
        self.event_loop().call_exception_handler(context);
    }

    /// A connection has ended, whatever its protocol did about it (N-31, N-33).
    pub(crate) fn connection_ended(&self, index: u32) {
        let mut connections = self.connections.borrow_mut();
        let index_in_list = index as usize;
        if index_in_list >= connections.len() {
            return;
        }
        let ended = connections.swap_remove(index_in_list);
        self.tell_intake(connections.len());
        if let Some(moved) = connections.get(index_in_list).and_then(Weak::upgrade) {
            moved.set_index(index);
        }
        drop(connections);
        drop(ended);
        self.check_all_gone();
    }

    pub(super) fn connection_count(&self) -> usize {
        self.connections.borrow().len()
    }

    fn live(&self) -> Vec<Rc<StreamTransport<SocketBackend>>> {
        self.connections.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn close_clients(&self) {
        self.live().iter().for_each(|connection| connection.close_all());
    }

    pub(super) fn abort_clients(&self) {
        self.live().iter().for_each(|connection| connection.abort(None));
    }

    // The end

    /// Stops listening at once (N-24).
    pub(super) fn close(&self) {
        if self.state.replace(State::Closed) == State::Closed {
            return;
        }
        for listener in self.listeners() {
            listener.close();
        }
        self.listeners.borrow_mut().clear();
        if self.handshakes.get() == 0 {
            self.retire_kept_consumer();
        }
        let forever = self.forever.borrow_mut().take();
        if let Some(forever) = forever {
            forever.cancel();
        }
        self.check_all_gone();
    }

    /// Nothing will be called any more. What users gave away is dropped: a factory, or a callback of
    /// a future, may own a handle of this very server.
    pub(super) fn loop_closed(&self) {
        self.state.set(State::Closed);
        if let Some(consumer) = self.consumer.take() {
            self.drop_consumer(consumer);
        }
        drop((self.wait_closed.take(), self.forever.take(), self.shutdowns.take()));
    }

    pub(super) fn wait_closed(&self) -> Future<()> {
        let future = self.event_loop().create_future();
        let given_up = add_waiting(&mut self.wait_closed.borrow_mut(), &future);
        drop(given_up); // what they hold is the user's
        self.check_all_gone();
        future
    }

    pub(super) fn serve_forever(self: &Rc<Self>) -> Future<()> {
        let future: Future<()> = self.event_loop().create_future();
        let refusal = if self.state.get() == State::Closed {
            Some(Exception::from(closed()))
        } else if self.forever.borrow().is_some() {
            Some(InvalidStateError::new("serve_forever() is under way already").into())
        } else {
            self.start_serving().err().map(Exception::from)
        };
        if let Some(refusal) = refusal {
            // It is new, hence pending.
            let _ = future.set_exception(refusal);
            return future;
        }
        *self.forever.borrow_mut() = Some(future.clone());
        let server = Rc::downgrade(self);
        future.add_done_callback(move |_| {
            if let Some(server) = server.upgrade() {
                server.close();
            }
        });
        future
    }

    /// Asks every connection to end, and cuts off those that have not by the deadline.
    pub(super) fn shut_down(self: &Rc<Self>, deadline: Duration) -> Future<ShutdownReport> {
        self.close();
        let future = self.event_loop().create_future();
        let live = self.live();
        let server = Rc::downgrade(self);
        let timer = self.event_loop().call_later(deadline, move || {
            if let Some(server) = server.upgrade() {
                server.cut_off();
            }
        });
        let shutdown = Shutdown::new(future.clone(), self.connection_count(), timer);
        self.shutdowns.borrow_mut().push(shutdown);
        live.iter().for_each(|connection| connection.shut_down_soon());
        self.check_all_gone();
        future
    }

    /// The deadline of a shutdown is over.
    fn cut_off(&self) {
        let live = self.live();
        self.shutdowns.borrow_mut().iter_mut().for_each(|shutdown| shutdown.cut_off(live.len()));
        for connection in &live {
            connection.abort(Some(TimeoutError::new("shutting the server down").into()));
        }
    }

    /// Tells those who wait for it that the server is closed and its last connection gone (N-25).
    fn check_all_gone(&self) {
        let one_is_coming = self.taking_in.get();
        if self.state.get() != State::Closed
            || one_is_coming
            || !self.connections.borrow().is_empty()
        {
            return;
        }
        let waiting = self.wait_closed.take();
        let shutdowns = self.shutdowns.take();
        for future in waiting {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
        for shutdown in shutdowns {
            shutdown.finish();
        }
    }

    pub(super) fn stats(&self) -> ServerStats {
        self.counts.get()
    }

    pub(super) fn describe(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(Address::to_string).collect();
        match (self.state.get(), &addresses[..]) {
            (State::Closed, _) => "closed server".into(),
            (State::Bound | State::Serving, all) => format!("server on {}", all.join(", ")),
        }
    }

    /// One of its connections did.
    pub(crate) fn budget_exceeded(&self) {
        self.count(|counts| counts.over_budget += 1);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut ServerStats)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Tells the factory that it is used from now on (W-1). If it cannot be, nothing is left.
    pub(super) fn start_factory(&self) -> Result<(), Exception> {
        let Some(mut consumer) = self.consumer.take() else { return Ok(()) };
        let Consumer::Protocols(factory) = &mut consumer else {
            self.consumer.set(Some(consumer));
            return Ok(());
        };
        let started = factory.start();
        match started {
            Ok(()) => self.consumer.set(Some(consumer)),
            Err(_) => {
                self.drop_consumer(consumer);
                self.close();
            }
        }
        started
    }

    /// Tells the factory that it is not used any more (W-1), and drops it.
    fn retire(&self, mut consumer: Consumer) {
        if let Consumer::Protocols(factory) = &mut consumer
            && let Err(exception) = factory.stop()
        {
            let message = "stop_factory() of a protocol factory panicked";
            let context = ExceptionContext::with_exception(message, exception);
            self.event_loop().call_exception_handler(context);
        }
        self.drop_consumer(consumer);
    }

    /// As [`retire`](ServerCore::retire), for the one that is in its place.
    pub(super) fn retire_kept_consumer(&self) {
        if let Some(consumer) = self.consumer.take() {
            self.retire(consumer);
        }
    }

    /// Drops the factory, whose destructor is user code.
    fn drop_consumer(&self, consumer: Consumer) {
        if let Err(exception) = catch(move || drop(consumer)) {
            let message = "the destructor of a protocol factory panicked";
            let context = ExceptionContext::with_exception(message, exception);
            self.event_loop().call_exception_handler(context);
        }
    }
}

fn closed() -> InvalidStateError {
    InvalidStateError::new("the server is closed")
}
