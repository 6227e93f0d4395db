//! Mailboxes as SMTP has them (RFC 5321, section 4.1.2).
//!
//! Invariant: an [`Address`] is printable ASCII without control characters, so it may be shown, logged
//! and sent back as it is. One leniency: an underscore may stand in a domain, since hosts have them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// `local-part@domain`, or `local-part@[address]`, or `Postmaster` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Box<str>);

/// What is wrong with a path; displayed in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressError(&'static str);

impl Address {
    /// Takes `<…>` from the front of `text`; gives the address and what follows the `>`.
    ///
    /// `<>` is `None`: the null reverse-path. A source route (`<@a,@b:c@d>`) is accepted and
    /// forgotten, as RFC 5321, appendix C, advises.
    ///
    /// # Errors
    /// When this is no path, or one that is longer than the standard demands to be taken.
    pub fn parse_path(text: &[u8]) -> Result<(Option<Address>, &[u8]), AddressError> {
        let Some((b'<', inside)) = text.split_first() else {
            return Err(AddressError("an address stands between < and >, right after the colon"));
        };
        if let Some((b'>', after)) = inside.split_first() {
            return Ok((None, after));
        }
        let mailbox = skip_source_route(inside)?;
        let end = mailbox_end(mailbox)?;
        let (mailbox, after) = mailbox.split_at(end);
        match after.split_first() {
            Some((b'>', after)) if inside.len() - after.len() < MOST_PATH => {
                let text = std::str::from_utf8(mailbox).map_err(|_| BAD_DOMAIN)?;
                Ok((Some(Address(text.into())), after))
            }
            Some((b'>', _)) => Err(AddressError("the path is too long")),
            _ => Err(BAD_DOMAIN),
        }
    }

    /// The address as text, without the angle brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for AddressError {}

/// RFC 5321, 4.5.3.1: what everybody must take, and we no more than that.
const MOST_LOCAL: usize = 64;
const MOST_DOMAIN: usize = 255;
const MOST_PATH: usize = 256;

const BAD_LOCAL: AddressError = AddressError("the local part is malformed");
const BAD_DOMAIN: AddressError = AddressError("the domain is malformed");
const BAD_ROUTE: AddressError = AddressError("the source route is malformed");

/// Whether `text` is what a client may call itself in EHLO: a domain or an address literal.
pub(super) fn is_host(text: &[u8]) -> bool {
    domain_end(text).is_some_and(|end| end == text.len())
}

/// `@a,@b:` in front of a mailbox.
fn skip_source_route(mut text: &[u8]) -> Result<&[u8], AddressError> {
    if text.first() != Some(&b'@') {
        return Ok(text);
    }
    loop {
        let Some((b'@', after)) = text.split_first() else { return Err(BAD_ROUTE) };
        let end = domain_end(after).ok_or(BAD_ROUTE)?;
        text = match after[end..].split_first() {
            Some((b',', after)) => after,
            Some((b':', after)) => return Ok(after),
            _ => return Err(BAD_ROUTE),
        };
    }
}

fn mailbox_end(text: &[u8]) -> Result<usize, AddressError> {
    let local = local_end(text)?;
    match text.get(local) {
        Some(b'@') => {
            let domain = domain_end(&text[local + 1..]).ok_or(BAD_DOMAIN)?;
            Ok(local + 1 + domain)
        }
        // RFC 5321, 4.5.1: this one is taken without a domain.
        Some(b'>') if text[..local].eq_ignore_ascii_case(b"postmaster") => Ok(local),
        Some(b'>') => Err(AddressError("the address has no domain")),
        _ => Err(BAD_LOCAL),
    }
}

fn local_end(text: &[u8]) -> Result<usize, AddressError> {
    let end = match text.first() {
        Some(b'"') => quoted_end(text).ok_or(BAD_LOCAL)?,
        _ => dot_string_end(text, is_atext).ok_or(BAD_LOCAL)?,
    };
    if end > MOST_LOCAL { Err(AddressError("the local part is too long")) } else { Ok(end) }
}

/// `"…"` with a backslash before what would mean something else; printable ASCII only.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if matches!(text.get(at + 1)?, b' '..=b'~') => at += 2,
            b' '..=b'~' if text[at] != b'\\' => at += 1,
            _ => return None,
        }
    }
}

