//! What a child must put right between fork and exec, and the few system calls that have no safe
//! binding.
//!
//! Rust's `Command` starts a child without a fork where it can (`posix_spawn`), which takes the same
//! time however large the process is. A fork copies the tables of all our memory; it is needed only if
//! the child has something to put right: [`would_inherit`] looks.

#![allow(unsafe_code)]

use rustix::process::Signal;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// What a child does before it becomes another program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Preparation {
    /// Gives back what we block, ignore, or would let it inherit. To be set with all the others: a
    /// child that is forked is started with all signals blocked.
    pub(super) clean: bool,
    pub(super) new_session: bool,
    pub(super) identity: Option<Identity>,
}

/// As whom it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) groups: Vec<u32>,
    pub(super) gid: Option<u32>,
    pub(super) uid: Option<u32>,
}

/// The number behind the highest signal.
const SIGNALS: i32 = 65;
/// Behind the three standard streams.
const FIRST_OTHER: i32 = 3;

/// Whether a child that is started now would find a signal blocked or ignored, or a descriptor that it
/// was not given. Where that cannot be known, it is taken to be so.
pub(super) fn would_inherit() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/thread-self/status") else { return true };
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let signals = |name: &str| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    // `Command` sees to SIGPIPE itself; 32 and 33 are the C library's own, and not for us to set.
    let exempt = 1 << (Signal::PIPE.as_raw() - 1) | 0b11 << 31;
    let (Some(blocked), Some(ignored)) = (signals("SigBlk:"), signals("SigIgn:")) else {
        return true;
    };
    let Some(table) = field("FDSize:").and_then(|size| size.parse().ok()) else { return true };
    blocked != 0 || ignored & !exempt != 0 || (FIRST_OTHER..table).any(is_inheritable)
}

fn is_inheritable(descriptor: i32) -> bool {
    // SAFETY: the call only asks about a number, which need not be a descriptor at all.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Starts the child of `command`, and has it do this before it becomes the program.
pub(super) fn start(command: &mut Command, preparation: Preparation) -> io::Result<Child> {
    if preparation == Preparation::default() {
        return command.spawn(); // no fork for nothing
    }
    let prepare = move || preparation.run();
    // SAFETY: between fork and exec only async-signal-safe functions may be called, and no memory may
    // be allocated or freed. `run` makes system calls through thin functions of the C library
    // (sigaction, sigprocmask, close_range, fcntl, setsid, setgroups, setgid, setuid), reads memory that
    // was allocated before, and builds errors of bare numbers.
    unsafe { command.pre_exec(prepare) };
    without_signals(|| command.spawn())
}

/// Blocks all signals on this thread meanwhile, and in a child that is forked until it unblocks them:
/// one that is meant for it as well (Ctrl-C) would find our handlers there, and be lost.
fn without_signals<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` fills in the set that it is given; then that is read, and the other written.
    let failed = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr())
    };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let outcome = call();
    // SAFETY: `before` was written by the call that succeeded; nothing is to be written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    outcome
}

impl Preparation {
    fn run(&self) -> io::Result<()> {
        if self.new_session {
            rustix::process::setsid()?;
        }
        if let Some(identity) = &self.identity {
            identity.assume()?;
        }
        if self.clean {
            reset_signals()?;
            keep_descriptors();
        }
        Ok(())
    }
}

impl Identity {
    /// Groups, then the group, then the user: after that we may change none of them.
    fn assume(&self) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of one slice.
        check(unsafe { libc::setgroups(self.groups.len() as _, self.groups.as_ptr()) })?;
        if let Some(gid) = self.gid {
            // SAFETY: the call takes a number.
            check(unsafe { libc::setgid(gid) })?;
        }
        if let Some(uid) = self.uid {
            // SAFETY: the call takes a number.
            check(unsafe { libc::setuid(uid) })?;
        }
        Ok(())
    }
}

/// Every signal does what it does by default, and then none is blocked: one that is pending finds no
/// handler of ours.
fn reset_signals() -> io::Result<()> {
    for signal in 1..SIGNALS {
        // SAFETY: SIG_DFL is a valid disposition. The call refuses the signals that cannot be set,
        // which are those that need not be.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` fills in the set that it is given, and `sigprocmask` reads it.
    check(unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    })
}

/// Has exec close all but the standard streams. They stay open until then: `Command` reports a failure
/// through one of them.
fn keep_descriptors() {
    if mark_all_to_close() {
        return;
    }
    // SAFETY: the call takes a number.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for descriptor in FIRST_OTHER..i32::try_from(limit).unwrap_or(65_536).min(1 << 20) {
        if is_inheritable(descriptor) {
            // SAFETY: the descriptor is open; from here to exec nothing else runs in this process.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

#[cfg(target_os = "linux")]
fn mark_all_to_close() -> bool {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: with this flag the call closes nothing; it takes numbers.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, u32::MAX, flags) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn mark_all_to_close() -> bool {
    false
}

fn check(answer: i32) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The number of a child of ours that has ended and whose status nobody has taken, without taking it.
pub(super) fn exited_child() -> Option<i32> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: all zeroes is a valid `siginfo_t`: numbers and null pointers.
    let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: `info` is ours and large enough, and lives through the call.
    let answer = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
    // SAFETY: after a `waitid` that succeeded, `info` is of the kind that has a process number; where
    // nothing has ended it is still all zeroes, and so is the number.
    let pid = if answer == 0 { unsafe { info.si_pid() } } else { 0 };
    (pid > 0).then_some(pid)
}

/// The signal of this number.
pub(super) fn signal_of(number: i32) -> Option<Signal> {
    if let Some(signal) = Signal::from_named_raw(number) {
        return Some(signal);
    }
    let is_real_time = real_time_signals().contains(&number);
    // SAFETY: from SIGRTMIN to SIGRTMAX, as the C library has them, are what programs may use.
    is_real_time.then(|| unsafe { Signal::from_raw_unchecked(number) })
}

#[cfg(target_os = "linux")]
fn real_time_signals() -> std::ops::RangeInclusive<i32> {
    libc::SIGRTMIN()..=libc::SIGRTMAX()
}

#[cfg(not(target_os = "linux"))]
fn real_time_signals() -> std::ops::Range<i32> {
    0..0
}
