//! Streams: readers fed by hand, readers and writers over memory, and over real sockets.
//!
//! Every test runs on a `TestLoop`, which fails if anything is left at its end. No test sleeps.

mod cancelling;
mod chaos;
mod endings;
mod flow;
mod listening;
mod making;
mod polling;
mod properties;
mod reading;
#[path = "../real_time/mod.rs"]
mod real_time;
mod separators;
mod serving;
mod support;
mod writing;
