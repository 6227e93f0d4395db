//! [`TlsSession`]: the state of one encrypted stream, without a transport, a clock or user code.
//!
//! It is given the cipher text that came and the plain text that is to be sent, and gives the plain text
//! that was received and the cipher text that has to go out. The library is driven step by step, by its
//! buffered interface; the helpers that loop by themselves are not used.
//!
//! Invariants: plain text comes out as it went in at the other end, whatever the cuts, and only what was
//! authenticated; it ends with the peer's goodbye, or with an error. What came before a fault is
//! delivered before the fault is told. What follows a goodbye or a fault is thrown away. The library
//! decrypts no more than somebody reads: the rest waits here as cipher text, and is counted by
//! [`held`](TlsSession::held).

#[cfg(test)]
mod tests;

use super::{TlsError, Truncation};
use crate::TlsInfo;
use crate::stream_machine::Output;
use rustls::Connection;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The life of a session, in this order; an error leads to the end from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsState {
    /// Nothing was sent or received.
    Unwrapped,
    Handshaking,
    Wrapped,
    /// It is being closed: what waits is still written, what comes is thrown away.
    Flushing,
    /// We have said goodbye, and wait for the peer's.
    Shutdown,
    /// Nothing more will be sent or received.
    UnwrappedAgain,
}

/// One encrypted stream.
pub(crate) struct TlsSession {
    connection: Connection,
    state: TlsState,
    /// Cipher text that the library is not given before somebody has read what it has decrypted.
    waiting: Output,
    /// How much plain text the library holds.
    decrypted: usize,
    /// The connection below has ended.
    eof: bool,
    peer_said_goodbye: bool,
    failure: Option<TlsError>,
    truncation: Truncation,
    /// Whether it is an error if no application protocol was agreed on.
    needs_protocol: bool,
    server_name: Option<Arc<str>>,
}

/// The library decrypts no more before somebody has read some of this.
const MOST_DECRYPTED: usize = 16 * 1024;

impl TlsSession {
    /// A session that has not begun. `server_name` is the name that a client expects.
    pub(crate) fn new(
        connection: Connection,
        truncation: Truncation,
        server_name: Option<&str>,
        needs_protocol: bool,
    ) -> Self {
        Self {
            connection,
            state: TlsState::Unwrapped,
            waiting: Output::default(),
            decrypted: 0,
            eof: false,
            peer_said_goodbye: false,
            failure: None,
            truncation,
            needs_protocol,
            server_name: server_name.map(Arc::from),
        }
    }

    /// Begins the handshake.
    pub(crate) fn begin(&mut self) {
        self.go_to(TlsState::Handshaking);
    }

    pub(crate) fn state(&self) -> TlsState {
        self.state
    }

    /// Why it failed.
    pub(crate) fn failure(&self) -> Option<&TlsError> {
        self.failure.as_ref()
    }

    /// What the handshake has settled; `None` before its end.
    pub(crate) fn info(&self) -> Option<TlsInfo> {
        TlsInfo::of(&self.connection, self.server_name.as_deref())
    }

    /// What the peer has ended: its goodbye came, or the connection below has ended, or failed.
    pub(crate) fn peer_is_done(&self) -> bool {
        self.peer_said_goodbye || self.eof || self.failure.is_some()
    }

    /// How much was received and not read, plain and cipher text together.
    pub(crate) fn held(&self) -> usize {
        self.waiting.len() + self.decrypted
    }

    /// Whether [`read`](TlsSession::read) would give something else than `WouldBlock`: only after the
    /// handshake.
    pub(crate) fn is_readable(&self) -> bool {
        self.decrypted > 0 || self.peer_is_done()
    }

    // From below

    /// Cipher text came.
    pub(crate) fn receive(&mut self, cipher: &[u8]) {
        let taken = if self.waiting.is_empty() { self.feed(cipher) } else { 0 };
        if taken < cipher.len() {
            self.waiting.push(&cipher[taken..]);
        }
        self.feed_waiting();
    }

    /// The connection below has ended.
    pub(crate) fn receive_eof(&mut self) {
        self.eof = true;
        if self.state <= TlsState::Handshaking {
            self.fail(TlsError::left_in_handshake());
        }
    }

    /// Gives the library as much of `cipher` as it may have now, and says how much that was.
    fn feed(&mut self, cipher: &[u8]) -> usize {
        let mut rest = cipher;
        while !rest.is_empty() {
            if self.peer_said_goodbye || self.failure.is_some() {
                return cipher.len(); // thrown away
            }
            if self.decrypted > MOST_DECRYPTED {
                break;
            }
            let step = match self.connection.read_tls(&mut rest) {
                Ok(_) if self.state >= TlsState::Shutdown => self.process_after_goodbye(),
                Ok(_) => self.connection.process_new_packets(),
                // It holds a whole record, and cannot make sense of it.
                Err(_) => Err(rustls::Error::PeerSentOversizedRecord),
            };
            match step {
                Ok(state) => {
                    self.decrypted = state.plaintext_bytes_to_read();
                    self.peer_said_goodbye = state.peer_has_closed();
                    self.look_at_handshake();
                }
                Err(error) => self.fail(match self.state {
                    TlsState::Unwrapped | TlsState::Handshaking => TlsError::handshake(error),
                    _ => TlsError::stream(error),
                }),
            }
            if self.peer_said_goodbye && self.state == TlsState::Shutdown {
                self.go_to(TlsState::UnwrappedAgain);
            }
        }
        cipher.len() - rest.len()
    }

