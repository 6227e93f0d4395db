//! [`Process`]: a child for coroutines, after asyncio's.

use super::pipe::{PipeLink, StreamedPipe};
use super::running::{Opened, Subprocess};
use super::subprocess_loop::shell;
use super::{
    ExitStatus, ShellCommand, SubprocessLoop, SubprocessOptions, SubprocessProtocol,
    SubprocessTransport,
};
use crate::streams::{Coroutine, StreamReader, StreamWriter, running_loop};
use crate::{Transport, TransportExt};
use eventloop::AbstractEventLoop;
use futures::{Exception, gather};
use std::fmt;
use std::io;
use std::rc::Rc;

/// A child, with a stream for each of its pipes (C-10).
///
/// Take the streams out to give them to other tasks. Dropping the last writer of `stdin` closes it; a
/// reader that is dropped closes its pipe at the next byte that comes, as the end of a program does in
/// a shell's pipe.
///
/// **Dropping a `Process` kills a child that still runs**, unless
/// [`kill_on_drop(false)`](SubprocessOptions::kill_on_drop) was asked for. Its status is taken by the
/// loop, so that no zombie stays.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::subprocess::create_subprocess_exec;
/// let event_loop = EventLoop::new()?;
/// let task = event_loop.create_task(async {
///     let mut sort = create_subprocess_exec("sort").await?;
///     let sorted = sort.communicate(b"tulip\nrose\n").await?;
///     assert!(sorted.status.success());
///     Ok(sorted.stdout)
/// });
/// assert_eq!(event_loop.run_until_complete(&task)?.unwrap(), b"rose\ntulip\n");
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct Process {
    /// What it reads, if that is a pipe.
    pub stdin: Option<StreamWriter>,
    /// What it writes, if that goes into a pipe.
    pub stdout: Option<StreamReader>,
    /// Its errors, if they go into a pipe of their own.
    pub stderr: Option<StreamReader>,
    transport: Rc<dyn SubprocessTransport>,
    kill_on_drop: bool,
}

/// What [`Process::communicate`] has collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessOutput {
    /// How the child has ended.
    pub status: ExitStatus,
    /// What it wrote; `None` if that went into no pipe.
    pub stdout: Option<Vec<u8>>,
    /// Its errors; `None` if they went into no pipe of their own.
    pub stderr: Option<Vec<u8>>,
}

impl Process {
    /// The child's process number.
    pub fn pid(&self) -> u32 {
        self.transport.get_pid()
    }

    /// How it has ended, as asyncio has it; `None` while it runs. See [`ExitStatus::returncode`].
    pub fn returncode(&self) -> Option<i32> {
        self.transport.get_returncode()
    }

