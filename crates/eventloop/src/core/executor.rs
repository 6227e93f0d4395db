//! The default executor of a loop: made at first use, shut down with a deadline.

use super::{LoopCore, Phase};
use crate::ThreadPoolExecutor;
use futures::concurrent::Executor;
use futures::{ExceptionContext, Future, InvalidStateError, Scheduler};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
pub(super) enum DefaultExecutor {
    #[default]
    NotMade,
    Running(Arc<dyn Executor>),
    ShutDown,
}

impl DefaultExecutor {
    pub(super) fn shut_down_without_waiting(self) {
        if let DefaultExecutor::Running(executor) = self {
            executor.shutdown();
        }
    }
}
