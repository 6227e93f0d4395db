//! A program that is measured: started on its core, found by the line it prints, ended on every path.

use crate::cpu::{CpuTime, anonymous_memory};
use crate::process::Cores;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tulipa::Exception;

/// How long a server has to say where it listens.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    words: Vec<OsString>,
}

impl Program {
    /// The program at `path`, without arguments.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { words: vec![path.into()] }
    }

    /// The same with more arguments.
    #[must_use]
    pub fn with<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.words.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// As it stands, for what is not measured.
    pub fn plain(&self) -> Command {
        let (program, arguments) = self.words.split_first().expect("it begins with the program");
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// How it is started to be measured: a server on its core, a program that measures itself on both; and so that it
    /// ends when the thread that starts it does, however that comes.
    ///
    /// The program `peer` does that to itself before it becomes the other one. It lies beside this program.
    ///
    /// # Errors
    /// If there is no second core, or the system does not say which program this is.
    pub fn command(&self, schedule: Schedule) -> Result<Command, Exception> {
        let launcher = std::env::current_exe()?.with_file_name("peer");
        let mut command = Command::new(launcher);
        command.arg("launch").arg("--parent").arg(std::process::id().to_string());
        let Cores { server, generator } = Cores::of_this_process()?;
        command.arg("--core").arg(server.to_string());
        match schedule {
            Schedule::RealTime => command.arg("--real-time"),
            // It has a thread for the other one, and sees to it itself who is where.
            Schedule::Ordinary => command.arg("--core").arg(generator.to_string()),
        };
        command.arg("--").args(&self.words);
        Ok(command)
    }
}

/// How a program shares its core with the other work of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// It goes before that, if that is allowed: for windows that are short.
    RealTime,
    /// It takes its part: for programs that run long, and whose CPU time is measured.
    Ordinary,
}

/// Runs a program that measures itself to its end, and gives the lines that it printed.
///
/// # Errors
/// If it does not start, fails, or prints nothing for longer than `silence`; it is ended then.
pub fn lines_of(program: &Program, silence: Duration) -> Result<Vec<String>, Exception> {
    let mut command = program.command(Schedule::Ordinary)?;
    lines_until_end(&mut command, silence)
        .map_err(|why| Error::new(why.kind(), format!("{program:?}: {why}")).into())
}

fn lines_until_end(command: &mut Command, silence: Duration) -> Result<Vec<String>, Error> {
    let mut running = Running::start(command)?;
    let stdout = running.child.stdout.take().expect("it was asked for");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody listens any more to one that was given up.
        BufReader::new(stdout).lines().try_for_each(|line| tell.send(line).ok())
    });
    let mut lines = Vec::new();
    loop {
        match told.recv_timeout(silence) {
            Ok(line) => lines.push(line?),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let message = format!("it printed nothing for {silence:?}");
                return Err(Error::new(ErrorKind::TimedOut, message));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = running.child.wait()?;
    match status.success() {
        true => Ok(lines),
        false => Err(running.failure(&format!("it ended: {status}"))),
    }
}

/// A running server. Dropping it ends it.
///
/// It also ends with the thread that started it, even if that is killed.
#[derive(Debug)]
pub struct Server {
    child: Running,
    address: SocketAddr,
}

impl Server {
    /// Starts a server that prints `listening on ADDRESS` once it can be connected to.
    ///
    /// # Errors
    /// If it does not start, or ends, or is silent for too long. What it wrote to stderr is in the message.
    pub fn start(program: &Program) -> Result<Self, Exception> {
        let mut child = Running::start(&mut program.command(Schedule::RealTime)?)?;
        let stdout = child.child.stdout.take().expect("it was asked for");
        match address_printed(stdout) {
            Some(address) => Ok(Self { child, address }),
            None => Err(child.failure(&format!("{program:?} did not start")).into()),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.child.id()
    }

    /// Waits until it has nothing left to do, as after its last client has gone; not for ever.
    ///
    /// # Errors
    /// If it is not running.
    pub fn settle(&self) -> Result<(), Exception> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut before = CpuTime::of(self.pid())?;
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let now = CpuTime::of(self.pid())?;
            // Some look around now and then while they wait.
            if now.since(before).ran < Duration::from_micros(200) || Instant::now() > deadline {
                return Ok(());
            }
            before = now;
        }
    }

    /// The memory it has for itself, in bytes.
    ///
    /// # Errors
    /// If it is not running.
    pub fn memory(&self) -> Result<u64, Exception> {
        Ok(anonymous_memory(self.pid())?)
    }

    /// If it has ended by itself: an error with what it said last.
    ///
    /// # Errors
    /// If it has ended.
    pub fn check(&mut self) -> Result<(), Exception> {
        match self.child.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.child.failure(&format!("the server ended: {status}")).into()),
        }
    }
}

/// The address in the first line that tells one. What the server prints later is read and forgotten, so that it
/// never waits for a reader.
fn address_printed(stdout: ChildStdout) -> Option<SocketAddr> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = parse_address(&line) {
                // Nobody listens any more once the first is known.
                let _ = tell.send(address);
            }
        }
    });
    told.recv_timeout(READY_WITHIN).ok()
}

fn parse_address(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once("listening on ")?;
    address.trim().parse().ok()
}

/// A child process, which ends when this is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
    log: File,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self, Error> {
        let log = File::from(rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::CLOEXEC)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?);
        Ok(Self { child: command.spawn()?, log })
    }

    /// `what`, and the end of what the child wrote to stderr.
    fn failure(&self, what: &str) -> Error {
        let length = self.log.metadata().map_or(0, |log| log.len());
        let start = length.saturating_sub(2_000);
        let mut said = vec![0; (length - start) as usize];
        // By position: the child writes at the one that the descriptors share.
        match self.log.read_exact_at(&mut said, start) {
            Ok(()) => {
                Error::other(format!("{what}\n{}", String::from_utf8_lossy(&said).trim_end()))
            }
            Err(error) => Error::new(error.kind(), format!("{what} (its log: {error})")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either fails only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_line_that_servers_print() {
        let address = Some("127.0.0.1:4711".parse().unwrap());
        assert_eq!(parse_address("listening on 127.0.0.1:4711"), address);
        assert_eq!(parse_address("http listening on 127.0.0.1:4711\n"), address);
        assert_eq!(parse_address("listening on a socket"), None);
        assert_eq!(parse_address("127.0.0.1:4711"), None);
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_falls_silent_is_ended_and_not_waited_for() {
        let silence = Duration::from_millis(20);
        // `exec`: the program is ended, not what it may have started.
        let error = lines_until_end(&mut shell("exec sleep 1000"), silence).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_program_is_heard_to_its_end_and_must_succeed() {
        let silence = Duration::from_secs(60);
        assert_eq!(lines_until_end(&mut shell("echo a; echo b"), silence).unwrap(), ["a", "b"]);
        let error = lines_until_end(&mut shell("echo a; echo oops >&2; exit 3"), silence);
        assert!(error.unwrap_err().to_string().contains("oops"));
    }

    #[test]
    fn a_server_that_ends_is_no_address() {
        let mut child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(address_printed(child.stdout.take().unwrap()), None);
        child.wait().unwrap();
    }
}
