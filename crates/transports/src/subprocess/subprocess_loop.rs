//! [`SubprocessLoop`]: the creators of children, as methods of every event loop.

use super::children::Children;
use super::pipe::ForwardedPipe;
use super::process::start_process;
use super::protocol::make_protocol;
use super::running::Subprocess;
use super::{
    ChildWatcher, IntoSubprocessProtocol, Process, ShellCommand, SubprocessOptions,
    SubprocessTransport,
};
use crate::streams::Coroutine;
use eventloop::AbstractEventLoop;
use futures::{Exception, Future, SchedulerExt};
use std::io;
use std::rc::Rc;

/// Children, on every [`AbstractEventLoop`], of whatever thread (C-17).
///
/// A child is started by the call itself; the future is done once its protocol knows of it. Starting
/// takes the time that the system needs to begin the program; the loop waits meanwhile. That is a tenth
/// of a millisecond, unless a fork is needed, which takes the longer the larger this process is: if it
/// blocks or ignores signals, has descriptors open that would be inherited, or if another session, user,
/// group or `PATH` was asked for.
pub trait SubprocessLoop: AbstractEventLoop {
    /// Starts a program, with a protocol made by `factory` (C-1).
    ///
    /// `program` is a name, a name and its arguments, or [`SubprocessOptions`] with everything else.
    /// The future is done after `connection_made`, with the transport. It fails with an `io::Error`
    /// around a [`SpawnError`](super::SpawnError), or with the factory's error; then nothing is left (C-3).
    /// Cancelled before it is done, the child is killed (C-9).
    ///
    /// # Examples
    /// ```
    /// use eventloop::{EventLoop, prelude::*};
    /// use tulipa_transports::subprocess::*;
    ///
    /// #[derive(Default)]
    /// struct Collect { output: Vec<u8> }
    /// impl SubprocessProtocol for Collect {
    ///     fn pipe_data_received(&mut self, _: &dyn SubprocessTransport, _fd: i32, data: &[u8]) {
    ///         self.output.extend_from_slice(data);
    ///     }
    ///     fn connection_lost(&mut self, child: &dyn SubprocessTransport, _: Option<futures::Exception>) {
    ///         assert_eq!((&self.output[..], child.get_returncode()), (&b"tulip\n"[..], Some(0)));
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let starting = event_loop.subprocess_exec(Collect::default, ("echo", ["tulip"]));
    /// let child = event_loop.run_until_complete(&starting)?;
    /// event_loop.run_until_complete(&child.wait_closed())?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn subprocess_exec<T: IntoSubprocessProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        program: impl Into<SubprocessOptions>,
    ) -> Future<Rc<dyn SubprocessTransport>> {
        let event_loop = self.to_event_loop();
        let started = make_protocol(factory).and_then(|protocol| {
            let mut forward = |link| Box::new(ForwardedPipe(link)) as Box<dyn crate::Protocol>;
            Subprocess::start(&*event_loop, program.into(), protocol, &mut forward)
        });
        started.map_or_else(|exception| failed(self, exception), |(_, opened)| opened)
    }

    /// As [`subprocess_exec`](SubprocessLoop::subprocess_exec), for a command that `/bin/sh` runs: a
    /// string, or [`SubprocessOptions::shell`] with everything else.
    ///
    /// The command is code. Never build one of what a stranger says.
    #[track_caller]
    fn subprocess_shell<T: IntoSubprocessProtocol + 'static>(
        &self,
        factory: impl FnOnce() -> T + 'static,
        command: impl Into<ShellCommand>,
    ) -> Future<Rc<dyn SubprocessTransport>> {
        match shell(command) {
            Ok(options) => self.subprocess_exec(factory, options),
            Err(exception) => failed(self, exception),
        }
    }

    /// Starts a program, at once; see [`create_subprocess_exec`](super::create_subprocess_exec).
    #[track_caller]
    fn create_subprocess_exec(&self, program: impl Into<SubprocessOptions>) -> Coroutine<Process> {
        let started = start_process(&*self.to_event_loop(), program.into());
        Box::pin(async move {
            let (process, opened) = started?;
            opened.await?;
            Ok(process)
        })
    }

    /// Starts a command, at once; see [`create_subprocess_shell`](super::create_subprocess_shell).
    #[track_caller]
    fn create_subprocess_shell(&self, command: impl Into<ShellCommand>) -> Coroutine<Process> {
        match shell(command) {
            Ok(options) => self.create_subprocess_exec(options),
            Err(exception) => Box::pin(async move { Err(exception) }),
        }
    }

    /// How the ends of children are noticed that are started from now on.
    fn child_watcher(&self) -> ChildWatcher {
        Children::of(self).watcher()
    }

    /// Sets how the ends of children are noticed that are started from now on. Default:
    /// [`ChildWatcher::Pidfd`] where the system has it, unless the environment says
    /// `TULIPA_CHILD_WATCHER=signal`.
    ///
    /// # Errors
    /// `Unsupported` if the system cannot do it.
    fn set_child_watcher(&self, watcher: ChildWatcher) -> io::Result<()> {
        Children::of(self).set_watcher(watcher)
    }

    /// How many children this loop has, those included that have ended but whose pipes have not.
    fn open_children(&self) -> usize {
        Children::of(self).len()
    }
}

impl<L: AbstractEventLoop + ?Sized> SubprocessLoop for L {}

pub(super) fn shell(command: impl Into<ShellCommand>) -> Result<SubprocessOptions, Exception> {
    let ShellCommand(options) = command.into();
    if options.is_shell {
        return Ok(options);
    }
    let message = format!("{:?} is a program, not a command for the shell", options.program);
    Err(io::Error::new(io::ErrorKind::InvalidInput, message).into())
}

fn failed<L: AbstractEventLoop + ?Sized, T: 'static>(
    event_loop: &L,
    exception: Exception,
) -> Future<T> {
    let future = event_loop.create_future();
    // It is new, hence pending.
    let _ = future.set_exception(exception);
    future
}
