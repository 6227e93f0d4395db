//! The part of the site that people look at: one page of plain HTML.
//!
//! Invariant: every text that is not written here goes through [`Escaped`].

use std::fmt::{self, Write};

use super::super::Address;
use super::super::contents::{Contents, Text};
use super::super::store::{CaughtMail, Store};
use super::{api, response, timestamp};
use crate::http::{Response, Status};

/// The list of all mails.
pub(super) fn list(store: &Store) -> Response<'static> {
    html(store, None)
}

/// The list, and one mail below it.
pub(super) fn one(store: &Store, id: u64) -> Response<'static> {
    match store.get(id) {
        Some(caught) => html(store, Some(caught)),
        None => api::no_such_mail(),
    }
}

/// How it looks.
pub(super) fn style() -> Response<'static> {
    response(Status::OK, "text/css; charset=utf-8", include_bytes!("style.css"))
}

fn html(store: &Store, shown: Option<&CaughtMail>) -> Response<'static> {
    let mut page = String::new();
    write_page(&mut page, store, shown).expect("a String takes all that is written");
    response(Status::OK, "text/html; charset=utf-8", page.into_bytes())
}

fn write_page(page: &mut String, store: &Store, shown: Option<&CaughtMail>) -> fmt::Result {
    page.push_str(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>mailcatcher</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<h1><a href=\"/\">mailcatcher</a></h1>\n",
    );
    write!(page, "<p>{} caught", store.len())?;
    if store.dropped() > 0 {
        write!(page, ", {} older ones dropped to make room", store.dropped())?;
    }
    page.push_str(".</p>\n");
    if !store.is_empty() {
        page.push_str("<table>\n<tr><th>Subject<th>From<th>To<th>Size<th>Received (UTC)\n");
        for caught in store.newest_first() {
            write_row(page, caught, shown.is_some_and(|shown| shown.id == caught.id))?;
        }
        page.push_str("</table>\n");
    }
    match shown {
        Some(caught) => write_mail(page, caught),
        None => Ok(()),
    }
}

/// How many recipients a row names.
const MOST_NAMED: usize = 3;

fn write_row(page: &mut String, caught: &CaughtMail, shown: bool) -> fmt::Result {
    let CaughtMail { id, subject, mail, .. } = caught;
    let subject = if subject.trim().is_empty() { "(no subject)" } else { subject };
    let class = if shown { " class=\"shown\"" } else { "" };
    write!(page, "<tr{class}><td><a href=\"/messages/{id}\">{}</a><td>", Escaped(subject))?;
    write!(page, "{}<td>", Escaped(mail.sender.as_ref().map_or("<>", Address::as_str)))?;
    for (number, recipient) in mail.recipients.iter().take(MOST_NAMED).enumerate() {
        let comma = if number > 0 { ", " } else { "" };
        write!(page, "{comma}{}", Escaped(recipient.as_str()))?;
    }
    if mail.recipients.len() > MOST_NAMED {
        write!(page, " and {} more", mail.recipients.len() - MOST_NAMED)?;
    }
    let (size, time) = (mail.content.len(), timestamp(caught.received));
    writeln!(page, "<td class=\"number\">{size}<td class=\"number\">{}", Escaped(&time))
}

fn write_mail(page: &mut String, caught: &CaughtMail) -> fmt::Result {
    let CaughtMail { id, mail, .. } = caught;
    let contents = Contents::of(&mail.content);
    write!(page, "<h2>Message {id}</h2>\n<p><a href=\"/api/messages/{id}.eml\">as it came</a>, ")?;
    write!(page, "<a href=\"/api/messages/{id}\">as JSON</a></p>\n<h3>Envelope</h3>\n<table>\n")?;
    write_field(page, "From", mail.sender.as_ref().map_or("<>", Address::as_str))?;
    for recipient in &mail.recipients {
        write_field(page, "To", recipient.as_str())?;
    }
    write_field(page, "Client", &mail.client)?;
    page.push_str("</table>\n<h3>Header</h3>\n<table>\n");
    for field in &contents.fields {
        write_field(page, &field.name, &field.value)?;
    }
    page.push_str("</table>\n");
    write_text(page, "Text", contents.text.as_ref())?;
    write_text(page, "HTML, as source", contents.html.as_ref())?;
    if !contents.attachments.is_empty() {
        page.push_str("<h3>Attachments</h3>\n<table>\n<tr><th>Name<th>Type<th>Size\n");
        for part in &contents.attachments {
            let name = part.name.as_deref().unwrap_or("(no name)");
            let (name, of) = (Escaped(name), Escaped(&part.content_type));
            writeln!(page, "<tr><td>{name}<td>{of}<td class=\"number\">{}", part.size)?;
        }
        page.push_str("</table>\n");
    }
    Ok(())
}

fn write_field(page: &mut String, name: &str, value: &str) -> fmt::Result {
    writeln!(page, "<tr><th>{}<td>{}", Escaped(name), Escaped(value))
}

fn write_text(page: &mut String, title: &str, text: Option<&Text>) -> fmt::Result {
    let Some(Text { text, cut }) = text else { return Ok(()) };
    // The line end after <pre> is no part of the text, so the text may begin with one.
    writeln!(page, "<h3>{title}</h3>\n<pre>\n{}</pre>", Escaped(text))?;
    if *cut {
        page.push_str("<p class=\"note\">There is more; see the mail as it came.</p>\n");
    }
    Ok(())
}

/// Text that means nothing but itself, between tags and in quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_special) {
            let (before, from) = rest.split_at(at);
            f.write_str(before)?;
            let special = from.chars().next().unwrap_or_default();
            match special {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(char::REPLACEMENT_CHARACTER)?,
            }
            rest = &from[special.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Markup, and control characters, which HTML does not allow.
fn is_special(char: char) -> bool {
    matches!(char, '&' | '<' | '>' | '"' | '\'')
        || (char.is_control() && !matches!(char, '\t' | '\n' | '\r'))
}
