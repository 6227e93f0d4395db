//! The part of the site that programs use.

use serde::Serialize;

use super::super::contents::{Attachment, Contents, Field, Text};
use super::super::store::{CaughtMail, Store};
use super::super::{Address, Mail};
use super::{response, timestamp};
use crate::http::{Response, Status};

/// All mails, the newest first. How many were dropped is in a field, `Mails-Dropped`.
pub(super) fn list(store: &Store) -> Response<'static> {
    let summaries: Vec<Summary<'_>> = store.newest_first().map(Summary::of).collect();
    let mut list = json(Status::OK, &summaries);
    list.fields.push(("Mails-Dropped", store.dropped().to_string().into()));
    list
}

/// One mail, taken apart.
pub(super) fn one(store: &Store, id: u64) -> Response<'static> {
    let Some(caught) = store.get(id) else { return no_such_mail() };
    let contents = Contents::of(&caught.mail.content);
    let shown = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.cut);
    json(
        Status::OK,
        &Whole {
            summary: Summary::of(caught),
            client: &caught.mail.client,
            headers: contents.fields.iter().map(Header::of).collect(),
            text: contents.text.as_ref().map(|text| &*text.text),
            html: contents.html.as_ref().map(|html| &*html.text),
            truncated: shown(&contents.text) || shown(&contents.html),
            attachments: contents.attachments.iter().map(Attached::of).collect(),
        },
    )
}

/// One mail, byte by byte.
pub(super) fn source(store: &Store, id: u64) -> Response<'_> {
    let Some(caught) = store.get(id) else { return no_such_mail() };
    let mut source = response(Status::OK, "message/rfc822", &caught.mail.content[..]);
    let disposition = format!("attachment; filename=\"message-{id}.eml\"");
    source.fields.push(("Content-Disposition", disposition.into()));
    source
}

/// Removes one mail.
pub(super) fn remove(store: &mut Store, id: u64) -> Response<'static> {
    if store.remove(id) { response(Status::NO_CONTENT, JSON, b"") } else { no_such_mail() }
}

/// Removes all mails.
pub(super) fn remove_all(store: &mut Store) -> Response<'static> {
    store.clear();
    response(Status::NO_CONTENT, JSON, b"")
}

/// An error that says what was wrong.
pub(super) fn error(status: Status, error: &str) -> Response<'static> {
    json(status, &Wrong { error })
}

pub(super) fn no_such_mail() -> Response<'static> {
    error(Status::NOT_FOUND, "there is no such message")
}

const JSON: &str = "application/json";

fn json(status: Status, value: &impl Serialize) -> Response<'static> {
    let mut body = serde_json::to_vec(value).expect("strings and numbers are always JSON");
    body.push(b'\n');
    response(status, JSON, body)
}

#[derive(Serialize)]
struct Wrong<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct Summary<'a> {
    id: u64,
    subject: &'a str,
    /// The envelope's; `null` for the null reverse-path.
    sender: Option<&'a str>,
    recipients: Vec<&'a str>,
    size: usize,
    received: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    client: &'a str,
    headers: Vec<Header<'a>>,
    text: Option<&'a str>,
    html: Option<&'a str>,
    /// Text or HTML was too long to be given in full.
    truncated: bool,
    attachments: Vec<Attached<'a>>,
}

#[derive(Serialize)]
struct Header<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Attached<'a> {
    name: Option<&'a str>,
    content_type: &'a str,
    size: usize,
}

impl<'a> Summary<'a> {
    fn of(caught: &'a CaughtMail) -> Self {
        let Mail { sender, recipients, content, .. } = &caught.mail;
        Summary {
            id: caught.id,
            subject: &caught.subject,
            sender: sender.as_ref().map(Address::as_str),
            recipients: recipients.iter().map(Address::as_str).collect(),
            size: content.len(),
            received: timestamp(caught.received),
        }
    }
}

impl<'a> Header<'a> {
    fn of(field: &'a Field) -> Self {
        Header { name: &field.name, value: &field.value }
    }
}

impl<'a> Attached<'a> {
    fn of(attachment: &'a Attachment) -> Self {
        Attached {
            name: attachment.name.as_deref(),
            content_type: &attachment.content_type,
            size: attachment.size,
        }
    }
}
