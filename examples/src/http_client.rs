//! Fetching a page over plain HTTP, with bare futures and callbacks.

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;
use tulipa::{
    AbstractEventLoop, Exception, Future, NetworkLoop, Protocol, SchedulerExt, TimeoutError,
    Transport,
};

/// The largest page that is taken.
const LARGEST: usize = 64 * 1024 * 1024;
/// The largest head of a response.
const LARGEST_HEAD: usize = 64 * 1024;
/// Header fields of a response.
const FIELDS: usize = 100;

/// An address of the form `http://HOST[:PORT]/PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is not a [`Url`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlError(&'static str);

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest =
            text.strip_prefix("http://").ok_or(UrlError("it does not begin with http://"))?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError("it has characters that do not belong into a URL"));
        }
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (host, port) = split_port(authority)?;
        if host.is_empty() || host.contains('@') {
            return Err(UrlError("it has no host, or a user in it"));
        }
        Ok(Self { text: text.to_owned(), host: host.to_owned(), port, path })
    }
}

/// Splits `host[:port]`, where the host may be an IPv6 address in brackets.
fn split_port(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(UrlError("the bracket is not closed"))?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(UrlError("the host does not end at the bracket")),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        None | Some("") => 80,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().map_err(|_| UrlError("the port is too large"))?
        }
        Some(_) => return Err(UrlError("the port is not a number")),
    };
    Ok((host, port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a URL that can be fetched: {}", self.0)
    }
}

impl std::error::Error for UrlError {}

/// Fetches a page: a future of its body. It fails if the page is not there within `limit`; cancelling
/// it ends the connection.
pub fn fetch(event_loop: &dyn AbstractEventLoop, url: &Url, limit: Duration) -> Future<Vec<u8>> {
    let page = event_loop.create_future();
    let protocol =
        Fetching { url: url.clone(), received: Vec::new(), has_head: false, page: page.clone() };
    let connecting = event_loop.create_connection(move || protocol, (url.host.clone(), url.port));

    let failed = page.clone();
    connecting.add_done_callback(move |connecting| {
        if let Ok(Some(exception)) = connecting.exception() {
            // It is done already if the time was over first.
            let _ = failed.set_exception(exception);
        }
    });
    let late = page.clone();
    let too_late = TimeoutError::new(format!("fetching {url} within {limit:?}"));
    let timer = event_loop.call_later(limit, move || {
        // It is done already if the page came just now.
        let _ = late.set_exception(too_late);
    });
    page.add_done_callback(move |_| {
        timer.cancel();
        if !connecting.cancel()
            && let Ok(transport) = connecting.result()
        {
            transport.abort();
        }
    });
    page
}

/// Asks for one page, and collects it until the server ends the connection.
struct Fetching {
    url: Url,
    received: Vec<u8>,
    has_head: bool,
    page: Future<Vec<u8>>,
}

impl Protocol for Fetching {
    fn connection_made(&mut self, transport: &dyn Transport) {
        let Url { host, port, path, .. } = &self.url;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        // HTTP/1.0: the answer is neither chunked nor followed by another one.
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nUser-Agent: tulipa-get-page\r\n\
             Accept: application/json\r\nConnection: close\r\n\r\n"
        );
        transport.write(request.as_bytes());
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        if self.received.len() + data.len() > LARGEST {
            return transport.abort_with(Exception::msg("the page is too large"));
        }
        // Where the head may end: in what is new, or across the seam.
        let seam = self.received.len().saturating_sub(3);
        self.received.extend_from_slice(data);
        if !self.has_head {
            self.has_head = self.received[seam..].windows(4).any(|end| end == b"\r\n\r\n");
            if !self.has_head && self.received.len() > LARGEST_HEAD {
                transport.abort_with(Exception::msg("the head of the answer is too large"));
            }
        }
    }

    fn connection_lost(&mut self, _: &dyn Transport, reason: Option<Exception>) {
        let outcome = match reason {
            Some(reason) => Err(reason),
            None => body(&mut self.received),
        };
        // It is done already if the time was over first, or nobody wants the page any more.
        let _ = self.page.set_outcome(outcome);
    }
}

/// The body of a whole response, moved out of it.
fn body(response: &mut Vec<u8>) -> Result<Vec<u8>, Exception> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let end = match head.parse(response)? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial => {
            return Err(Exception::msg("the connection ended before the answer had begun"));
        }
    };
    let code = head.code.unwrap_or_default();
    if code != 200 {
        let reason = head.reason.unwrap_or_default();
        return Err(Exception::msg(format!("the server answered {code} {reason}")));
    }
    let values = |name: &'static str| {
        let fields = head.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value.trim_ascii())
    };
    if values("transfer-encoding").next().is_some() {
        return Err(Exception::msg("the answer has a transfer encoding, which nobody asked for"));
    }
    let length = values("content-length").next();
    if values("content-length").any(|other| Some(other) != length) {
        return Err(Exception::msg("the answer has two lengths"));
    }
    if let Some(text) = length {
        let length: usize = std::str::from_utf8(text)?.parse()?;
        if response.len() - end != length {
            let got = response.len() - end;
            return Err(Exception::msg(format!("got {got} of {length} bytes")));
        }
    }
    response.drain(..end);
    Ok(std::mem::take(response))
}

/// Fetches a page and decodes it as JSON; as [`fetch`] otherwise.
pub fn fetch_json(
    event_loop: &Rc<dyn AbstractEventLoop>,
    url: &Url,
    limit: Duration,
) -> Future<serde_json::Value> {
    let decoded_loop = event_loop.clone();
    fetch(&**event_loop, url, limit).then(move |page| {
        let decoded = decoded_loop.create_future();
        let outcome = serde_json::from_slice(&page).map_err(Exception::from);
        decoded.set_outcome(outcome).expect("a new future is pending");
        decoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_bad_ones_refused() {
        let url = |text: &str| text.parse::<Url>().map(|url| (url.host, url.port, url.path));
        let parts = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(url("http://a"), parts("a", 80, "/"));
        assert_eq!(url("http://a.b:81/c?d=e#f"), parts("a.b", 81, "/c?d=e"));
        assert_eq!(url("http://a?b"), parts("a", 80, "/?b"));
        assert_eq!(url("http://[::1]:82/"), parts("::1", 82, "/"));
        assert_eq!(url("http://[::1]"), parts("::1", 80, "/"));
        for bad in [
            "",
            "https://a",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:99999",
            "http://a:+1",
            "http://u@a",
            "http://[::1",
            "http://[::1]x",
            "http://a/\r\nX: y",
            "http://a/ b",
        ] {
            assert!(url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_body_is_whole_or_an_error() {
        let body = |text: &[u8]| body(&mut text.to_vec()).map_err(|error| error.to_string());
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\nabc"), Ok(b"abc".to_vec()));
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), Ok(b"abc".to_vec()));
        for (bad, why) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"[..], "got 3 of 4 bytes"),
            (b"HTTP/1.1 404 Not Found\r\n\r\nabc", "the server answered 404 Not Found"),
            (b"HTTP/1.1 200 OK\r\n", "the connection ended before the answer had begun"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                "the answer has two lengths",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "the answer has a transfer encoding, which nobody asked for",
            ),
            (b"", "the connection ended before the answer had begun"),
        ] {
            assert_eq!(body(bad), Err(why.to_owned()));
        }
    }
}
