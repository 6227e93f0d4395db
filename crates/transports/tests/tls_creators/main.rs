//! Creators whose options say TLS: connections, servers, streams, over sockets.

#![cfg(feature = "tls")]

#[path = "../authority/mod.rs"]
mod authority;
mod connections;
mod cores;
mod factories;
mod failures;

mod knowledge;
mod servers;
mod streams;
mod support;
mod upgrades;
