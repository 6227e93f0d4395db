//! What the example programs share.
//!
//! [`http`] answers HTTP/1.1 requests, [`mail`] receives mail by SMTP and keeps and shows it. Both are
//! plain machines that take bytes and hand out bytes, without sockets and without a loop, so that a
//! test can cut the same input wherever it likes. [`http_protocol`] carries the bytes
//! between a machine and a transport, and [`mail::Smtp`] the lines.
//!
//! [`crawl`], [`chat`], [`proxy`] and [`file_server`] are coroutines over streams, which a test can give
//! streams in memory and a clock that steps by itself; [`http_client`] shows both ways beside each other.
//! [`irc`] is a chat server and its client, of protocols: a machine again, with sockets around it.
//! [`metrics`] are agents and a collector that speak in strings told apart by their lengths.
//! [`tail`] follows a file as it grows, [`shell`] runs other programs. [`self_made`] certificates are
//! for servers that have none.
#![forbid(unsafe_code)]

pub mod chat;
pub mod crawl;
pub mod file_server;
pub mod http;
pub mod http_client;
pub mod http_protocol;
pub mod irc;
pub mod mail;
pub mod metrics;
pub mod program;
pub mod proxy;
pub mod self_made;
pub mod serving;
#[cfg(test)]
mod sessions_tests;
pub mod shell;
pub mod tail;
mod work;
