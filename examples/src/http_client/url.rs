//! [`Url`]: what to fetch, and how a link is read that stands on a page.

use std::fmt;
use std::str::FromStr;

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

impl Url {
    /// The address of a path, written the one way that it is written in, so that equal addresses have
    /// equal texts.
    fn new(host: &str, port: u16, path: &str) -> Self {
        let host = host.to_ascii_lowercase();
        let mut url = Self { text: String::new(), host, port, path: without_dots(path) };
        url.text = format!("http://{}{}", url.authority(), url.path);
        url
    }

    /// The same in the one way that it is written in, without a fragment.
    #[must_use]
    pub fn normalized(&self) -> Self {
        Self::new(&self.host, self.port, &self.path)
    }

    /// The address of a link that stands on this page (RFC 3986, section 5). What does not belong into
    /// an address is percent-encoded, and the fragment left out.
    ///
    /// # Errors
    /// If it is nothing that can be fetched.
    pub fn join(&self, link: &str) -> Result<Self, UrlError> {
        let link = link.trim_ascii().split('#').next().unwrap_or_default();
        let link = encoded(link);
        let page = self.path.split('?').next().unwrap_or_default();
        let scheme_ends = link.find([':', '/', '?']).filter(|end| link[*end..].starts_with(':'));
        let path = if scheme_ends.is_some() {
            return Ok(link.parse::<Self>()?.normalized());
        } else if let Some(rest) = link.strip_prefix("//") {
            return Ok(format!("http://{rest}").parse::<Self>()?.normalized());
        } else if link.starts_with('/') {
            link
        } else if link.is_empty() {
            self.path.clone()
        } else if link.starts_with('?') {
            format!("{page}{link}")
        } else {
            let folder = page.rfind('/').map_or(0, |slash| slash + 1);
            format!("{}{link}", &page[..folder])
        };
        Ok(Self::new(&self.host, self.port, &path))
    }

    /// The host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 unless it is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host and the port, as they are written.
    fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port {
            80 => host,
            port => format!("{host}:{port}"),
        }
    }

    /// What is sent to ask for it. It is HTTP/1.0: the answer is neither chunked nor followed by
    /// another one.
    pub fn request(&self, accept: &str) -> String {
        format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: tulipa\r\nAccept: {accept}\r\n\
             Connection: close\r\n\r\n",
            self.path,
            self.authority(),
        )
    }
}

/// The path with its `.` and `..` resolved (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// The text with everything percent-encoded that cannot stand in an address.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte.is_ascii_graphic() {
            true => encoded.push(char::from(byte)),
            false => write!(encoded, "%{byte:02X}").expect("a string takes everything"),
        }
        encoded
    })
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
    fn links_are_read_from_the_page_that_they_stand_on() {
        let page: Url = "http://Example.org:80/a/b?c#d".parse().unwrap();
        for (link, url) in [
            ("", "http://example.org/a/b?c"),
            ("#top", "http://example.org/a/b?c"),
            ("e", "http://example.org/a/e"),
            ("./e/../f", "http://example.org/a/f"),
            ("..", "http://example.org/"),
            ("../../../e/.", "http://example.org/e/"),
            ("/e", "http://example.org/e"),
            ("?e", "http://example.org/a/b?e"),
            ("?e=http://f", "http://example.org/a/b?e=http://f"),
            ("//f:81", "http://f:81/"),
            ("http://F/x y\u{e9}", "http://f/x%20y%C3%A9"),
        ] {
            assert_eq!(page.join(link).map(|url| url.to_string()), Ok(url.to_owned()), "{link}");
        }
        for bad in ["https://a", "mailto:a@b", "javascript:void(0)", "http://"] {
            assert!(page.join(bad).is_err(), "{bad}");
        }
    }
}
