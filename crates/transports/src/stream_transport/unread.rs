//! What the protocol gave back: bytes that it received and does not want now. They come before anything
//! that the system has.
//!
//! Invariant: they are delivered in pieces. A piece of which something comes back is followed by one of
//! half its size, one that is consumed by one of twice. So a protocol that stops in the middle of what it
//! is given, again and again, costs no more than what it consumes.

use super::{RETURN_NOTED, RUNNING, StreamTransport, Turn};
use crate::backend::Backend;
use futures::InvalidStateError;
use std::rc::Rc;

/// Bytes that were given back, in order.
pub(super) struct Unread {
    bytes: Vec<u8>,
    /// Those before this are delivered, and may be written over.
    start: usize,
    /// So many were given back by the method that is running: what it gives back next goes behind.
    behind: usize,
    /// So much was delivered at once.
    piece: usize,
    /// Whether something of it came back.
    came_back: bool,
    /// So much waited before that was delivered.
    waited: usize,
    /// So often in a row it did not become less, and the protocol did not pause.
    in_vain: u32,
}

const LARGEST_PIECE: usize = 64 * 1024;
const SMALLEST_PIECE: usize = 256;
/// So often a protocol may be given what it gives back, and give it back once more. For ever would be a
/// loop that never sleeps, and a peer whose bytes are never read.
const MOST_IN_VAIN: u32 = 1000;

impl Default for Unread {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            behind: 0,
            piece: LARGEST_PIECE,
            came_back: true,
            waited: 0,
            in_vain: 0,
        }
    }
}

impl Unread {
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Puts `data` before all that waits, but behind what the same method gave back before.
    fn push(&mut self, data: Vec<u8>) {
        let size = data.len();
        self.came_back = true;
        let place = self.start + self.behind;
        if self.len() == 0 {
            self.bytes = data;
            self.start = 0;
        } else if size <= self.start {
            let from = self.start - size;
            self.bytes.copy_within(self.start..place, from);
            self.bytes[place - size..place].copy_from_slice(&data);
            self.start = from;
        } else {
            self.bytes.splice(place..place, data);
        }
        self.behind += size;
    }

    /// Copies the next piece into `buffer`.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        self.piece = match std::mem::take(&mut self.came_back) {
            true => (self.piece / 2).max(SMALLEST_PIECE),
            false => (self.piece * 2).min(LARGEST_PIECE),
        };
        self.waited = self.len();
        let count = self.waited.min(buffer.len()).min(self.piece);
        buffer[..count].copy_from_slice(&self.bytes[self.start..][..count]);
        self.start += count;
        count
    }

    /// The method that gave something back has returned.
    pub(super) fn method_returned(&mut self) {
        self.behind = 0;
    }
}

impl<B: Backend> StreamTransport<B> {
    /// See [`ReadTransport::push_back`](crate::ReadTransport::push_back).
    pub(super) fn push_back(self: &Rc<Self>, data: Vec<u8>) {
        if data.is_empty() || !self.with_machine(|machine| machine.take_back()) {
            return;
        }
        let running = self.is(RUNNING);
        self.rare(|rare| {
            let unread = rare.unread.get_or_insert_default();
            unread.push(data);
            if !running {
                unread.method_returned();
            }
        });
        if running {
            self.set(RETURN_NOTED, true);
        }
        self.requested();
    }

    /// See [`ReadTransport::can_deliver`](crate::ReadTransport::can_deliver).
    pub(super) fn can_deliver(&self) -> bool {
        let may_read = {
            let machine = self.machine.borrow();
            machine.may_read() && (self.is(RUNNING) || !machine.has_unread())
        };
        may_read && !self.has_successor() && !self.has_given_back()
    }

    /// Whether the method that is running has given something back. What waits besides comes after
    /// all that it was given.
    fn has_given_back(&self) -> bool {
        self.if_rare(|rare| rare.unread.as_ref().map(|unread| unread.behind > 0)) == Some(true)
    }

    /// Whether another protocol takes over when the method that is running returns.
    pub(super) fn has_successor(&self) -> bool {
        self.if_rare(|rare| rare.successor.is_some().then_some(())).is_some()
    }

    /// See [`ReadTransport::take_pushed_back`](crate::ReadTransport::take_pushed_back).
    pub(super) fn take_pushed_back(&self) -> Vec<u8> {
        if !self.machine.borrow().has_unread() {
            return Vec::new();
        }
        let taken = self.if_rare(|rare| rare.unread.take());
        self.with_machine(|machine| machine.unread_is_empty());
        taken.map_or_else(Vec::new, |mut unread| {
            unread.bytes.drain(..unread.start);
            unread.bytes
        })
    }

    /// The next piece of what was given back, as something that is read.
    #[cold]
    pub(super) fn recv_unread(&self, buffer: &mut [u8]) -> usize {
        let taken = self.if_rare(|rare| {
            let unread = rare.unread.as_mut()?;
            Some((unread.take(buffer), unread.len()))
        });
        let (count, left) = taken.unwrap_or((0, 0));
        if left == 0 {
            self.with_machine(|machine| machine.unread_is_empty());
        }
        count
    }

    /// A piece was delivered, and the calls that this caused were made. If nothing is left, nothing is kept:
    /// before, some of it could come back. What would go on for ever is ended.
    #[cold]
    pub(super) fn review_unread(self: &Rc<Self>) {
        let dropped = self.if_rare(|rare| rare.unread.take_if(|unread| unread.len() == 0));
        drop(dropped);
        let wanted = self.machine.borrow().may_deliver_unread();
        let in_vain = self.if_rare(|rare| {
            let unread = rare.unread.as_mut()?;
            let less = unread.len() < unread.waited;
            unread.in_vain = if wanted && !less { unread.in_vain + 1 } else { 0 };
            Some(unread.in_vain)
        });
        if in_vain.unwrap_or(0) < MOST_IN_VAIN {
            return;
        }
        if self.machine.borrow().is_salvaging() {
            self.with_machine(|machine| machine.salvaged());
        } else {
            self.fail_protocol(InvalidStateError::new(
                "the protocol gives back all that it is given, and does not pause reading",
            ));
        }
        self.settle(Turn::Other);
    }

    /// Nothing will be delivered any more.
    pub(super) fn drop_unread(&self) {
        let dropped = self.if_rare(|rare| rare.unread.take());
        drop(dropped);
    }

    pub(super) fn unread_memory(&self) -> usize {
        self.if_rare(|rare| {
            rare.unread.as_ref().map(|unread| size_of::<Unread>() + unread.bytes.capacity())
        })
        .unwrap_or(0)
    }
}
