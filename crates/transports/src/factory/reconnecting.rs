//! [`ReconnectingClient`]: keeps a client's connection up (W-4, W-6).
//!
//! Invariant: exactly one thing is under way: a pause, an attempt, a connection, or nothing any more. What
//! users gave (the closure that connects, the observer, chance) runs in turns of the client's own with
//! nothing borrowed, so none of it is ever called from inside itself.

mod core;

use self::core::{Core, State, Waiting};
use super::ReconnectOptions;
use super::active::{AtWork, keep, newest};
use crate::Transport;
use crate::loop_shared::add_waiting;
use crate::stream_transport::Opened;
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt, ScopeMember};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Keeps a client's connection up: connects, and connects again after a while when that fails, or when the
/// connection is lost. Made by [`create_reconnecting_client`](crate::NetworkLoop::create_reconnecting_client).
/// Twisted's `ReconnectingClientFactory` and `ClientService`.
///
/// What connecting is, a closure says: any creator of a transport, with all of its options. How long the
/// pauses are says a [`Backoff`](super::Backoff), which grows by itself and is [reset](ReconnectingClient::reset_delay) by
/// whoever knows what a success is. Time is the loop's.
///
/// It is a handle: clones name the same client, and dropping all of them stops nothing: the loop keeps it
/// until it is [stopped](ReconnectingClient::stop_trying) or [closed](ReconnectingClient::close), or has no
/// attempts left.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::{
///     NetworkLoop, Protocol, ReconnectOptions, ReconnectingClient, Transport, prelude::*,
/// };
///
/// /// Says who it is each time the connection is there.
/// struct Agent { client: ReconnectingClient }
/// impl Protocol for Agent {
///     fn connection_made(&mut self, transport: &dyn Transport) {
///         transport.write(b"agent 7\n");
///     }
///     fn data_received(&mut self, _: &dyn Transport, _welcome: &[u8]) {
///         self.client.reset_delay(); // we are wanted here
///     }
/// }
/// # struct Quiet;
/// # impl Protocol for Quiet {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
///
/// let event_loop = EventLoop::new()?;
/// # let server = event_loop.create_server(|| Quiet, ("127.0.0.1", 0)).result()?;
/// # let address = ("127.0.0.1", server.addresses()[0].port().unwrap());
/// let connect = move |client: &ReconnectingClient| {
///     let agent = Agent { client: client.clone() };
///     client.get_loop().create_connection(move || agent, address)
/// };
/// let client = event_loop.create_reconnecting_client(connect, ReconnectOptions::default());
/// let transport = event_loop.run_until_complete(&client.when_connected())?;
/// # drop(transport);
/// client.close();
/// event_loop.run_until_complete(&client.wait_closed())?;
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct ReconnectingClient {
    core: Rc<Core>,
}

/// What those who wait for a connection get from a [`ReconnectingClient`] that tries no more.
/// (`Error::source` is the last failure, if there was one.)
#[derive(Clone, Debug)]
pub struct StoppedError {
    last: Option<Exception>,
}

impl StoppedError {
    /// The last failure, or why the last connection was lost.
    pub fn last(&self) -> Option<&Exception> {
        self.last.as_ref()
    }
}

impl fmt::Display for StoppedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has stopped connecting")
    }
}

impl Error for StoppedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.last.as_ref().map(|last| last.as_error() as &(dyn Error + 'static))
    }
}

impl ReconnectingClient {
    pub(crate) fn start(
        event_loop: Rc<dyn AbstractEventLoop>,
        connect: impl FnMut(&ReconnectingClient) -> Opened + 'static,
        options: ReconnectOptions,
    ) -> Self {
        let ReconnectOptions { backoff, reset_after, random, observer } = options;
        let core = Rc::new(Core {
            event_loop,
            connect: Cell::new(Some(Box::new(connect))),
            random: Cell::new(Some(random)),
            observer: Cell::new(observer),
            backoff: RefCell::new(backoff),
            reset_after,
            trying: Cell::new(true),
            gave_up: Cell::new(false),
            state: RefCell::new(State::Pausing(None)),
            last: RefCell::new(None),
            waiting: RefCell::default(),
            closed: RefCell::default(),
        });
        keep(&*core.event_loop, &core);
        core.pause(Duration::ZERO);
        if core.event_loop.is_closed() {
            core.loop_closed(); // which was reported: it cannot pause (D19)
        }
        Self { core }
    }

