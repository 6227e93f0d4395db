//! [`Message`]: one line of the IRC protocol (RFC 2812, section 2.3), read and written.

use std::fmt::{self, Write};

/// The longest line, its ending not counted.
pub(super) const LONGEST_LINE: usize = 510;

/// One line: who says it, a command or a number, and up to fifteen parameters, of which the last may have
/// blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nick!user@host`, or a server's name. What clients say of themselves here is ignored.
    pub prefix: Option<&'a str>,
    /// In whatever case it came.
    pub command: &'a str,
    /// What it is about.
    pub params: Vec<&'a str>,
}

const MOST_PARAMS: usize = 15;

impl<'a> Message<'a> {
    /// What a line says; `None` if there is no command in it.
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line.trim_matches(' ');
        let mut prefix = None;
        if let Some(after) = rest.strip_prefix(':') {
            let (name, after) = after.split_once(' ')?;
            prefix = Some(name);
            rest = after.trim_start_matches(' ');
        }
        let (command, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if command.is_empty() {
            return None;
        }
        let mut params = Vec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            if rest.is_empty() {
                return Some(Self { prefix, command, params });
            }
            if let Some(last) = rest.strip_prefix(':') {
                params.push(last);
                rest = "";
            } else if params.len() + 1 == MOST_PARAMS {
                params.push(rest);
                rest = "";
            } else {
                let (param, after) = rest.split_once(' ').unwrap_or((rest, ""));
                params.push(param);
                rest = after;
            }
        }
    }

    /// The parameter at `index`; empty if it is missing.
    pub fn param(&self, index: usize) -> &'a str {
        self.params.get(index).copied().unwrap_or("")
    }

    /// Of `nick!user@host`, the nick.
    pub fn nick(&self) -> &'a str {
        let prefix = self.prefix.unwrap_or("");
        prefix.split_once('!').map_or(prefix, |(nick, _)| nick)
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prefix) = self.prefix {
            write!(f, ":{prefix} ")?;
        }
        f.write_str(self.command)?;
        for (index, param) in self.params.iter().enumerate() {
            let is_last = index + 1 == self.params.len();
            let needs_colon = param.is_empty() || param.starts_with(':') || param.contains(' ');
            write!(f, " {}{param}", if is_last && needs_colon { ":" } else { "" })?;
        }
        Ok(())
    }
}

/// A line that is ready to be sent: cut to what a line may have, between two characters, and ended.
pub(super) fn line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    // A string takes whatever is written.
    let _ = write!(line, "{text}");
    line.truncate(cut(&line, LONGEST_LINE));
    line.push_str("\r\n");
    line
}

/// How much of `text` fits into `most` bytes without cutting a character apart.
pub(super) fn cut(text: &str, most: usize) -> usize {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// The text of a line that came: what is no text is replaced, and what must not be in a line left out.
pub(super) fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|letter| !matches!(letter, '\0' | '\r' | '\n')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(line: &str) -> (Option<&str>, &str, Vec<&str>) {
        let message = Message::parse(line).unwrap();
        (message.prefix, message.command, message.params)
    }

    #[test]
    fn a_line_is_a_command_and_its_parameters() {
        assert_eq!(parsed("NICK ann"), (None, "NICK", vec!["ann"]));
        assert_eq!(
            parsed(":ann!a@b PRIVMSG  #c :hello  there :)"),
            (Some("ann!a@b"), "PRIVMSG", vec!["#c", "hello  there :)"])
        );
        assert_eq!(parsed("  QUIT  "), (None, "QUIT", vec![]));
        assert_eq!(parsed("TOPIC #c :"), (None, "TOPIC", vec!["#c", ""]));
        let many = parsed("X 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").2;
        assert_eq!((many.len(), many[14]), (15, "15 16"));
        for nothing in ["", "   ", ":", ":prefix", ":prefix  "] {
            assert_eq!(Message::parse(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters() {
        assert_eq!(line("PING x"), "PING x\r\n");
        let long = line(format_args!("PRIVMSG #c :a{}", "ü".repeat(500)));
        assert_eq!(long.len(), 511); // one byte less: a whole character did not fit
        assert!(long.ends_with("ü\r\n"));
        assert_eq!(text(b"a\0b\rc\xff\r"), "abc\u{fffd}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            prefix in proptest::option::of("[a-z!@.]{1,10}"),
            command in "[A-Za-z0-9]{1,8}",
            middle in proptest::collection::vec("[^ :\r\n\0][^ \r\n\0]{0,6}", 0..14),
            last in proptest::option::of("[^\r\n\0]{0,20}"),
        ) {
            let mut params: Vec<&str> = middle.iter().map(String::as_str).collect();
            // Blanks at the end of a line are nobody's.
            params.extend(last.as_deref().map(|last| last.trim_end_matches(' ')));
            let message = Message { prefix: prefix.as_deref(), command: &command, params };
            let written = message.to_string();
            prop_assert_eq!(Message::parse(&written), Some(message));
        }

        #[test]
        fn no_line_is_too_odd(line in "\\PC{0,40}") {
            if let Some(message) = Message::parse(&line) {
                prop_assert!(!message.command.is_empty() && message.params.len() <= 15);
            }
        }
    }
}
