//! [`WrappedFactory`]: a factory whose protocols have a wrapper around them.

use super::inner_methods::pass_on_to_factory;
use super::{ProtocolWrapper, Wrapped};
use crate::{Address, ClientFactory, Connector, Factory, IntoProtocol};
use futures::Exception;
use std::fmt;

/// Puts a wrapper around each protocol that `factory` makes; `wrapper` makes one for each.
pub fn wrap<W: ProtocolWrapper, F: Factory>(
    wrapper: impl FnMut() -> W + 'static,
    factory: F,
) -> WrappedFactory<W, F> {
    WrappedFactory { wrapper: Box::new(wrapper), factory }
}

/// A factory whose protocols have a [`ProtocolWrapper`] around them; made by [`wrap`]. All else is the
/// business of the factory inside: it is told who connects, and when it is started and stopped.
pub struct WrappedFactory<W, F> {
    wrapper: Box<dyn FnMut() -> W>,
    factory: F,
}

impl<W: ProtocolWrapper, F: Factory> Factory for WrappedFactory<W, F> {
    type Protocol = Result<Option<Wrapped<W>>, Exception>;

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn build_protocol(&mut self, peer: &Address) -> Self::Protocol {
        let inner = self.factory.build_protocol(peer).into_protocol()?;
        Ok(inner.map(|inner| Wrapped::around((self.wrapper)(), inner)))
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<W: ProtocolWrapper, F: ClientFactory> ClientFactory for WrappedFactory<W, F> {
    pass_on_to_factory!();
}

impl<W, F: fmt::Debug> fmt::Debug for WrappedFactory<W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WrappedFactory").field(&self.factory).finish()
    }
}
