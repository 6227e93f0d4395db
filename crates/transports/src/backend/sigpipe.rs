//! Calls that would raise SIGPIPE and cannot be told not to: sendfile(2) to a peer that is gone. A guest in
//! somebody's process must not die of it, and must not change what the process does about it.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Makes a system call; a SIGPIPE that it raises on this thread is taken back. Others are not touched.
pub(super) fn without_sigpipe<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let set = sigpipe();
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
        && error.raw_os_error() == Some(libc::EPIPE)
    {
        take_back(&set);
    }
    // SAFETY: `before` is a mask that the system gave; nothing is to be written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    outcome
}

/// The set with SIGPIPE in it.
fn sigpipe() -> libc::sigset_t {
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

fn is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is only looked at if sigpending has succeeded, and so has written it.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && contains(&pending.assume_init()) }
}

/// Takes the signal that is pending, if there is one, without waiting for it.
fn take_back(set: &libc::sigset_t) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        // SAFETY: the set and the time are read, and no details are asked for.
        let taken = unsafe { libc::sigtimedwait(set, ptr::null_mut(), &raw const now) };
        if taken != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
