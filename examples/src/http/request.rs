//! A request as the handler sees it.

use httparse::Header;

/// One whole request. It borrows from the connection's input and lives for one call.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// ASCII, as its check left nothing else.
    pub(super) host: Option<&'a [u8]>,
    pub(super) fields: &'a [Header<'a>],
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The method, as sent: methods are case-sensitive.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The path, still percent-encoded; it begins with `/`, or is `*` in `OPTIONS *`.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What follows the first `?`, still percent-encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The Host field with its port, if any. Always there in HTTP/1.1.
    pub fn host(&self) -> Option<&'a str> {
        self.host.and_then(|host| std::str::from_utf8(host).ok())
    }

    /// The value of the first field called `name` (in any case), without the white space around it.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }

    /// The body, with any transfer-coding removed.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}
