//! [`LateFactory`]: a factory that makes the protocol of a connection when something is known of it.
//!
//! Invariant: the factory is started as long as a connection may still ask it, whether the server is closed
//! meanwhile or not (W-1).

use crate::factory::{AnyFactory, Made};
use crate::report_limit::ReportLimit;
use crate::{Address, Factory, Protocol, SharedFactory, Transport};
use futures::{Exception, ExceptionContext, try_current};
use std::rc::Rc;

/// A factory that its connections share. They are given an [`Asker`] each.
pub(super) struct LateFactory<K: 'static> {
    factory: Box<dyn Late<K>>,
    reports: ReportLimit,
}

/// What can be asked when `K` is known besides the peer's address.
pub(super) trait Late<K> {
    fn begin(&self);
    fn build(&self, peer: &Address, known: &K) -> Made;
    fn end(&self) -> Result<(), Exception>;
}

/// Any factory needs the address only.
impl<F: Factory, K> Late<K> for SharedFactory<F> {
    fn begin(&self) {
        self.clone().start_factory();
    }

    fn build(&self, peer: &Address, _known: &K) -> Made {
        AnyFactory::build(&mut self.clone(), peer)
    }

    fn end(&self) -> Result<(), Exception> {
        self.clone().stop()
    }
}

impl<K> LateFactory<K> {
    pub(super) fn new(factory: impl Late<K> + 'static) -> Rc<Self> {
        Rc::new(Self { factory: Box::new(factory), reports: ReportLimit::default() })
    }

    /// Starts the factory, if nobody has.
    ///
    /// # Panics
    /// If its `start_factory` does: then it is not started.
    pub(super) fn begin(&self) {
        self.factory.begin();
    }

    /// Takes back one [`begin`](LateFactory::begin): the last one stops the factory.
    pub(super) fn end(&self) {
        if let Err(exception) = self.factory.end() {
            self.report("stop_factory() of a protocol factory panicked", &exception);
        }
    }

    /// Ten a second, then a count.
    fn report(&self, what: &str, exception: &Exception) {
        let Some(event_loop) = try_current() else { return };
        let Some(held_back) = self.reports.pass(event_loop.time()) else { return };
        let mut message = what.to_owned();
        if held_back > 0 {
            message.push_str(&format!(" ({held_back} more were not reported)"));
        }
        let context = ExceptionContext::with_exception(message, exception.clone());
        event_loop.call_exception_handler(context);
    }
}

/// The right of one connection to have its protocol made. Until it is dropped, the factory is in use.
pub(super) struct Asker<K: 'static>(Option<Rc<LateFactory<K>>>);

impl<K> Asker<K> {
    /// As [`LateFactory::begin`].
    pub(super) fn begin(factory: &Rc<LateFactory<K>>) -> Self {
        factory.begin();
        Self(Some(factory.clone()))
    }

    /// Has a protocol made for the connection. If there is to be none, the connection is aborted; a failure
    /// is reported as a server does (N-27).
    pub(super) fn ask(
        self,
        transport: &dyn Transport,
        peer: &Address,
        known: &K,
    ) -> Option<Box<dyn Protocol>> {
        let factory = self.0.as_ref()?;
        match factory.factory.build(peer, known) {
            Ok(Some(protocol)) => return Some(protocol),
            Ok(None) => transport.abort(),
            Err(exception) => {
                let what = "an incoming connection was dropped: the factory failed";
                factory.report(what, &exception);
                transport.abort_with(exception);
            }
        }
        None
    }

    /// Leaves the factory in use, until somebody calls [`LateFactory::end`].
    pub(super) fn stay(mut self) {
        self.0 = None;
    }
}

impl<K> Drop for Asker<K> {
    fn drop(&mut self) {
        if let Some(factory) = &self.0 {
            factory.end();
        }
    }
}
