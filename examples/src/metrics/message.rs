//! [`Message`]: what agent and collector say to each other, a string each.

use std::error::Error;
use std::fmt;

/// What is said.
///
/// ```text
/// agent                  collector
/// hello web1 17      →                   who it is; the number differs each time it was started
///                    ←   have 0          the last batch of this one that is here
/// sample load1 0.25  →
/// sample load5 0.5   →
/// end 1              →                   that was batch 1
///                    ←   have 1
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// An agent says who it is.
    Hello {
        /// Its name.
        name: &'a str,
        /// Which run of it this is.
        session: u64,
    },
    /// Something was measured.
    Sample {
        /// What.
        metric: &'a str,
        /// How much.
        value: f64,
    },
    /// The samples before this are the batch of this number.
    End(u64),
    /// The collector has all batches up to this one.
    Have(u64),
}

/// A string that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMessage(String);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a message: \"{}\"", self.0)
    }
}

impl Error for BadMessage {}

impl<'a> Message<'a> {
    /// Understands a string.
    ///
    /// # Errors
    /// If it is no message.
    pub fn parse(string: &'a [u8]) -> Result<Self, BadMessage> {
        let parsed = std::str::from_utf8(string).ok().and_then(Self::parse_text);
        parsed.ok_or_else(|| BadMessage(string.escape_ascii().to_string()))
    }

    fn parse_text(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let message = match words.next()? {
            "hello" => {
                Message::Hello { name: name(words.next()?)?, session: number(words.next()?)? }
            }
            "sample" => {
                let metric = name(words.next()?)?;
                let value = words.next()?.parse().ok().filter(|value: &f64| value.is_finite())?;
                Message::Sample { metric, value }
            }
            "end" => Message::End(number(words.next()?)?),
            "have" => Message::Have(number(words.next()?)?),
            _ => return None,
        };
        words.next().is_none().then_some(message)
    }
}

/// A name can be shown, and is short.
fn name(word: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    ((1..=64).contains(&word.len()) && word.bytes().all(is_plain)).then_some(word)
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Hello { name, session } => write!(f, "hello {name} {session}"),
            Message::Sample { metric, value } => write!(f, "sample {metric} {value}"),
            Message::End(number) => write!(f, "end {number}"),
            Message::Have(number) => write!(f, "have {number}"),
        }
    }
}
