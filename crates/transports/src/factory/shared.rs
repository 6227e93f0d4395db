//! [`SharedFactory`]: one factory for several servers and connectors.
//!
//! Invariant: the factory was told `start_factory` and not yet `stop_factory` exactly while somebody uses
//! it; what changes while one of its methods runs is told when that has returned.

use super::{ClientFactory, Connector, Factory};
use crate::Address;
use futures::{Exception, InvalidStateError};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// One factory for several servers and connectors: each gets a clone.
///
/// The factory is told `start_factory` by the first that uses it, and `stop_factory` by the last one
/// (W-1); it may be started again afterwards.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::{Address, Factory, NetworkLoop, Protocol, SharedFactory, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
/// #[derive(Default)]
/// struct Echoes { starts: u32 }
/// impl Factory for Echoes {
///     type Protocol = Echo;
///     fn start_factory(&mut self) {
///         self.starts += 1;
///     }
///     fn build_protocol(&mut self, _peer: &Address) -> Echo {
///         Echo
///     }
/// }
/// let event_loop = EventLoop::new()?;
/// let echoes = SharedFactory::new(Echoes::default());
/// let one = event_loop.create_server(echoes.clone(), ("127.0.0.1", 0)).result()?;
/// let other = event_loop.create_server(echoes.clone(), ("127.0.0.1", 0)).result()?;
/// assert_eq!(echoes.with(|echoes| echoes.starts), Ok(1));
/// # drop((one, other));
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct SharedFactory<F> {
    shared: Rc<Shared<F>>,
}

struct Shared<F> {
    /// Out of its place while one of its methods runs.
    factory: Cell<Option<F>>,
    uses: Cell<usize>,
    /// Whether `start_factory` was the last of the two that it was told.
    started: Cell<bool>,
}

impl<F: Factory> SharedFactory<F> {
    /// Makes a factory one that can be shared.
    pub fn new(factory: F) -> Self {
        let factory = Cell::new(Some(factory));
        let shared = Shared { factory, uses: Cell::new(0), started: Cell::new(false) };
        Self { shared: Rc::new(shared) }
    }

    /// Calls `function` with the factory.
    ///
    /// # Errors
    /// While a method of the factory runs, or another such call.
    pub fn with<R>(&self, function: impl FnOnce(&mut F) -> R) -> Result<R, InvalidStateError> {
        self.shared.run(function)
    }

    /// How many servers and connectors use it.
    pub fn uses(&self) -> usize {
        self.shared.uses.get()
    }
}

impl<F: Factory> Shared<F> {
    fn run<R>(&self, function: impl FnOnce(&mut F) -> R) -> Result<R, InvalidStateError> {
        let Some(mut factory) = self.factory.take() else {
            return Err(InvalidStateError::new("a method of the factory is running"));
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| function(&mut factory)));
        self.factory.set(Some(factory));
        let settled = catch_unwind(AssertUnwindSafe(|| self.settle()));
        let result = outcome.unwrap_or_else(|panic| resume_unwind(panic));
        settled.unwrap_or_else(|panic| resume_unwind(panic));
        Ok(result)
    }

    fn uses_changed(&self, uses: usize) {
        self.uses.set(uses);
        self.settle();
    }

    /// Tells the factory whether it is used, if that is news and none of its methods runs.
    fn settle(&self) {
        while self.started.get() != (self.uses.get() > 0) {
            let Some(mut factory) = self.factory.take() else { return };
            let start = !self.started.get();
            self.started.set(start);
            let told = catch_unwind(AssertUnwindSafe(|| match start {
                true => factory.start_factory(),
                false => factory.stop_factory(),
            }));
            self.factory.set(Some(factory));
            if let Err(panic) = told {
                self.started.set(false);
                resume_unwind(panic);
            }
        }
    }
}

impl<F: Factory> Factory for SharedFactory<F> {
    type Protocol = Result<F::Protocol, Exception>;

    fn start_factory(&mut self) {
        let shared = &self.shared;
        let counted = AssertUnwindSafe(|| shared.uses_changed(shared.uses.get() + 1));
        if let Err(panic) = catch_unwind(counted) {
            shared.uses.set(shared.uses.get() - 1); // whoever could not start it does not use it
            resume_unwind(panic);
        }
    }

    fn build_protocol(&mut self, peer: &Address) -> Self::Protocol {
        Ok(self.shared.run(|factory| factory.build_protocol(peer))?)
    }

    fn stop_factory(&mut self) {
        self.shared.uses_changed(self.shared.uses.get().saturating_sub(1));
    }
}

impl<F: ClientFactory> ClientFactory for SharedFactory<F> {
    fn started_connecting(&mut self, connector: &Connector) {
        self.tell(|factory| factory.started_connecting(connector));
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: Exception) {
        self.tell(|factory| factory.client_connection_failed(connector, reason));
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: Option<Exception>) {
        self.tell(|factory| factory.client_connection_lost(connector, reason));
    }
}

impl<F: ClientFactory> SharedFactory<F> {
    /// Connectors speak in turns of their own, in which nothing of the factory's runs.
    fn tell(&self, function: impl FnOnce(&mut F)) {
        if let Err(error) = self.shared.run(function) {
            log::error!(target: "tulipa", "a factory was not told of its connection: {error}");
        }
    }
}

impl<F> Clone for SharedFactory<F> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<F> fmt::Debug for SharedFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedFactory({} uses)", self.shared.uses.get())
    }
}
