//! Everything this server says.
//!
//! Each reply carries an enhanced status code (RFC 2034, RFC 3463), but for the greeting, the replies to
//! EHLO and HELO, and 354, which have none. Nothing that the client sent is repeated.

use std::io::Write;

use super::super::address::AddressError;
use super::Settings;

/// A reply, named after what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Greeting,
    Extensions { start_tls: bool },
    Hello,
    SenderTaken,
    RecipientTaken,
    SendContent,
    StartTls,
    Caught(u64),
    Done,
    CannotVerify,
    Help,
    Goodbye,
    Idle,
    ShuttingDown,
    TooManyErrors,
    NotHttp,
    TooManyRecipients,
    NoRoom,
    CannotKeep,
    LineTooLong,
    BareLineEnd,
    UnknownCommand,
    BadArgument(&'static str),
    BadAddress(AddressError),
    NotImplemented,
    BadSequence(&'static str),
    TlsFirst,
    ParameterNotImplemented,
    TooLarge,
    NoRecipients,
    TextLineTooLong,
    BareLineEndInMail,
    UnknownParameter,
}

impl From<AddressError> for Reply {
    fn from(error: AddressError) -> Self {
        Reply::BadAddress(error)
    }
}

impl Reply {
    pub(super) fn write(self, settings: &Settings, output: &mut Vec<u8>) {
        let host = &settings.host_name;
        let written = match self {
            Reply::Greeting => write!(output, "220 {host} ESMTP mailcatcher"),
            Reply::Hello => write!(output, "250 {host}"),
            Reply::Extensions { start_tls } => write!(
                output,
                "250-{host}\r\n250-SIZE {}\r\n250-8BITMIME\r\n250-PIPELINING\r\n\
                 250-ENHANCEDSTATUSCODES\r\n{}250 HELP",
                settings.message,
                if start_tls { "250-STARTTLS\r\n" } else { "" }
            ),
            Reply::StartTls => write!(output, "220 2.0.0 ready to start TLS"),
            Reply::Caught(number) => write!(output, "250 2.0.0 caught as message {number}"),
            Reply::Goodbye => write!(output, "221 2.0.0 goodbye"),
            Reply::Done => write!(output, "250 2.0.0 done"),
            Reply::SenderTaken => write!(output, "250 2.1.0 sender taken"),
            Reply::RecipientTaken => write!(output, "250 2.1.5 recipient taken"),
            Reply::CannotVerify => write!(output, "252 2.5.0 everybody is taken"),
            Reply::Help => write!(output, "214 2.0.0 all mail is caught, none is sent on"),
            Reply::SendContent => write!(output, "354 end with a dot on a line of its own"),
            Reply::Idle => write!(output, "421 4.4.2 {host} waited too long"),
            Reply::ShuttingDown => write!(output, "421 4.3.2 {host} is shutting down"),
            Reply::TooManyErrors => write!(output, "421 4.7.0 {host} saw too many errors"),
            Reply::NotHttp => write!(output, "421 4.7.0 {host} speaks SMTP here, not HTTP"),
            Reply::CannotKeep => write!(output, "451 4.3.0 this mail cannot be kept now"),
            Reply::NoRoom => write!(output, "452 4.3.1 no room for this mail"),
            Reply::TooManyRecipients => {
                write!(output, "452 4.5.3 {} recipients are the most", settings.recipients)
            }
            Reply::LineTooLong => {
                write!(output, "500 5.5.2 the line is longer than {}", settings.command_line)
            }
            Reply::BareLineEnd => write!(output, "500 5.5.2 only CR LF ends a line"),
            Reply::UnknownCommand => write!(output, "500 5.5.1 unknown command"),
            Reply::BadArgument(why) => write!(output, "501 5.5.4 {why}"),
            Reply::BadAddress(why) => write!(output, "501 5.1.3 {why}"),
            Reply::NotImplemented => write!(output, "502 5.5.1 command not implemented"),
            Reply::BadSequence(why) => write!(output, "503 5.5.1 {why}"),
            Reply::TlsFirst => write!(output, "530 5.7.0 say STARTTLS first"),
            Reply::ParameterNotImplemented => {
                write!(output, "504 5.5.4 BODY is 7BIT or 8BITMIME")
            }
            Reply::TooLarge => {
                write!(output, "552 5.3.4 {} bytes are the most", settings.message)
            }
            Reply::NoRecipients => write!(output, "554 5.5.1 no valid recipients"),
            Reply::TextLineTooLong => write!(
                output,
                "554 5.6.0 a line is longer than {} (only CR LF ends one)",
                settings.text_line
            ),
            Reply::BareLineEndInMail => {
                write!(output, "554 5.6.0 CR and LF come together, never alone")
            }
            Reply::UnknownParameter => write!(output, "555 5.5.4 unknown parameter"),
        };
        written.and_then(|()| output.write_all(b"\r\n")).expect("a Vec takes all that is written");
    }

    /// Whether it counts as a mistake of the client's.
    pub(super) fn is_an_error(self) -> bool {
        match self {
            Reply::LineTooLong
            | Reply::BareLineEnd
            | Reply::UnknownCommand
            | Reply::BadArgument(_)
            | Reply::BadAddress(_)
            | Reply::NotImplemented
            | Reply::BadSequence(_)
            | Reply::TlsFirst
            | Reply::ParameterNotImplemented
            | Reply::TooLarge
            | Reply::NoRecipients
            | Reply::TextLineTooLong
            | Reply::BareLineEndInMail
            | Reply::UnknownParameter => true,
            Reply::Greeting
            | Reply::Extensions { .. }
            | Reply::StartTls
            | Reply::Hello
            | Reply::SenderTaken
            | Reply::RecipientTaken
            | Reply::SendContent
            | Reply::Caught(_)
            | Reply::Done
            | Reply::CannotVerify
            | Reply::Help
            | Reply::Goodbye
            | Reply::Idle
            | Reply::ShuttingDown
            | Reply::TooManyErrors
            | Reply::NotHttp
            | Reply::TooManyRecipients
            | Reply::NoRoom
            | Reply::CannotKeep => false,
        }
    }

    /// Whether the session ends with it.
    pub(super) fn is_the_last(self) -> bool {
        matches!(
            self,
            Reply::Goodbye
                | Reply::Idle
                | Reply::ShuttingDown
                | Reply::TooManyErrors
                | Reply::NotHttp
        )
    }
}
