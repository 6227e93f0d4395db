//! Tulipa: PEP 3156, the interface behind Python's asyncio, for Rust.
//!
//! One single-threaded event loop that runs callbacks in order, timers on time and I/O when it is
//! ready; Futures that tell you later what happened; Protocols that say *which* bytes and Transports
//! that say *how*. This crate only gathers the others; each type's page has its own examples.

pub use eventloop::*;
pub use futures::{
    Barrier, BoundedSemaphore, BrokenBarrierError, Callback, CallbackId, CallbackToken,
    CancelledError, Closed, ClosedError, Condition, EnteredScheduler, Event, Exception,
    ExceptionContext, Future, Handle, HandleState, Instant, InvalidStateError, LifoQueue, Lock,
    LockGuard, PanicError, PostedClosure, PriorityQueue, PutError, Queue, QueueEmpty, QueueFull,
    QueueShutDown, QueueUnderflow, ResetToken, Scheduler, SchedulerExt, SchedulerId, Scoped,
    Semaphore, SemaphorePermit, Sleep, Task, TaskBuilder, TaskContext, TaskLocal, TaskRef,
    TaskState, ThreadsafeScheduler, TimeoutError, TimerHandle, YieldNow, all_tasks, catch,
    channels, concurrent, create_task, current_task, sleep, sleep_until, spawn, to_concurrent,
    wrap_future, yield_now,
};
pub use transports::*;

/// What most programs import: the loop and its traits. The name `Future` is left out, so that it does
/// not hide the standard library's.
pub mod prelude {
    pub use crate::{EventLoop, Exception, Instant, LoopHandle};
    pub use eventloop::prelude::*;
    pub use transports::prelude::*;
}

/// The programs in the project's README, so that they are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
