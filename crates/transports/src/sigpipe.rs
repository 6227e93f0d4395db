//! System calls that raise SIGPIPE when nobody reads any more: write(2) to a pipe, sendfile(2).
//!
//! A send to a socket can be told not to. The others raise a signal whose default ends the process.
//! Rust programs ignore it from the start; but a loop that is a guest in another program, or in one
//! that took the default back, must not be what kills it, and must not change what the process does
//! about it. The signal is raised for the thread that makes the call: so it is blocked there
//! meanwhile, and taken off before it is unblocked.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Whether SIGPIPE would end the process, or call a handler of its own. Rust programs ignore it.
pub(crate) fn is_noticed() -> bool {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action given this only writes the present one, to a place that is large
    // enough; all zero is a valid value of the struct, should it fail.
    let found = unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), found.as_mut_ptr());
        found.assume_init()
    };
    found.sa_sigaction != libc::SIG_IGN
}

/// Makes a system call. A SIGPIPE that it raises on this thread is taken off; others are not touched.
pub(crate) fn without_sigpipe<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let set = only_sigpipe();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both point to sets of the right type, one to be read, and one to be written.
    let failed =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    // SAFETY: pthread_sigmask has succeeded, so it has written the mask.
    let before = unsafe { before.assume_init() };
    // Where it was not blocked, none can have been pending for this thread.
    let was_pending = contains(&before) && is_pending();
    let outcome = call();
    if !was_pending
        && let Err(error) = &outcome
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        take_off(&set);
    }
    // SAFETY: `before` is a mask that the system gave; nothing is to be written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    outcome
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initializes the set that it is given, and cannot fail; sigaddset is given that
    // one, with a signal that exists.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

fn contains(set: &libc::sigset_t) -> bool {
    // SAFETY: the set is initialized, and only read.
    unsafe { libc::sigismember(set, libc::SIGPIPE) == 1 }
}

/// Whether one waits for this thread.
fn is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is only looked at if sigpending has succeeded, and so has written it.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && contains(&pending.assume_init()) }
}

/// Takes off the signal that waits for this thread, if there is one, without waiting for it.
#[cfg(not(target_vendor = "apple"))]
fn take_off(set: &libc::sigset_t) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        // SAFETY: the set and the time are read, and no details are asked for.
        let taken = unsafe { libc::sigtimedwait(set, ptr::null_mut(), &raw const now) };
        if taken != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Takes off the signal that waits for this thread.
#[cfg(target_vendor = "apple")]
fn take_off(set: &libc::sigset_t) {
    let mut signal = 0;
    if is_pending() {
        // SAFETY: the set and the number outlive the call; the signal waits, so that it returns at once.
        unsafe { libc::sigwait(set, &raw mut signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// Gives SIGPIPE its default, as a program of another language has it, and takes it back.
    struct Default(libc::sighandler_t);

    impl Default {
        fn set() -> Self {
            // SAFETY: no handler is installed; the tests that would raise the signal are in here.
            Self(unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) })
        }
    }

    impl Drop for Default {
        fn drop(&mut self) {
            // SAFETY: what was there before, which is no handler in Rust programs.
            unsafe { libc::signal(libc::SIGPIPE, self.0) };
        }
    }

    #[test]
    fn x32_a_pipe_without_a_reader_does_not_kill_a_process_that_would_die_of_it() {
        assert!(!is_noticed(), "Rust's runtime ignores it");
        let default = Default::set();
        assert!(is_noticed());
        let (reader, writer) = std::io::pipe().unwrap();
        let write = || without_sigpipe(|| Ok(rustix::io::write(&writer, b"tulip")?));
        assert_eq!(write().unwrap(), 5);
        drop(reader);
        for _ in 0..3 {
            assert_eq!(write().unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert!(!is_pending());
        }
        drop(default);
        assert!(!is_noticed());
    }
}
