//! Encrypted connections: their handshakes, their ends, and how an open connection becomes one.
#![cfg(feature = "tls")]

#[path = "../streams/support.rs"]
#[allow(dead_code, reason = "shared with the tests of streams")]
mod support;

mod below;
mod costs;
mod endings;
mod framed_upgrades;
mod handshakes;
mod kit;
mod lines;
mod logs;
mod upgrades;
