//! Waiting through `polling` alone: any system that it knows.

use super::{Driver, ReadyEvent, polling_event};
use crate::cross_thread::Wake;
use crate::{Interest, Trigger};
use polling::{Events, PollMode, Poller};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// `Poller::wait` as it is. On Linux it costs four system calls more a wait than
/// [`EpollDriver`](super::EpollDriver).
pub(crate) struct PortableDriver {
    poller: Arc<Poller>,
    events: RefCell<Events>,
}

struct Notify(Arc<Poller>);

impl PortableDriver {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poller: Arc::new(Poller::new()?), events: RefCell::new(Events::new()) })
    }
}

impl Driver for PortableDriver {
    fn add(
        &self,
        descriptor: BorrowedFd<'_>,
        key: usize,
        interest: Interest,
        _: Trigger,
    ) -> io::Result<()> {
        add(&self.poller, descriptor, polling_event(key, interest), PollMode::Level)
    }

    fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        key: usize,
        interest: Interest,
        _: Trigger,
    ) -> io::Result<()> {
        self.poller.modify_with_mode(descriptor, polling_event(key, interest), PollMode::Level)
    }

    fn delete(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(descriptor)
    }

    fn wait(&self, timeout: Option<Duration>, events: &mut Vec<ReadyEvent>) -> io::Result<()> {
        let mut found = self.events.borrow_mut();
        found.clear(); // `wait` appends
        self.poller.wait(&mut found, timeout)?;
        events.extend(found.iter().map(|event| {
            // An error or a hang-up makes a descriptor ready in every direction (L-44).
            let failed = event.is_interrupt() || event.is_err().unwrap_or(false);
            ReadyEvent {
                key: event.key,
                readable: event.readable || failed,
                writable: event.writable || failed,
                special: failed,
            }
        }));
        Ok(())
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(Notify(self.poller.clone()))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&*self.poller))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn poll_descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn name(&self) -> &'static str {
        "polling"
    }
}

impl Wake for Notify {
    fn wake(&self) {
        // It fails only when a wake-up is pending already, or the poller is gone: nobody waits.
        let _ = self.0.notify();
    }
}

/// Registers `descriptor`.
#[allow(unsafe_code)]
pub(super) fn add(
    poller: &Poller,
    descriptor: BorrowedFd<'_>,
    event: polling::Event,
    mode: PollMode,
) -> io::Result<()> {
    // SAFETY: `add…` demands that the descriptor is deleted from the poller before it closes. Every
    // caller goes through `LoopCore::watch`, which keeps the source (the owner of the descriptor)
    // until `unwatch` or `close` have called `delete`; a loop that is forgotten closes nothing. A driver's
    // own descriptors close with it or after it, and epoll, which alone has such, drops one that closes.
    unsafe { poller.add_with_mode(descriptor.as_raw_fd(), event, mode) }
}
