//! [`ShutdownReport`]: what became of the connections of a server that was shut down.

use futures::{Future, TimerHandle};

/// What became of the connections that a server had when it was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Those that ended by themselves within the deadline.
    pub drained: usize,
    /// Those that had to be aborted.
    pub aborted: usize,
}

/// A shutdown that is under way.
pub(super) struct Shutdown {
    future: Future<ShutdownReport>,
    connections: usize,
    aborted: usize,
    deadline: TimerHandle,
}

impl Shutdown {
    pub(super) fn new(
        future: Future<ShutdownReport>,
        connections: usize,
        deadline: TimerHandle,
    ) -> Self {
        Self { future, connections, aborted: 0, deadline }
    }

    /// So many are aborted now.
    pub(super) fn cut_off(&mut self, count: usize) {
        self.aborted = self.aborted.max(count.min(self.connections));
    }

    /// All connections are gone.
    pub(super) fn finish(self) {
        self.deadline.cancel();
        let report =
            ShutdownReport { drained: self.connections - self.aborted, aborted: self.aborted };
        // If it was cancelled, nobody wants to know.
        let _ = self.future.set_result(report);
    }
}
