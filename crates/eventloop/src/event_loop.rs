//! [`EventLoop`], which owns a loop, and [`LoopHandle`], a view of it.

use crate::builder::EventLoopBuilder;
use crate::core::LoopCore;
use crate::{AbstractEventLoop, RunError};
use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// An event loop, and all that is scheduled on it.
///
/// Dropping it closes the loop and drops every callback, so that no pending timer can keep its own
/// loop alive; dropped by a callback of its own, it stops and closes at the end of that run (L-28). It
/// is used through [`LoopHandle`], to which it dereferences: clone that to schedule from inside
/// callbacks.
///
/// # As a guest in another main loop
/// A host that has its own loop needs three things (I-6): watch [`as_fd`](EventLoop::as_fd) for
/// reading, wake at [`next_deadline`](AbstractEventLoop::next_deadline), and call
/// [`run_ready`](EventLoop::run_ready) at either.
///
/// # Examples
/// ```
/// use tulipa_eventloop::{EventLoop, prelude::*};
/// let event_loop = EventLoop::new()?;
/// let future = event_loop.create_future();
/// let producer = future.clone();
/// event_loop.call_soon(move || producer.set_result(42).unwrap());
/// assert_eq!(event_loop.run_until_complete(&future)?, 42);
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct EventLoop {
    handle: LoopHandle,
    guest_descriptor: OnceCell<OwnedFd>,
}

impl EventLoop {
    /// A loop with the usual settings.
    ///
    /// # Errors
    /// What the system says when the poller cannot be made (out of descriptors, for one).
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// The settings, to be changed before a loop is made.
    pub fn builder() -> EventLoopBuilder {
        EventLoopBuilder::new()
    }

    pub(crate) fn own(core: Rc<LoopCore>) -> Self {
        Self { handle: LoopHandle { core }, guest_descriptor: OnceCell::new() }
    }

    /// A view of this loop that can be cloned and kept.
    pub fn handle(&self) -> LoopHandle {
        self.handle.clone()
    }

    /// A descriptor that is readable whenever [`run_ready`](EventLoop::run_ready) has I/O, or calls
    /// from other threads, to deliver. Watch it level-triggered (a host that hears of changes only
    /// must look again after each `run_ready`, until it is not readable); never read from it. It
    /// stays open until the `EventLoop` is dropped, but after [`close`](AbstractEventLoop::close) tells nothing.
    ///
    /// # Errors
    /// `Unsupported` if the driver has none; what the system says if it cannot be made.
    pub fn as_fd(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(descriptor) = self.guest_descriptor.get() {
            return Ok(descriptor.as_fd());
        }
        let descriptor = self.handle.core.clone_poll_descriptor()?;
        Ok(self.guest_descriptor.get_or_init(|| descriptor).as_fd())
    }

    /// Runs what is ready, without waiting: one iteration (L-2).
    ///
    /// # Errors
    /// [`RunError`], as for `run_forever`; calling it from inside a callback is one (I-6).
    pub fn run_ready(&self) -> Result<(), RunError> {
        self.run_once(Some(Duration::ZERO))
    }

    pub(crate) fn core(&self) -> &LoopCore {
        &self.handle.core
    }
}

impl Deref for EventLoop {
    type Target = LoopHandle;
    fn deref(&self) -> &LoopHandle {
        &self.handle
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.handle.core.lose_owner();
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// A view of an [`EventLoop`] with all its methods, through `dyn AbstractEventLoop`. Cheap to clone,
/// bound to the loop's thread, and inert once the loop is closed.
#[derive(Clone)]
pub struct LoopHandle {
    core: Rc<LoopCore>,
}

impl Deref for LoopHandle {
    type Target = dyn AbstractEventLoop;
    fn deref(&self) -> &Self::Target {
        &*self.core
    }
}

impl From<LoopHandle> for Rc<dyn AbstractEventLoop> {
    fn from(handle: LoopHandle) -> Self {
        handle.core
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_closed() {
            "closed"
        } else if self.is_running() {
            "running"
        } else {
            "idle"
        };
        write!(f, "EventLoop({}, {state})", self.id())
    }
}
