//! The event loop of Tulipa: callbacks in order, timers, readiness, signals, executor.
