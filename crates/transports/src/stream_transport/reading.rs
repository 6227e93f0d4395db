//! Reading: what came is handed over at once, within a budget per turn.

use super::{RUNNING, StreamHandle, StreamTransport, Turn};
use crate::Protocol;
use crate::backend::Backend;
use crate::stream_machine::End;
use eventloop::Taken;
use futures::{Exception, InvalidStateError, catch};
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// So many reads, or bytes, and the others get their turn.
const READS_A_TURN: usize = 16;
const BYTES_A_TURN: usize = 256 * 1024;
/// A peer that goes on sending after we closed is not listened to for longer than this.
const READS_TO_DISCARD: usize = 8;

/// What one read gave.
enum Read {
    /// So many bytes were handed over; whether they filled the buffer, so that more may be there.
    Delivered {
        count: usize,
        filled: bool,
    },
    /// The protocol was called and wanted nothing, or is gone.
    Stopped,
    Nothing,
    Eof,
    Failed(io::Error),
    /// `get_buffer` answered with an empty buffer (P-13).
    NoSpace,
}

/// How a burst of reads ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Burst {
    /// The system has no more.
    Drained,
    /// More may be there.
    MoreToCome,
    /// Nothing more is to be read now, whatever is there.
    Stopped,
}

impl Burst {
    fn taken(self) -> Taken {
        match self {
            Burst::Drained => Taken::All,
            Burst::MoreToCome | Burst::Stopped => Taken::Unknown,
        }
    }
}

impl Read {
    /// What it means that nothing was read.
    #[cold]
    fn without_bytes(outcome: io::Result<usize>) -> Self {
        match outcome {
            Ok(_) => Read::Eof,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
            Err(error) => Read::Failed(error),
        }
    }
}

impl<B: Backend> StreamTransport<B> {
    /// There is something to read, or the end, or an error.
    #[inline(always)] // into `Source::ready`
    pub(crate) fn ready_to_read(self: &Rc<Self>) -> Taken {
        if self.is_ordinary()
            && let Some(mut protocol) = self.protocol.take()
        {
            match protocol.as_buffered() {
                None => return self.read_plainly(protocol),
                Some(_) => self.protocol.set(Some(protocol)),
            }
        }
        self.read_burst().taken()
    }

    /// Reads for an [ordinary](StreamTransport::is_ordinary) connection. Nearly always one read gives all
    /// there is, and this is all. The protocol is out of its slot: a call to the system needs none.
    #[inline(always)] // there is one caller
    fn read_plainly(self: &Rc<Self>, mut protocol: Box<dyn Protocol>) -> Taken {
        let shared = self.shared();
        let mut buffer = shared.take_read_buffer();
        let taken = match self.backend.recv(&mut buffer) {
            Ok(count @ 1..) => {
                let (data, transport) = (&buffer[..count], StreamHandle::lent(self));
                self.set(RUNNING, true);
                let called = catch(|| protocol.data_received(&transport, data));
                self.set(RUNNING, false);
                let is_all = count < buffer.len() && self.is_ordinary();
                match called {
                    Ok(()) if is_all => {
                        self.put(protocol);
                        if !self.send_collected() {
                            self.settle_all(Turn::Other);
                        }
                        Taken::All
                    }
                    called => {
                        self.returned("data_received", protocol, called);
                        self.read_on_after(count, &mut buffer)
                    }
                }
            }
            outcome => {
                self.protocol.set(Some(protocol));
                self.read_on(Some(Read::without_bytes(outcome)), &mut buffer).taken()
            }
        };
        shared.give_back_read_buffer(buffer);
        taken
    }

    /// After `count` bytes that may not have been all, or of which more than to answer is to be done.
    #[inline(never)]
    fn read_on_after(self: &Rc<Self>, count: usize, buffer: &mut [u8]) -> Taken {
        if count == buffer.len() {
            return self.read_on(Some(Read::Delivered { count, filled: true }), buffer).taken();
        }
        self.was_read(count);
        self.settle(Turn::Other);
        Taken::All
    }

    /// One that only writes was told that it may read, which tells of its reader: whether that is
    /// gone. If it is not, there is nothing to be learned by watching, and what is ready would
    /// be so for ever.
    pub(crate) fn ready_to_learn_of_reader(self: &Rc<Self>, gone: bool) {
        let unsent = self.machine.borrow().has_unsent();
        if !gone {
            self.with_machine(|machine| machine.stop_watching_reader());
        } else if unsent {
            let error = io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone");
            self.end(End::Failed, Some(error.into()));
        } else {
            self.end(End::Orderly, None);
        }
        self.settle(Turn::Own);
    }

    /// What the system had received before sending failed is delivered; then it ends.
    pub(super) fn salvage(self: &Rc<Self>) {
        if self.read_burst() != Burst::MoreToCome {
            self.with_machine(|machine| machine.salvaged());
        }
        self.settle(Turn::Other);
    }

    /// Reads and hands over until there is no more or the budget is used up.
    pub(super) fn read_burst(self: &Rc<Self>) -> Burst {
        let mut buffer = self.shared().take_read_buffer();
        let burst = self.read_on(None, &mut buffer);
        self.shared().give_back_read_buffer(buffer);
        burst
    }

