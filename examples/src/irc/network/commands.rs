//! What each command does.

use super::numerics::*;
use super::{Channel, Network, Output, UserId};
use crate::irc::message::{LONGEST_LINE, Message, cut};
use crate::irc::names::{clean_user, folded, is_channel, is_nick};

/// One command goes to at most so many channels or people.
const MOST_TARGETS: usize = 10;

impl Network {
    pub(super) fn obey(&mut self, id: UserId, message: &Message<'_>, output: &mut Output) {
        let command = message.command.to_ascii_uppercase();
        match &*command {
            "NICK" => self.nick(id, message, output),
            "USER" => self.user(id, message, output),
            "CAP" => self.cap(id, message, output),
            "PING" => self.answer_ping(id, message, output),
            "QUIT" => self.quit(id, message, output),
            "PONG" | "PASS" => {}
            _ if !self.users[&id].is_welcome => {
                self.reply(id, output, NOT_REGISTERED, "", "You have not registered");
            }
            "JOIN" => self.each(message, |network, name| network.join(id, name, output)),
            "PART" => {
                self.each(message, |network, name| network.part(id, name, message, output));
            }
            "PRIVMSG" => self.speak(id, message, output, "PRIVMSG"),
            "NOTICE" => self.speak(id, message, output, "NOTICE"),
            "NAMES" => self.each(message, |network, name| network.names(id, name, output)),
            "TOPIC" => self.topic(id, message, output),
            "WHO" => self.who(id, message.param(0), output),
            "MODE" => self.mode(id, message.param(0), output),
            _ => self.reply(id, output, UNKNOWN_COMMAND, &shown(&command), "Unknown command"),
        }
        let needs = match &*command {
            "JOIN" | "PART" | "TOPIC" | "MODE" => 1,
            _ => 0,
        };
        if message.params.len() < needs && self.is_welcome(id) {
            self.reply(id, output, NEED_MORE_PARAMS, &command, "Not enough parameters");
        }
    }

    /// Does something for each of the names in the first parameter.
    fn each(&mut self, message: &Message<'_>, mut function: impl FnMut(&mut Self, &str)) {
        let names = message.param(0).split(',').filter(|name| !name.is_empty());
        for name in names.take(MOST_TARGETS) {
            function(self, name);
        }
    }

    // Who somebody is

    fn nick(&mut self, id: UserId, message: &Message<'_>, output: &mut Output) {
        let nick = message.param(0);
        if nick.is_empty() {
            return self.reply(id, output, NO_NICK_GIVEN, "", "No nickname given");
        }
        if !is_nick(nick, self.limits.nick) {
            return self.reply(id, output, BAD_NICK, &shown(nick), "Erroneous nickname");
        }
        if self.nicks.get(&folded(nick)).is_some_and(|other| *other != id) {
            return self.reply(id, output, NICK_IN_USE, nick, "Nickname is already in use");
        }
        let user = &mut self.users[&id];
        let before = user.prefix();
        let old = user.nick.replace(nick.to_owned());
        let (is_welcome, is_news) = (user.is_welcome, old.as_deref() != Some(nick));
        if let Some(old) = old {
            self.nicks.swap_remove(&folded(&old));
        }
        self.nicks.insert(folded(nick), id);
        if is_welcome && is_news {
            let hearers = self.witnesses(id).into_iter().chain([id]);
            output.say_all(hearers, format_args!(":{before} NICK :{nick}"));
        }
        self.welcome(id, output);
    }

    fn user(&mut self, id: UserId, message: &Message<'_>, output: &mut Output) {
        if message.params.len() < 4 {
            return self.reply(id, output, NEED_MORE_PARAMS, "USER", "Not enough parameters");
        }
        let user = &mut self.users[&id];
        if user.user.is_some() {
            return self.reply(id, output, ALREADY_REGISTERED, "", "You may not reregister");
        }
        user.user = Some(clean_user(message.param(0)));
        self.welcome(id, output);
    }

    /// Clients ask what can be negotiated, which is nothing, and wait for the answer.
    fn cap(&mut self, id: UserId, message: &Message<'_>, output: &mut Output) {
        let (name, user) = (&self.name, &mut self.users[&id]);
        let nick = user.nick().to_owned();
        match &*message.param(0).to_ascii_uppercase() {
            part @ ("LS" | "LIST") => {
                user.negotiates = part == "LS" && !user.is_welcome;
                output.say(id, format_args!(":{name} CAP {nick} {part} :"));
            }
            "REQ" => {
                user.negotiates = !user.is_welcome;
                output.say(id, format_args!(":{name} CAP {nick} NAK :{}", message.param(1)));
            }
            "END" => {
                user.negotiates = false;
                self.welcome(id, output);
            }
            _ => {}
        }
    }

