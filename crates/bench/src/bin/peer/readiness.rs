//! Waiting on epoll, for the servers that are written on its system calls.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event};
use rustix::io::{Errno, Result};
use std::os::fd::OwnedFd;

/// Replaces `events` by those that have come, after waiting for the first of them, at most for `timeout`. None is no
/// error: a program that is stopped, continued or traced is woken too.
pub(crate) fn wait(
    epoll: &OwnedFd,
    events: &mut Vec<Event>,
    timeout: Option<&Timespec>,
) -> Result<()> {
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), timeout) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