    /// A fault that comes after our goodbye would be answered by an alert, which the library asserts not to
    /// send after a goodbye, where such assertions are on. The peer's fault is not to be our panic.
    fn process_after_goodbye(&mut self) -> Result<rustls::IoState, rustls::Error> {
        let process = || self.connection.process_new_packets();
        let processed = catch_unwind(AssertUnwindSafe(process));
        processed
            .unwrap_or_else(|_| Err(rustls::Error::General("a fault after our goodbye".into())))
    }

    fn feed_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waiting = mem::take(&mut self.waiting);
        let taken = self.feed(waiting.unsent());
        waiting.sent(taken);
        if !waiting.is_empty() {
            self.waiting = waiting; // else its room is not kept: most sessions are idle
        }
    }

    fn look_at_handshake(&mut self) {
        if self.state != TlsState::Handshaking || self.connection.is_handshaking() {
            return;
        }
        self.go_to(TlsState::Wrapped);
        let offers = matches!(self.connection, Connection::Client(_)) && self.needs_protocol;
        if offers && self.connection.alpn_protocol().is_none() {
            self.connection.send_close_notify();
            self.fail(TlsError::no_protocol());
        }
    }

    /// It is over, because of `error`. What was decrypted before can still be read.
    fn fail(&mut self, error: TlsError) {
        self.failure.get_or_insert(error.with_name(self.server_name.clone()));
        self.state = TlsState::UnwrappedAgain;
        self.waiting = Output::default();
    }

    // Plain text

    /// Reads what was received, all that is there if `buffer` has room. Zero is the end: the peer's
    /// goodbye.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there now; else why there will be nothing more.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.take_decrypted(buffer);
        if filled > 0 || buffer.is_empty() {
            return Ok(filled);
        }
        if self.failure.is_some() || self.peer_said_goodbye || self.eof {
            return match self.end_error() {
                None => Ok(0),
                Some(error) => {
                    self.fail(error.clone());
                    Err(error.into())
                }
            };
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Why the end, which has come, is no orderly one.
    pub(crate) fn end_error(&self) -> Option<TlsError> {
        match &self.failure {
            None if self.peer_said_goodbye || self.truncation == Truncation::IsEnd => None,
            None => Some(TlsError::truncated().with_name(self.server_name.clone())),
            failure => failure.clone(),
        }
    }

    fn take_decrypted(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            // All it says besides is said again below, in our own words.
            let count = self.connection.reader().read(&mut buffer[filled..]).unwrap_or(0);
            filled += count;
            self.decrypted = if count == 0 { 0 } else { self.decrypted.saturating_sub(count) };
            if self.waiting.is_empty() && (count == 0 || self.decrypted == 0) {
                break;
            }
            let before = self.waiting.len();
            self.feed_waiting();
            if count == 0 && self.waiting.len() == before {
                break;
            }
        }
        filled
    }

    /// Throws away what was received and is not read.
    pub(crate) fn discard(&mut self) {
        let mut sink = [0; 1024];
        while self.take_decrypted(&mut sink) > 0 {}
    }

    /// Encrypts some of `parts`, as much as the library takes at once, and says how much that was. The
    /// cipher text is for [`take_output`](TlsSession::take_output).
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub(crate) fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into());
        }
        if !matches!(self.state, TlsState::Wrapped | TlsState::Flushing) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let written = self.connection.writer().write_vectored(parts)?;
        match written {
            0 => Err(io::Error::other("the keys of this TLS connection are used up")),
            written => Ok(written),
        }
    }

    /// It is being closed: what comes from the peer is not wanted any more.
    pub(crate) fn begin_closing(&mut self) {
        if self.state == TlsState::Wrapped {
            self.go_to(TlsState::Flushing);
        }
    }

    /// Says goodbye, behind all that was written.
    pub(crate) fn say_goodbye(&mut self) {
        self.begin_closing();
        if self.state == TlsState::Flushing {
            self.connection.send_close_notify();
            let peer_is_done = self.peer_is_done();
            self.go_to(TlsState::Shutdown);
            if peer_is_done {
                self.go_to(TlsState::UnwrappedAgain);
            }
        }
    }

    /// Gives the cipher text that is to be sent to `output`, which takes all and does not fail.
    pub(crate) fn take_output(&mut self, output: &mut dyn Write) {
        while self.connection.wants_write() {
            let written = self.connection.write_tls(output);
            if !matches!(written, Ok(1..)) {
                break;
            }
        }
    }

    fn go_to(&mut self, next: TlsState) {
        debug_assert!(self.state < next, "{:?} -> {next:?}", self.state);
        self.state = next;
    }
}
