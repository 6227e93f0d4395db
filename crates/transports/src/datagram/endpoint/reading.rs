//! Reading: each datagram is handed over at once, within a budget per turn.

use super::{Endpoint, Turn};
use crate::Bytes;
use crate::datagram::DatagramOperation;
use crate::datagram::socket::{Received, is_shortage};
use eventloop::{AbstractEventLoopExt, Direction};
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// So many bytes in a turn, and the others get theirs.
const BYTES_A_TURN: usize = 256 * 1024;
/// Unix datagrams may be larger than any UDP one: as large as the sender's buffer, which a program
/// without privileges can make 416 KiB by default. Untouched memory costs nothing.
const UNIX_BUFFER: Bytes = Bytes::kib(512);
/// So many entries of the queue of errors are taken in one turn.
const QUEUED_ERRORS_A_TURN: usize = 64;

/// The buffer for Unix datagrams that all endpoints of a loop share. Taken out while it is in use.
#[derive(Default)]
struct UnixBuffer(Cell<Option<Box<[u8]>>>);

impl Endpoint {
    /// There is something to read, or an error.
    pub(super) fn ready_to_read(self: &Rc<Self>) {
        let mut buffer = self.take_buffer();
        let wanted = self.burst.borrow().size();
        let (mut read, mut bytes, mut failures) = (0, 0, 0);
        let mut dry = false;
        while read < wanted && bytes < BYTES_A_TURN && self.machine.borrow().may_read() {
            match self.socket.receive(&mut buffer) {
                Ok(received) => {
                    read += 1;
                    bytes += received.count;
                    self.received(&buffer, received);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    dry = true;
                    break;
                }
                Err(error) => {
                    failures += 1;
                    let shortage = is_shortage(&error);
                    self.receiving_failed(error);
                    if shortage || failures == wanted.max(8) {
                        break;
                    }
                }
            }
        }
        self.give_back_buffer(buffer);
        if dry || read == wanted {
            self.burst.borrow_mut().ended(read);
        }
        if read > 0 || failures > 0 && dry {
            self.reading.patience.borrow_mut().fruitful();
        } else if self.machine.borrow().may_read() && !self.take_queued_errors() {
            // What went away by itself, as a datagram does whose checksum proves bad, is no reason to
            // keep those waiting that come later.
            match self.socket.is_ready_to_receive() {
                true => self.led_to_nothing(Direction::Read),
                false => self.reading.patience.borrow_mut().fruitful(),
            }
        }
        self.settle(Turn::Other);
    }

    /// One datagram is in the buffer.
    fn received(self: &Rc<Self>, buffer: &[u8], received: Received) {
        let Received { count, sender } = received;
        if count == buffer.len() {
            self.count(|stats| stats.discarded += 1);
            let message = format!("a datagram of {count} bytes or more was not delivered");
            let error = io::Error::new(io::ErrorKind::InvalidData, message);
            self.push_error(DatagramOperation::Receive, Some(sender), error);
        } else if self.socket.is_stranger(&sender) {
            self.count(|stats| stats.discarded += 1);
        } else {
            self.count(|stats| stats.received += 1);
            let data = &buffer[..count];
            self.run("datagram_received", |p, transport| {
                p.datagram_received(transport, data, &sender);
            });
        }
        self.make_owed_calls(Turn::Other);
    }

    /// The system's errors are told to the protocol; the endpoint goes on (P-18).
    fn receiving_failed(self: &Rc<Self>, error: io::Error) {
        // Where errors are queued as well, the entry says whom this one concerns.
        let concerned = self.socket.take_queued_error();
        self.tell_earlier(concerned, error);
        self.settle(Turn::Other);
    }

    /// An error that nobody has taken keeps the descriptor ready for ever: takes what there is, and
    /// says whether there was anything.
    pub(super) fn take_queued_errors(self: &Rc<Self>) -> bool {
        let mut any = false;
        for _ in 0..QUEUED_ERRORS_A_TURN {
            let error = self.socket.take_error();
            let concerned = self.socket.take_queued_error();
            if error.is_none() && concerned.is_none() {
                break;
            }
            any = true;
            // What is queued without an error is none: a time stamp, or an error that was told.
            if let Some(error) = error {
                self.tell_earlier(concerned, error);
            }
        }
        any
    }

    fn take_buffer(&self) -> Box<[u8]> {
        if !self.socket.is_unix() {
            return self.shared.take_read_buffer();
        }
        let kept = self.event_loop().local(UnixBuffer::default).0.take();
        kept.unwrap_or_else(|| vec![0; UNIX_BUFFER.0].into_boxed_slice())
    }

    fn give_back_buffer(&self, buffer: Box<[u8]>) {
        match self.socket.is_unix() {
            true => self.event_loop().local(UnixBuffer::default).0.set(Some(buffer)),
            false => self.shared.give_back_read_buffer(buffer),
        }
    }
}
