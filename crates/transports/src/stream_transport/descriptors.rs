//! Descriptors that travel along with bytes: which of those that wait to be sent go with which byte, and
//! those that came and were not taken yet. Both are bounded, owned, and closed with the connection.

use super::{DESCRIPTORS, StreamTransport};
use crate::backend::{Backend, MOST_DESCRIPTORS_AT_ONCE};
use crate::descriptors::{DescriptorsRefused, Reason};
use crate::{WriteRefusal, WriteState};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The descriptors of one connection.
#[derive(Default)]
pub(super) struct Descriptors {
    /// How many may wait until the protocol takes them. Zero: none are wanted, and the system closes
    /// those that come.
    most: usize,
    received: Vec<OwnedFd>,
    outgoing: VecDeque<Outgoing>,
}

/// Descriptors that go along with one byte of the output.
struct Outgoing {
    /// So many bytes go before it.
    before: usize,
    descriptors: Vec<OwnedFd>,
}

/// So many descriptors may wait to be sent.
const MOST_WAITING: usize = 4 * MOST_DESCRIPTORS_AT_ONCE;

impl Descriptors {
    pub(super) fn is_empty(&self) -> bool {
        self.most == 0 && self.received.is_empty() && self.outgoing.is_empty()
    }
}

impl<B: Backend> StreamTransport<B> {
    /// See [`WriteTransport::write_with_descriptors`](crate::WriteTransport::write_with_descriptors).
    pub(super) fn write_with_descriptors(
        self: &Rc<Self>,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteState, DescriptorsRefused> {
        let waiting = |count: usize| {
            let waiting = self.descriptors(|all| {
                all.outgoing.iter().map(|each| each.descriptors.len()).sum::<usize>()
            });
            waiting.unwrap_or(0) + count > MOST_WAITING
        };
        let reason = match descriptors.len() {
            0 => None,
            _ if !self.backend.passes_descriptors() => Some(Reason::Unsupported),
            _ if data.is_empty() => Some(Reason::NoData),
            count if count > MOST_DESCRIPTORS_AT_ONCE => Some(Reason::TooMany),
            _ => self.admit(data.len()).err().map(Reason::Write),
        };
        let reason = reason.or_else(|| {
            let full = waiting(descriptors.len());
            full.then_some(Reason::Write(WriteRefusal::OverCap))
        });
        if let Some(reason) = reason {
            return Err(DescriptorsRefused::new(descriptors, reason));
        }
        if descriptors.is_empty() {
            return match self.write_parts(&[data]) {
                WriteState::Refused(refusal) => {
                    Err(DescriptorsRefused::new(descriptors, Reason::Write(refusal)))
                }
                taken => Ok(taken),
            };
        }
        let before = self.machine.borrow().size();
        let outgoing = Outgoing { before, descriptors };
        self.rare(|rare| rare.descriptors.get_or_insert_default().outgoing.push_back(outgoing));
        self.set(DESCRIPTORS, true);
        self.with_machine(|machine| machine.push(data, || self.shared().take_output()));
        if self.machine.borrow().is_over_high_mark() {
            self.flush();
        }
        self.requested();
        Ok(self.write_state())
    }

    /// Looks at the descriptors of the connection, or changes them, if it has any. `function` is as for
    /// [`rare`](StreamTransport::rare).
    fn descriptors<R>(&self, function: impl FnOnce(&mut Descriptors) -> R) -> Option<R> {
        if !self.is(DESCRIPTORS) {
            return None;
        }
        self.if_rare(|rare| rare.descriptors.as_deref_mut().map(function))
    }

    /// Whether some of the output has descriptors to go along with it.
    pub(super) fn has_outgoing_descriptors(&self) -> bool {
        self.descriptors(|all| !all.outgoing.is_empty()).unwrap_or(false)
    }

    /// Sends what may leave in one call: up to the next byte that has descriptors, or from one on, with
    /// them. Says how much was tried.
    #[inline]
    pub(super) fn send_front(&self, unsent: &[u8]) -> (usize, io::Result<usize>) {
        if !self.is(DESCRIPTORS) {
            return (unsent.len(), self.backend.send(unsent));
        }
        self.send_front_with_descriptors(unsent)
    }

    #[cold]
    fn send_front_with_descriptors(&self, unsent: &[u8]) -> (usize, io::Result<usize>) {
        let sent = self.descriptors(|all| {
            let outgoing = &mut all.outgoing;
            let with = outgoing.front()?.before == 0;
            let end = outgoing.get(usize::from(with)).map_or(unsent.len(), |next| next.before);
            let end = end.min(unsent.len()); // less than all may be allowed
            let outcome = match outgoing.front() {
                Some(first) if with => {
                    self.backend.send_with_descriptors(&unsent[..end], &first.descriptors)
                }
                _ => self.backend.send(&unsent[..end]),
            };
            if let Ok(sent) = outcome {
                if with {
                    outgoing.pop_front(); // the other end has copies of its own
                }
                for later in outgoing {
                    later.before -= sent;
                }
            }
            Some((end, outcome))
        });
        sent.flatten().unwrap_or_else(|| (unsent.len(), self.backend.send(unsent)))
    }

    /// The output was thrown away, and with it what was to go along.
    pub(super) fn drop_outgoing_descriptors(&self) {
        let dropped = self.descriptors(|all| std::mem::take(&mut all.outgoing));
        drop(dropped);
    }

    /// See [`ReadTransport::receive_descriptors`](crate::ReadTransport::receive_descriptors).
    pub(super) fn receive_descriptors(&self, most: usize) -> io::Result<()> {
        if !self.backend.passes_descriptors() {
            let message = "only Unix sockets pass descriptors";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        if !self.machine.borrow().is_lost() {
            self.rare(|rare| rare.descriptors.get_or_insert_default().most = most);
            self.set(DESCRIPTORS, true);
        }
        Ok(())
    }

    /// See [`ReadTransport::take_descriptors`](crate::ReadTransport::take_descriptors).
    pub(super) fn take_descriptors(&self) -> Vec<OwnedFd> {
        self.descriptors(|all| std::mem::take(&mut all.received)).unwrap_or_default()
    }

    /// Reads what was given back, else what is there, with the descriptors that came along, if they are
    /// wanted.
    #[inline]
    pub(super) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.machine.borrow().has_unread() {
            return Ok(self.recv_unread(buffer));
        }
        if !self.is(DESCRIPTORS) {
            return self.backend.recv(buffer);
        }
        self.recv_with_descriptors(buffer)
    }

    #[cold]
    fn recv_with_descriptors(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.descriptors(|all| all.most).unwrap_or(0);
        if most == 0 {
            return self.backend.recv(buffer);
        }
        let mut found = Vec::new();
        let received = self.backend.recv_with_descriptors(buffer, &mut found)?;
        if found.is_empty() {
            return Ok(received);
        }
        let fits = self.descriptors(|all| {
            let fits = all.received.len() + found.len() <= most;
            if fits {
                all.received.append(&mut found);
            }
            fits
        });
        match fits {
            Some(true) => Ok(received),
            Some(false) | None => {
                let message = format!("the peer passed more than {most} descriptors");
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
        }
    }

    /// The end: nobody will ask for what came any more.
    pub(super) fn drop_descriptors(&self) {
        let dropped = self.if_rare(|rare| rare.descriptors.take());
        drop(dropped);
    }
}
