//! [`Client`]: somebody who stays connected: what they want outlives each of their connections.

use super::Message;
use super::message::{line, text};
use super::names::folded;
use indexmap::IndexMap;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::{IdleTimeout, LineHandler, LineMode, LineReceiver, LongLine};
use tulipa::{Bytes, ClientEvent, ReconnectingClient, Transport};

/// Somebody who talks to a server, through one connection after the other.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Rc<Inner>,
}

pub(super) struct Inner {
    /// What they want to be called.
    wanted_nick: RefCell<String>,
    /// What they are called.
    nick: RefCell<String>,
    /// The channels that they are in, or go back to: by their folded names.
    channels: RefCell<IndexMap<String, String>>,
    /// Whom they are talking to.
    pub(super) target: RefCell<Option<String>>,
    /// The server has welcomed them.
    is_welcome: Cell<bool>,
    connection: RefCell<Option<ReconnectingClient>>,
    keyboard: RefCell<Option<Rc<dyn Transport>>>,
    silence: Duration,
    print: Box<dyn Fn(&str)>,
}

impl Client {
    /// Somebody called `nick`, who wants to be in `channels`. A server that is silent for twice `silence` is
    /// given up. What is to be read goes to `print`, a line at a time.
    pub fn new(
        nick: &str,
        channels: &[String],
        silence: Duration,
        print: impl Fn(&str) + 'static,
    ) -> Self {
        let named = channels.iter().map(|name| (folded(name), name.clone())).collect();
        let inner = Inner {
            wanted_nick: RefCell::new(nick.to_owned()),
            nick: RefCell::new(nick.to_owned()),
            channels: RefCell::new(named),
            target: RefCell::new(channels.first().cloned()),
            is_welcome: Cell::new(false),
            connection: RefCell::default(),
            keyboard: RefCell::default(),
            silence,
            print: Box::new(print),
        };
        Self { inner: Rc::new(inner) }
    }

    /// A session over a new connection of `connection`.
    pub fn session(&self, connection: &ReconnectingClient) -> LineReceiver<ClientSession> {
        *self.inner.connection.borrow_mut() = Some(connection.clone());
        let session =
            ClientSession { client: self.clone(), idle: IdleTimeout::default(), is_asked: false };
        LineReceiver::new(session).delimiter(b"\n")
    }

    /// Says what becomes of the connection.
    pub fn tell(&self, event: &ClientEvent) {
        let (what, retry_in) = match event {
            ClientEvent::ConnectionFailed { reason, retry_in } => {
                (format!("{reason:?}"), *retry_in)
            }
            ClientEvent::ConnectionLost { reason, retry_in } => {
                let reason = reason.as_ref().map(|reason| format!(": {reason:?}"));
                (format!("the connection is lost{}", reason.unwrap_or_default()), *retry_in)
            }
            _ => return,
        };
        match retry_in {
            Some(delay) => {
                self.print(format_args!("* {what}; again in {:.1} s", delay.as_secs_f64()));
            }
            None => self.print(format_args!("* {what}")),
        }
    }

    /// Says goodbye: the server closes the connection, and no other follows.
    pub fn quit(&self, reason: &str) {
        let connection = self.inner.connection.borrow().clone();
        if let Some(connection) = connection {
            self.send(format_args!("QUIT :{reason}"));
            connection.stop_trying();
        }
    }

    /// Sends a line. What is said while there is no connection is lost.
    pub(super) fn send(&self, what: impl fmt::Display) {
        let connection = self.inner.connection.borrow().clone();
        if let Some(transport) = connection.and_then(|connection| connection.transport()) {
            transport.write(line(what).as_bytes());
        }
    }

    /// Shows a line, without what could move about in a terminal.
    pub(super) fn print(&self, what: impl fmt::Display) {
        let what = what.to_string();
        let shown: String = what.chars().filter(|letter| !letter.is_control()).collect();
        (self.inner.print)(&shown);
    }

    pub(super) fn set_keyboard(&self, keyboard: Option<Rc<dyn Transport>>) {
        let before = self.inner.keyboard.replace(keyboard);
        drop(before);
        self.listen();
    }

    /// What is typed waits until somebody can hear it.
    fn listen(&self) {
        let keyboard = self.inner.keyboard.borrow().clone();
        match (keyboard, self.inner.is_welcome.get()) {
            (Some(keyboard), true) => keyboard.resume_reading(),
            (Some(keyboard), false) => keyboard.pause_reading(),
            (None, _) => {}
        }
    }

    pub(super) fn nick(&self) -> String {
        self.inner.nick.borrow().clone()
    }

    pub(super) fn set_wanted_nick(&self, nick: &str) {
        nick.clone_into(&mut self.inner.wanted_nick.borrow_mut());
    }

    fn is_me(&self, nick: &str) -> bool {
        folded(nick) == folded(&self.inner.nick.borrow())
    }

