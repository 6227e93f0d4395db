//! What the example programs share: protocols as plain machines, without sockets and without a loop.
//!
//! [`http`] answers HTTP/1.1 requests, [`mail`] receives mail by SMTP and keeps and shows it. Both take
//! bytes and hand out bytes, so that the programs only have to carry them between a machine and a
//! transport, and so that a test can cut the same input wherever it likes.
#![forbid(unsafe_code)]

pub mod http;
pub mod mail;
mod work;
