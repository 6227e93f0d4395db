//! [`SharedFactory`]: a factory that makes its protocol when something is known of the connection.

use crate::report_limit::ReportLimit;
use crate::{IntoProtocol, Protocol, Transport};
use futures::{Exception, ExceptionContext, InvalidStateError, catch, try_current};
use std::cell::Cell;

/// What a factory gives: `None` refuses the connection.
pub(super) type Made = Result<Option<Box<dyn Protocol>>, Exception>;

pub(super) type BoxedFactory = Box<dyn FnMut() -> Made>;

/// Wraps `factory`; a panic in it becomes an error (P-23).
pub(super) fn boxed_factory<T: IntoProtocol>(
    mut factory: impl FnMut() -> T + 'static,
) -> BoxedFactory {
    Box::new(move || catch(|| factory().into_protocol()).flatten())
}

/// A factory that its connections share. It is out of its place while it runs.
pub(super) struct SharedFactory<F> {
    factory: Cell<Option<F>>,
    reports: ReportLimit,
}

impl<F> SharedFactory<F> {
    pub(super) fn new(factory: F) -> Self {
        Self { factory: Cell::new(Some(factory)), reports: ReportLimit::default() }
    }

    /// Has a protocol made for the connection. If there is to be none, the connection is aborted; a failure
    /// is reported as a server does (N-27). `call` contains the panics of the factory.
    pub(super) fn make(
        &self,
        transport: &dyn Transport,
        call: impl FnOnce(&mut F) -> Made,
    ) -> Option<Box<dyn Protocol>> {
        let made = match self.factory.take() {
            None => Err(InvalidStateError::new("the protocol factory is running").into()),
            Some(mut factory) => {
                let made = call(&mut factory);
                self.factory.set(Some(factory));
                made
            }
        };
        match made {
            Ok(Some(protocol)) => return Some(protocol),
            Ok(None) => transport.abort(),
            Err(exception) => {
                self.report(&exception);
                transport.abort_with(exception);
            }
        }
        None
    }

    /// Ten a second, then a count.
    fn report(&self, exception: &Exception) {
        let Some(event_loop) = try_current() else { return };
        let Some(held_back) = self.reports.pass(event_loop.time()) else { return };
        let mut message = "an incoming connection was dropped: the factory failed".to_owned();
        if held_back > 0 {
            message.push_str(&format!(" ({held_back} more were not reported)"));
        }
        let context = ExceptionContext::with_exception(message, exception.clone());
        event_loop.call_exception_handler(context);
    }
}
