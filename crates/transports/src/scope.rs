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
