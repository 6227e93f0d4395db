//! The head of a request: where it ends, and what it says.
//!
//! Nearly every head comes at once and is in order: it is given to httparse as it is, which finds its end, too.
//! For all others the end is looked for first, by a scan that remembers how far it came, and only a whole head is
//! parsed: so a head that comes one byte at a time costs no more than one that comes at once. httparse takes a bare
//! line feed for a line end; the scan does not, and refuses it.

use std::mem::MaybeUninit;

use httparse::Header;

use super::limits::Limits;
use super::request::Request;
use super::status::{Refusal, Status};
use crate::work;

/// How far the search for the end of a head has come.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadScan {
    pub(super) scanned: usize,
    pub(super) line_start: usize,
}

impl HeadScan {
    /// Whether nothing of the head has been looked at yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Looks for the end of the head that `input` begins with; the length with the empty line is the
    /// answer. `input` is what was given the last time, and perhaps more. A head of length 2 is an
    /// empty line where a request should begin.
    pub(super) fn find_end(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, Refusal> {
        let until = input.len().min(limits.head);
        let from = self.scanned;
        for position in memchr::memchr_iter(b'\n', &input[from..until]) {
            let lf = from + position;
            if self.line_start == 0 && lf >= limits.request_line {
                return Err(LINE_TOO_LONG);
            }
            if lf == 0 || input[lf - 1] != b'\r' {
                return Err(Refusal::bad("a line ends with CR LF, not with LF alone"));
            }
            if lf == self.line_start + 1 {
                work::count(lf + 1 - from);
                return Ok(Some(lf + 1));
            }
            self.line_start = lf + 1;
        }
        work::count(until - from);
        self.scanned = until;
        if self.line_start == 0 && input.len() >= limits.request_line {
            return Err(LINE_TOO_LONG);
        }
        if input.len() >= limits.head {
            return Err(Refusal::new(Status::FIELDS_TOO_LARGE, "the head is too long"));
        }
        Ok(None)
    }
}

const LINE_TOO_LONG: Refusal = Refusal::new(Status::URI_TOO_LONG, "the request line is too long");

/// Room for the fields of a head. Not initialised, since that would cost more than the parsing.
pub(super) type FieldRoom<'a> = [MaybeUninit<Header<'a>>; Limits::MOST_FIELDS];

/// Room for the fields of one head.
pub(super) fn field_room<'a>() -> FieldRoom<'a> {
    [const { MaybeUninit::uninit() }; Limits::MOST_FIELDS]
}

/// A parsed head: the request, still without a body, and what governs the connection.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) request: Request<'a>,
    pub(super) framing: Framing,
    pub(super) http_1_0: bool,
    /// The connection may be used again after this request.
    pub(super) persists: bool,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
}

/// How the end of the body is found. There is never more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

impl<'a> Head<'a> {
    /// Parses the head that `input` begins with, and answers its length, too, if it is there whole and in order.
    /// `None`: [`HeadScan::find_end`] knows better what is wrong or missing.
    pub(super) fn parse_at_once(
        input: &'a [u8],
        room: &'a mut FieldRoom<'a>,
        limits: &Limits,
    ) -> Result<Option<(Self, usize)>, Refusal> {
        let mut parsed = httparse::Request::new(&mut []);
        let most = limits.fields.min(room.len());
        let outcome = parsed.parse_with_uninit_headers(input, &mut room[..most]);
        let Ok(httparse::Status::Complete(length)) = outcome else {
            work::count(input.len());
            return Ok(None);
        };
        work::count(length);
        let is_short = length <= limits.request_line.min(limits.head);
        if !is_short || begins_with_empty_line(input) || has_bare_line_feed(&input[..length]) {
            return Ok(None);
        }
        Self::of(parsed, limits).map(|head| Some((head, length)))
    }

    /// Parses a whole head, as [`HeadScan::find_end`] found it.
    pub(super) fn parse(
        bytes: &'a [u8],
        room: &'a mut FieldRoom<'a>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        work::count(bytes.len());
        let mut parsed = httparse::Request::new(&mut []);
        let most = limits.fields.min(room.len());
        match parsed.parse_with_uninit_headers(bytes, &mut room[..most]) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {
                Self::of(parsed, limits)
            }
            Ok(_) => Err(Refusal::bad("the head does not end where its lines end")),
            Err(error) => Err(refusal_of(error, bytes)),
        }
    }

    /// What httparse found, with what it does not look at checked.
    fn of(parsed: httparse::Request<'a, 'a>, limits: &Limits) -> Result<Self, Refusal> {
        let httparse::Request { method, path, version, headers } = parsed;
        let (Some(method), Some(target), Some(minor)) = (method, path, version) else {
            return Err(Refusal::bad("the request line is incomplete"));
        };
        let fields: &'a [Header<'a>] = headers;
        let governing = Governing::of(fields, minor == 0)?;
        let host = governing.host.map(valid_host).transpose()?;
        if host.is_none() && minor != 0 {
            return Err(Refusal::bad("HTTP/1.1 demands a Host field"));
        }
        let (path, query) = split_target(method, target, host)?;
        Ok(Head {
            request: Request { method, path, query, host, fields, body: b"" },
            framing: governing.framing(limits)?,
            http_1_0: minor == 0,
            persists: governing.persists(minor == 0),
            expects_continue: governing.expects_continue(minor == 0)?,
        })
    }
}

