//! [`Driver`]: how a loop waits, watches, and is woken.
//!
//! The loop decides what to do; a driver only asks the operating system (or a foreign main loop).

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
mod portable;

use crate::cross_thread::Wake;
use crate::{Interest, Trigger};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::EpollDriver;
pub(crate) use portable::PortableDriver;

/// How a loop waits, watches, and is woken.
pub trait Driver {
    /// Starts to watch `descriptor` for an interest that is not `NONE`. The loop ends the watch with
    /// [`delete`](Driver::delete) before the descriptor is closed. [`Trigger::Edge`] is a permission: to
    /// tell as by [`Trigger::Level`] is always right.
    ///
    /// # Errors
    /// What the system says; nothing is watched then.
    fn add(
        &self,
        descriptor: BorrowedFd<'_>,
        key: usize,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()>;

    /// Changes the key, the (not empty) interest or the trigger of a watched descriptor. If it is ready, the
    /// next wait tells of it, though nothing may have changed.
    ///
    /// # Errors
    /// What the system says; the watch is then what it was.
    fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        key: usize,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()>;

    /// Ends a watch.
    ///
    /// # Errors
    /// What the system says.
    fn delete(&self, descriptor: BorrowedFd<'_>) -> io::Result<()>;

    /// Waits until something is ready, the wake was used, or `timeout` is over (`None`: never;
    /// never early, rounded up to what the system can), and puts what is ready into `events`, which
    /// is empty. It may return early with nothing.
    ///
    /// # Errors
    /// What the system says, but for an interrupted wait, which is an early return.
    fn wait(&self, timeout: Option<Duration>, events: &mut Vec<ReadyEvent>) -> io::Result<()>;

    /// What ends a wait from another thread or a signal handler.
    fn wake(&self) -> Arc<dyn Wake>;

    /// A descriptor that becomes readable when [`wait`](Driver::wait) would find something.
    fn poll_descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// What this driver waits with, for people.
    fn name(&self) -> &'static str;
}

/// One descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyEvent {
    /// The key it is watched under.
    pub key: usize,
    /// Reading will not block, or the descriptor ended or failed.
    pub readable: bool,
    /// Writing will not block, or the descriptor ended or failed.
    pub writable: bool,
    /// There is more to tell than that data came: the descriptor's other end hung up, it failed, or it has
    /// urgent data. Reading all data does not take that.
    pub special: bool,
}

/// The best driver that this system offers.
pub(crate) fn default_driver() -> io::Result<Box<dyn Driver>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(driver) = EpollDriver::new()? {
        return Ok(Box::new(driver));
    }
    Ok(Box::new(PortableDriver::new()?))
}

/// The event that `polling` is given for an interest.
fn polling_event(key: usize, interest: Interest) -> polling::Event {
    polling::Event::new(key, interest.readable, interest.writable)
}

#[cfg(all(test, not(loom), any(target_os = "linux", target_os = "android")))]
mod tests;
