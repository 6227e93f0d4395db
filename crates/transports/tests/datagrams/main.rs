//! Datagram endpoints on real sockets.
//!
//! Every test runs on a `TestLoop`, which fails if anything is left at its end, and every protocol is
//! wrapped in a recorder of its life. No test sleeps.

mod chaos;
mod errors;
mod flow_control;
mod life;
mod multicast;
mod opening;
mod panics;
mod raw;
mod reentrancy;
mod sending;
mod support;
mod unix;
