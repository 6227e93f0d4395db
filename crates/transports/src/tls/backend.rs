//! [`TlsBackend`]: the I/O of an encrypted connection: a [`TlsSession`] over another transport.
//!
//! What the transport below receives comes through [`received`](TlsBackend::received); plain text is
//! delivered in the same turn, and what is answered leaves in it. When there is more than the protocol
//! takes at once, or it takes none, readiness is a callback, and comes until nothing is left.
//!
//! Invariants: the session is out of its slot while the library works on it, since the library calls user
//! code (verifiers, choosers of certificates); what that causes finds no session, and does nothing. What
//! is handed over below is told by [`waiting_below`](Backend::waiting_below) until it is sent; whoever
//! waits for that is woken by a future of the lower transport, of which there is one at most.

use super::handshake::Handshake;
use super::{TlsError, TlsLimits, TlsState};
use crate::backend::Backend;
use crate::limits::OutputLimits;
use crate::stream_machine::StreamMachine;
use crate::stream_transport::StreamTransport;
use crate::tls::session::TlsSession;
use crate::{ExtraInfo, TlsInfo, Transport, WriteBufferLimits, WriteState};
use eventloop::Interest;
use futures::{Callback, Exception, Future, SchedulerExt, TimeoutError, TimerHandle};
use std::cell::{Cell, OnceCell};
use std::io::{self, IoSlice};
use std::rc::Rc;

/// An encrypted connection.
pub(crate) type TlsConnection = StreamTransport<TlsBackend>;

pub(crate) struct TlsBackend {
    lower: Rc<dyn Transport>,
    pub(super) limits: TlsLimits,
    /// `None` while the library works on it, and after the end.
    session: Cell<Option<Box<TlsSession>>>,
    /// Until it is over.
    pub(super) handshake: Cell<Option<Box<Handshake>>>,
    info: OnceCell<Rc<TlsInfo>>,
    /// The transport below has more than it should: wait until it is sent.
    full: Cell<bool>,
    /// The transport below takes nothing any more.
    refused: Cell<bool>,
    /// Done when nothing waits below.
    drained: Cell<Option<Future<()>>>,
    /// What the connection wants to be told.
    readable: Cell<bool>,
    /// Whether something may be read from below: it is wanted, or thrown away.
    listening: Cell<bool>,
    lower_paused: Cell<bool>,
    /// A turn of reading is queued.
    reading_queued: Cell<bool>,
    /// Ends the wait for the peer's goodbye.
    goodbye: Cell<Option<TimerHandle>>,
    /// So much waited below when that was last looked at.
    goodbye_waits: Cell<usize>,
    /// All that was said before our goodbye, and that, is on its way.
    goodbye_left: Cell<bool>,
    /// Whether the lower connection is closed, or cut, at the end.
    closes_politely: Cell<bool>,
}

/// With more than this that nobody reads, the transport below is paused.
const MOST_HELD: usize = 256 * 1024;
/// A peer that takes less in a second is not waited for after a close, or it could hold it for days.
const LEAST_PACE: f64 = 256.0;
/// So many pieces of cipher text, each a record at most, are handed over at once.
const MOST_PIECES: usize = 16;

impl TlsBackend {
    pub(super) fn new(lower: Rc<dyn Transport>, session: TlsSession, limits: TlsLimits) -> Self {
        Self {
            lower,
            limits,
            session: Cell::new(Some(Box::new(session))),
            handshake: Cell::new(None),
            info: OnceCell::new(),
            full: Cell::new(false),
            refused: Cell::new(false),
            drained: Cell::new(None),
            readable: Cell::new(false),
            listening: Cell::new(true),
            lower_paused: Cell::new(false),
            reading_queued: Cell::new(false),
            goodbye: Cell::new(None),
            goodbye_waits: Cell::new(0),
            goodbye_left: Cell::new(false),
            closes_politely: Cell::new(false),
        }
    }

    /// At the end the connection below is closed, so that what was said still leaves, instead of cut.
    pub(super) fn close_politely(&self) {
        self.closes_politely.set(true);
    }

