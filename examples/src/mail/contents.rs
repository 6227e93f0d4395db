//! What a mail contains: header fields, a text, an HTML text, attachments.
//!
//! Headers and encodings are mail-parser's business. Parts are taken apart here, because a mail comes
//! from anybody, and its nesting and the number of its parts must be bounded before they cost anything:
//! a parser that looks for every boundary anew needs hours for some mails, one that nests as deep as the
//! mail does needs a stack as deep. Nothing here fails: what cannot be understood is shown as it is.
//!
//! Invariant: the work is linear in the size of the mail, and what comes out is at most a few times
//! [`MOST_TEXT`] and [`MOST_HEAD`].

mod part;

use std::borrow::Cow;

use mail_parser::{Address, HeaderValue, Message, MessageParser};

use self::part::Part;

/// How deep parts may lie in one another; deeper ones are shown as attachments.
const MOST_DEPTH: usize = 8;
/// How many parts are looked at, over all.
const MOST_PARTS: usize = 200;
/// How much of a header is read, of the mail's own and of each part's.
const MOST_HEAD: usize = 32 * 1024;
/// How much of a text is shown.
const MOST_TEXT: usize = 1024 * 1024;
/// How much of a subject is kept.
const MOST_SUBJECT: usize = 500;

/// A mail, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) fields: Vec<Field>,
    /// The first text that is not HTML.
    pub(super) text: Option<Text>,
    /// The first text that is.
    pub(super) html: Option<Text>,
    pub(super) attachments: Vec<Attachment>,
}

/// A header field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// Unfolded; decoded where it was encoded.
    pub(super) value: String,
}

/// A text to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    /// There was more of it.
    pub(super) cut: bool,
}

/// A part that is not shown as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) name: Option<String>,
    pub(super) content_type: String,
    /// In bytes, with the transfer encoding removed.
    pub(super) size: usize,
}

/// The subject of a mail, decoded; empty when there is none.
pub(super) fn subject(mail: &[u8]) -> String {
    let (head, _) = part::split(mail);
    let parsed = parse_head(head);
    let mut subject = parsed.as_ref().and_then(Message::subject).unwrap_or_default().to_owned();
    cut(&mut subject, MOST_SUBJECT);
    subject
}

impl Contents {
    /// Takes a mail apart.
    pub(super) fn of(mail: &[u8]) -> Self {
        let mut contents = Contents::default();
        let (head, _) = part::split(mail);
        if let Some(parsed) = parse_head(head) {
            contents.fields = fields(&parsed, head);
        }
        let mut parts_left = MOST_PARTS;
        contents.add(Part::of(mail), MOST_DEPTH, &mut parts_left);
        contents
    }

    fn add(&mut self, part: Part<'_>, depth_left: usize, parts_left: &mut usize) {
        if depth_left > 0 && part.boundary().is_some() {
            let mut any = false;
            for inner in part.parts() {
                if *parts_left == 0 {
                    break;
                }
                any = true;
                *parts_left -= 1;
                self.add(Part::of(inner), depth_left - 1, parts_left);
            }
            if any {
                return;
            }
        }
        self.add_leaf(&part);
    }

    fn add_leaf(&mut self, part: &Part<'_>) {
        let place = match part.kind() {
            part::Kind::Text => &mut self.text,
            part::Kind::Html => &mut self.html,
            part::Kind::Attachment => {
                self.attachments.push(part.attachment());
                return;
            }
        };
        match place {
            None => *place = Some(Text::of(part.text())),
            Some(_) => self.attachments.push(part.attachment()),
        }
    }
}

impl Text {
    fn of(mut text: String) -> Self {
        let cut = cut(&mut text, MOST_TEXT);
        Text { text, cut }
    }
}

/// Shortens `text` to at most `most` bytes; whether that was necessary.
fn cut(text: &mut String, most: usize) -> bool {
    let long = text.len() > most;
    if long {
        text.truncate(text.floor_char_boundary(most));
        text.shrink_to_fit();
    }
    long
}

fn parse_head(head: &[u8]) -> Option<Message<'_>> {
    MessageParser::new().parse_headers(&head[..head.len().min(MOST_HEAD)])
}

fn fields(parsed: &Message<'_>, head: &[u8]) -> Vec<Field> {
    let field = |header: &mail_parser::Header<'_>| {
        let (start, end) = (header.offset_start() as usize, header.offset_end() as usize);
        let raw = head.get(start..end).unwrap_or_default();
        let value = match header.value() {
            HeaderValue::Text(text) if is_encoded(raw) => text.to_string(),
            HeaderValue::Address(addresses) if is_encoded(raw) => display(addresses),
            _ => unfolded(raw),
        };
        Field { name: header.name().to_owned(), value }
    };
    parsed.headers().iter().map(field).collect()
}

/// Whether there may be an encoded word (RFC 2047) in it.
fn is_encoded(raw: &[u8]) -> bool {
    memchr::memmem::find(raw, b"=?").is_some()
}

fn unfolded(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let lines: Vec<&str> = text.trim().split("\r\n").map(str::trim_end).collect();
    lines.concat()
}

/// Addresses as one would write them, groups taken apart.
fn display(addresses: &Address<'_>) -> String {
    let one = |mailbox: &mail_parser::Addr<'_>| match (&mailbox.name, &mailbox.address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (None, Some(only)) | (Some(only), None) => only.to_string(),
        (None, None) => String::new(),
    };
    addresses.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Bytes as text, in the given character set when it is known, else as UTF-8.
fn decoded(bytes: Vec<u8>, charset: Option<&str>) -> String {
    let decoder = charset.and_then(|charset| {
        mail_parser::decoders::charsets::map::charset_decoder(charset.as_bytes())
    });
    match decoder {
        Some(decode) => decode(&bytes),
        None => match String::from_utf8_lossy(&bytes) {
            Cow::Owned(text) => text,
            Cow::Borrowed(text) => text.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
