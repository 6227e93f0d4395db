//! [`Request`]: which file a client wants. One grammar, strictly: what is not understood is refused.

use std::path::PathBuf;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Below the folder that is served.
    pub(super) path: PathBuf,
    pub(super) head_only: bool,
    /// Another request may follow.
    pub(super) persists: bool,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: &'static str,
}

impl Refusal {
    pub(super) const BAD: Self = Self { status: "400 Bad Request" };
    pub(super) const NOT_FOUND: Self = Self { status: "404 Not Found" };
    pub(super) const METHOD: Self = Self { status: "405 Method Not Allowed" };
    pub(super) const BODY: Self = Self { status: "413 Content Too Large" };
    pub(super) const TOO_LONG: Self = Self { status: "431 Request Header Fields Too Large" };

    pub(super) fn reply(self, connection: &str, head_only: bool) -> String {
        let status = self.status;
        let body = if head_only { String::new() } else { format!("{status}\n") };
        let allow = if self == Self::METHOD { "Allow: GET, HEAD\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n{allow}\
             Connection: {connection}\r\n\r\n{body}",
            status.len() + 1,
        )
    }
}

/// More fields than any client sends.
const MOST_FIELDS: usize = 100;

impl Request {
    /// Parses a head, to its last empty line.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TOO_LONG),
            Ok(_) | Err(_) => return Err(Refusal::BAD),
        }
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(Refusal::BAD);
        };
        let values = |name: &'static str| {
            let named = move |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
            parsed.headers.iter().filter(named).map(|field| field.value)
        };
        if values("Transfer-Encoding").count() > 0 || values("Content-Length").any(|it| it != b"0")
        {
            return Err(Refusal::BODY); // a body would be taken for the next request
        }
        if minor == 1 && values("Host").count() != 1 {
            return Err(Refusal::BAD);
        }
        let head_only = match method {
            "GET" => false,
            "HEAD" => true,
            _ => return Err(Refusal::METHOD),
        };
        let asks_to_close = |value: &[u8]| {
            let words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            words.into_iter().any(|word| word.eq_ignore_ascii_case(b"close"))
        };
        let persists = minor == 1 && !values("Connection").any(asks_to_close);
        Ok(Self { path: path_of(target)?, head_only, persists })
    }
}

/// The path of a file below the folder: nothing hidden, and no way upwards.
fn path_of(target: &str) -> Result<PathBuf, Refusal> {
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix('/').ok_or(Refusal::BAD)?;
    let mut found = PathBuf::new();
    for part in path.split('/') {
        let part = decoded(part).ok_or(Refusal::BAD)?;
        let harmful = part.is_empty() || part.starts_with('.') || part.contains(['/', '\0']);
        if harmful {
            return Err(Refusal::NOT_FOUND);
        }
        found.push(part);
    }
    Ok(found)
}

/// Without its percent-encoding.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}
