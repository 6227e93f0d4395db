//! [`Pidfd`] on systems that have none.

use super::ExitStatus;
use rustix::process::{Pid, Signal};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

#[derive(Debug)]
pub(super) struct Pidfd(Infallible);

pub(super) fn is_supported() -> bool {
    false
}

impl Pidfd {
    pub(super) fn open(_child: Pid) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_our_child(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn reap(&self) -> io::Result<Option<ExitStatus>> {
        match self.0 {}
    }

    pub(super) fn send_signal(&self, _signal: Signal) -> io::Result<()> {
        match self.0 {}
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
