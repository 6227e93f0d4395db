//! [`Response`]: a whole answer, taken apart.

use std::fmt;
use tulipa::Exception;

/// Header fields of a response.
const FIELDS: usize = 100;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its code, such as 200.
    pub code: u16,
    /// What that means, in the server's words.
    pub reason: String,
    /// The media type of the body, in lower case and without parameters, if it is told.
    pub content_type: Option<String>,
    /// Where else to look, if the server says so.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answer is larger than its reader will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTooLarge;

impl Response {
    /// Takes apart everything that came until the server ended the connection.
    ///
    /// # Errors
    /// If it is no answer, or not a whole one.
    pub fn parse(mut answer: Vec<u8>) -> Result<Self, Exception> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(end) = head.parse(&answer)? else {
            return Err(Exception::msg("the connection ended before the answer had begun"));
        };
        let text = |name| {
            let value = values(head.headers, name).next()?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        if let Some(length) = told_length(head.headers)? {
            let got = answer.len() - end;
            if got as u64 != length {
                return Err(Exception::msg(format!("got {got} of {length} bytes")));
            }
        }
        let media_type = |value: String| {
            let end = value.find(';').unwrap_or(value.len());
            value[..end].trim_ascii().to_ascii_lowercase()
        };
        let response = Self {
            code: head.code.unwrap_or_default(),
            reason: head.reason.unwrap_or_default().to_owned(),
            content_type: text("content-type").map(media_type),
            location: text("location"),
            body: Vec::new(),
        };
        answer.drain(..end);
        Ok(Self { body: answer, ..response })
    }

    /// How long the body behind this head will be; `None` if it ends with the connection.
    ///
    /// # Errors
    /// If it is no head, or does not say so in a way that is understood.
    pub fn body_length(head: &[u8]) -> Result<Option<u64>, Exception> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(head)?;
        told_length(response.headers)
    }

    /// The body of a page that is there.
    ///
    /// # Errors
    /// If it is not.
    pub fn into_page(self) -> Result<Vec<u8>, Exception> {
        match self.code {
            200 => Ok(self.body),
            code => Err(Exception::msg(format!("the server answered {code} {}", self.reason))),
        }
    }
}

/// The values of the fields of that name.
fn values<'a>(
    fields: &'a [httparse::Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    let fields = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    fields.map(|field| field.value.trim_ascii())
}

/// How long the body is, if the head says so.
fn told_length(fields: &[httparse::Header<'_>]) -> Result<Option<u64>, Exception> {
    if values(fields, "transfer-encoding").next().is_some() {
        return Err(Exception::msg("the answer has a transfer encoding, which nobody asked for"));
    }
    let length = values(fields, "content-length").next();
    if values(fields, "content-length").any(|other| Some(other) != length) {
        return Err(Exception::msg("the answer has two lengths"));
    }
    let length = length.map(|length| Ok::<_, Exception>(std::str::from_utf8(length)?.parse()?));
    length.transpose()
}

impl fmt::Display for PageTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the page is too large")
    }
}

impl std::error::Error for PageTooLarge {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_whole_or_an_error() {
        let body = |text: &[u8]| {
            let page = Response::parse(text.to_vec()).and_then(Response::into_page);
            page.map_err(|error| error.to_string())
        };
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

    #[test]
    fn a_head_tells_how_long_its_body_is() {
        let length = |text: &[u8]| Response::body_length(text).map_err(|error| error.to_string());
        assert_eq!(length(b"HTTP/1.0 200 OK\r\n\r\n"), Ok(None));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"), Ok(Some(12)));
        assert!(length(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        assert!(length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(length(b"tulip\r\n\r\n").is_err());
    }
}
