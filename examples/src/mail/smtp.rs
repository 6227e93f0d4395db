//! An SMTP server's session: lines in, replies out, and whole mails handed over (RFC 5321).
//!
//! A [`Session`] is fed the lines of one connection. It knows no socket and no time. Only CR LF may have
//! ended such a line, and only CR LF . CR LF ends a mail. A CR or an LF alone is inside of its line, where
//! it can be seen: a mail with one in it is read to its end and refused, rather than repaired. Servers
//! disagree about what such a byte means, which is how mails are smuggled; and whoever writes a program
//! that sends it should learn so here and not in production.
//!
//! Invariants: each line gets one reply, in order (PIPELINING), but for the lines of a mail, which get one
//! at the end; the work is linear in the input, the memory bounded by the [`Settings`], and the output by
//! sixteen times the input.

mod command;
mod content;
mod reply;

use std::mem;
use std::rc::Rc;

use self::command::{Command, MailParameters};
use self::content::Content;
use self::reply::Reply;
use super::address::{Address, is_host};

/// What a server calls itself, and how much it takes. One for all of its sessions.
///
/// Lengths of lines count what was sent, CR LF included. Idle time is not known here: see
/// [`Session::time_out`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name in the greeting: a domain or an address literal.
    pub host_name: String,
    /// The longest command line; a longer one is answered 500.
    pub command_line: usize,
    /// The longest line of a mail; a mail with a longer one is answered 554.
    pub text_line: usize,
    /// Recipients of one mail; each one more is answered 452.
    pub recipients: usize,
    /// The largest mail, in bytes after dot-unstuffing; a larger one is answered 552. It is announced
    /// as SIZE.
    pub message: usize,
    /// How many commands may fail in a row, without a mail between them, before 421 ends the session.
    pub bad_commands: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            host_name: "localhost".to_owned(),
            command_line: 2 * 1024,
            text_line: 4 * 1024,
            recipients: 100,
            message: 25 * 1024 * 1024,
            bad_commands: 20,
        }
    }
}

/// A mail as it was received: the envelope, which its header need not agree with, and the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// What the client called itself in EHLO or HELO.
    pub client: Box<str>,
    /// The reverse-path; `None` is the null path `<>` of bounces.
    pub sender: Option<Address>,
    /// The forward-paths, at least one, in their order.
    pub recipients: Vec<Address>,
    /// Header and body, every line ending with CR LF. Any other byte may be in it.
    pub content: Vec<u8>,
}

/// Why a mail has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// There is no room for it: the client is told 452, and to try again later.
    NoRoom,
    /// It cannot be kept for another reason of ours: the client is told 451.
    Failed,
    /// It is not decided yet: [`Session::delivered`] will say, and until then the client is told nothing.
    NotYet,
}

/// What to do with the connection once the output has been written.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    Continue,
    /// Stop reading until [`Session::delivered`] has said what became of a mail.
    Wait,
    /// Close, after the output has been flushed. Whatever else arrives is ignored.
    Close,
}

/// One line, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without the CR LF at its end.
    Whole(&'a [u8]),
    /// There is a line that is longer than [`Session::line_limit`]; what it says is gone.
    TooLong,
}

/// The server's side of one SMTP connection.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use tulipa_examples::mail::{Line, Next, Session, Settings};
///
/// let mut session = Session::new(Rc::new(Settings::default()));
/// let mut output = Vec::new();
/// session.greet(&mut output);
/// let lines = "EHLO me|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA|Subject: x||..|.|QUIT";
/// let (mut mails, mut next) = (Vec::new(), Next::Continue);
/// for line in lines.split('|') {
///     next = session.receive(Line::Whole(line.as_bytes()), &mut output, |mail| {
///         mails.push(mail);
///         Ok(7)
///     });
/// }
/// assert_eq!(next, Next::Close);
/// assert_eq!(mails[0].content, b"Subject: x\r\n\r\n.\r\n");
/// assert!(output.ends_with(b"250 2.0.0 caught as message 7\r\n221 2.0.0 goodbye\r\n"));
/// ```
#[derive(Debug)]
pub struct Session {
    settings: Rc<Settings>,
    state: State,
    /// Who says to be there; `None` before EHLO or HELO.
    client: Option<Client>,
    bad_commands: usize,
    shutting_down: bool,
}

#[derive(Debug)]
struct Client {
    name: Box<str>,
    /// It said EHLO, so it may use extensions.
    extended: bool,
}

