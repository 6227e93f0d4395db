//! Which coroutine is running on this thread.
//!
//! Invariant: what the slot points to is borrowed by a function of this file that is still running,
//! and that puts the previous pointers back before it returns, by a panic too.
#![allow(unsafe_code)]

use super::cell::AnyTask;
use super::header::TaskHeader;
use super::wait_set::{WaitSet, WaitSetId};
use crate::Scheduler;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{NonNull, null};
use std::rc::Rc;
use std::task::Waker;

thread_local! {
    static RUNNING: Cell<Running> = const { Cell::new(Running::NOTHING) };
}

#[derive(Clone, Copy)]
struct Running {
    /// Null outside of tasks.
    task: *const RunningTask,
    /// That of the task, or of a branch of it.
    wait_set: *const WaitSet,
}

/// The task whose step runs.
pub(crate) struct RunningTask {
    /// Borrowed from whoever runs the step, and so not counted.
    task: ManuallyDrop<Rc<dyn AnyTask>>,
    header: NonNull<TaskHeader>,
    /// Where its scheduler is.
    scheduler: *const dyn Scheduler,
}

impl Running {
    const NOTHING: Self = Self { task: null(), wait_set: null() };
}

impl RunningTask {
    #[inline]
    pub(crate) fn task(&self) -> &Rc<dyn AnyTask> {
        &self.task
    }

    #[inline]
    pub(crate) fn header(&self) -> &TaskHeader {
        // SAFETY: it is a part of the task that lies beside it, and never moves.
        unsafe { self.header.as_ref() }
    }

    /// What it runs on.
    #[inline]
    pub(crate) fn scheduler(&self) -> &dyn Scheduler {
        // SAFETY: the task, which is borrowed for as long as this is there, keeps it alive, and never
        // exchanges it.
        unsafe { &*self.scheduler }
    }

    /// Whether it runs on `scheduler`.
    #[inline]
    pub(crate) fn runs_on(&self, scheduler: &dyn Scheduler) -> bool {
        std::ptr::addr_eq(self.scheduler, scheduler)
    }

    /// Whether `waker` is the one that this task has lent out for its step.
    #[inline]
    pub(crate) fn lent(&self, waker: &Waker) -> bool {
        self.header().waker().has_lent(waker)
    }
}

/// Runs `function` as a step of `task`.
#[inline]
pub(crate) fn as_task<R>(task: &Rc<impl AnyTask + 'static>, function: impl FnOnce() -> R) -> R {
    let header = task.header();
    // SAFETY: `task` is borrowed until this function returns, and so is counted for as long as there
    // is this second pointer, which does not count and is never dropped.
    let uncounted = unsafe { Rc::from_raw(Rc::as_ptr(task)) };
    let running = RunningTask {
        task: ManuallyDrop::new(uncounted),
        header: NonNull::from(header),
        scheduler: Rc::as_ptr(task.scheduler()),
    };
    let _entered = Entered::new(Running { task: &raw const running, wait_set: header.wait_set() });
    function()
}

/// Runs `function` as a part of the running task whose waits stand in `wait_set`.
#[inline]
pub(crate) fn as_branch<R>(wait_set: &WaitSet, function: impl FnOnce() -> R) -> R {
    let running = Running { wait_set, ..RUNNING.with(Cell::get) };
    let _entered = Entered::new(running);
    function()
}

/// Calls `function` with the task whose step runs, `None` in plain callbacks, and with the wait set of
/// the coroutine that is polled, `None` outside of one.
#[inline]
pub(crate) fn with_running<R>(
    function: impl FnOnce(Option<&RunningTask>, Option<&WaitSet>) -> R,
) -> R {
    let running = RUNNING.with(Cell::get);
    // SAFETY: by the invariant each is null, or borrowed by a function that this runs inside of.
    let (task, wait_set) = unsafe { (running.task.as_ref(), running.wait_set.as_ref()) };
    function(task, wait_set)
}

/// Calls `function` with the task whose step runs, `None` in plain callbacks.
#[inline]
pub(crate) fn with_task<R>(function: impl FnOnce(Option<&RunningTask>) -> R) -> R {
    with_running(|task, _| function(task))
}

/// Calls `function` with the wait set of the coroutine that is polled, `None` outside of one.
#[inline]
pub(crate) fn with_wait_set<R>(function: impl FnOnce(Option<&WaitSet>) -> R) -> R {
    with_running(|_, wait_set| function(wait_set))
}

/// Which wait set that is.
#[inline]
pub(crate) fn wait_set_id() -> WaitSetId {
    WaitSetId::at(RUNNING.with(Cell::get).wait_set)
}

/// Puts back what ran before. Never leaves this file, so that it cannot be forgotten.
struct Entered {
    previous: Running,
}

impl Entered {
    #[inline]
    fn new(running: Running) -> Self {
        Self { previous: RUNNING.with(|current| current.replace(running)) }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        RUNNING.with(|current| current.set(self.previous));
    }
}
