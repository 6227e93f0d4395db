//! What goes around protocols. That a wrapped protocol is told what any other is, and that its requests
//! are heeded, is checked with the contract of stream transports.

#[path = "../streams/support.rs"]
#[allow(dead_code, reason = "shared with the tests of streams")]
mod support;

#[cfg(feature = "tls")]
mod encrypted;
mod factories;
#[cfg(feature = "tls")]
#[path = "../tls/kit.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS")]
mod kit;
mod limits;
mod proxied;
mod throttle;
mod traffic;
mod wrapping;
