//! Protocols that cut the stream into messages: lines, and what ends with a terminator.

#[path = "../streams/support.rs"]
#[allow(dead_code, reason = "shared with the tests of streams")]
mod support;

mod chunking;
mod file_sender;
mod harness;
mod leaving;
mod lines;
mod lines_cut;
mod lines_reentrancy;
mod terminators;
