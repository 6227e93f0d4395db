//! Which coroutine is running on this thread.

use super::coroutines::CoroutineId;
use std::cell::Cell;

thread_local! {
    static RUNNING: Cell<Running> = const { Cell::new(Running { task: None, coroutine: None }) };
}

#[derive(Clone, Copy)]
struct Running {
    task: Option<CoroutineId>,
    coroutine: Option<CoroutineId>,
}

/// The task whose step is running.
#[inline]
pub(crate) fn task() -> Option<CoroutineId> {
    RUNNING.get().task
}

/// The coroutine that is being polled: the task, or a branch of it.
#[inline]
pub(crate) fn coroutine() -> Option<CoroutineId> {
    RUNNING.get().coroutine
}

/// Makes a coroutine the running one until this is dropped.
pub(crate) struct Entered {
    previous: Running,
}

impl Entered {
    /// The step of a task begins.
    #[inline]
    pub(crate) fn task(id: CoroutineId) -> Self {
        Self { previous: RUNNING.replace(Running { task: Some(id), coroutine: Some(id) }) }
    }

    /// A branch of the running task is polled.
    #[inline]
    pub(crate) fn branch(id: CoroutineId) -> Self {
        let previous = RUNNING.get();
        RUNNING.set(Running { coroutine: Some(id), ..previous });
        Self { previous }
    }

    /// What follows belongs to no task: a callback, or another loop.
    #[inline]
    pub(crate) fn none() -> Self {
        Self { previous: RUNNING.replace(Running { task: None, coroutine: None }) }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        RUNNING.set(self.previous);
    }
}
