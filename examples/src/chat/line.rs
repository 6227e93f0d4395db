//! [`Line`]: what a guest's line means.

/// What a guest's line means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Empty,
    Text(&'a str),
    Who,
    Nick(&'a str),
    Quit,
    /// What to tell somebody who does not know.
    Help(&'static str),
}

const HELP: &str = "* /nick NAME: another name; /who: who is here; /quit: goodbye\n";
const NAMES: &str = "* a name has 1 to 20 letters, digits, - or _\n";

impl<'a> Line<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let Some(command) = text.strip_prefix('/') else {
            return if text.is_empty() { Line::Empty } else { Line::Text(text) };
        };
        match command.split_once(' ').unwrap_or((command, "")) {
            ("who", "") => Line::Who,
            ("quit", "") => Line::Quit,
            ("nick", name) if is_name(name.trim()) => Line::Nick(name.trim()),
            ("nick", _) => Line::Help(NAMES),
            _ => Line::Help(HELP),
        }
    }
}

fn is_name(text: &str) -> bool {
    let count = text.chars().count();
    (1..=20).contains(&count)
        && text.chars().all(|letter| letter.is_alphanumeric() || letter == '-' || letter == '_')
}

/// The text of a line, without what could move about in others' terminals.
pub(super) fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_is_said() {
        for (line, meaning) in [
            (&b"\r\n"[..], Line::Empty),
            (b" hello \r\n", Line::Text("hello")),
            (b"a /quit\n", Line::Text("a /quit")),
            (b"/who\n", Line::Who),
            (b"/quit", Line::Quit),
            (b"/nick  Ann-1 \n", Line::Nick("Ann-1")),
            (b"/nick\n", Line::Help(NAMES)),
            (b"/nick a b\n", Line::Help(NAMES)),
            (b"/nick abcdefghijklmnopqrstu\n", Line::Help(NAMES)),
            (b"/help\n", Line::Help(HELP)),
            (b"/\n", Line::Help(HELP)),
            (b"\x1b[2Jred\x07\xff\n", Line::Text("[2Jred\u{fffd}")),
        ] {
            assert_eq!(Line::of(&clean(line)), meaning, "{line:?}");
        }
    }
}
