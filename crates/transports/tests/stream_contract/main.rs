//! What every stream transport promises, checked for each kind of them: TCP, Unix sockets, pipes,
//! memory. A new kind is one more entry in `kinds.rs`.
//!
//! Each test runs once a kind, wrapped in the life-cycle recorder, on a loop that fails if anything is
//! left; and each time the descriptors of the process are counted before and after.

#[path = "../streams/support.rs"]
#[allow(dead_code, reason = "shared with the tests of streams")]
mod support;

mod endings;
mod flow;
mod half_close;
mod kinds;
mod panics;
mod protocols;
mod push_back;
mod random;
mod reading;
mod reentrancy;
mod writing;
