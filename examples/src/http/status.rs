//! Status codes, and why a request was refused.

use std::fmt;

/// A status code with its reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    code: u16,
    reason: &'static str,
    /// The line with which a reply begins: it is the same each time.
    line: &'static str,
}

macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal)+) => {
        impl Status {
            $(#[doc = concat!(stringify!($code), " ", $reason, ".")]
            pub const $name: Status = Status {
                code: $code,
                reason: $reason,
                line: concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n"),
            };)+
        }
    };
}

statuses! {
    OK 200 "OK"
    NO_CONTENT 204 "No Content"
    BAD_REQUEST 400 "Bad Request"
    NOT_FOUND 404 "Not Found"
    METHOD_NOT_ALLOWED 405 "Method Not Allowed"
    REQUEST_TIMEOUT 408 "Request Timeout"
    CONTENT_TOO_LARGE 413 "Content Too Large"
    URI_TOO_LONG 414 "URI Too Long"
    EXPECTATION_FAILED 417 "Expectation Failed"
    MISDIRECTED_REQUEST 421 "Misdirected Request"
    FIELDS_TOO_LARGE 431 "Request Header Fields Too Large"
    INTERNAL_SERVER_ERROR 500 "Internal Server Error"
    NOT_IMPLEMENTED 501 "Not Implemented"
    VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported"
}

impl Status {
    /// The three digits.
    pub fn code(self) -> u16 {
        self.code
    }

    /// The words after them.
    pub fn reason(self) -> &'static str {
        self.reason
    }

    /// The status line, with its line end.
    pub(super) fn line(self) -> &'static str {
        self.line
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reason)
    }
}

/// A request that is not served: what it is answered, and why, in words for the client's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) why: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: Status, why: &'static str) -> Self {
        Refusal { status, why }
    }

    pub(super) const fn bad(why: &'static str) -> Self {
        Refusal { status: Status::BAD_REQUEST, why }
    }
}
