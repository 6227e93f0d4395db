//! [`Keyboard`]: what is typed, line by line, and what it means.

use super::Client;
use super::message::text;
use tulipa::prelude::*;
use tulipa::protocols::{LineHandler, LineMode, LongLine};
use tulipa::{Bytes, Eof, Transport};

const HELP: &str = "* /join #CHANNEL, /part [#CHANNEL], /msg WHOM TEXT, /talk WHOM, /nick NAME, \
                    /topic [TEXT], /names, /raw LINE, /quit [REASON]; anything else is said";

/// The standard input of a client.
pub struct Keyboard {
    client: Client,
}

impl Keyboard {
    /// What is typed here, `client` says. It is only read while somebody can hear it.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl LineHandler for Keyboard {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.client.set_keyboard(Some(transport.handle()));
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> LineMode {
        if self.client.input(&text(line)) == Next::Quit {
            transport.close();
        }
        LineMode::Lines
    }

    fn max_length(&self) -> Bytes {
        Bytes::kib(4)
    }

    fn line_too_long(&mut self, _: &dyn Transport) -> LongLine {
        self.client.print("* that line was too long");
        LongLine::Skip
    }

    fn eof_received(&mut self, transport: &dyn Transport, unfinished: &[u8]) -> Eof {
        if !unfinished.is_empty() {
            self.line_received(transport, unfinished);
        }
        Eof::Close
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.client.set_keyboard(None);
    }
}

/// What follows a line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Read,
    Quit,
}

impl Client {
    /// Does what a line of input says.
    pub(super) fn input(&self, text: &str) -> Next {
        let text = text.trim();
        let Some(command) = text.strip_prefix('/') else {
            if !text.is_empty() {
                self.say(text);
            }
            return Next::Read;
        };
        let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        let target = self.inner.target.borrow().clone().unwrap_or_default();
        match command {
            "join" if !rest.is_empty() => {
                self.send(format_args!("JOIN {rest}"));
                *self.inner.target.borrow_mut() = Some(rest.to_owned());
            }
            "part" => {
                self.send(format_args!("PART {}", if rest.is_empty() { &target } else { rest }))
            }
            "msg" | "notice" => match rest.split_once(' ') {
                Some((whom, what)) => {
                    let kind = if command == "msg" { "PRIVMSG" } else { "NOTICE" };
                    self.send(format_args!("{kind} {whom} :{}", what.trim()));
                }
                None => self.print(HELP),
            },
            "talk" if !rest.is_empty() => {
                *self.inner.target.borrow_mut() = Some(rest.to_owned());
            }
            "nick" if !rest.is_empty() => {
                self.set_wanted_nick(rest);
                self.send(format_args!("NICK {rest}"));
            }
            "topic" if rest.is_empty() => self.send(format_args!("TOPIC {target}")),
            "topic" => self.send(format_args!("TOPIC {target} :{rest}")),
            "names" => self.send(format_args!("NAMES {target}")),
            "raw" => self.send(rest),
            "quit" => {
                self.quit(if rest.is_empty() { "bye" } else { rest });
                return Next::Quit;
            }
            _ => self.print(HELP),
        }
        Next::Read
    }

    fn say(&self, text: &str) {
        let target = self.inner.target.borrow().clone();
        match target {
            Some(target) => {
                self.send(format_args!("PRIVMSG {target} :{text}"));
                self.print(format_args!("{target} <{}> {text}", self.nick()));
            }
            None => self.print("* nobody hears that: /join a #channel, or /talk to somebody"),
        }
    }
}
