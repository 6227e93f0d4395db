//! The event loop of Tulipa: callbacks in order, timers, readiness, signals, executor.

#[allow(dead_code)] // until the loop itself is here
mod cross_thread;

pub use cross_thread::{CallRefused, CallState, CancelAnswer, ThreadsafeCall, ThreadsafeHandle};