    /// Greets a user who has just said all that is to be known.
    fn welcome(&mut self, id: UserId, output: &mut Output) {
        let user = &mut self.users[&id];
        let is_known = user.nick.is_some() && user.user.is_some() && !user.negotiates;
        if user.is_welcome || !is_known {
            return;
        }
        user.is_welcome = true;
        let (prefix, name, limits) = (user.prefix(), self.name.clone(), self.limits.clone());
        self.reply(id, output, WELCOME, "", &format!("Welcome, {prefix}"));
        self.reply(id, output, YOUR_HOST, "", &format!("Your host is {name}"));
        self.reply(id, output, CREATED, "", "This server was started a while ago");
        self.reply(id, output, MY_INFO, &format!("{name} tulipa i n"), "no other modes");
        let supported = format!(
            "CASEMAPPING=rfc1459 CHANTYPES=# NICKLEN={} CHANNELLEN={} TOPICLEN={} MAXTARGETS={} \
             CHANLIMIT=#:{} UTF8ONLY",
            limits.nick, limits.channel, limits.topic, MOST_TARGETS, limits.channels
        );
        self.reply(id, output, SUPPORTED, &supported, "are supported by this server");
        self.reply(id, output, NO_MOTD, "", "There is no message of the day");
    }

    fn answer_ping(&self, id: UserId, message: &Message<'_>, output: &mut Output) {
        match message.params.first() {
            Some(token) => output.say(id, format_args!(":{0} PONG {0} :{token}", self.name)),
            None => self.reply(id, output, NO_ORIGIN, "", "No origin specified"),
        }
    }

    fn quit(&mut self, id: UserId, message: &Message<'_>, output: &mut Output) {
        let reason = match message.param(0) {
            "" => "Client quit".to_owned(),
            reason => format!("Quit: {reason}"),
        };
        self.remove(id, &reason, output);
    }

    // Channels

    fn join(&mut self, id: UserId, name: &str, output: &mut Output) {
        if name == "0" {
            let all: Vec<String> = self.users[&id].channels.iter().cloned().collect();
            for name in all {
                self.leave_channel(id, &name, "Left all channels", output);
            }
            return;
        }
        let (key, limits) = (folded(name), &self.limits);
        if !is_channel(name, limits.channel) {
            return self.reply(id, output, BAD_CHANNEL, &shown(name), "Bad channel name");
        }
        let user = &self.users[&id];
        if user.channels.contains(&key) {
            return;
        }
        if user.channels.len() >= limits.channels {
            return self.reply(
                id,
                output,
                TOO_MANY_CHANNELS,
                name,
                "You have joined too many channels",
            );
        }
        if self.channels.get(&key).is_some_and(|known| known.members.len() >= limits.members) {
            return self.reply(
                id,
                output,
                CHANNEL_IS_FULL,
                name,
                "Cannot join channel, it is full",
            );
        }
        let most_history = limits.history;
        let prefix = user.prefix();
        let channel =
            self.channels.entry(key.clone()).or_insert_with(|| Channel::new(name, most_history));
        channel.members.insert(id);
        output.say_all(
            channel.members.iter().copied(),
            format_args!(":{prefix} JOIN {}", channel.name),
        );
        self.users[&id].channels.insert(key.clone());
        let (shown, topic) = (self.channels[&key].name.clone(), self.channels[&key].topic.clone());
        if !topic.is_empty() {
            self.reply(id, output, TOPIC, &shown, &topic);
        }
        self.names(id, name, output);
        for (nick, text) in self.channels[&key].history() {
            output.say(id, format_args!(":{} NOTICE {shown} :<{nick}> {text}", self.name));
        }
    }

    fn part(&mut self, id: UserId, name: &str, message: &Message<'_>, output: &mut Output) {
        let key = folded(name);
        if !self.channels.contains_key(&key) {
            return self.reply(id, output, NO_SUCH_CHANNEL, &shown(name), "No such channel");
        }
        if !self.users[&id].channels.contains(&key) {
            return self.reply(id, output, NOT_ON_CHANNEL, name, "You're not on that channel");
        }
        self.leave_channel(id, &key, message.param(1), output);
    }

    fn leave_channel(&mut self, id: UserId, key: &str, reason: &str, output: &mut Output) {
        let (user, channel) = (&self.users[&id], &self.channels[key]);
        let said = match reason {
            "" => format!(":{} PART {}", user.prefix(), channel.name),
            reason => format!(":{} PART {} :{reason}", user.prefix(), channel.name),
        };
        output.say_all(channel.members.iter().copied(), said);
        self.users[&id].channels.shift_remove(key);
        self.remove_member(key, id);
    }

    /// The members of a channel, on as many lines as it takes.
    fn names(&mut self, id: UserId, name: &str, output: &mut Output) {
        let Some(channel) = self.channels.get(&folded(name)) else {
            return self.reply(id, output, END_OF_NAMES, &shown(name), "End of /NAMES list");
        };
        let about = format!("= {}", channel.name);
        let nick = self.users[&id].nick();
        let room = LONGEST_LINE - (self.name.len() + nick.len() + about.len() + 9);
        let mut names = String::new();
        for member in &channel.members {
            let member = self.users[member].nick();
            if names.len() + 1 + member.len() > room {
                self.reply(id, output, NAMES, &about, &std::mem::take(&mut names));
            }
            if !names.is_empty() {
                names.push(' ');
            }
            names.push_str(member);
        }
        self.reply(id, output, NAMES, &about, &names);
        self.reply(id, output, END_OF_NAMES, &channel.name, "End of /NAMES list");
    }

