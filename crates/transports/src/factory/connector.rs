//! [`Connector`]: one outgoing connection at a time, made again on request (W-3).
//!
//! Invariant: the factory's methods run in turns of the connector's own, with nothing borrowed, so none of
//! them is ever called from inside another. The loop keeps the connector from `connect` until it is
//! disconnected.

use super::active::{AtWork, Outcome, keep, newest, rest, when_ended};
use super::dial::{Dial, Redial};
use super::{AnyClientFactory, Made};
use crate::stream_transport::Opened;
use crate::{Address, Transport};
use eventloop::AbstractEventLoop;
use futures::{
    CancelledError, Exception, ExceptionContext, InvalidStateError, SchedulerExt, catch,
};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::rc::{Rc, Weak};

/// Connects for a [`ClientFactory`](super::ClientFactory), one connection at a time. Made by
/// [`create_connector`](crate::NetworkLoop::create_connector).
///
/// ```text
/// Disconnected ─ connect() ─▶ Connecting ──────────▶ Connected
///       ▲                         │ it failed, or          │ it is lost
///       └─────────────────────────┴─ stop_connecting() ────┘
/// ```
///
/// It is a handle: clones name the same connector, and dropping all of them stops nothing. A factory that
/// keeps its own connector lives on when it is stopped, since it may connect again: until it lets the
/// connector go, or the loop closes.
#[derive(Clone)]
pub struct Connector {
    core: Rc<Core>,
}

/// Where a [`Connector`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorState {
    /// There is no connection, and none is being made.
    Disconnected,
    /// An attempt is under way, or about to begin.
    Connecting,
    /// The connection is there. It may be closing.
    Connected,
}

/// A request that makes no sense in the state that a [`Connector`] is in: Twisted's `NotConnectingError`
/// and the `RuntimeError` of its `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorError {
    operation: &'static str,
    state: ConnectorState,
    loop_is_closed: bool,
}

impl ConnectorError {
    /// The state that forbade it.
    pub fn state(&self) -> ConnectorState {
        self.state
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            _ if self.loop_is_closed => "whose loop is closed",
            ConnectorState::Disconnected => "that is disconnected",
            ConnectorState::Connecting => "that is connecting",
            ConnectorState::Connected => "that is connected",
        };
        write!(f, "{} on a connector {state}", self.operation)
    }
}

impl Error for ConnectorError {}

impl Connector {
    pub(crate) fn begin(
        event_loop: Rc<dyn AbstractEventLoop>,
        factory: Box<dyn AnyClientFactory>,
        dial: Dial,
    ) -> Self {
        let core = Rc::new(Core {
            event_loop,
            factory: Cell::new(Some(factory)),
            redial: Redial::new(dial),
            state: RefCell::new(State::Disconnected),
            called_off: Cell::new(false),
            started: Cell::new(false),
        });
        let connector = Self { core };
        if let Err(error) = connector.connect() {
            // It is new, hence disconnected: the loop is closed (D19).
            connector.core.report("a connector cannot begin", error.into());
            connector.core.loop_closed();
        }
        connector
    }

    /// Where it is.
    pub fn state(&self) -> ConnectorState {
        self.core.state()
    }

    /// The connection, if there is one: of one that was encrypted meanwhile, the transport that it has now.
    pub fn transport(&self) -> Option<Rc<dyn Transport>> {
        self.connection().map(newest)
    }

    /// The transport with which the connection began.
    fn connection(&self) -> Option<Rc<dyn Transport>> {
        match &*self.core.state.borrow() {
            State::Connected(transport) => Some(transport.clone()),
            State::Disconnected | State::Queued | State::Connecting(_) => None,
        }
    }

    /// Begins to connect, in a turn of its own.
    ///
    /// # Errors
    /// Unless it is disconnected; always when its loop is closed.
    pub fn connect(&self) -> Result<(), ConnectorError> {
        self.core.check("connect()", ConnectorState::Disconnected)?;
        if self.core.event_loop.is_closed() {
            let state = self.core.state();
            return Err(ConnectorError { operation: "connect()", state, loop_is_closed: true });
        }
        *self.core.state.borrow_mut() = State::Queued;
        self.core.called_off.set(false);
        keep(&*self.core.event_loop, &self.core);
        let core = Rc::downgrade(&self.core);
        self.core.event_loop.call_soon(move || {
            if let Some(core) = core.upgrade() {
                core.begin();
            }
        });
        Ok(())
    }

    /// Calls the attempt off; nothing of it is left, and the factory is told that it failed, with a
    /// cancellation for a reason.
    ///
    /// # Errors
    /// Unless it is connecting.
    pub fn stop_connecting(&self) -> Result<(), ConnectorError> {
        self.core.check("stop_connecting()", ConnectorState::Connecting)?;
        self.core.called_off.set(true);
        let attempt = match &*self.core.state.borrow() {
            State::Connecting(attempt) => Some(attempt.clone()),
            State::Disconnected | State::Queued | State::Connected(_) => None,
        };
        if let Some(attempt) = attempt {
            attempt.cancel();
        }
        Ok(())
    }

