//! What the threads tell each other, and what is told of them in the end.

use crate::{Intake, ShutdownReport};
use futures::Exception;
use futures::channels::mailbox;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What the coordinator is told.
pub(super) enum News {
    /// A core is ready to serve.
    Started {
        core: usize,
        intake: Intake,
        commands: mailbox::Sender<Command>,
    },
    /// It serves.
    Serving {
        core: usize,
    },
    /// Its thread has come to an end.
    Ended {
        core: usize,
        outcome: Result<ShutdownReport, Exception>,
    },
    /// It is time to start it again.
    Restart {
        core: usize,
    },
    ShutDown(Duration),
}

/// What a core is told.
pub(super) enum Command {
    Serve,
    ShutDown(Duration),
    /// What it told itself: its server has ended.
    Done(Result<ShutdownReport, Exception>),
}

/// What became of a server on several cores: the sum, and each core for itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CoresReport {
    /// Connections that ended by themselves within the deadline.
    pub drained: usize,
    /// Those that had to be aborted; of stuck cores all that they had.
    pub aborted: usize,
    /// Connections that were closed at once before ([`Cores::shed`](crate::Cores::shed)).
    pub shed: u64,
    /// How each core ended, by number.
    pub cores: Vec<CoreReport>,
}

impl CoresReport {
    /// Whether every core ended in order, and nothing was aborted.
    pub fn is_clean(&self) -> bool {
        let in_order = |core: &CoreReport| matches!(core.end, CoreEnd::InOrder);
        self.aborted == 0 && self.cores.iter().all(in_order)
    }
}

/// What became of one core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CoreReport {
    /// Connections that ended by themselves within the deadline.
    pub drained: usize,
    /// Those that had to be aborted, or were there when the core got stuck.
    pub aborted: usize,
    /// How it ended.
    pub end: CoreEnd,
}

/// How a core ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CoreEnd {
    /// As it was told.
    InOrder,
    /// By itself: this is why.
    Failed(Exception),
    /// Not at all: its thread runs somebody's code that does not return.
    Stuck,
}

/// A core that could not be started. (`Error::source` is why.)
#[derive(Debug)]
pub struct CoreError {
    core: usize,
    cause: Exception,
}

impl CoreError {
    pub(super) fn new(core: usize, cause: Exception) -> Self {
        Self { core, cause }
    }

    /// Which one.
    pub fn core(&self) -> usize {
        self.core
    }

    /// Why.
    pub fn cause(&self) -> &Exception {
        &self.cause
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core {} could not be started", self.core)
    }
}

impl Error for CoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_error())
    }
}