    fn welcomed(&self, nick: &str) {
        nick.clone_into(&mut self.inner.nick.borrow_mut());
        let connection = self.inner.connection.borrow().clone();
        if let Some(connection) = connection {
            connection.reset_delay(); // this is a success, and merely connecting was none
        }
        self.print(format_args!("* connected, you are {nick}"));
        let channels: Vec<String> = self.inner.channels.borrow().values().cloned().collect();
        for channel in channels {
            self.send(format_args!("JOIN {channel}"));
        }
        self.inner.is_welcome.set(true);
        self.listen();
    }

    fn lost(&self) {
        self.inner.is_welcome.set(false);
        self.listen();
    }

    fn joined(&self, channel: &str) {
        self.inner.channels.borrow_mut().insert(folded(channel), channel.to_owned());
        self.inner.target.borrow_mut().get_or_insert(channel.to_owned());
    }

    fn parted(&self, channel: &str) {
        self.inner.channels.borrow_mut().shift_remove(&folded(channel));
        let mut target = self.inner.target.borrow_mut();
        if target.as_deref().is_some_and(|target| folded(target) == folded(channel)) {
            *target = self.inner.channels.borrow().values().next().cloned();
        }
    }

    /// Shows what the server says, and notes what is to be known of it.
    fn hear(&self, message: &Message<'_>) {
        let (nick, first, last) = (message.nick(), message.param(0), message.param(1));
        let (is_me, last_of_all) = (self.is_me(nick), message.params.last().unwrap_or(&""));
        match &*message.command.to_ascii_uppercase() {
            "PING" => self.send(format_args!("PONG :{first}")),
            "001" => self.welcomed(first),
            "433" if !self.inner.is_welcome.get() => {
                let next = format!("{last}_");
                self.send(format_args!("NICK {next}"));
            }
            "PRIVMSG" if first.starts_with('#') => {
                self.print(format_args!("{first} <{nick}> {last}"));
            }
            "PRIVMSG" => self.print(format_args!("<{nick}> {last}")),
            "NOTICE" if first.starts_with('#') => {
                self.print(format_args!("{first} -{nick}- {last}"));
            }
            "NOTICE" => self.print(format_args!("-{nick}- {last}")),
            "JOIN" => {
                if is_me {
                    self.joined(first);
                }
                self.print(format_args!("{first} * {nick} has come"));
            }
            "PART" => {
                if is_me {
                    self.parted(first);
                }
                self.print(format_args!("{first} * {nick} has left ({last})"));
            }
            "QUIT" => self.print(format_args!("* {nick} has quit ({first})")),
            "NICK" => {
                if is_me {
                    first.clone_into(&mut self.inner.nick.borrow_mut());
                }
                self.print(format_args!("* {nick} is now {first}"));
            }
            "TOPIC" => self.print(format_args!("{first} * {nick} has set the topic: {last}")),
            "ERROR" => self.print(format_args!("* {first}")),
            "332" => self.print(format_args!("{last} * the topic: {last_of_all}")),
            "353" => self.print(format_args!("{} * here: {last_of_all}", message.param(2))),
            "422" => {} // no news is no error
            number if number.starts_with(['4', '5']) => {
                let about: Vec<&str> = message.params.iter().skip(1).copied().collect();
                self.print(format_args!("* {}", about.join(" ")));
            }
            _ => {}
        }
    }
}

/// One of the client's connections.
pub struct ClientSession {
    client: Client,
    idle: IdleTimeout,
    is_asked: bool,
}

impl ClientSession {
    fn wait_for_news(&mut self, transport: &dyn Transport) {
        let silence = self.client.inner.silence;
        self.idle.start(transport, silence, |receiver: &mut LineReceiver<Self>, transport| {
            receiver.handler_mut().is_silent(transport);
        });
    }

    /// A connection may be gone without a word: asking shows it.
    fn is_silent(&mut self, transport: &dyn Transport) {
        if self.is_asked {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the server is silent");
            return transport.abort_with(error.into());
        }
        self.is_asked = true;
        transport.write(line("PING :are-you-there").as_bytes());
        self.wait_for_news(transport);
    }
}

impl LineHandler for ClientSession {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let nick = self.client.inner.wanted_nick.borrow().clone();
        transport.write(line(format_args!("NICK {nick}")).as_bytes());
        transport.write(line(format_args!("USER {nick} 0 * :{nick}")).as_bytes());
        self.wait_for_news(transport);
    }

    fn line_received(&mut self, _: &dyn Transport, line: &[u8]) -> LineMode {
        self.is_asked = false;
        self.idle.reset_timeout();
        if let Some(message) = Message::parse(&text(line)) {
            self.client.hear(&message);
        }
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes::kib(8) // some servers have much to say
    }

    fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
        LongLine::Skip
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.client.lost();
    }
}
