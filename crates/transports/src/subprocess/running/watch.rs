//! [`ExitSource`]: what the loop watches of a child that has a descriptor.

use super::Subprocess;
use crate::subprocess::pidfd::Pidfd;
use eventloop::{Direction, Interest, Source, SourceKind, Taken};
use futures::SchedulerExt;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long a debugger is given to see an end before us.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Readable when the child has ended.
pub(super) struct ExitSource {
    pub(super) pidfd: Rc<Pidfd>,
    pub(super) subprocess: Weak<Subprocess>,
}

impl Source for ExitSource {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        if let Some(subprocess) = self.subprocess.upgrade() {
            subprocess.descriptor_ready();
        }
        Taken::Unknown
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        let child = self.subprocess.upgrade();
        child.map_or_else(|| "watch for a child".to_owned(), |child| format!("{child:?}"))
    }
}

impl Subprocess {
    /// Its descriptor says that it has ended. To one that is traced the debugger comes first: until that
    /// has asked, there is no status for us, and the descriptor is ready all the time.
    fn descriptor_ready(self: &Rc<Self>) {
        self.look_at_child();
        if self.key.get().is_some() && self.watch_for(Interest::NONE) {
            let this = Rc::downgrade(self);
            // Should the loop close before, nobody needs to look.
            let _ = self.children.event_loop().call_later(LOOK_AGAIN, move || {
                if let Some(this) = this.upgrade() {
                    this.watch_for(Interest::READ);
                }
            });
        }
    }

    /// Says whether that was possible.
    fn watch_for(&self, interest: Interest) -> bool {
        let Some(key) = self.key.get() else { return false };
        let set = self.children.event_loop().set_interest(key, interest);
        if let Err(error) = &set {
            log::error!(target: "tulipa", "{self:?} cannot be watched: {error}");
        }
        set.is_ok()
    }

    pub(super) fn unwatch(&self) {
        if let Some(key) = self.key.take() {
            drop(self.children.event_loop().unwatch(key));
        }
    }
}
