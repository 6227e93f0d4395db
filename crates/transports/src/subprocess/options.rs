//! [`SubprocessOptions`]: what is to be started, and with what.

use crate::Bytes;
use crate::streams::DEFAULT_LIMIT;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A program with its arguments, and what it is to run with: its streams, environment, directory,
/// group, user.
///
/// A child gets what is said here and nothing else: its three streams are its only descriptors, no
/// signal is blocked or ignored (C-15).
///
/// # Examples
/// ```
/// use tulipa_transports::subprocess::{Stdio, SubprocessOptions};
/// let sort = SubprocessOptions::new("sort").args(["-r", "-n"]).env("LC_ALL", "C").stderr(Stdio::Null);
/// let both = SubprocessOptions::shell("ls /nowhere /tmp | wc -l").stderr(Stdio::Stdout);
/// ```
#[derive(Debug)]
#[must_use = "options do nothing until they are given to a creator"]
pub struct SubprocessOptions {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) is_shell: bool,
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
    pub(super) clear_env: bool,
    /// In the order of the calls; `None` takes a variable out.
    pub(super) env: Vec<(OsString, Option<OsString>)>,
    pub(super) directory: Option<PathBuf>,
    pub(super) group: Group,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) groups: Option<Vec<u32>>,
    pub(super) stream_limit: Bytes,
    pub(super) kill_on_drop: bool,
}

/// The process group of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Ours.
    Ours,
    /// That one; 0 is a new one, with the child's own number.
    Of(u32),
    /// A new one, in a new session.
    NewSession,
}

/// Where one of a child's streams leads.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stdio {
    /// To us, by a pipe with a transport (`PIPE` in Python).
    Pipe,
    /// Nowhere: no input, and the output is thrown away (`DEVNULL` in Python).
    Null,
    /// Where ours leads (`None` in Python).
    Inherit,
    /// Where the standard output of the child leads; for its standard error only (C-12).
    Stdout,
    /// To this descriptor: an open file, a socket, a pipe. The child is given a copy, and this one is
    /// closed.
    Fd(OwnedFd),
}

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Self {
        Stdio::Fd(descriptor)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Stdio::Fd(file.into())
    }
}

impl SubprocessOptions {
    /// A program: a path, or a name that is looked for in `PATH`. All of its streams are pipes.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            is_shell: false,
            stdin: Stdio::Pipe,
            stdout: Stdio::Pipe,
            stderr: Stdio::Pipe,
            clear_env: false,
            env: Vec::new(),
            directory: None,
            group: Group::Ours,
            uid: None,
            gid: None,
            groups: None,
            stream_limit: DEFAULT_LIMIT,
            kill_on_drop: true,
        }
    }

    /// A command for `/bin/sh`. What it contains is code: never put a stranger's words into it.
    ///
    /// A shell may start further processes; a signal goes to the shell alone. Where all are to be
    /// reached, give them a [`process_group`](SubprocessOptions::process_group) of their own, and use
    /// [`send_signal_to_group`](super::SubprocessTransport::send_signal_to_group).
    pub fn shell(command: impl AsRef<OsStr>) -> Self {
        let mut options = Self::new("/bin/sh").arg("-c").arg(command);
        options.is_shell = true;
        options
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Where its standard input comes from. Default: a pipe.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Where its standard output goes. Default: a pipe.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// Where its standard error goes. Default: a pipe.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// Sets a variable of its environment, which begins as a copy of ours.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Sets variables of its environment.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in variables {
            self = self.env(name, value);
        }
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Begins with an empty environment: only what is set after this is in it.
    pub fn env_clear(mut self) -> Self {
        self.clear_env = true;
        self.env.clear();
        self
    }

    /// The directory in which it starts (`cwd` in Python). Default: ours.
    #[doc(alias = "cwd")]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Puts it into this process group; 0 makes a new one, whose number is the child's. Then signals
    /// of the terminal, Ctrl-C for one, do not reach it by themselves.
    pub fn process_group(mut self, group: u32) -> Self {
        self.group = Group::Of(group);
        self
    }

    /// Makes it the leader of a new session, with a new process group and without a terminal
    /// (`start_new_session` in Python).
    #[doc(alias = "start_new_session")]
    pub fn new_session(mut self) -> Self {
        self.group = Group::NewSession;
        self
    }

    /// The user it runs as. That needs privileges. The supplementary groups of ours are given up
    /// first, then the group is set, and last the user.
    #[doc(alias = "user")]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// The group it runs as.
    #[doc(alias = "group")]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// Its supplementary groups (`extra_groups` in Python). Default: ours, or none with a
    /// [`uid`](SubprocessOptions::uid).
    #[doc(alias = "extra_groups")]
    pub fn groups(mut self, groups: impl Into<Vec<u32>>) -> Self {
        self.groups = Some(groups.into());
        self
    }

    /// The limit of the readers of a [`Process`](super::Process): 64 KiB by default.
    #[doc(alias = "limit")]
    pub fn stream_limit(mut self, limit: Bytes) -> Self {
        self.stream_limit = limit;
        self
    }

    /// Whether dropping a [`Process`](super::Process) kills a child that still runs. Default: yes.
    /// Without, the child goes on and the loop takes its status when it ends; that holds as long as
    /// the loop, whose end is also the child's.
    pub fn kill_on_drop(mut self, kill: bool) -> Self {
        self.kill_on_drop = kill;
        self
    }
}

impl From<&str> for SubprocessOptions {
    /// A program without arguments.
    fn from(program: &str) -> Self {
        Self::new(program)
    }
}

impl From<String> for SubprocessOptions {
    fn from(program: String) -> Self {
        Self::new(program)
    }
}

impl From<&Path> for SubprocessOptions {
    fn from(program: &Path) -> Self {
        Self::new(program)
    }
}

impl From<PathBuf> for SubprocessOptions {
    fn from(program: PathBuf) -> Self {
        Self::new(program)
    }
}

impl<P: AsRef<OsStr>, A: AsRef<OsStr>, const N: usize> From<(P, [A; N])> for SubprocessOptions {
    /// A program with its arguments.
    fn from((program, args): (P, [A; N])) -> Self {
        Self::new(program).args(args)
    }
}

/// A command for the shell: a string, or [`SubprocessOptions::shell`] with everything else.
#[derive(Debug)]
pub struct ShellCommand(pub(super) SubprocessOptions);

impl From<&str> for ShellCommand {
    fn from(command: &str) -> Self {
        Self(SubprocessOptions::shell(command))
    }
}

impl From<String> for ShellCommand {
    fn from(command: String) -> Self {
        Self(SubprocessOptions::shell(command))
    }
}

impl From<&OsStr> for ShellCommand {
    fn from(command: &OsStr) -> Self {
        Self(SubprocessOptions::shell(command))
    }
}

impl From<SubprocessOptions> for ShellCommand {
    fn from(options: SubprocessOptions) -> Self {
        Self(options)
    }
}