/// Runs of `allowed` bytes with single dots between them: the length of the longest one in front.
fn dot_string_end(text: &[u8], allowed: fn(u8) -> bool) -> Option<usize> {
    let in_it = |byte: &u8| *byte == b'.' || allowed(*byte);
    let end = text.iter().take_while(|byte| in_it(byte)).count();
    let no_gap = text[..end].split(|byte| *byte == b'.').all(|run| !run.is_empty());
    no_gap.then_some(end)
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn domain_end(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'[') {
        return literal_end(text);
    }
    let end = dot_string_end(text, |byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))?;
    let hyphens_inside = text[..end]
        .split(|byte| *byte == b'.')
        .all(|label| label.first() != Some(&b'-') && label.last() != Some(&b'-'));
    (hyphens_inside && end <= MOST_DOMAIN).then_some(end)
}

/// `[1.2.3.4]` or `[IPv6:…]`.
fn literal_end(text: &[u8]) -> Option<usize> {
    let close = text.iter().take(MOST_DOMAIN).position(|byte| *byte == b']')?;
    let inside = std::str::from_utf8(&text[1..close]).ok()?;
    let is_address = match inside.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().is_ok()
        }
        _ => inside.parse::<Ipv4Addr>().is_ok(),
    };
    is_address.then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<String, AddressError> {
        let (address, after) = Address::parse_path(text.as_bytes())?;
        assert_eq!(after, b"");
        Ok(address.map_or("null".to_owned(), |address| address.to_string()))
    }

    #[test]
    fn r15_paths_as_the_standard_has_them_are_taken() {
        let long_local = format!("<{}@b>", "a".repeat(64));
        for (text, address) in [
            ("<>", "null"),
            ("<a@b>", "a@b"),
            ("<Joe.Q+tag/x=1@example.com>", "Joe.Q+tag/x=1@example.com"),
            ("<\"a b\\\"@\\\\>\"@b.c>", "\"a b\\\"@\\\\>\"@b.c"),
            ("<\"\"@b>", "\"\"@b"),
            ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
            ("<a@[IPv6:::1]>", "a@[IPv6:::1]"),
            ("<a@my_host-1.test>", "a@my_host-1.test"),
            ("<postMaster>", "postMaster"),
            ("<@x.y,@[1.2.3.4]:a@b>", "a@b"),
            (&long_local, &long_local[1..long_local.len() - 1]),
        ] {
            assert_eq!(path(text).as_deref(), Ok(address), "{text}");
        }
        assert_eq!(Address::parse_path(b"<a@b> SIZE=1").unwrap().1, b" SIZE=1");
    }

    #[test]
    fn r15_other_paths_are_refused() {
        for text in [
            "",
            "a@b",
            "<",
            "<a",
            "<a@",
            "<a@>",
            "<a@b",
            "< a@b>",
            "<a@b >",
            "<a b@c>",
            "<@b>",
            "<a>",
            "<a@b@c>",
            "<.a@b>",
            "<a.@b>",
            "<a..b@c>",
            "<a@.b>",
            "<a@b.>",
            "<a@b..c>",
            "<a@-b>",
            "<a@b-.c>",
            "<a@b c>",
            "<\"a@b>",
            "<\"a\"b@c>",
            "<\"a\\\"@b>",
            "<a@[]>",
            "<a@[1.2.3]>",
            "<a@[1.2.3.4>",
            "<a@[IPv6:1.2.3.4]>",
            "<a@[tag:x]>",
            "<a@[1.2.3.4]x>",
            "<@a:>",
            "<@a,b:c@d>",
            "<@a c@d>",
            "<a\0@b>",
            "<a@b\n>",
            "<a@b\r>",
            "<\"a\tb\"@c>",
            "<\"a\0\"@b>",
            "<\"\x7f\"@b>",
            "<ä@b>",
            "<a@ä>",
            "<\"ä\"@b>",
            "<(c)a@b>",
            "<a,b@c>",
            "<a@b(c)>",
        ] {
            assert!(path(text).is_err(), "{text:?} gave {:?}", path(text));
        }
        assert!(path(&format!("<{}@b>", "a".repeat(65))).is_err());
        assert!(path(&format!("<a@{}>", "b".repeat(256))).is_err());
        let route = format!("<@{}:a@{}>", "b".repeat(200), "c".repeat(60));
        assert!(path(&route).is_err());
    }

    #[test]
    fn r15_clients_call_themselves_hosts() {
        for host in ["localhost", "a.b", "[127.0.0.1]", "[IPv6:fe80::1]", "my_pc"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", "a b", "a\0", "-", "[x]", "a..b", "ä", "<a>"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
