//! The default executor of a loop: made at first use, shut down with a deadline.

use super::{LoopCore, Phase};
use crate::{ThreadPoolExecutor, ThreadPoolOptions};
use futures::concurrent::{self, Executor};
use futures::{Callback, Future, InvalidStateError, Scheduler, wrap_future};
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
pub(super) enum DefaultExecutor {
    #[default]
    NotMade,
    Pool(ThreadPoolExecutor),
    /// Set by the user, who also shuts it down (E-9).
    Foreign(Arc<dyn Executor>),
    /// It takes no more jobs, and ends those that it has.
    Ending(ThreadPoolExecutor),
    ShutDown,
}

impl DefaultExecutor {
    pub(super) fn shut_down_without_waiting(self) {
        match self {
            DefaultExecutor::Pool(pool) | DefaultExecutor::Ending(pool) => pool.shutdown_now(),
            DefaultExecutor::NotMade | DefaultExecutor::Foreign(_) | DefaultExecutor::ShutDown => {}
        }
    }
}

impl LoopCore {
    pub(super) fn make_default_executor(&self) -> Result<Arc<dyn Executor>, InvalidStateError> {
        if self.phase.get() == Phase::Closed {
            return Err(InvalidStateError::new("the event loop is closed"));
        }
        let mut executor = self.executor.borrow_mut();
        if let DefaultExecutor::NotMade = *executor {
            let pool = ThreadPoolExecutor::new(ThreadPoolOptions::default());
            *executor = DefaultExecutor::Pool(pool);
        }
        match &*executor {
            DefaultExecutor::Pool(pool) => Ok(Arc::new(pool.clone())),
            DefaultExecutor::Foreign(executor) => Ok(executor.clone()),
            DefaultExecutor::NotMade | DefaultExecutor::Ending(_) | DefaultExecutor::ShutDown => {
                Err(InvalidStateError::new("the default executor was shut down"))
            }
        }
    }

    pub(super) fn replace_default_executor(&self, executor: Arc<dyn Executor>) {
        if self.phase.get() != Phase::Closed {
            let previous = self.executor.replace(DefaultExecutor::Foreign(executor));
            self.drop_contained(previous);
        }
    }

    pub(super) fn end_default_executor(&self, timeout: Duration) -> Future<()> {
        let ended = Future::new(self.to_rc());
        let executor = self.executor.replace(DefaultExecutor::ShutDown);
        let (DefaultExecutor::Pool(pool) | DefaultExecutor::Ending(pool)) = executor else {
            self.drop_contained(executor);
            ended.set_result(()).expect("a new future is pending");
            return ended;
        };
        // Until it has ended, closing the loop concerns it.
        self.executor.replace(DefaultExecutor::Ending(pool.clone()));
        let all_done = concurrent::Future::new();
        let wrapped = wrap_future(&all_done, self);
        let too_late = {
            let (ended, pool) = (ended.clone(), pool.clone());
            Callback::new(move || {
                if ended.try_set_result(()).is_ok() {
                    log::warn!(
                        target: "tulipa",
                        "the default executor did not end its jobs within {timeout:?}"
                    );
                    pool.shutdown_now();
                }
            })
        };
        let timer = self.schedule_at(self.time() + timeout, too_late);
        let target = ended.clone();
        wrapped.add_done_callback(move |_| {
            if let Ok(timer) = &timer {
                timer.cancel();
            }
            // It was set already if the time was over first.
            let _ = target.try_set_result(());
        });
        // It has a listener already, so it cannot be cancelled under us.
        pool.shutdown(move || drop(all_done.set_result(())));
        ended
    }
}
