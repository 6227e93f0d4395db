//! A response as a value, for handlers that build it in one place and send it in another.

use std::borrow::Cow;

use super::reply::Reply;
use super::status::Status;

/// Everything about a reply that is not the connection's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status.
    pub status: Status,
    /// Fields, apart from Content-Length and Connection.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    /// The body; for HEAD it is not sent, but counted.
    pub body: Cow<'a, [u8]>,
}

impl Response<'_> {
    /// Sends it.
    pub fn send(&self, reply: Reply<'_>) {
        let fields: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (*name, &**value)).collect();
        reply.send(self.status, &fields, &self.body);
    }
}