/// httparse skips it.
fn begins_with_empty_line(input: &[u8]) -> bool {
    matches!(input[0], b'\r' | b'\n')
}

/// Whether a line ends with LF alone. It looks at all pairs, as that is quicker than to stop at the first.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let is_bare = |(before, byte): (&u8, &u8)| (*byte == b'\n') & (*before != b'\r');
    head.iter().zip(&head[1..]).map(is_bare).fold(false, |found, is_bare| found | is_bare)
}

fn refusal_of(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => {
            Refusal::new(Status::FIELDS_TOO_LARGE, "there are too many fields")
        }
        httparse::Error::Version if names_a_version(head) => {
            Refusal::new(Status::VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken")
        }
        httparse::Error::HeaderName => {
            Refusal::bad("a field name is not a token with a colon right after it")
        }
        httparse::Error::HeaderValue => Refusal::bad("a field value has a character it must not"),
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => Refusal::bad("the request line is malformed"),
    }
}

/// Whether the request line is in order but for the number of its version.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}

/// The fields that decide about framing and the connection, collected in one pass.
#[derive(Default)]
struct Governing<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    expectation: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
}

impl<'a> Governing<'a> {
    fn of(fields: &'a [Header<'a>], http_1_0: bool) -> Result<Self, Refusal> {
        let mut found = Governing::default();
        for Header { name, value } in fields {
            // By length first: most fields are none of these.
            match name.len() {
                4 if name.eq_ignore_ascii_case("Host") => once(&mut found.host, value)?,
                6 if name.eq_ignore_ascii_case("Expect") => once(&mut found.expectation, value)?,
                10 if name.eq_ignore_ascii_case("Connection") => found.connection(value),
                14 if name.eq_ignore_ascii_case("Content-Length") => {
                    once(&mut found.length, value)?;
                }
                17 if name.eq_ignore_ascii_case("Transfer-Encoding") => {
                    once(&mut found.coding, value)?;
                }
                _ => {}
            }
        }
        if found.coding.is_some() && http_1_0 {
            return Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        Ok(found)
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn framing(&self, limits: &Limits) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(_), Some(_)) => {
                Err(Refusal::bad("Transfer-Encoding and Content-Length exclude each other"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Refusal::new(
                Status::NOT_IMPLEMENTED,
                "the only transfer-coding understood is chunked, and that alone",
            )),
            (None, Some(length)) => content_length(length, limits).map(Framing::Length),
        }
    }

    fn persists(&self, http_1_0: bool) -> bool {
        !self.close && (!http_1_0 || self.keep_alive)
    }

    fn expects_continue(&self, http_1_0: bool) -> Result<bool, Refusal> {
        match self.expectation {
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(!http_1_0),
            Some(_) => Err(Refusal::new(
                Status::EXPECTATION_FAILED,
                "the only expectation understood is 100-continue",
            )),
            None => Ok(false),
        }
    }
}

fn once<'a>(seen: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refusal> {
    match seen.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::bad("a field that may come once came twice")),
    }
}

/// Digits and nothing else: no sign, no list, no white space inside.
fn content_length(value: &[u8], limits: &Limits) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad("Content-Length is not a number"));
    }
    let length = value.iter().fold(0_usize, |length, digit| {
        length.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    });
    if length > limits.body { Err(BODY_TOO_LARGE) } else { Ok(length) }
}

/// What a body beyond the limit is answered, however it was framed.
pub(super) const BODY_TOO_LARGE: Refusal =
    Refusal::new(Status::CONTENT_TOO_LARGE, "the body is too large");

/// The characters of a host and a port (RFC 3986, 3.2.2 and 3.2.3); no user, no path, no white space.
fn valid_host(value: &[u8]) -> Result<&[u8], Refusal> {
    match value.iter().all(|byte| IN_HOST[usize::from(*byte)]) {
        true => Ok(value),
        false => Err(Refusal::bad("Host has a character it must not")),
    }
}

/// A table, since this is looked up for every byte of every Host.
const IN_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+,;=:[]";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// Path and query of a target in origin-form, absolute-form or (for OPTIONS) asterisk-form.
fn split_target<'a>(
    method: &str,
    target: &'a str,
    host: Option<&[u8]>,
) -> Result<(&'a str, Option<&'a str>), Refusal> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::bad("the target has a character it must not"));
    }
    let origin = match target.as_bytes()[0] {
        b'/' => target,
        b'*' if target == "*" && method == "OPTIONS" => return Ok((target, None)),
        _ => absolute_form(target, host)?,
    };
    let (path, query) = match origin.bytes().position(|byte| byte == b'?') {
        Some(mark) => (&origin[..mark], Some(&origin[mark + 1..])),
        None => (origin, None),
    };
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// What follows `http://host` in a target that has it; Host must say the same.
fn absolute_form<'a>(target: &'a str, host: Option<&[u8]>) -> Result<&'a str, Refusal> {
    let rest = match target.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            rest
        }
        _ => return Err(Refusal::bad("the target is neither a path nor an http URL")),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    if authority.is_empty()
        || host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_bytes()))
    {
        return Err(Refusal::bad("the target's host is not the one in Host"));
    }
    Ok(origin)
}
