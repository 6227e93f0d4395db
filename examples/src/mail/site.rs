//! The web site that shows caught mails: requests in, responses out, and nothing else.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | a page that lists the mails, the newest first |
//! | `GET /messages/N` | the same page, showing one of them |
//! | `GET /api/messages` | the list in JSON |
//! | `GET /api/messages/N` | one mail in JSON |
//! | `GET /api/messages/N.eml` | one mail as it was received |
//! | `DELETE /api/messages/N` | removes one |
//! | `DELETE /api/messages` | removes all |
//!
//! The page needs no script and allows none. Everything that came from a mail is escaped. What a browser
//! is told in the fields below every response (run nothing, load nothing, guess no type) holds even if
//! that should fail once.

mod api;
mod page;

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::store::Store;
use crate::http::{Request, Response, Status};

/// Answers requests about a [`Store`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Host names that the site may be asked for by, beside `localhost` and addresses.
    ///
    /// Others are refused (421): a web page on a name of its own could let that name point here and
    /// then read mails in its visitors' browsers (DNS rebinding).
    pub host_names: Vec<String>,
}

impl Site {
    /// What to answer. Only DELETE changes the store.
    pub fn respond<'s>(&self, store: &'s mut Store, request: &Request<'_>) -> Response<'s> {
        if !request.host().is_none_or(|host| self.is_ours(host)) {
            return api::error(Status::MISDIRECTED_REQUEST, "this host name is not served here");
        }
        let Some(route) = Route::of(request.path()) else {
            return api::error(Status::NOT_FOUND, "there is nothing here");
        };
        match (request.method(), route) {
            ("GET" | "HEAD", Route::List) => page::list(store),
            ("GET" | "HEAD", Route::Style) => page::style(),
            ("GET" | "HEAD", Route::Page(id)) => page::one(store, id),
            ("GET" | "HEAD", Route::Mails) => api::list(store),
            ("GET" | "HEAD", Route::Mail(id)) => api::one(store, id),
            ("GET" | "HEAD", Route::Source(id)) => api::source(store, id),
            ("DELETE", Route::Mails) => api::remove_all(store),
            ("DELETE", Route::Mail(id)) => api::remove(store, id),
            (_, route) => {
                let mut refused =
                    api::error(Status::METHOD_NOT_ALLOWED, "this method is not for it");
                refused.fields.push(("Allow", route.methods().into()));
                refused
            }
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
            || self.host_names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

/// `host` or `host:port`; the colons of an IPv6 address stand in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    List,
    Style,
    Page(u64),
    Mails,
    Mail(u64),
    Source(u64),
}

impl Route {
    fn of(path: &str) -> Option<Route> {
        match path {
            "/" => Some(Route::List),
            "/style.css" => Some(Route::Style),
            "/api/messages" => Some(Route::Mails),
            _ => {
                if let Some(id) = path.strip_prefix("/messages/") {
                    return parse_id(id).map(Route::Page);
                }
                let id = path.strip_prefix("/api/messages/")?;
                match id.strip_suffix(".eml") {
                    Some(id) => parse_id(id).map(Route::Source),
                    None => parse_id(id).map(Route::Mail),
                }
            }
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Route::List | Route::Style | Route::Page(_) | Route::Source(_) => "GET, HEAD",
            Route::Mails | Route::Mail(_) => "GET, HEAD, DELETE",
        }
    }
}

/// Digits as we write them: one path for one mail.
fn parse_id(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

fn response<'a>(
    status: Status,
    content_type: &'static str,
    body: impl Into<Cow<'a, [u8]>>,
) -> Response<'a> {
    let fields = vec![
        ("Content-Type", content_type.into()),
        ("Content-Security-Policy", POLICY.into()),
        ("X-Content-Type-Options", "nosniff".into()),
        ("Cross-Origin-Resource-Policy", "same-origin".into()),
        ("Referrer-Policy", "no-referrer".into()),
        ("Cache-Control", "no-store".into()),
    ];
    Response { status, fields, body: body.into() }
}

const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// When a mail came, for people and programs: UTC, to the second (RFC 3339).
fn timestamp(time: std::time::SystemTime) -> String {
    // A clock before 1970 is wrong anyway.
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    mail_parser::DateTime::from_timestamp(seconds).to_rfc3339()
}

#[cfg(test)]
mod tests;
