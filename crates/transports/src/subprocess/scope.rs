//! Children as members of a [`Scope`](futures::Scope).

use super::SubprocessTransport;
use futures::{Future, ScopeMember};

/// A scope that ends asks the child to end (SIGTERM), and kills it when its deadline is over.
///
/// # Examples
/// ```
/// use futures::{Exception, Scope};
/// use tulipa_transports::subprocess::SubprocessTransport;
///
/// fn put_into(scope: &Scope, child: &dyn SubprocessTransport) -> Result<(), Exception> {
///     scope.own(child.handle())?;
///     Ok(())
/// }
/// ```
impl ScopeMember for dyn SubprocessTransport {
    fn close(&self) {
        // One that has ended needs no asking, and one that cannot be asked is left to `abort`.
        let _ = self.terminate();
    }

    fn abort(&self) {
        SubprocessTransport::close(self);
    }

    fn closed(&self) -> Future<()> {
        self.wait_closed()
    }
}