    pub(super) fn lower(&self) -> &dyn Transport {
        &*self.lower
    }

    /// Works on the session; `None` if that is done already, or it is gone.
    pub(super) fn with_session<R>(&self, work: impl FnOnce(&mut TlsSession) -> R) -> Option<R> {
        let mut session = self.session.take()?;
        let result = work(&mut session);
        self.session.set(Some(session));
        Some(result)
    }

    fn is_readable(&self) -> bool {
        self.with_session(|session| session.is_readable()) == Some(true)
    }

    /// The handshake is over: what it has settled is known from now on.
    pub(super) fn settle_info(&self) {
        if let Some(info) = self.with_session(|session| session.info()).flatten() {
            // It is over once.
            let _ = self.info.set(Rc::new(info));
        }
    }

    // From below

    /// Cipher text came. The lower transport's turn, in which user code may run.
    pub(super) fn received(connection: &Rc<TlsConnection>, cipher: &[u8]) {
        connection.backend().with_session(|session| session.receive(cipher));
        Self::go_on(connection);
    }

    /// The peer has ended the connection below.
    pub(super) fn received_eof(connection: &Rc<TlsConnection>) {
        connection.backend().with_session(|session| session.receive_eof());
        Self::go_on(connection);
    }

    /// Does what can be done with what came.
    pub(super) fn go_on(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        backend.send_output();
        if Handshake::is_under_way(backend) && !Handshake::go_on(connection) {
            return;
        }
        if connection.is_over() {
            return;
        }
        if connection.is_closing() {
            backend.with_session(|session| session.discard());
            backend.send_output();
            Self::review_goodbye(connection);
        } else {
            Self::deliver(connection);
        }
        Self::review(connection);
    }

    /// Delivers what is at hand and wanted. What is left then has a turn of its own.
    fn deliver(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        if backend.readable.get() && backend.is_readable() {
            let _ = connection.ready_to_read();
        }
        Self::deliver_later(connection);
    }

    fn deliver_later(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        if backend.readable.get() && backend.is_readable() && !backend.reading_queued.replace(true)
        {
            let reading = connection.clone();
            let queued = connection.event_loop().schedule(Callback::new(move || {
                reading.backend().reading_queued.set(false);
                Self::deliver(&reading);
                Self::review(&reading);
            }));
            drop(queued); // a closed loop delivers nothing
        }
    }

    /// The connection below is gone, in this turn.
    pub(super) fn lower_lost(connection: &Rc<TlsConnection>, reason: Option<Exception>) {
        let backend = connection.backend();
        if Handshake::is_under_way(backend) {
            let reason = reason.unwrap_or_else(|| backend.error(TlsError::closed_in_handshake()));
            return Handshake::fail_at_once(connection, reason);
        }
        if connection.is_over() {
            return;
        }
        let reason = match reason {
            // The peer has all that was said, and need not answer.
            _ if connection.is_parting() && backend.goodbye_left.get() => None,
            Some(reason) => Some(reason),
            None => backend.unexpected_end(),
        };
        connection.end_with_layer(reason);
    }

    /// What the end of the connection below means. What was not read by now cannot be any more.
    fn unexpected_end(&self) -> Option<Exception> {
        let end = self.with_session(|session| {
            if !session.peer_is_done() {
                return None; // our own abort
            }
            session.discard();
            session.end_error()
        });
        end.flatten().map(|error| self.error(error))
    }

    pub(super) fn error(&self, error: TlsError) -> Exception {
        io::Error::from(error).into()
    }

    /// Sets whether the transport below reads: as long as somebody wants it, or throws it away, and not
    /// too much is held already.
    fn review(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        let unwanted = connection.is_made() && !backend.readable.get() && !connection.is_closing();
        backend.listening.set(!unwanted);
        backend.review_lower();
    }

