//! Transports and servers as members of a [`Scope`](futures::Scope).

use crate::{Server, Transport};
use futures::{Future, ScopeMember};
use std::time::Duration;

/// A scope that ends closes the transport, so that what was written is still sent, and aborts it when
/// its deadline is over.
///
/// # Examples
/// ```
/// use futures::{Exception, Scope};
/// use tulipa_transports::Transport;
///
/// fn put_into(scope: &Scope, transport: &dyn Transport) -> Result<(), Exception> {
///     scope.own(transport.handle())?;
///     Ok(())
/// }
/// ```
impl ScopeMember for dyn Transport {
    fn close(&self) {
        crate::BaseTransport::close(self);
    }

    fn abort(&self) {
        crate::WriteTransport::abort(self);
    }

    fn closed(&self) -> Future<()> {
        self.wait_closed()
    }
}

/// A scope that ends shuts the server down: it stops listening and asks its connections to come to an
/// end. Those that are left when the scope's deadline is over are aborted.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use std::time::Duration;
/// use tulipa_transports::prelude::*;
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
///
/// let event_loop = EventLoop::new()?;
/// let scope = event_loop.create_scope();
/// let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result()?;
/// scope.own(server.clone())?;
/// let stopper = scope.handle();
/// scope.call_later(Duration::from_millis(5), move || stopper.cancel());
///
/// let report = event_loop.run_until_complete(&scope.closed())?;
/// assert_eq!((report.ended, report.aborted), (1, 0));
/// assert!(!server.is_serving());
/// # Ok::<(), futures::Exception>(())
/// ```
impl ScopeMember for Server {
    fn close(&self) {
        // The scope has a deadline of its own, and counts the server as one.
        drop(self.shutdown(Duration::MAX));
    }

    fn abort(&self) {
        Server::close(self);
        self.abort_clients();
    }

    fn closed(&self) -> Future<()> {
        self.wait_closed()
    }
}
