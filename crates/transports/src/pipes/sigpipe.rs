//! Writing to a pipe that nobody reads without being killed for it.
//!
//! A socket can be told so in the call. For pipes the system raises SIGPIPE, whose default ends the
//! process. Rust programs ignore it from the start; but a loop that is a guest in another program,
//! or in one that took the default back, must not be what kills it. The signal is raised for the
//! thread that writes: so it is blocked there during the call, and taken off before it is unblocked.

#![allow(unsafe_code)]

use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr;

/// Whether SIGPIPE would end the process. Whoever ignores or handles it need not be protected.
pub(super) fn is_deadly() -> bool {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action given this only writes the present one, to a place that is large
    // enough; all zero is a valid value of the struct, should it fail.
    let found = unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), found.as_mut_ptr());
        found.assume_init()
    };
    found.sa_sigaction == libc::SIG_DFL
}

/// Runs `write`, which may raise SIGPIPE in this thread; it does nothing.
pub(super) fn without_sigpipe<R>(write: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    let pipe = only_sigpipe();
    let was_pending = is_pending();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both point to signal sets that outlive the call; all zero is the empty one.
    let blocked =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, before.as_mut_ptr()) };
    let outcome = write();
    if blocked != 0 {
        return outcome; // it cannot happen: the arguments are constant
    }
    if matches!(outcome, Err(Errno::PIPE)) && !was_pending {
        take_off(&pipe);
    }
    // SAFETY: `before` was filled in by the call above, which succeeded.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    outcome
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the first call makes an empty set of what it points to, the second adds to it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

/// Whether one waits already, which is not ours to take off.
fn is_pending() -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the call fills in the set that it points to, and it is empty if it fails.
    unsafe {
        libc::sigpending(set.as_mut_ptr());
        libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1
    }
}

/// Takes off the signal that waits for this thread.
#[cfg(not(target_vendor = "apple"))]
fn take_off(pipe: &libc::sigset_t) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time outlive the call, and no information is asked for.
    unsafe { libc::sigtimedwait(pipe, ptr::null_mut(), &raw const now) };
}

/// Takes off the signal that waits for this thread.
#[cfg(target_vendor = "apple")]
fn take_off(pipe: &libc::sigset_t) {
    let mut signal = 0;
    // SAFETY: the set and the number outlive the call; the signal waits, so that it returns at once.
    unsafe { libc::sigwait(pipe, &raw mut signal) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipes::backend::PipeEnd;
    use crate::pipes::descriptor::PipeDescriptor;
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
        assert!(!is_deadly(), "Rust's runtime ignores it");
        let default = Default::set();
        assert!(is_deadly());
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = PipeDescriptor::shared(writer.into(), PipeEnd::Write).unwrap();
        assert_eq!(pipe.write(b"tulip").unwrap(), 5);
        drop(reader);
        for _ in 0..3 {
            assert_eq!(pipe.write(b"tulip").unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert!(!is_pending());
        }
        drop(default);
        assert!(!is_deadly());
    }
}