    /// The loop that it belongs to.
    pub fn get_loop(&self) -> Rc<dyn AbstractEventLoop> {
        self.core.event_loop.clone()
    }

    /// The connection, if it is there: of one that was encrypted meanwhile, the transport that it has now.
    pub fn transport(&self) -> Option<Rc<dyn Transport>> {
        self.connection().map(newest)
    }

    /// The transport with which the connection began.
    fn connection(&self) -> Option<Rc<dyn Transport>> {
        match &*self.core.state.borrow() {
            State::Connected(transport) => Some(transport.clone()),
            State::Pausing(_) | State::Connecting(_) | State::Ended => None,
        }
    }

    /// A future of the connection: of the one that is there, unless it is closing, or else the next one.
    /// It fails with [`StoppedError`] if there will be none.
    pub fn when_connected(&self) -> Future<Rc<dyn Transport>> {
        self.wait_for_connection(None)
    }

    /// As [`when_connected`](ReconnectingClient::when_connected), but fails with the attempt's error when
    /// so many from now on have failed (Twisted's `failAfterFailures`). At least one is awaited.
    pub fn when_connected_within(&self, attempts: u32) -> Future<Rc<dyn Transport>> {
        self.wait_for_connection(Some(attempts.max(1)))
    }

    /// Begins the waiting times anew: call it when the connection was a success, not merely there (W-4).
    pub fn reset_delay(&self) {
        self.core.backoff.borrow_mut().reset();
    }

    /// Makes no more attempts: a pause, or the attempt that is under way, is called off. A connection that
    /// is there stays. Idempotent.
    pub fn stop_trying(&self) {
        self.core.stop_trying();
    }

    /// Ends the pause: the next attempt begins at once, in a turn of its own. Does nothing at other times.
    pub fn retry_now(&self) {
        if self.core.is_pausing() {
            self.core.pause(Duration::ZERO);
        }
    }

    /// Stops trying, and closes the connection, which still sends what was written. Idempotent.
    pub fn close(&self) {
        self.stop_trying();
        if let Some(connection) = self.connection() {
            connection.close_all();
        }
    }

    /// A future that is done when it has stopped and there is no connection. It fails with the last error
    /// if it stopped because there are no attempts left.
    pub fn wait_closed(&self) -> Future<()> {
        let future: Future<()> = self.core.event_loop.create_future();
        if self.is_ended() {
            // It is new, hence pending.
            let _ = future.set_outcome(self.core.how_it_ended());
        } else {
            let given_up = add_waiting(&mut self.core.closed.borrow_mut(), &future);
            drop(given_up); // what they hold is the user's
        }
        future
    }

    /// Whether it makes attempts when they are needed.
    pub fn is_trying(&self) -> bool {
        self.core.trying.get()
    }

    /// How many attempts were made because others failed, since the last reset.
    pub fn retries(&self) -> u32 {
        self.core.backoff.borrow().retries()
    }

    /// The last failure, or the reason for which the last connection was lost.
    pub fn last_error(&self) -> Option<Exception> {
        self.core.last.borrow().clone()
    }

    fn is_ended(&self) -> bool {
        matches!(&*self.core.state.borrow(), State::Ended)
    }

    fn wait_for_connection(&self, attempts: Option<u32>) -> Future<Rc<dyn Transport>> {
        let future: Future<Rc<dyn Transport>> = self.core.event_loop.create_future();
        match self.transport().filter(|transport| !transport.is_closing()) {
            // It is new, hence pending.
            Some(transport) => drop(future.set_result(transport)),
            None if self.is_ended() || !self.is_trying() => {
                let _ = future.set_exception(self.core.stopped());
            }
            None => self.core.add_waiting(Waiting { future: future.clone(), attempts }),
        }
        future
    }
}

impl fmt::Debug for ReconnectingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.core.state.borrow() {
            State::Pausing(_) => "pausing",
            State::Connecting(_) => "connecting",
            State::Connected(_) => "connected",
            State::Ended => "ended",
        };
        write!(f, "ReconnectingClient({state}, {} retries)", self.retries())
    }
}

/// A scope that ends closes the client, and aborts its connection when the deadline is over.
impl ScopeMember for ReconnectingClient {
    fn close(&self) {
        ReconnectingClient::close(self);
    }

    fn abort(&self) {
        self.stop_trying();
        if let Some(connection) = self.connection() {
            connection.close_all(); // which calls a handshake off
            newest(connection).abort();
        }
    }

    fn closed(&self) -> Future<()> {
        self.wait_closed()
    }
}
