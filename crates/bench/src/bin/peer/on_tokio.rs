//! The runtime of tokio that its servers run on.

use std::io::Result;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// One thread, whose scheduler has the tasks itself (a `LocalSet` would be a second one on top), and no timers, as
/// none of the servers has any.
pub(crate) fn runtime() -> Result<LocalRuntime> {
    Builder::new_current_thread().enable_io().build_local(LocalOptions::default())
}
