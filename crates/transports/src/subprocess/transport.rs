//! [`SubprocessTransport`]: what a protocol may ask of its child.

use super::{ExitStatus, SubprocessProtocol};
use crate::{ProtocolUnavailable, Transport};
use futures::Future;
use std::any::{Any, type_name};
use std::io;
use std::rc::Rc;

/// A child that was started. The loop owns it: dropping a handle changes nothing. When the loop is
/// closed, a child that still runs is killed (C-9).
///
/// Every method is defined in every state.
pub trait SubprocessTransport {
    /// The child's process number. It belongs to nobody else until the exit was seen.
    fn get_pid(&self) -> u32;

    /// How it has ended, as asyncio has it: the exit code, or the number of the signal as a negative;
    /// `None` while it runs (C-7).
    fn get_returncode(&self) -> Option<i32> {
        self.status().map(ExitStatus::returncode)
    }

    /// How it has ended, `None` while it runs.
    fn status(&self) -> Option<ExitStatus>;

    /// The transport of the pipe at the child's descriptor 0, 1 or 2; `None` if that is no pipe.
    ///
    /// A protocol of its own may be set for it: for this child's protocol the pipe has ended then.
    fn get_pipe_transport(&self, fd: i32) -> Option<Rc<dyn Transport>>;

    /// Sends the child a signal, and nobody else (C-16).
    ///
    /// A child that has ended without having been seen yet is not harmed by it.
    ///
    /// # Errors
    /// `ESRCH` once its exit was seen, `InvalidInput` for a number that is no signal, `EPERM` for
    /// a child that has become another user's.
    fn send_signal(&self, signal: i32) -> io::Result<()>;

    /// Sends a signal to the child and to all others of its process group: what it has started, unless
    /// that made a group of its own. The group must be the child's own, asked for by
    /// [`process_group(0)`](super::SubprocessOptions::process_group) or
    /// [`new_session`](super::SubprocessOptions::new_session).
    ///
    /// # Errors
    /// As [`send_signal`](SubprocessTransport::send_signal): `ESRCH` once the child's exit was seen, also
    /// if others of the group go on, since its number may be anybody's then. `InvalidInput` if the child
    /// has no group of its own.
    #[doc(alias = "killpg")]
    fn send_signal_to_group(&self, signal: i32) -> io::Result<()>;

    /// Asks the child to end: SIGTERM.
    ///
    /// # Errors
    /// As [`send_signal`](SubprocessTransport::send_signal).
    fn terminate(&self) -> io::Result<()>;

    /// Ends the child: SIGKILL.
    ///
    /// # Errors
    /// As [`send_signal`](SubprocessTransport::send_signal).
    fn kill(&self) -> io::Result<()>;

    /// Whether it was closed, or is over.
    fn is_closing(&self) -> bool;

    /// Closes the pipes, and kills the child if it still runs. `connection_lost` follows after its
    /// exit was seen. Idempotent.
    fn close(&self);

    /// A future that is done when the child has ended, with its status. Cancelling it does nothing to
    /// the child.
    ///
    /// A child whose output goes into a pipe that nobody reads may never end (C-14).
    fn wait(&self) -> Future<ExitStatus>;

    /// A future that is done when the child has ended and all pipes are gone: after `connection_lost`.
    fn wait_closed(&self) -> Future<()>;

    /// An owned handle.
    fn handle(&self) -> Rc<dyn SubprocessTransport>;

    /// Replaces the protocol; see [`SubprocessTransportExt::set_protocol`].
    fn set_boxed_protocol(&self, protocol: Box<dyn SubprocessProtocol>);

    /// Calls `function` with the protocol; see [`SubprocessTransportExt::with_protocol`].
    ///
    /// # Errors
    /// As there, the type excepted.
    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn SubprocessProtocol, &dyn SubprocessTransport),
    ) -> Result<(), ProtocolUnavailable>;
}

/// The generic methods of every [`SubprocessTransport`].
pub trait SubprocessTransportExt: SubprocessTransport {
    /// Replaces the protocol. The new one is not told `connection_made`; the one that is there at the
    /// end is told `connection_lost`.
    fn set_protocol(&self, protocol: impl SubprocessProtocol) {
        self.set_boxed_protocol(Box::new(protocol));
    }

    /// Calls `function` with the protocol, which must be a `P`, from outside of it.
    ///
    /// # Errors
    /// [`ProtocolUnavailable`] while the protocol runs, if it is another type, or after the end.
    fn with_protocol<P: Any, R>(
        &self,
        function: impl FnOnce(&mut P, &dyn SubprocessTransport) -> R,
    ) -> Result<R, ProtocolUnavailable> {
        let mut function = Some(function);
        let mut result = Err(ProtocolUnavailable::OtherType { expected: type_name::<P>() });
        self.with_boxed_protocol(&mut |protocol, transport| {
            let protocol: &mut dyn Any = protocol;
            if let Some(protocol) = protocol.downcast_mut::<P>()
                && let Some(function) = function.take()
            {
                result = Ok(function(protocol, transport));
            }
        })?;
        result
    }
}

impl<T: SubprocessTransport + ?Sized> SubprocessTransportExt for T {}