    fn review_lower(&self) {
        let Some(held) = self.with_session(|session| session.held()) else { return };
        let paused = self.lower_paused.get();
        let most = if paused { MOST_HELD / 2 } else { MOST_HELD };
        let pause = !self.listening.get() || held > most;
        if pause == paused {
            return;
        }
        self.lower_paused.set(pause);
        if pause {
            self.lower.pause_reading();
        } else {
            self.lower.resume_reading();
        }
    }

    // To below

    /// Hands over the cipher text that the session has.
    pub(super) fn send_output(&self) -> Option<WriteState> {
        let mut below = Below { lower: &*self.lower, state: None };
        self.with_session(|session| session.take_output(&mut below));
        if below.state == Some(WriteState::OverHighMark) {
            self.full.set(true);
        }
        below.state
    }

    /// Has the connection told when nothing waits below any more.
    fn await_drained(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        let armed = backend.drained.take();
        if armed.is_some() {
            return backend.drained.set(armed);
        }
        let future = backend.lower.drained();
        let weak = Rc::downgrade(connection);
        future.add_done_callback(move |future| {
            // If it failed, the connection below is lost, and that is told in its own way.
            let _ = future.exception();
            if let Some(connection) = weak.upgrade() {
                let backend = connection.backend();
                drop(backend.drained.take());
                backend.full.set(backend.refused.get());
                connection.less_waits_below();
                Self::review_goodbye(&connection);
            }
        });
        backend.drained.set(Some(future));
    }

    // The end

    /// Whether goodbyes are exchanged, so that it is over.
    fn review_goodbye(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        if !connection.is_parting() {
            return;
        }
        if backend.waiting_below() > 0 {
            return Self::await_drained(connection);
        }
        if !backend.goodbye_left.replace(true) {
            Self::limit_goodbye(connection); // from now on it is the peer's time
        }
        let is_over = backend.with_session(|session| session.state() == TlsState::UnwrappedAgain);
        let peer_is_done = backend.with_session(|session| session.peer_is_done());
        if is_over != Some(false) || peer_is_done == Some(true) {
            backend.closes_politely.set(true);
            connection.goodbye_answered();
        }
    }

    /// A peer that takes nothing more, or does not answer, is waited for only so long.
    fn limit_goodbye(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        backend.goodbye_waits.set(backend.waiting_below());
        let weak = Rc::downgrade(connection);
        let limit = backend.limits.shutdown;
        let timer = connection.event_loop().call_later(limit, move || {
            let Some(connection) = weak.upgrade() else { return };
            let backend = connection.backend();
            let waiting = backend.waiting_below();
            let least = (limit.as_secs_f64() * LEAST_PACE).ceil() as usize;
            if waiting > 0 && waiting.saturating_add(least) <= backend.goodbye_waits.get() {
                return Self::limit_goodbye(&connection); // it is slow
            }
            let error = TimeoutError::new("the TLS shutdown: the peer did not answer our goodbye");
            connection.abort(Some(error.into()));
        });
        cancel(backend.goodbye.replace(Some(timer)));
    }
}

impl Backend for TlsBackend {
    const IS_LAYER: bool = true;

    fn new_machine(&self, limits: Option<Rc<OutputLimits>>) -> StreamMachine {
        StreamMachine::saying_goodbye(limits)
    }

    fn can_write_eof(&self) -> bool {
        false
    }

