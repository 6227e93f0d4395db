//! One part of a mail, or the mail as a whole: a head, an empty line, a body (RFC 2046, section 5.1).

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{ContentType, Message, MimeHeaders};
use memchr::memmem;

use super::{Attachment, decoded, parse_head};
use crate::work;

/// A part with its head parsed.
#[derive(Debug)]
pub(super) struct Part<'a> {
    head: Option<Message<'a>>,
    body: &'a [u8],
}

/// How a part that is not made of parts is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Html,
    Attachment,
}

/// How a body was made to fit through mail.
enum Encoding {
    Base64,
    QuotedPrintable,
    None,
}

/// Splits a part into its head, with the empty line, and its body. Without an empty line all is head.
pub(super) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    if bytes.starts_with(b"\r\n") {
        return bytes.split_at(2);
    }
    let end = memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    work::count(end);
    bytes.split_at(end)
}

impl<'a> Part<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let (head, body) = split(bytes);
        match parse_head(head) {
            Some(head) => Part { head: Some(head), body },
            // There is no field at all: then there is no head either, only text.
            None if head != b"\r\n" => Part { head: None, body: bytes },
            None => Part { head: None, body },
        }
    }

    /// The boundary between the parts that this part is made of.
    pub(super) fn boundary(&self) -> Option<&str> {
        let content_type = self.content_type()?;
        let multipart = content_type.ctype().eq_ignore_ascii_case("multipart");
        // RFC 2046, 5.1.1: one to seventy characters. A longer one is used nevertheless.
        content_type.attribute("boundary").filter(|boundary| multipart && !boundary.is_empty())
    }

    /// The parts that this part is made of, each as it stands between two boundaries.
    pub(super) fn parts(&self) -> impl Iterator<Item = &'a [u8]> {
        let delimiter = format!("--{}", self.boundary().unwrap_or_default()).into_bytes();
        let mut rest = self.body;
        let mut inside = false;
        std::iter::from_fn(move || {
            loop {
                let (part, after) = next_delimiter(rest, &delimiter, inside)?;
                rest = after;
                if std::mem::replace(&mut inside, true) {
                    return Some(part);
                }
            }
        })
    }

    pub(super) fn kind(&self) -> Kind {
        let is_attachment = self
            .head
            .as_ref()
            .and_then(|head| head.parts[0].content_disposition())
            .is_some_and(ContentType::is_attachment);
        match self.content_type() {
            _ if is_attachment => Kind::Attachment,
            None => Kind::Text,
            Some(of) if of.ctype().eq_ignore_ascii_case("text") => match of.subtype() {
                Some(subtype) if subtype.eq_ignore_ascii_case("html") => Kind::Html,
                Some(subtype) if subtype.eq_ignore_ascii_case("plain") => Kind::Text,
                None => Kind::Text,
                Some(_) => Kind::Attachment,
            },
            // Parts that could not be taken apart are still better read than not.
            Some(of) if of.ctype().eq_ignore_ascii_case("multipart") => Kind::Text,
            Some(_) => Kind::Attachment,
        }
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        work::count(self.body.len());
        let bytes = match self.encoding() {
            Encoding::Base64 => base64_decode(self.body),
            Encoding::QuotedPrintable => quoted_printable_decode(self.body),
            Encoding::None => None,
        };
        let charset = self.content_type().and_then(|of| of.attribute("charset"));
        decoded(bytes.unwrap_or_else(|| self.body.to_vec()), charset)
    }

    /// The part as something to list.
    pub(super) fn attachment(&self) -> Attachment {
        work::count(self.body.len());
        let size = match self.encoding() {
            // Four characters are three bytes; what was filled up at the end does not count.
            Encoding::Base64 => {
                let is_digit = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
                self.body.iter().filter(is_digit).count() * 3 / 4
            }
            Encoding::QuotedPrintable => {
                quoted_printable_decode(self.body).map_or(self.body.len(), |bytes| bytes.len())
            }
            Encoding::None => self.body.len(),
        };
        let content_type = match self.content_type() {
            Some(of) => format!("{}/{}", of.ctype(), of.subtype().unwrap_or("*")),
            None => "text/plain".to_owned(),
        };
        let name = self.head.as_ref().and_then(|head| head.parts[0].attachment_name());
        Attachment { name: name.map(str::to_owned), content_type, size }
    }

    fn content_type(&self) -> Option<&ContentType<'a>> {
        let value = self.head.as_ref()?.header(mail_parser::HeaderName::ContentType)?;
        value.as_content_type()
    }

    fn encoding(&self) -> Encoding {
        let encoding =
            self.head.as_ref().and_then(|head| head.parts[0].content_transfer_encoding());
        match encoding.map(str::trim) {
            Some(name) if name.eq_ignore_ascii_case("base64") => Encoding::Base64,
            Some(name) if name.eq_ignore_ascii_case("quoted-printable") => {
                Encoding::QuotedPrintable
            }
            _ => Encoding::None,
        }
    }
}

/// What stands in front of the next delimiter line, and what follows that line; after the closing one,
/// nothing. Behind the last delimiter the rest is a part, too (`inside`): the mail may have been cut off.
fn next_delimiter<'a>(
    bytes: &'a [u8],
    delimiter: &[u8],
    inside: bool,
) -> Option<(&'a [u8], &'a [u8])> {
    for at in memmem::find_iter(bytes, delimiter) {
        let begins_line = at == 0 || bytes[..at].ends_with(b"\r\n");
        let after = &bytes[at + delimiter.len()..];
        let (closes, after) = match after.strip_prefix(b"--") {
            Some(after) => (true, after),
            None => (false, after),
        };
        let padding = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let after = &after[padding..];
        if begins_line && (after.is_empty() || after.starts_with(b"\r\n")) {
            work::count(at + delimiter.len() + padding);
            let before = &bytes[..at];
            let rest = if closes { b"" } else { after.get(2..).unwrap_or_default() };
            return Some((before.strip_suffix(b"\r\n").unwrap_or(before), rest));
        }
    }
    work::count(bytes.len());
    (inside && !bytes.is_empty()).then_some((bytes, b""))
}
