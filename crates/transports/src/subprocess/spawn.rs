//! Starting a child, with the pipes to it.

use super::options::Group;
use super::system::{Identity, Preparation, start, would_inherit};
use super::{Stdio, SubprocessOptions};
use rustix::process::Pid;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

/// A child that runs, and whose status nobody has taken.
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) ends: Ends,
}

/// Our ends of a child's pipes, by its descriptors.
pub(super) type Ends = [Option<OwnedFd>; 3];

/// Starts it. It has become the program, or failed, when this returns.
pub(super) fn spawn(options: SubprocessOptions) -> io::Result<Spawned> {
    let mut command = Command::new(&options.program);
    command.args(&options.args);
    set_environment(&mut command, &options)?;
    if let Some(directory) = &options.directory {
        command.current_dir(directory);
    }
    if let Group::Of(group) = options.group {
        let refused = |_| io::Error::new(io::ErrorKind::InvalidInput, "not a process group");
        command.process_group(i32::try_from(group).map_err(refused)?);
    }
    let preparation = preparation(&mut command, &options);
    let ends = connect(&mut command, options.stdin, options.stdout, options.stderr)?;
    let child = start(&mut command, preparation)?;
    // Nobody waits for it here: whoever asked for it does. `command` closes our copies of its ends.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(Spawned { pid: pid.expect("the number of a process is positive"), ends })
}

fn set_environment(command: &mut Command, options: &SubprocessOptions) -> io::Result<()> {
    if options.clear_env {
        command.env_clear();
    }
    for (name, value) in &options.env {
        match value {
            // What is before the first `=` would be the name.
            Some(_) if name.is_empty() || name.as_bytes().contains(&b'=') => {
                let message = format!("{name:?} cannot be the name of a variable");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ok(())
}

fn preparation(command: &mut Command, options: &SubprocessOptions) -> Preparation {
    let identity = options.groups.as_ref().map(|groups| Identity {
        groups: groups.clone(),
        gid: options.gid,
        uid: options.uid,
    });
    if identity.is_none() {
        // `Command` does the same in the same order, and gives up our groups before it sets a user.
        if let Some(gid) = options.gid {
            command.gid(gid);
        }
        if let Some(uid) = options.uid {
            command.uid(uid);
        }
    }
    let new_session = options.group == Group::NewSession;
    let forks = new_session || identity.is_some() || makes_command_fork(options);
    Preparation { clean: forks || would_inherit(), new_session, identity }
}

/// Whether `Command` forks to do this: for another user, and to look in another `PATH`.
fn makes_command_fork(options: &SubprocessOptions) -> bool {
    let other_path = options.clear_env || options.env.iter().any(|(name, _)| name == "PATH");
    other_path || options.uid.is_some() || options.gid.is_some()
}

/// Sets the streams of the child; our ends of its pipes are given back.
fn connect(command: &mut Command, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> io::Result<Ends> {
    let mut ends = [const { None }; 3];
    command.stdin(match stdin {
        Stdio::Pipe => {
            let (theirs, ours) = io::pipe()?;
            ends[0] = Some(ours.into());
            theirs.into()
        }
        other => plain(other)?,
    });
    let (stdout, joined) = match (stdout, matches!(stderr, Stdio::Stdout)) {
        (Stdio::Pipe, join) => {
            let (ours, theirs) = io::pipe()?;
            ends[1] = Some(ours.into());
            let copy = if join { Some(theirs.try_clone()?.into()) } else { None };
            (theirs.into(), copy)
        }
        (Stdio::Inherit, true) => {
            let copy = io::stdout().as_fd().try_clone_to_owned()?;
            (process::Stdio::inherit(), Some(copy.into()))
        }
        (Stdio::Null, true) => (process::Stdio::null(), Some(process::Stdio::null())),
        (Stdio::Fd(descriptor), true) => {
            let copy = descriptor.try_clone()?;
            (descriptor.into(), Some(copy.into()))
        }
        (other, _) => (plain(other)?, None),
    };
    command.stdout(stdout);
    command.stderr(match (stderr, joined) {
        (_, Some(joined)) => joined,
        (Stdio::Pipe, None) => {
            let (ours, theirs) = io::pipe()?;
            ends[2] = Some(ours.into());
            theirs.into()
        }
        (other, None) => plain(other)?,
    });
    Ok(ends)
}

/// A stream that needs nothing of ours.
fn plain(stream: Stdio) -> io::Result<process::Stdio> {
    match stream {
        Stdio::Null => Ok(process::Stdio::null()),
        Stdio::Inherit => Ok(process::Stdio::inherit()),
        Stdio::Fd(descriptor) => Ok(descriptor.into()),
        Stdio::Pipe | Stdio::Stdout => {
            let message = "only the standard error can go where the standard output goes";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}
