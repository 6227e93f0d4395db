//! [`SubprocessHandle`]: a child as its users see it.

use super::Subprocess;
use crate::loop_shared::add_waiting;
use crate::subprocess::{ExitStatus, SubprocessProtocol, SubprocessTransport};
use crate::{ProtocolUnavailable, Transport};
use futures::{Future, SchedulerExt};
use std::fmt;
use std::io;
use std::rc::Rc;

pub(super) struct SubprocessHandle(pub(super) Rc<Subprocess>);

impl SubprocessTransport for SubprocessHandle {
    fn get_pid(&self) -> u32 {
        self.0.child.number()
    }

    fn status(&self) -> Option<ExitStatus> {
        self.0.child.status()
    }

    fn get_pipe_transport(&self, fd: i32) -> Option<Rc<dyn Transport>> {
        let pipes = self.0.pipes.borrow();
        usize::try_from(fd).ok().and_then(|fd| pipes.get(fd)?.clone())
    }

    fn send_signal(&self, signal: i32) -> io::Result<()> {
        self.0.child.send_signal(signal)
    }

    fn send_signal_to_group(&self, signal: i32) -> io::Result<()> {
        if !self.0.leads_group {
            let message = format!("{self:?} has no process group of its own");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.0.child.send_signal_to_group(signal)
    }

    fn terminate(&self) -> io::Result<()> {
        self.send_signal(rustix::process::Signal::TERM.as_raw())
    }

    fn kill(&self) -> io::Result<()> {
        self.send_signal(rustix::process::Signal::KILL.as_raw())
    }

    fn is_closing(&self) -> bool {
        self.0.closing.get()
    }

    fn close(&self) {
        self.0.end(None);
    }

    fn wait(&self) -> Future<ExitStatus> {
        let future = self.0.children.event_loop().create_future();
        if let Some(status) = self.0.child.status() {
            // It is new, hence pending.
            let _ = future.set_result(status);
        } else {
            let given_up = add_waiting(&mut self.0.exit_waiters.borrow_mut(), &future);
            drop(given_up); // what they hold is the user's
        }
        future
    }

    fn wait_closed(&self) -> Future<()> {
        let future = self.0.children.event_loop().create_future();
        if self.0.is_over() {
            // It is new, hence pending.
            let _ = future.set_result(());
        } else {
            let given_up = add_waiting(&mut self.0.close_waiters.borrow_mut(), &future);
            drop(given_up); // what they hold is the user's
        }
        future
    }

    fn handle(&self) -> Rc<dyn SubprocessTransport> {
        self.0.handle()
    }

    fn set_boxed_protocol(&self, protocol: Box<dyn SubprocessProtocol>) {
        self.0.replace_protocol(protocol);
    }

    fn with_boxed_protocol(
        &self,
        function: &mut dyn FnMut(&mut dyn SubprocessProtocol, &dyn SubprocessTransport),
    ) -> Result<(), ProtocolUnavailable> {
        self.0.run_for_user(function)
    }
}

impl fmt::Debug for SubprocessHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
