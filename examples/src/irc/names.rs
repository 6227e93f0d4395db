//! What nicks and channels may be called, and when two names are the same.

/// A name as it is looked up: upper and lower case are the same, and so are `[]\~` and `{}|^`, which a long
/// time ago were the letters of Scandinavian keyboards.
pub(super) fn folded(name: &str) -> String {
    let fold = |letter| match letter {
        '[' => '{',
        ']' => '}',
        '\\' => '|',
        '~' => '^',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// Whether somebody may be called so.
pub(super) fn is_nick(name: &str, longest: usize) -> bool {
    let special = |letter: char| "[]\\`_^{|}".contains(letter);
    let first = |letter: char| letter.is_ascii_alphabetic() || special(letter);
    let other = |letter: char| first(letter) || letter.is_ascii_digit() || letter == '-';
    name.len() <= longest && name.starts_with(first) && name.chars().all(other)
}

/// Whether a channel may be called so.
pub(super) fn is_channel(name: &str, longest: usize) -> bool {
    let good = |letter: char| !letter.is_control() && !" ,:".contains(letter);
    (2..=longest).contains(&name.len()) && name.starts_with('#') && name.chars().all(good)
}

/// What can stand between `!` and `@`.
pub(super) fn clean_user(name: &str) -> String {
    let good = |letter: &char| letter.is_ascii_alphanumeric() || "-_.".contains(*letter);
    let name: String = name.chars().filter(good).take(10).collect();
    if name.is_empty() { "user".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_protocol_allows() {
        for good in ["a", "Ann", "[x]", "a-1", "_", "`^"] {
            assert!(is_nick(good, 5), "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a!b", "é", "#a", "abcdef", ":a"] {
            assert!(!is_nick(bad, 5), "{bad}");
        }
        for good in ["#a", "#Ä", "##", "#a-b!"] {
            assert!(is_channel(good, 5), "{good}");
        }
        for bad in ["", "#", "a", "#a b", "#a,b", "#a:", "#a\u{7}", "#abcde"] {
            assert!(!is_channel(bad, 5), "{bad}");
        }
        assert_eq!(folded("Ann[\\]~"), folded("aNN{|}^"));
        assert_eq!(clean_user("~ann b@c"), "annbc");
        assert_eq!(clean_user("@!"), "user");
    }
}
