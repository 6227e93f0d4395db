//! [`Pidfd`]: a child as a descriptor. It means this child for ever, whatever becomes of its number.

use super::ExitStatus;
use super::child::status_of;
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, pidfd_open, pidfd_send_signal, waitid,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[derive(Debug)]
pub(super) struct Pidfd(OwnedFd);

/// Whether the system has them, and takes them in place of a number where we need that (Linux 5.4).
pub(super) fn is_supported() -> bool {
    let ours = pidfd_open(getpid(), PidfdFlags::empty());
    // We are no child of ours: that is the answer of a system that understood the question.
    let waits = |ours: OwnedFd| {
        waitid(WaitId::PidFd(ours.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    };
    match ours {
        Ok(ours) => matches!(waits(ours), Err(Errno::CHILD)),
        // Out of descriptors, for one: that will be told by whatever needs one.
        Err(error) => !matches!(error, Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL),
    }
}

impl Pidfd {
    /// That of a child whose status nobody has taken.
    pub(super) fn open(child: Pid) -> io::Result<Self> {
        Ok(Self(pidfd_open(child, PidfdFlags::empty())?))
    }

    /// Whether this is a child of ours, and its status still there to be taken.
    pub(super) fn is_our_child(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        retry_on_intr(|| waitid(WaitId::PidFd(self.0.as_fd()), look)).is_ok()
    }

    /// Takes the status, if the child has ended.
    pub(super) fn reap(&self) -> io::Result<Option<ExitStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let ended = retry_on_intr(|| waitid(WaitId::PidFd(self.0.as_fd()), options))?;
        Ok(ended.map(|ended| status_of(&ended)))
    }

    pub(super) fn send_signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.0, signal)?)
    }
}

impl AsFd for Pidfd {
    /// Readable when the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
