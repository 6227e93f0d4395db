//! Descriptors that this process was started with: numbers, until they are owned.

#![allow(unsafe_code)]

use super::PassedSocketError;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether they were taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes `count` descriptors from `first` on, once a process: none the second time. They are closed on exec
/// from then on. If one of them is not open, or was not passed, none is taken.
pub(super) fn take(first: RawFd, count: usize) -> Result<Vec<OwnedFd>, PassedSocketError> {
    let numbers = || (first..).take(count);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    for number in numbers() {
        if let Err(error) = check_passed(number) {
            TAKEN.store(false, Ordering::Relaxed);
            return Err(error);
        }
    }
    // SAFETY: they are open, as was just seen. Nobody else owns them: they were there when the process
    // began, passed to it by number, and have not the flag of those that code of this process opens; to
    // use them is the right of whoever reads the environment that says so, which is this function; and
    // it does so once.
    let owned = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let taken: Vec<_> = numbers().map(owned).collect();
    for (descriptor, number) in taken.iter().zip(numbers()) {
        fcntl_setfd(descriptor, FdFlags::CLOEXEC)
            .map_err(|error| not_open(number, error.into()))?;
    }
    Ok(taken)
}

/// What has come through an exec is not closed by one; what this program opens is, if it is Rust. So a
/// manager that promises more than it passes cannot make us take what is somebody else's.
fn check_passed(number: RawFd) -> Result<(), PassedSocketError> {
    // SAFETY: the number is not -1, and it is only asked whether it is open; if it is not, that is the
    // answer.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(descriptor).map_err(|error| not_open(number, error.into()))?;
    match flags.contains(FdFlags::CLOEXEC) {
        true => Err(not_open(number, io::Error::other("this process has opened it itself"))),
        false => Ok(()),
    }
}

fn not_open(number: RawFd, error: io::Error) -> PassedSocketError {
    let message = format!("descriptor {number}, which LISTEN_FDS counts, cannot be used");
    PassedSocketError { message, error }
}
