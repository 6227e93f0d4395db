//! [`Smtp`]: carries lines between a transport and an SMTP [`Session`].

use super::{Directory, Line, Mail, Next, NotKept, Session, Settings, Store};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tulipa::prelude::*;
use tulipa::protocols::{LineHandler, LineMode, LineReceiver, LongLine};
use tulipa::tls::{Early, StartTls, TlsRole, TlsServerConfig};
use tulipa::{Bytes, IdleTimeout, Transport, current};

/// A client's session, for a [`LineReceiver`]: mails go into the store; where there is a directory, first
/// into a file, and only then is the client told.
///
/// A client that does not read its replies is not read from either, nor one whose mail is being kept: what
/// it has sent already waits in its transport.
///
/// One that says STARTTLS has to wait for the answer (RFC 3207). What comes behind the command in clear, be it a
/// handshake that was begun too early, may as well have been put there by somebody on the way: it ends the
/// connection.
pub struct Smtp {
    session: Session,
    store: Rc<RefCell<Store>>,
    output: Vec<u8>,
    idle: IdleTimeout,
    idle_limit: Duration,
    directory: Option<Arc<Directory>>,
    /// For STARTTLS.
    tls: Option<TlsServerConfig>,
    /// The client does not read.
    is_paused: bool,
}

impl Smtp {
    /// A session that nobody has spoken in yet, and that ends when no line was completed for
    /// `idle_limit`.
    pub fn new(settings: Rc<Settings>, store: Rc<RefCell<Store>>, idle_limit: Duration) -> Self {
        Self {
            session: Session::new(settings),
            store,
            output: Vec::new(),
            idle: IdleTimeout::default(),
            idle_limit,
            directory: None,
            tls: None,
            is_paused: false,
        }
    }

    /// Has each mail kept in a file as well.
    #[must_use]
    pub fn keeping_files(mut self, directory: Option<Arc<Directory>>) -> Self {
        self.directory = directory;
        self
    }

    /// How the connection is encrypted when the client says STARTTLS; for settings that offer it.
    #[must_use]
    pub fn encrypting(mut self, tls: Option<TlsServerConfig>) -> Self {
        self.tls = tls;
        self
    }

    fn reply(&mut self, transport: &dyn Transport, next: Next) {
        if !self.output.is_empty() {
            transport.write(&self.output);
            self.output.clear();
        }
        match next {
            Next::Continue | Next::Wait => self.review_reading(transport),
            Next::StartTls => self.start_tls(transport),
            Next::Close => transport.close(),
        }
    }

    /// What came behind the command is in the receiver's hands, which gives it back.
    fn start_tls(&mut self, transport: &dyn Transport) {
        let Some(config) = self.tls.clone() else { return transport.close() };
        let peer = transport.extra_info().peername;
        let opened = transport.start_tls(TlsRole::Server { config }, Early::Refuse, Vec::new());
        opened.add_done_callback(move |opened| {
            if let Ok(Some(error)) = opened.exception() {
                log::info!("no TLS with {peer:?}: {error}");
            }
        });
    }

    fn review_reading(&self, transport: &dyn Transport) {
        match self.is_paused || self.session.is_delivering() {
            true => transport.pause_reading(),
            false => transport.resume_reading(),
        }
    }

    /// The file of a mail is written, or is not.
    fn delivered(&mut self, transport: &dyn Transport, outcome: Result<u64, NotKept>) {
        let next = self.session.delivered(outcome, &mut self.output);
        self.reply(transport, next);
        self.idle.reset_timeout();
    }

    fn receive(&mut self, transport: &dyn Transport, line: Line<'_>) {
        let keeps = Keeps { store: &self.store, directory: self.directory.as_ref(), transport };
        let next = self.session.receive(line, &mut self.output, |mail| keeps.keep(mail));
        self.reply(transport, next);
        // Sending a line byte by byte does not buy more time.
        self.idle.reset_timeout();
    }

    fn start_idle_timeout(&mut self, transport: &dyn Transport) {
        let expired = |receiver: &mut LineReceiver<Self>, transport: &dyn Transport| {
            receiver.handler_mut().timed_out(transport);
        };
        self.idle.start(transport, self.idle_limit, expired);
    }

    fn timed_out(&mut self, transport: &dyn Transport) {
        let next = self.session.time_out(&mut self.output);
        self.reply(transport, next);
        if next == Next::Wait {
            // It is not the client who takes so long.
            self.start_idle_timeout(transport);
        }
    }
}

/// Where a mail goes.
struct Keeps<'a> {
    store: &'a Rc<RefCell<Store>>,
    directory: Option<&'a Arc<Directory>>,
    transport: &'a dyn Transport,
}

impl Keeps<'_> {
    fn keep(&self, mail: Mail) -> Result<u64, NotKept> {
        let received = SystemTime::now();
        let Some(directory) = self.directory.cloned() else {
            return caught(self.store.borrow_mut().add(mail, received));
        };
        let path = directory.new_path(received);
        let mail = self.store.borrow().admit(mail, received, Some(path))?;
        let cost = self.store.borrow_mut().expect(&mail)?;
        let writing = current().run_in_executor(None, move || {
            let kept = directory.keep(&mail);
            kept.map(|()| mail)
        });
        let (store, transport) = (self.store.clone(), self.transport.handle());
        writing.add_done_callback(move |writing| {
            store.borrow_mut().has_come(cost);
            // Without an executor that takes it, nothing was written.
            let kept = writing.take().unwrap_or(Err(NotKept::Failed));
            let outcome = kept.and_then(|mail| caught(store.borrow_mut().keep(mail)));
            // A client that is gone is not told, but the mail is there.
            let _ = transport.with_protocol(|receiver: &mut LineReceiver<Smtp>, transport| {
                receiver.handler_mut().delivered(transport, outcome);
            });
        });
        Err(NotKept::NotYet)
    }
}

fn caught(outcome: Result<u64, NotKept>) -> Result<u64, NotKept> {
    if let Ok(id) = outcome {
        log::info!("caught message {id}");
    }
    outcome
}

impl LineHandler for Smtp {
    fn connection_made(&mut self, transport: &dyn Transport) {
        if transport.extra_info().tls.is_some() {
            self.session.handshake_completed();
        }
        self.session.greet(&mut self.output);
        self.reply(transport, Next::Continue);
        self.start_idle_timeout(transport);
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        self.receive(transport, Line::Whole(line));
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes(self.session.line_limit())
    }

    fn line_too_long(&mut self, transport: &dyn Transport) -> LongLine {
        self.receive(transport, Line::TooLong);
        LongLine::Skip
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.is_paused = true;
        self.review_reading(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.is_paused = false;
        self.review_reading(transport);
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.session.handshake_completed();
        self.output = Vec::new();
        self.review_reading(transport);
        // What was armed knows the transport before.
        self.start_idle_timeout(transport);
    }

    fn memory_held(&self) -> Bytes {
        Bytes(self.session.memory() + self.output.capacity())
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        let next = self.session.shut_down(&mut self.output);
        self.reply(transport, next);
    }
}

#[cfg(test)]
mod tests;
