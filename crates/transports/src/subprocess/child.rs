//! [`Child`]: one child process, whose status is taken once, and which is signalled only until then.
//!
//! Invariant: the status is taken and published in one step ([`reap`](Child::reap)), on the loop's
//! thread. So as long as none is known, the child's number still belongs to it (or to nobody).

use super::ExitStatus;
use super::pidfd::Pidfd;
use super::system::signal_of;
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    reach: RefCell<Reach>,
    status: Cell<Option<ExitStatus>>,
}

/// How a child is reached.
#[derive(Clone, Debug)]
enum Reach {
    Descriptor(Rc<Pidfd>),
    Number,
    /// Not any more: its status was taken.
    Gone,
}

impl Child {
    /// A child that was started just now, to be reached by its number.
    pub(super) fn by_number(pid: Pid) -> Self {
        Self { pid, reach: RefCell::new(Reach::Number), status: Cell::new(None) }
    }

    /// A child that was started just now, to be reached by a descriptor. If somebody has taken its
    /// status in between, its number may be anybody's: then it has ended, nobody knows how (C-6).
    ///
    /// # Errors
    /// What the system says (out of descriptors); the child was ended then.
    pub(super) fn by_descriptor(pid: Pid) -> io::Result<Self> {
        let child = Self::by_number(pid);
        match Pidfd::open(pid) {
            Ok(pidfd) if pidfd.is_our_child() => {
                child.reach.replace(Reach::Descriptor(Rc::new(pidfd)));
            }
            Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                end_now(pid);
                return Err(error);
            }
            Ok(_) | Err(_) => {
                log::warn!(target: "tulipa", "the status of child {} was taken", child.number());
                child.status.set(Some(ExitStatus::Unknown));
                child.reach.replace(Reach::Gone);
            }
        }
        Ok(child)
    }

    /// The descriptor that is readable when it has ended.
    pub(super) fn pidfd(&self) -> Option<Rc<Pidfd>> {
        match &*self.reach.borrow() {
            Reach::Descriptor(pidfd) => Some(pidfd.clone()),
            Reach::Number | Reach::Gone => None,
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn number(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.status.get()
    }

    /// Takes the status, if the child has ended and it was not taken before.
    pub(super) fn reap(&self) -> Option<ExitStatus> {
        if let Some(status) = self.status.get() {
            return Some(status);
        }
        let ended = match &*self.reach.borrow() {
            Reach::Descriptor(pidfd) => pidfd.reap(),
            Reach::Number => reap_number(self.pid),
            Reach::Gone => return None,
        };
        let status = match ended {
            Ok(None) => return None,
            Ok(Some(status)) => status,
            Err(error) => {
                // C-6: somebody waited for it who should not have.
                let number = self.number();
                log::warn!(target: "tulipa", "the status of child {number} is lost: {error}");
                ExitStatus::Unknown
            }
        };
        self.status.set(Some(status));
        let reach = self.reach.replace(Reach::Gone);
        drop(reach); // closes the descriptor
        Some(status)
    }

    /// Sends a signal to this child and nobody else.
    pub(super) fn send_signal(&self, number: i32) -> io::Result<()> {
        let signal = known_signal(number)?;
        let sent = match &*self.reach.borrow() {
            Reach::Descriptor(pidfd) => pidfd.send_signal(signal),
            Reach::Number => signal_number(self.pid, signal),
            Reach::Gone => return Err(Errno::SRCH.into()),
        };
        match sent {
            // It is gone, and we were not told yet: that harms nobody.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(()),
            sent => sent,
        }
    }

    /// Sends a signal to the group that this child leads. The group has the child's number, and
    /// nobody else's as long as the child's status was not taken.
    pub(super) fn send_signal_to_group(&self, number: i32) -> io::Result<()> {
        let signal = known_signal(number)?;
        let is_ours = match &*self.reach.borrow() {
            Reach::Descriptor(pidfd) => pidfd.is_our_child(),
            Reach::Number => is_our_child(self.pid),
            Reach::Gone => return Err(Errno::SRCH.into()),
        };
        if is_ours {
            kill_process_group(self.pid, signal)?;
        }
        Ok(())
    }
}

fn known_signal(number: i32) -> io::Result<Signal> {
    signal_of(number).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{number} is not a signal"))
    })
}

/// Takes the status of a child of ours, if it has ended.
pub(super) fn reap_number(child: Pid) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let ended = retry_on_intr(|| waitid(WaitId::Pid(child), options))?;
    Ok(ended.map(|ended| status_of(&ended)))
}

/// Signals a number, after a look whether it still is our child's: if somebody else has taken the
/// status, the number may be anybody's.
fn signal_number(child: Pid, signal: Signal) -> io::Result<()> {
    if is_our_child(child) {
        kill_process(child, signal)?;
    }
    Ok(())
}

/// Whether this is a child of ours, and its status still there to be taken.
fn is_our_child(child: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    retry_on_intr(|| waitid(WaitId::Pid(child), look)).is_ok()
}

/// Ends a child that cannot be watched, and waits for it: it has been killed, so that is soon.
pub(super) fn end_now(child: Pid) {
    // Without a watch there is nobody to tell.
    let _ = kill_process(child, Signal::KILL);
    let _ = retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED));
}

pub(super) fn status_of(ended: &WaitIdStatus) -> ExitStatus {
    match (ended.exit_status(), ended.terminating_signal()) {
        (Some(code), _) => ExitStatus::Exited(code),
        (None, Some(signal)) => ExitStatus::Signaled(signal),
        (None, None) => ExitStatus::Unknown,
    }
}
