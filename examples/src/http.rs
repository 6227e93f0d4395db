//! HTTP/1.1 on the server's side: one strict grammar for requests, and replies in their order.
//!
//! A [`Connection`] is fed the bytes of one connection, cut anywhere, and calls a function with each
//! [`Request`] and a [`Reply`] that writes the answer. It knows no socket and no time. What is not
//! exactly a request (bare line feeds, folded fields, two lengths, a length and a transfer-coding, …)
//! is refused and ends the connection, because a guess about where a request ends is how requests are
//! smuggled past others (RFC 9112, section 11.2).
//!
//! Invariants: the same bytes give the same calls and the same output however they are split; the work
//! is linear in the input; what is held is bounded by the [`Limits`].

mod chunked;
mod connection;
mod head;
mod limits;
mod reply;
mod request;
mod response;
mod status;

pub use connection::{Connection, Next};
pub use limits::Limits;
pub use reply::Reply;
pub use request::Request;
pub use response::Response;
pub use status::Status;