    /// How it has ended, `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        self.transport.status()
    }

    /// Waits until the child has ended. Any number may wait; a wait that is cancelled does nothing to
    /// the child.
    ///
    /// A child whose output goes into a pipe that nobody reads may never end: the pipe is full, and it
    /// waits for room (C-14). [`communicate`](Process::communicate) reads both.
    ///
    /// # Errors
    /// A cancellation.
    pub async fn wait(&self) -> Result<ExitStatus, Exception> {
        self.transport.wait().await
    }

    /// Writes `input` to the child's standard input and closes that, reads both of its outputs to
    /// their ends at the same time, and waits for its end (C-11).
    ///
    /// All output is kept in memory, however much that is. A child that does not read its input, or
    /// closes it, is no error. If there is no pipe to write to, the input is dropped.
    ///
    /// Cancelled, it leaves the child running and loses nothing of what the child wrote: this may be
    /// called again, with what it is to be given then.
    ///
    /// # Errors
    /// A cancellation, or the failure of a pipe.
    pub async fn communicate(
        &mut self,
        input: impl AsRef<[u8]>,
    ) -> Result<ProcessOutput, Exception> {
        let Self { stdin, stdout, stderr, transport, .. } = self;
        let parts = gather!(
            feed(stdin, input.as_ref()),
            until_end(stdout.as_mut()),
            until_end(stderr.as_mut()),
            transport.wait()
        );
        let ((), (), (), status) = parts.await?;
        // Both have ended, so that nothing is waited for from here on.
        let stdout = take_all(stdout.as_mut()).await?;
        let stderr = take_all(stderr.as_mut()).await?;
        Ok(ProcessOutput { status, stdout, stderr })
    }

    /// Sends the child a signal.
    ///
    /// # Errors
    /// As [`SubprocessTransport::send_signal`].
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        self.transport.send_signal(signal)
    }

    /// Sends a signal to the child and to all others of the process group that it leads.
    ///
    /// # Errors
    /// As [`SubprocessTransport::send_signal_to_group`].
    pub fn send_signal_to_group(&self, signal: i32) -> io::Result<()> {
        self.transport.send_signal_to_group(signal)
    }

    /// Asks the child to end: SIGTERM.
    ///
    /// # Errors
    /// As [`SubprocessTransport::send_signal`].
    pub fn terminate(&self) -> io::Result<()> {
        self.transport.terminate()
    }

    /// Ends the child: SIGKILL.
    ///
    /// # Errors
    /// As [`SubprocessTransport::send_signal`].
    pub fn kill(&self) -> io::Result<()> {
        self.transport.kill()
    }

    /// The transport underneath.
    pub fn transport(&self) -> &Rc<dyn SubprocessTransport> {
        &self.transport
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            if self.kill_on_drop {
                log::warn!(target: "tulipa", "{self:?} was dropped while it ran: it is killed");
                self.transport.close();
            }
            return;
        }
        // What nobody can read any more is closed, though a grandchild may hold the other end.
        for (fd, kept) in [(1, self.stdout.is_some()), (2, self.stderr.is_some())] {
            let Some(pipe) = self.transport.get_pipe_transport(fd) else { continue };
            let is_read = |pipe: &mut StreamedPipe, _: &dyn Transport| pipe.has_reader();
            if kept || pipe.with_protocol(is_read) == Ok(false) {
                pipe.abort();
            }
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Starts a program on the loop that runs, as a [`Process`]. All of its streams are pipes unless the
/// options say otherwise.
///
/// # Errors
/// An `io::Error` around a [`SpawnError`](super::SpawnError); or if no loop runs.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use tulipa_transports::subprocess::{Stdio, SubprocessOptions, create_subprocess_exec};
/// let event_loop = EventLoop::new()?;
/// let task = event_loop.create_task(async {
///     let listing = SubprocessOptions::new("ls").arg("/").stdin(Stdio::Null).stderr(Stdio::Inherit);
///     let mut ls = create_subprocess_exec(listing).await?;
///     let mut output = ls.stdout.take().expect("it is a pipe");
///     let mut lines = output.lines();
///     while let Some(line) = lines.next().await? {
///         print!("{}", String::from_utf8_lossy(&line));
///     }
///     ls.wait().await
/// });
/// assert!(event_loop.run_until_complete(&task)?.success());
/// # Ok::<(), futures::Exception>(())
/// ```
pub fn create_subprocess_exec(program: impl Into<SubprocessOptions>) -> Coroutine<Process> {
    let program = program.into();
    Box::pin(async move { running_loop()?.create_subprocess_exec(program).await })
}

/// As [`create_subprocess_exec`], for a command that `/bin/sh` runs. The command is code: never build
/// one of what a stranger says.
///
/// # Errors
/// As there.
pub fn create_subprocess_shell(command: impl Into<ShellCommand>) -> Coroutine<Process> {
    let options = shell(command);
    Box::pin(async move { running_loop()?.create_subprocess_exec(options?).await })
}

/// Starts a child whose pipes are streams.
pub(super) fn start_process(
    event_loop: &dyn AbstractEventLoop,
    options: SubprocessOptions,
) -> Result<(Process, Opened), Exception> {
    let kill_on_drop = options.kill_on_drop;
    let new_reader = || StreamReader::new(options.stream_limit);
    // Nothing is read from the input, but its writers share their state with a reader.
    let unread = Rc::new(new_reader()?);
    let mut readers = [None, Some(new_reader()?), Some(new_reader()?)];
    let mut outputs = [None, None, None];
    let mut make_pipe = |link: PipeLink| {
        let pipe = match readers[link.fd()].take() {
            None => StreamedPipe::writing(unread.clone(), link),
            Some(reader) => {
                let fd = link.fd();
                let pipe = StreamedPipe::reading(&reader, link);
                outputs[fd] = Some(reader);
                pipe
            }
        };
        Box::new(pipe) as Box<dyn crate::Protocol>
    };
    let (subprocess, opened) =
        Subprocess::start(event_loop, options, Box::new(Silent), &mut make_pipe)?;
    let transport = subprocess.handle();
    let input = transport.get_pipe_transport(0);
    let stdin = input.map(|pipe| StreamWriter::new(pipe, &unread));
    let [_, stdout, stderr] = outputs;
    Ok((Process { stdin, stdout, stderr, transport, kill_on_drop }, opened))
}

/// All that a [`Process`] needs is told to its streams, and to those who wait.
struct Silent;

impl SubprocessProtocol for Silent {}

/// Writes all, then closes. Whether the child reads it is its own affair.
async fn feed(stdin: &mut Option<StreamWriter>, input: &[u8]) -> Result<(), Exception> {
    if let Some(writer) = stdin {
        for piece in input.chunks(PIECE) {
            writer.write(piece);
            match writer.drain().await {
                Err(error) if is_broken_pipe(&error) => break,
                drained => drained?,
            }
        }
        writer.close(); // there may be clones
    }
    drop(stdin.take());
    Ok(())
}

const PIECE: usize = 64 * 1024;

fn is_broken_pipe(error: &Exception) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}

async fn until_end(reader: Option<&mut StreamReader>) -> Result<(), Exception> {
    match reader {
        Some(reader) => reader.wait_for_end().await,
        None => Ok(()),
    }
}

async fn take_all(reader: Option<&mut StreamReader>) -> Result<Option<Vec<u8>>, Exception> {
    match reader {
        Some(reader) => reader.read_to_end().await.map(Some),
        None => Ok(None),
    }
}