    fn may_discard_input(&self) -> bool {
        false
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.with_session(|session| session.read(buffer));
        self.send_output();
        self.review_lower();
        let received = received.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()));
        if matches!(&received, Err(error) if error.kind() != io::ErrorKind::WouldBlock) {
            self.closes_politely.set(true); // the peer is told why, by an alert
        }
        received
    }

    fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(data)])
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut parts: &[IoSlice<'_>] = parts;
        let (mut total, mut of_part) = (0, 0);
        while !self.full.get() {
            while parts.first().is_some_and(|part| part.len() == of_part) {
                (parts, of_part) = (&parts[1..], 0);
            }
            let Some(first) = parts.first() else { return Ok(total) };
            let written = self.with_session(|session| match of_part {
                0 => session.write(parts),
                _ => session.write(&[IoSlice::new(&first[of_part..])]),
            });
            let written = match written {
                None => break,
                Some(Err(_)) if total > 0 => break, // it will be said next time
                Some(written) => written?,
            };
            total += written;
            of_part += written;
            while parts.first().is_some_and(|part| part.len() < of_part) {
                of_part -= parts[0].len();
                parts = &parts[1..];
            }
            if let Some(WriteState::Refused(_)) = self.send_output() {
                // The connection below is lost, and will say why.
                self.refused.set(true);
                self.full.set(true);
            }
        }
        match total {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            total => Ok(total),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn waiting_below(&self) -> usize {
        self.lower.get_write_buffer_size().0
    }

    /// What goes over the marks is sent at once, and what is left then waits. Were it only collected below,
    /// it would count as waiting.
    fn marks_changed(&self, marks: WriteBufferLimits) {
        let high = marks.high.min(WriteBufferLimits::default().high);
        let below = WriteBufferLimits { high, low: marks.low.min(high) };
        let _ = self.lower.set_write_buffer_limits(below); // they are in order
    }

    fn memory_held(&self) -> usize {
        let held = self.with_session(|session| session.held()).unwrap_or(0);
        size_of::<TlsSession>() + held + self.lower.get_write_buffer_size().0
    }

    fn say_goodbye(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        backend.with_session(|session| {
            session.discard();
            session.say_goodbye();
        });
        backend.send_output();
        Self::limit_goodbye(connection);
        Self::review_goodbye(connection);
    }

    fn followed_up(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        if connection.is_closing() {
            backend.with_session(|session| session.begin_closing());
        }
        if connection.is_over() {
            return;
        }
        let is_full = backend.full.get() && !backend.refused.get();
        if is_full || connection.waits_for_below() && backend.waiting_below() > 0 {
            Self::await_drained(connection);
        }
        Self::review(connection);
    }

    fn attach(_connection: &Rc<TlsConnection>) -> io::Result<()> {
        Ok(()) // the layer below owns it
    }

    fn watch(connection: &Rc<TlsConnection>, interest: Interest) -> io::Result<()> {
        let backend = connection.backend();
        backend.readable.set(interest.readable);
        // Whether it is writable shows when nothing waits below: see `followed_up`.
        Self::deliver_later(connection);
        Ok(())
    }

    fn flush_later(connection: &Rc<TlsConnection>) {
        let flushed = connection.clone();
        let queued = connection.event_loop().schedule(Callback::new(move || flushed.flush_now()));
        drop(queued); // a closed loop sends nothing
    }

    fn detach(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        cancel(backend.goodbye.take());
        if let Some(drained) = backend.drained.take() {
            drained.cancel();
        }
        if backend.closes_politely.get() {
            backend.lower.close();
        } else {
            backend.lower.abort();
        }
        drop(backend.handshake.take());
        drop(backend.session.take());
    }

    fn extra_info(connection: &Rc<TlsConnection>) -> ExtraInfo {
        let backend = connection.backend();
        let mut info = backend.lower.extra_info();
        info.tls = backend.info.get().cloned();
        info
    }

    fn describe(&self) -> String {
        match self.lower.extra_info().peername {
            Some(peer) => format!("TLS connection with {peer}"),
            None => "TLS connection".to_owned(),
        }
    }
}

/// The way down for cipher text: the session's own pieces are written, and not put together before. What
/// the transport below refuses is gone with it.
struct Below<'a> {
    lower: &'a dyn Transport,
    /// What the transport said last; `None` if it was given nothing.
    state: Option<WriteState>,
}

impl io::Write for Below<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut parts: [&[u8]; MOST_PIECES] = [&[]; MOST_PIECES];
        let count = pieces.len().min(MOST_PIECES);
        for (part, piece) in parts.iter_mut().zip(pieces) {
            *part = piece;
        }
        self.state = Some(self.lower.writelines(&parts[..count]));
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // the transport does that by itself
    }
}

pub(super) fn cancel(timer: Option<TimerHandle>) {
    if let Some(timer) = timer {
        timer.cancel();
    }
}
