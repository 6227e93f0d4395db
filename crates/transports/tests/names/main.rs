//! Names and addresses: look-ups with a resolver of our own, the threads of one that blocks, and how
//! several addresses of a host are tried.
//!
//! Every test runs on a `TestLoop`, which fails if anything is left at its end. No test sleeps.

mod eyeballs;
mod logged;
mod look_ups;
mod scripted;
mod threads;

#[allow(dead_code, reason = "these tests need a part of what the others do")]
#[path = "../streams/support.rs"]
mod support;
