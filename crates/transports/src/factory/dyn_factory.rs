//! [`DynFactory`]: a factory of any kind.

use super::{Factory, Made};
use crate::{Address, IntoProtocol};
use std::fmt;

/// A factory whose kind is forgotten, for those that are put together at run time.
///
/// # Examples
/// ```
/// use tulipa_transports::wrappers::{ConnectionLimits, Throttle};
/// use tulipa_transports::{Bytes, DynFactory, Factory};
///
/// /// With what was asked for around it.
/// fn configured(factory: impl Factory, rate: Option<Bytes>, per_client: Option<usize>) -> DynFactory {
///     let mut factory = DynFactory::new(factory);
///     if let Some(rate) = rate {
///         factory = DynFactory::new(Throttle::new().write(rate).wrap(factory));
///     }
///     if let Some(most) = per_client {
///         factory = DynFactory::new(ConnectionLimits::new().per_peer(most).wrap(factory));
///     }
///     factory
/// }
/// ```
pub struct DynFactory(Box<dyn Factory<Protocol = Made>>);

impl DynFactory {
    /// Forgets the kind of `factory`.
    pub fn new(factory: impl Factory) -> Self {
        Self(Box::new(Erased(factory)))
    }
}

impl Factory for DynFactory {
    type Protocol = Made;

    fn start_factory(&mut self) {
        self.0.start_factory();
    }

    fn build_protocol(&mut self, peer: &Address) -> Made {
        self.0.build_protocol(peer)
    }

    fn stop_factory(&mut self) {
        self.0.stop_factory();
    }
}

impl fmt::Debug for DynFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynFactory")
    }
}

/// A factory whose kind of protocol is forgotten.
struct Erased<F>(F);

impl<F: Factory> Factory for Erased<F> {
    type Protocol = Made;

    fn start_factory(&mut self) {
        self.0.start_factory();
    }

    fn build_protocol(&mut self, peer: &Address) -> Made {
        self.0.build_protocol(peer).into_protocol()
    }

    fn stop_factory(&mut self) {
        self.0.stop_factory();
    }
}