#[derive(Debug)]
enum State {
    /// Between mails.
    Ready,
    /// MAIL was accepted.
    Envelope { sender: Option<Address>, recipients: Vec<Address> },
    /// DATA was accepted: lines are content.
    Content { sender: Option<Address>, recipients: Vec<Address>, content: Content },
    /// A mail is whole, and being kept somewhere.
    Delivering,
    /// The last reply has been written.
    Closed,
}

impl Session {
    /// A session in which nothing has been said yet.
    pub fn new(settings: Rc<Settings>) -> Self {
        Session {
            settings,
            state: State::Ready,
            client: None,
            bad_commands: 0,
            shutting_down: false,
        }
    }

    /// Writes the greeting, with which the server begins.
    pub fn greet(&mut self, output: &mut Vec<u8>) {
        Reply::Greeting.write(&self.settings, output);
    }

    /// How long the next line may be, without its CR LF.
    pub fn line_limit(&self) -> usize {
        let limit = match self.state {
            State::Content { .. } => self.settings.text_line,
            _ => self.settings.command_line,
        };
        limit.saturating_sub(2)
    }

    /// Takes a line, appends its reply to `output`, and calls `deliver` with the mail that it ends, if it
    /// does.
    ///
    /// `deliver` answers with the number under which the mail is kept; only then is the client told 250.
    /// If it answers [`NotKept::NotYet`], no line may come until [`delivered`](Session::delivered) was
    /// called.
    pub fn receive(
        &mut self,
        line: Line<'_>,
        output: &mut Vec<u8>,
        deliver: impl FnOnce(Mail) -> Result<u64, NotKept>,
    ) -> Next {
        match &mut self.state {
            State::Ready | State::Envelope { .. } => self.command(line, output),
            State::Content { content, .. } => {
                if content.add(line, &self.settings) {
                    self.end_mail(output, deliver);
                }
            }
            State::Delivering => debug_assert!(false, "a line although it was to wait"),
            State::Closed => {}
        }
        self.next()
    }

    /// Says what became of the mail that was being kept. Does nothing if there is none.
    pub fn delivered(&mut self, outcome: Result<u64, NotKept>, output: &mut Vec<u8>) -> Next {
        if let State::Delivering = self.state {
            self.state = State::Ready;
            self.answer(outcome, output);
        }
        self.next()
    }

    fn next(&self) -> Next {
        match self.state {
            State::Ready | State::Envelope { .. } | State::Content { .. } => Next::Continue,
            State::Delivering => Next::Wait,
            State::Closed => Next::Close,
        }
    }

    /// Whether a mail is being kept.
    pub fn is_delivering(&self) -> bool {
        matches!(self.state, State::Delivering)
    }

    /// What is kept of what is not whole, in bytes.
    pub fn memory(&self) -> usize {
        match &self.state {
            State::Content { content, .. } => content.memory(),
            State::Ready | State::Envelope { .. } | State::Delivering | State::Closed => 0,
        }
    }

    /// Ends the session because the client was silent for too long; not while it waits for us.
    pub fn time_out(&mut self, output: &mut Vec<u8>) -> Next {
        if let State::Delivering = self.state {
            return Next::Wait;
        }
        self.end(Reply::Idle, output)
    }

    /// Ends the session because the server goes: at once, or after the mail that is being received.
    pub fn shut_down(&mut self, output: &mut Vec<u8>) -> Next {
        if let State::Content { .. } = self.state {
            self.shutting_down = true;
            return Next::Continue;
        }
        if let State::Delivering = self.state {
            self.shutting_down = true;
            return Next::Wait;
        }
        self.end(Reply::ShuttingDown, output)
    }

    fn end(&mut self, reply: Reply, output: &mut Vec<u8>) -> Next {
        if !matches!(self.state, State::Closed) {
            reply.write(&self.settings, output);
            self.state = State::Closed;
        }
        Next::Close
    }

    fn command(&mut self, line: Line<'_>, output: &mut Vec<u8>) {
        let reply = match line {
            Line::Whole(line) => match Command::parse(line) {
                Ok(command) => self.obey(command),
                Err(reply) => reply,
            },
            Line::TooLong => Reply::LineTooLong,
        };
        self.bad_commands += usize::from(reply.is_an_error());
        let reply = match self.bad_commands >= self.settings.bad_commands {
            true => Reply::TooManyErrors,
            false => reply,
        };
        reply.write(&self.settings, output);
        if reply.is_the_last() {
            self.state = State::Closed;
        }
    }

