//! [`SubprocessProtocol`]: the user's code for one child.

use super::SubprocessTransport;
use futures::{Exception, catch};
use std::any::Any;

/// The user's code for one child, made by the factory that is given to
/// [`subprocess_exec`](super::SubprocessLoop::subprocess_exec).
///
/// Its methods are called on the loop's thread, one at a time:
///
/// ```text
/// connection_made  (pipe_data_received | pipe_connection_lost | process_exited)*  connection_lost   P-4
/// ```
///
/// `connection_made` comes once and first, also if the child has ended by then (C-4). Each pipe gives
/// its data, then `pipe_connection_lost` once. `process_exited` comes once, before, between or after
/// what the pipes give. `connection_lost` is last: after the exit *and* the end of all pipes. A
/// grandchild that holds a pipe open delays it, but not `process_exited` (C-8).
///
/// The pipes are named by the numbers that the child has for them: 0, 1, 2 (P-19).
///
/// No method is called while another one of the same protocol runs. A panic in one is reported, and
/// the child is killed; its end is told as any other (P-14).
///
/// # Examples
/// ```
/// use tulipa_transports::subprocess::{SubprocessProtocol, SubprocessTransport};
///
/// /// Collects what the child prints.
/// #[derive(Default)]
/// struct Collect { output: Vec<u8> }
///
/// impl SubprocessProtocol for Collect {
///     fn pipe_data_received(&mut self, _: &dyn SubprocessTransport, fd: i32, data: &[u8]) {
///         if fd == 1 {
///             self.output.extend_from_slice(data);
///         }
///     }
/// }
/// ```
pub trait SubprocessProtocol: Any {
    /// The child was started.
    fn connection_made(&mut self, transport: &dyn SubprocessTransport) {
        let _ = transport;
    }

    /// The child wrote to its descriptor `fd`. Never empty; where the bytes are cut carries no meaning.
    fn pipe_data_received(&mut self, transport: &dyn SubprocessTransport, fd: i32, data: &[u8]) {
        let _ = (transport, fd, data);
    }

    /// The pipe at the child's descriptor `fd` is gone. `None` is an orderly end: everybody who had
    /// the other end has closed it, or we have; else the reason.
    fn pipe_connection_lost(
        &mut self,
        transport: &dyn SubprocessTransport,
        fd: i32,
        reason: Option<Exception>,
    ) {
        let _ = (transport, fd, reason);
    }

    /// The child has ended; its status is known from here on.
    fn process_exited(&mut self, transport: &dyn SubprocessTransport) {
        let _ = transport;
    }

    /// What waits for the child's standard input has grown above the high mark: stop writing.
    fn pause_writing(&mut self, transport: &dyn SubprocessTransport) {
        let _ = transport;
    }

    /// It has fallen to the low mark: go on writing.
    fn resume_writing(&mut self, transport: &dyn SubprocessTransport) {
        let _ = transport;
    }

    /// The child and all of its pipes are gone; nothing will be called any more. There is a reason
    /// only if this protocol failed.
    fn connection_lost(&mut self, transport: &dyn SubprocessTransport, reason: Option<Exception>) {
        let _ = (transport, reason);
    }

    /// The type, for reports.
    #[doc(hidden)]
    fn type_name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

/// What a factory of subprocess protocols may return: a [`SubprocessProtocol`], a boxed one, or a
/// `Result` of these, where an error fails the creator before anything is started.
pub trait IntoSubprocessProtocol {
    /// The protocol.
    ///
    /// # Errors
    /// Why there is none.
    fn into_subprocess_protocol(self) -> Result<Box<dyn SubprocessProtocol>, Exception>;
}

impl<P: SubprocessProtocol> IntoSubprocessProtocol for P {
    fn into_subprocess_protocol(self) -> Result<Box<dyn SubprocessProtocol>, Exception> {
        Ok(Box::new(self))
    }
}

impl IntoSubprocessProtocol for Box<dyn SubprocessProtocol> {
    fn into_subprocess_protocol(self) -> Result<Box<dyn SubprocessProtocol>, Exception> {
        Ok(self)
    }
}

impl<T: IntoSubprocessProtocol, E: Into<Exception>> IntoSubprocessProtocol for Result<T, E> {
    fn into_subprocess_protocol(self) -> Result<Box<dyn SubprocessProtocol>, Exception> {
        self.map_err(Into::into)?.into_subprocess_protocol()
    }
}

/// Calls `factory`; a panic in it becomes an error (P-23).
pub(super) fn make_protocol<T: IntoSubprocessProtocol>(
    factory: impl FnOnce() -> T,
) -> Result<Box<dyn SubprocessProtocol>, Exception> {
    catch(|| factory().into_subprocess_protocol()).flatten()
}
