//! [`LoopExecutor`]: where hyper puts what is to run beside a connection.

use futures::{Scheduler, SchedulerExt};
use hyper::rt::Executor;
use std::fmt;
use std::rc::Rc;

/// hyper's executor on a loop: each future becomes a task of it. Nothing has to be `Send`.
///
/// HTTP/1 needs none; HTTP/2, and what builds on hyper, does.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use hyper::rt::Executor;
/// use std::{cell::Cell, rc::Rc};
/// use tulipa_transports::interop::LoopExecutor;
/// let event_loop = EventLoop::new()?;
/// let (executor, ran) = (LoopExecutor::new(&**event_loop), Rc::new(Cell::new(false)));
/// let flag = ran.clone();
/// executor.execute(async move { flag.set(true) });
/// event_loop.run_coroutine(async { futures::yield_now().await })?;
/// assert!(ran.get());
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct LoopExecutor {
    scheduler: Rc<dyn Scheduler>,
}

impl LoopExecutor {
    /// One that runs everything on `scheduler`; on a scope's view of a loop, it ends with that.
    pub fn new(scheduler: &dyn Scheduler) -> Self {
        Self { scheduler: scheduler.to_rc() }
    }

    /// That of the loop that runs.
    ///
    /// # Panics
    /// If none runs here.
    #[track_caller]
    pub fn current() -> Self {
        Self { scheduler: futures::current() }
    }
}

impl<F> Executor<F> for LoopExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        self.scheduler.spawn(future);
    }
}

impl fmt::Debug for LoopExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoopExecutor(loop {})", self.scheduler.id())
    }
}