    fn topic(&mut self, id: UserId, message: &Message<'_>, output: &mut Output) {
        let name = message.param(0);
        if name.is_empty() {
            return;
        }
        let (key, longest) = (folded(name), self.limits.topic);
        let prefix = self.users[&id].prefix();
        let is_member = self.users[&id].channels.contains(&key);
        let Some(channel) = self.channels.get_mut(&key) else {
            return self.reply(id, output, NO_SUCH_CHANNEL, &shown(name), "No such channel");
        };
        if !is_member {
            return self.reply(id, output, NOT_ON_CHANNEL, name, "You're not on that channel");
        }
        if let Some(topic) = message.params.get(1) {
            channel.topic = topic[..cut(topic, longest)].to_owned();
            let said = format!(":{prefix} TOPIC {} :{}", channel.name, channel.topic);
            return output.say_all(channel.members.iter().copied(), said);
        }
        let (about, topic) = (channel.name.clone(), channel.topic.clone());
        match &*topic {
            "" => self.reply(id, output, NO_TOPIC, &about, "No topic is set"),
            topic => self.reply(id, output, TOPIC, &about, topic),
        }
    }

    // Talking

    /// Says something to channels and people. Errors are answered, but never to a notice, so that two
    /// machines do not go on for ever.
    fn speak(&mut self, id: UserId, message: &Message<'_>, output: &mut Output, command: &str) {
        let (targets, text) = (message.param(0), message.param(1));
        let is_notice = command == "NOTICE";
        let refusal = match (targets, text) {
            _ if is_notice => None,
            ("", _) => Some((NO_RECIPIENT, "No recipient given")),
            (_, "") => Some((NO_TEXT, "No text to send")),
            _ => None,
        };
        if let Some((number, words)) = refusal {
            return self.reply(id, output, number, "", words);
        }
        if text.is_empty() {
            return;
        }
        let mut refused = Vec::new();
        self.each(message, |network, target| {
            if let Err((number, words)) = network.say_to(id, target, text, command, output) {
                refused.push((number, shown(target), words));
            }
        });
        for (number, target, words) in refused.into_iter().filter(|_| !is_notice) {
            self.reply(id, output, number, &target, words);
        }
    }

    fn say_to(
        &mut self,
        id: UserId,
        target: &str,
        text: &str,
        command: &str,
        output: &mut Output,
    ) -> Result<(), (u16, &'static str)> {
        let user = &self.users[&id];
        let (prefix, key) = (user.prefix(), folded(target));
        if !target.starts_with('#') {
            let other = self.nicks.get(&key).filter(|other| self.users[*other].is_welcome);
            let other = *other.ok_or((NO_SUCH_NICK, "No such nick"))?;
            let nick = self.users[&other].nick();
            output.say(other, format_args!(":{prefix} {command} {nick} :{text}"));
            return Ok(());
        }
        let channel = self.channels.get_mut(&key).ok_or((NO_SUCH_CHANNEL, "No such channel"))?;
        if !user.channels.contains(&key) {
            return Err((CANNOT_SEND, "Cannot send to channel"));
        }
        if command == "PRIVMSG" {
            channel.remember(user.nick(), text);
        }
        let others = channel.members.iter().copied().filter(|member| *member != id);
        output.say_all(others, format_args!(":{prefix} {command} {} :{text}", channel.name));
        Ok(())
    }

    // What clients ask by themselves

    fn who(&self, id: UserId, name: &str, output: &mut Output) {
        if let Some(channel) = self.channels.get(&folded(name)) {
            for member in &channel.members {
                let member = &self.users[member];
                let (user, nick) = (member.user.as_deref().unwrap_or("user"), member.nick());
                let about =
                    format!("{} {user} {} {} {nick} H", channel.name, member.host, self.name);
                self.reply(id, output, WHO, &about, &format!("0 {nick}"));
            }
        }
        self.reply(id, output, END_OF_WHO, &shown(name), "End of /WHO list");
    }

    /// There are no modes to be set.
    fn mode(&self, id: UserId, name: &str, output: &mut Output) {
        let user = &self.users[&id];
        if name.is_empty() {
        } else if let Some(channel) = self.channels.get(&folded(name)) {
            let (server, nick) = (&self.name, user.nick());
            output.say(id, format_args!(":{server} {CHANNEL_MODE} {nick} {} +n", channel.name));
        } else if folded(name) == folded(user.nick()) {
            output.say(id, format_args!(":{} {USER_MODE} {} +", self.name, user.nick()));
        } else {
            self.reply(id, output, NO_SUCH_CHANNEL, &shown(name), "No such channel");
        }
    }
}

/// What a user wrote, as it can stand in the middle of a reply.
fn shown(text: &str) -> String {
    let text = &text[..cut(text, 64)];
    if text.is_empty() || text.starts_with(':') || text.contains(' ') {
        "*".to_owned()
    } else {
        text.to_owned()
    }
}