    fn obey(&mut self, command: Command<'_>) -> Reply {
        match command {
            Command::Hello { extended, name } => self.hello(extended, name),
            Command::Mail { sender, parameters } => self.mail(sender, parameters),
            Command::Recipient { address } => self.recipient(address),
            Command::Data => self.data(),
            Command::Reset => {
                self.state = State::Ready;
                Reply::Done
            }
            Command::Noop => Reply::Done,
            Command::Verify => Reply::CannotVerify,
            Command::Help => Reply::Help,
            Command::Quit => Reply::Goodbye,
            Command::Http => Reply::NotHttp,
        }
    }

    /// EHLO and HELO; in the middle of a mail they end it, as RSET does (RFC 5321, 4.1.4).
    fn hello(&mut self, extended: bool, name: &[u8]) -> Reply {
        match std::str::from_utf8(name) {
            Ok(name) if is_host(name.as_bytes()) => {
                self.client = Some(Client { name: name.into(), extended });
                self.state = State::Ready;
                if extended { Reply::Extensions } else { Reply::Hello }
            }
            _ => Reply::BadArgument("the argument is a domain or an address literal"),
        }
    }

    fn mail(&mut self, sender: Option<Address>, parameters: MailParameters) -> Reply {
        match (&self.client, &self.state) {
            (None, _) => Reply::BadSequence("say EHLO or HELO first"),
            (Some(client), _) if parameters.any && !client.extended => Reply::UnknownParameter,
            (Some(_), State::Ready) if parameters.size > self.settings.message as u64 => {
                Reply::TooLarge
            }
            (Some(_), State::Ready) => {
                self.state = State::Envelope { sender, recipients: Vec::new() };
                Reply::SenderTaken
            }
            (Some(_), _) => Reply::BadSequence("there is a sender already"),
        }
    }

    fn recipient(&mut self, address: Address) -> Reply {
        match &mut self.state {
            State::Envelope { recipients, .. } if recipients.len() < self.settings.recipients => {
                recipients.push(address);
                Reply::RecipientTaken
            }
            State::Envelope { .. } => Reply::TooManyRecipients,
            _ => Reply::BadSequence("say MAIL first"),
        }
    }

    fn data(&mut self) -> Reply {
        match mem::replace(&mut self.state, State::Ready) {
            State::Envelope { sender, recipients } if !recipients.is_empty() => {
                self.state = State::Content { sender, recipients, content: Content::default() };
                Reply::SendContent
            }
            state @ State::Envelope { .. } => {
                self.state = state;
                Reply::NoRecipients
            }
            state => {
                self.state = state;
                Reply::BadSequence("say MAIL and RCPT first")
            }
        }
    }

    /// The line with the dot has come.
    fn end_mail(
        &mut self,
        output: &mut Vec<u8>,
        deliver: impl FnOnce(Mail) -> Result<u64, NotKept>,
    ) {
        let State::Content { sender, recipients, content } =
            mem::replace(&mut self.state, State::Ready)
        else {
            return;
        };
        let client = self.client.as_ref().map_or("".into(), |client| client.name.clone());
        match content.into_bytes() {
            Ok(content) => {
                let outcome = deliver(Mail { client, sender, recipients, content });
                self.answer(outcome, output);
            }
            Err(problem) => self.end_with(problem.reply(), output),
        }
    }

    /// What became of a mail is known, or is not.
    fn answer(&mut self, outcome: Result<u64, NotKept>, output: &mut Vec<u8>) {
        let reply = match outcome {
            Ok(number) => {
                self.bad_commands = 0;
                Reply::Caught(number)
            }
            Err(NotKept::NoRoom) => Reply::NoRoom,
            Err(NotKept::Failed) => Reply::CannotKeep,
            Err(NotKept::NotYet) => {
                self.state = State::Delivering;
                return;
            }
        };
        self.end_with(reply, output);
    }

    /// The last word on a mail.
    fn end_with(&mut self, reply: Reply, output: &mut Vec<u8>) {
        reply.write(&self.settings, output);
        if self.shutting_down {
            let _ = self.end(Reply::ShuttingDown, output); // the caller asks what is next
        }
    }
}

#[cfg(test)]
pub(super) mod smuggling_tests;
#[cfg(test)]
mod tests;
