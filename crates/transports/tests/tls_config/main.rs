//! The configuration of TLS: what it is made of, what it refuses, and what two of them agree on.

#![cfg(feature = "tls")]

#[path = "../authority/mod.rs"]
mod authority;
mod choosing;
mod handshake;
mod loading;
mod settings;
mod trust;