    /// As [`read_burst`](StreamTransport::read_burst), after a first read, perhaps.
    #[inline(never)]
    fn read_on(self: &Rc<Self>, mut first: Option<Read>, buffer: &mut [u8]) -> Burst {
        let mut burst = Burst::Stopped;
        let mut total = 0;
        for _ in 0..READS_A_TURN {
            burst = Burst::Stopped;
            let (read, again) = match first.take() {
                Some(read) => (read, false),
                None => {
                    let again = {
                        let machine = self.machine.borrow();
                        if !machine.may_read() {
                            break;
                        }
                        machine.has_unread()
                    };
                    (self.read_with_care(buffer), again)
                }
            };
            match read {
                Read::Delivered { count, filled } => {
                    if !again {
                        self.was_read(count);
                    }
                    total += count;
                    burst = if filled { Burst::MoreToCome } else { Burst::Drained };
                }
                Read::Nothing => burst = Burst::Drained, // `get_buffer` may have caused something
                Read::Stopped => {}
                Read::Eof => self.with_machine(|machine| machine.peer_eof()),
                Read::Failed(error) => self.reading_failed(error),
                Read::NoSpace => self.refuse_empty_buffer(),
            }
            self.settle(Turn::Other);
            if again {
                self.review_unread();
            }
            if again || self.machine.borrow().has_unread() {
                return Burst::MoreToCome; // what was given back has turns of its own
            }
            if burst != Burst::MoreToCome || total >= BYTES_A_TURN {
                break;
            }
        }
        burst
    }

    /// Throws away what came and was not read. A socket that is closed with unread input resets the
    /// connection, and the peer would lose what we sent last.
    pub(super) fn discard_input(&self) {
        let mut buffer = self.shared().take_read_buffer();
        for _ in 0..READS_TO_DISCARD {
            match self.backend.recv(&mut buffer) {
                Ok(1..) => {}
                // There is no more, or nothing that could still be done about it.
                Ok(0) | Err(_) => break,
            }
        }
        self.shared().give_back_read_buffer(buffer);
    }

    /// One read of any connection, whatever its state.
    fn read_with_care(self: &Rc<Self>, buffer: &mut [u8]) -> Read {
        let Some(mut protocol) = self.protocol.take() else { return Read::Stopped };
        let buffered = protocol.as_buffered().is_some();
        self.protocol.set(Some(protocol));
        if buffered {
            return self.read_into_protocol();
        }
        let size = self.most_to_read(buffer.len());
        match self.recv(&mut buffer[..size]) {
            Ok(count @ 1..) => {
                let data = &buffer[..count];
                self.run("data_received", |p, transport| p.data_received(transport, data));
                Read::Delivered { count, filled: count == size }
            }
            outcome => Read::without_bytes(outcome),
        }
    }

    /// As `read_with_care`, into the buffer of a [`BufferedProtocol`](crate::BufferedProtocol) (P-2).
    #[inline(never)]
    fn read_into_protocol(self: &Rc<Self>) -> Read {
        let method = Cell::new("get_buffer");
        let read = self.run_named(&method, |protocol, transport| {
            let Some(protocol) = protocol.as_buffered() else { return Read::Stopped };
            let space = protocol.get_buffer(transport, None);
            let size = self.most_to_read(space.len().min(BYTES_A_TURN)); // P-11
            if !self.machine.borrow().may_read() {
                return Read::Stopped;
            }
            if size == 0 {
                return Read::NoSpace;
            }
            // If it has just given that back, the system was not asked.
            let is_unread = self.machine.borrow().has_unread();
            match self.recv(&mut space[..size]) {
                Ok(0) => Read::Eof,
                Ok(count) => {
                    method.set("buffer_updated");
                    protocol.buffer_updated(transport, count);
                    Read::Delivered { count, filled: is_unread || count == size }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
                Err(error) => Read::Failed(error),
            }
        });
        read.unwrap_or(Read::Stopped)
    }

    /// The system's own errors are told to the protocol, and not reported.
    #[cold]
    fn reading_failed(self: &Rc<Self>, error: io::Error) {
        log::debug!(target: "tulipa", "{}: reading failed: {error}", self.backend.describe());
        if self.machine.borrow().is_salvaging() {
            self.with_machine(|machine| machine.salvaged());
        } else {
            self.end(End::Failed, Some(error.into()));
        }
    }

    #[cold]
    fn refuse_empty_buffer(self: &Rc<Self>) {
        self.fail_protocol(InvalidStateError::new("get_buffer() returned an empty buffer"));
    }

    /// What the protocol does makes no sense: its connection ends.
    pub(super) fn fail_protocol(self: &Rc<Self>, error: InvalidStateError) {
        let exception = Exception::from(error);
        let mut name = "";
        self.run("type_name", |protocol, _| name = protocol.type_name());
        self.report("the protocol cannot receive", &exception, name);
        self.end(End::Failed, Some(exception));
    }
}
