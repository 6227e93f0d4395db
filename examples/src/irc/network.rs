//! [`Network`]: who is there, under which name, in which channels; and what each line that somebody says
//! makes others hear. No sockets and no clock: lines in, lines out.
//!
//! Invariant: a user is a member of a channel exactly if the channel is among the user's; a channel without
//! members is gone; everything that users can fill has a limit.

mod channel;
mod commands;
mod numerics;

use super::message::{Message, line};
use super::names::folded;
use channel::Channel;
use indexmap::{IndexMap, IndexSet};
use std::fmt;
use std::rc::Rc;

/// What users can fill, and how far.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest nick.
    pub nick: usize,
    /// The longest name of a channel.
    pub channel: usize,
    /// The longest topic.
    pub topic: usize,
    /// How many members a channel has place for.
    pub members: usize,
    /// How many channels a user may be in.
    pub channels: usize,
    /// How many lines of a channel are told to those who come.
    pub history: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nick: 30, channel: 50, topic: 300, members: 500, channels: 20, history: 20 }
    }
}

/// Who is who, for as long as the connection lasts.
pub type UserId = u64;

/// What is to be done about what a user said: in order.
#[derive(Debug, Default)]
pub struct Output {
    /// Who is to hear what.
    pub lines: Vec<(UserId, Rc<str>)>,
    /// Whose connection is to be closed, once it has heard that.
    pub close: Vec<UserId>,
}

impl Output {
    fn say(&mut self, to: UserId, text: impl fmt::Display) {
        self.lines.push((to, line(text).into()));
    }

    fn say_all(&mut self, to: impl IntoIterator<Item = UserId>, text: impl fmt::Display) {
        let text: Rc<str> = line(text).into();
        self.lines.extend(to.into_iter().map(|to| (to, text.clone())));
    }
}

/// Who is there, and where.
#[derive(Debug)]
pub struct Network {
    name: String,
    limits: Limits,
    users: IndexMap<UserId, User>,
    /// By their folded nicks.
    nicks: IndexMap<String, UserId>,
    /// By their folded names.
    channels: IndexMap<String, Channel>,
    next: UserId,
}

#[derive(Debug)]
struct User {
    /// Where the connection comes from.
    host: String,
    nick: Option<String>,
    user: Option<String>,
    /// It has said `CAP LS`, and will say `CAP END`.
    negotiates: bool,
    is_welcome: bool,
    /// Their folded names.
    channels: IndexSet<String>,
}

impl User {
    fn nick(&self) -> &str {
        self.nick.as_deref().unwrap_or("*")
    }

    fn prefix(&self) -> String {
        format!("{}!{}@{}", self.nick(), self.user.as_deref().unwrap_or("user"), self.host)
    }
}

impl Network {
    /// Nobody is there yet.
    pub fn new(name: impl Into<String>, limits: Limits) -> Self {
        Self {
            name: name.into(),
            limits,
            users: IndexMap::new(),
            nicks: IndexMap::new(),
            channels: IndexMap::new(),
            next: 1,
        }
    }

    /// Somebody has connected from `host`.
    pub fn connect(&mut self, host: impl Into<String>) -> UserId {
        let id = self.next;
        self.next += 1;
        let user = User {
            host: host.into(),
            nick: None,
            user: None,
            negotiates: false,
            is_welcome: false,
            channels: IndexSet::new(),
        };
        self.users.insert(id, user);
        id
    }

    /// How many are connected.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Whether this one has said who it is.
    pub fn is_welcome(&self, id: UserId) -> bool {
        self.users.get(&id).is_some_and(|user| user.is_welcome)
    }

    /// A user has said something.
    pub fn receive(&mut self, id: UserId, text: &str) -> Output {
        let mut output = Output::default();
        if self.users.contains_key(&id)
            && let Some(message) = Message::parse(text)
        {
            self.obey(id, &message, &mut output);
        }
        output
    }

    /// A user has said more than a line may have.
    pub fn receive_too_much(&mut self, id: UserId) -> Output {
        let mut output = Output::default();
        self.reply(id, &mut output, numerics::INPUT_TOO_LONG, "", "Input line was too long");
        output
    }

    /// Asks a user whether it is there.
    pub fn ping(&self, id: UserId) -> Output {
        let mut output = Output::default();
        if self.users.contains_key(&id) {
            output.say(id, format_args!("PING :{}", self.name));
        }
        output
    }

    /// A user is gone, or has to go: the others hear why. One that is still connected is told as well, and
    /// to be disconnected.
    pub fn leave(&mut self, id: UserId, reason: &str) -> Output {
        let mut output = Output::default();
        self.remove(id, reason, &mut output);
        output
    }

    /// Says goodbye to a user whose connection ends because the server does.
    pub fn farewell(&self) -> Rc<str> {
        line("ERROR :The server shuts down").into()
    }

    fn remove(&mut self, id: UserId, reason: &str, output: &mut Output) {
        let witnesses = self.witnesses(id);
        let Some(user) = self.users.swap_remove(&id) else { return };
        output.say_all(witnesses, format_args!(":{} QUIT :{reason}", user.prefix()));
        if let Some(nick) = &user.nick {
            self.nicks.swap_remove(&folded(nick));
        }
        for name in &user.channels {
            self.remove_member(name, id);
        }
        output.say(id, format_args!("ERROR :Closing link: {} ({reason})", user.host));
        output.close.push(id);
    }

    fn remove_member(&mut self, name: &str, id: UserId) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.members.swap_remove(&id);
            if channel.members.is_empty() {
                self.channels.swap_remove(name);
            }
        }
    }

    /// Everybody who shares a channel with a user, each once, without the user.
    fn witnesses(&self, id: UserId) -> IndexSet<UserId> {
        let Some(user) = self.users.get(&id) else { return IndexSet::new() };
        let channels = user.channels.iter().filter_map(|name| self.channels.get(name));
        let members = channels.flat_map(|channel| channel.members.iter().copied());
        members.filter(|member| *member != id).collect()
    }

    /// Answers a user by a number: what it is about, then words.
    fn reply(&self, to: UserId, output: &mut Output, number: u16, about: &str, words: &str) {
        let Some(user) = self.users.get(&to) else { return };
        let blank = if about.is_empty() { "" } else { " " };
        output.say(
            to,
            format_args!(":{} {number:03} {}{blank}{about} :{words}", self.name, user.nick()),
        );
    }
}

#[cfg(test)]
mod tests;
