//! [`Traffic`]: what was passed on, in numbers.

use std::cell::Cell;
use std::fmt;

/// What was passed on, in numbers.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Connections that are open.
    pub open: Cell<u64>,
    /// All there ever were.
    pub all: Cell<u64>,
    /// Those that failed: the target cannot be reached, or a side was lost.
    pub failed: Cell<u64>,
    /// Those that were silent for too long.
    pub idle: Cell<u64>,
    /// Those that the end of the program cut.
    pub cut: Cell<u64>,
    /// Bytes that went to the target.
    pub to_target: Cell<u64>,
    /// Bytes that came back.
    pub to_client: Cell<u64>,
}

/// An open connection.
pub(super) struct Open<'a>(&'a Traffic);

impl Traffic {
    pub(super) fn begin(&self) -> Open<'_> {
        self.open.set(self.open.get() + 1);
        self.all.set(self.all.get() + 1);
        Open(self)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, all, failed, idle, cut, to_target, to_client } = self;
        write!(
            f,
            "connections: {} open, {} in all, {} failed, {} idle, {} cut; bytes: {} there, {} back",
            open.get(),
            all.get(),
            failed.get(),
            idle.get(),
            cut.get(),
            to_target.get(),
            to_client.get(),
        )
    }
}
