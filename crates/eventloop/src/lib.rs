//! The event loop of Tulipa: callbacks in order, timers, readiness, signals, executor.

#[allow(dead_code)] // until the loop is here
mod timers;
