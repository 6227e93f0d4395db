//! Files through the executor, and what the system tells of their changes.

#[path = "../streams/support.rs"]
#[allow(dead_code, reason = "shared with the tests of streams")]
mod support;

mod operations;
#[cfg(all(feature = "inotify", target_os = "linux"))]
mod watcher;