    /// Does what fits: stops connecting, or closes the connection, which still sends what was written.
    pub fn disconnect(&self) {
        if let Some(connection) = self.connection() {
            connection.close_all();
        } else if self.state() == ConnectorState::Connecting {
            // It is connecting.
            let _ = self.stop_connecting();
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({:?})", self.state())
    }
}

struct Core {
    event_loop: Rc<dyn AbstractEventLoop>,
    /// Out of its place while one of its methods runs.
    factory: Cell<Option<Box<dyn AnyClientFactory>>>,
    redial: Redial,
    state: RefCell<State>,
    /// Whether the attempt is not wanted any more.
    called_off: Cell<bool>,
    /// Whether the factory was told that it is used.
    started: Cell<bool>,
}

enum State {
    Disconnected,
    /// The turn that begins the attempt is queued, or runs.
    Queued,
    Connecting(Opened),
    Connected(Rc<dyn Transport>),
}

impl Core {
    fn state(&self) -> ConnectorState {
        match &*self.state.borrow() {
            State::Disconnected => ConnectorState::Disconnected,
            State::Queued | State::Connecting(_) => ConnectorState::Connecting,
            State::Connected(_) => ConnectorState::Connected,
        }
    }

    fn check(&self, operation: &'static str, wanted: ConnectorState) -> Result<(), ConnectorError> {
        match self.state() {
            state if state == wanted => Ok(()),
            state => Err(ConnectorError { operation, state, loop_is_closed: false }),
        }
    }

    fn set_state(&self, state: State) {
        let before = self.state.replace(state);
        drop(before);
    }

    /// Begins an attempt.
    fn begin(self: &Rc<Self>) {
        if !self.started.replace(true)
            && let Some(Err(panic)) = self.with_factory(|factory| factory.start())
        {
            self.started.set(false);
            return self.failed(panic);
        }
        self.tell("started_connecting", |factory, connector| factory.started(connector));
        if self.called_off.get() {
            return self.failed(CancelledError::new().into());
        }
        let core = Rc::downgrade(self);
        let attempt = self.redial.dial(&*self.event_loop, move |peer| build(&core, peer));
        self.set_state(State::Connecting(attempt.clone()));
        when_ended(&attempt, self, Self::attempt_ended);
    }

    fn attempt_ended(self: &Rc<Self>, outcome: Outcome) {
        match outcome {
            Ok(transport) if self.called_off.get() => {
                transport.abort(); // it was called off too late to be cancelled
                self.failed(CancelledError::new().into());
            }
            Ok(transport) => {
                self.set_state(State::Connected(transport.clone()));
                let core = Rc::downgrade(self);
                transport.wait_closed().add_done_callback(move |_| {
                    if let Some(core) = core.upgrade() {
                        core.lost(transport.lost_reason());
                    }
                });
            }
            Err(exception) => self.failed(exception),
        }
    }

    fn failed(self: &Rc<Self>, reason: Exception) {
        self.set_state(State::Disconnected);
        self.tell("client_connection_failed", |factory, connector| {
            factory.failed(connector, reason)
        });
        self.stop_if_unused();
    }

    fn lost(self: &Rc<Self>, reason: Option<Exception>) {
        self.set_state(State::Disconnected);
        self.tell("client_connection_lost", |factory, connector| factory.lost(connector, reason));
        self.stop_if_unused();
    }

    /// Unless the factory has connected again, it is stopped.
    fn stop_if_unused(self: &Rc<Self>) {
        if self.state() != ConnectorState::Disconnected {
            return;
        }
        rest(&*self.event_loop, self);
        if self.started.replace(false) {
            self.tell("stop_factory", |factory, _| factory.stop());
        }
    }

    fn tell(
        self: &Rc<Self>,
        method: &str,
        function: impl FnOnce(&mut dyn AnyClientFactory, &Connector) -> Result<(), Exception>,
    ) {
        let connector = Connector { core: self.clone() };
        if let Some(Err(exception)) = self.with_factory(|factory| function(factory, &connector)) {
            self.report(format!("{method}() of a client's factory panicked"), exception);
        }
    }

    fn report(&self, message: impl Into<Cow<'static, str>>, exception: Exception) {
        let context = ExceptionContext::with_exception(message, exception);
        self.event_loop.call_exception_handler(context);
    }

    /// `None` if it runs already, or when the loop is closed.
    fn with_factory<R>(&self, function: impl FnOnce(&mut dyn AnyClientFactory) -> R) -> Option<R> {
        let mut factory = self.factory.take()?;
        let result = function(&mut *factory);
        self.factory.set(Some(factory));
        Some(result)
    }
}

fn build(core: &Weak<Core>, peer: &Address) -> Made {
    let made = core.upgrade().and_then(|core| core.with_factory(|factory| factory.build(peer)));
    made.unwrap_or_else(|| Err(InvalidStateError::new("the factory cannot be asked now").into()))
}

impl AtWork for Core {
    fn loop_closed(&self) {
        let state = self.state.replace(State::Disconnected);
        let factory = self.factory.take();
        // What they hold is the user's.
        let dropped = catch(move || drop((state, factory)));
        if let Err(panic) = dropped {
            log::error!(target: "tulipa", "the destructor of a client's factory panicked: {panic}");
        }
    }
}
