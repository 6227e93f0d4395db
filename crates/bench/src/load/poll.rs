//! [`Poll`]: readiness without sleeping, told once for each change.

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Sockets that are watched for anything that happens to them.
pub(super) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

const EVENTS_A_TIME: usize = 512;

impl Poll {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_A_TIME) })
    }

    /// Watches a socket until it is closed. Each time bytes or room for bytes have come, `key` is told
    /// once.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(&self, socket: impl AsFd, key: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(key as u64), flags)?)
    }

    /// The keys of sockets to which something has happened; does not wait for any.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn ready(&mut self) -> io::Result<impl Iterator<Item = usize> + use<'_>> {
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, Some(&Timespec::default())) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}
