//! Tulipa: PEP 3156, the interface behind Python's asyncio, for Rust.
//!
//! One single-threaded event loop that runs callbacks in order, timers on time and I/O when it is
//! ready; Futures that tell you later what happened; Protocols that say *which* bytes and Transports
//! that say *how*. This crate only gathers the others; each type's page has its own examples.
//!
//! Features, all off by default, put other libraries on our streams: `futures-core`, `futures-io`, `tokio`
//! and `hyper`. See `interop`. `inotify` adds `files::Watcher`, which tells of changes of files; `tls` adds
//! encrypted connections, the module `tls`.

pub use eventloop::*;
pub use futures::{
    AsCompleted, AsFuture, Awaited, AwaitedFuture, Barrier, BoundedSemaphore, BrokenBarrierError,
    CallGraph, CallGraphNode, CallResult, Callback, CallbackId, CallbackToken, CancelOnDrop,
    CancelledError, Closed, ClosedError, Condition, CooperativeTask, Cooperator, EnteredScheduler,
    Event, Exception, ExceptionContext, ExceptionGroup, FirstCall, Future, Handle, HandleState,
    Instant, InvalidInterval, InvalidRate, InvalidStateError, JoinParts, LateCalls, Leaves,
    LifoQueue, Lock, LockGuard, LoopingCall, NeverEnough, OnFailure, PanicError, PeriodicCallback,
    PostedClosure, PriorityQueue, PutError, Queue, QueueEmpty, QueueFull, QueueShutDown,
    QueueUnderflow, Race, RateLimiter, ResetToken, ReturnWhen, Scheduler, SchedulerExt,
    SchedulerId, Scope, ScopeHandle, ScopeMember, ScopeReport, Scoped, Semaphore, SemaphorePermit,
    Sleep, StaggeredRace, Step, StepFailure, StopOnDrop, Task, TaskBuilder, TaskContext, TaskGroup,
    TaskLocal, TaskRef, TaskState, ThreadsafeScheduler, Ticket, Tickets, Timeout, TimeoutError,
    TimerHandle, TokenBucket, YieldNow, all_tasks, as_completed, capture_call_graph, catch,
    channels, concurrent, create_task, current_task, defer_later, ensure_future, ensure_future_on,
    format_task_tree, gather, gather_results, join, join_all, print_task_tree, race, select,
    shield, sleep, sleep_until, spawn, staggered_race, timeout, timeout_at, timeout_value,
    to_concurrent, wait, wait_for, wrap_future, yield_now,
};
pub use transports::streams::{
    StreamReader, StreamWriter, open_connection, open_read_pipe, open_unix_connection,
    open_write_pipe, start_server, start_unix_server,
};
pub use transports::subprocess::{Process, create_subprocess_exec, create_subprocess_shell};
pub use transports::*;

/// What most programs import: the loop and its traits. The name `Future` is left out, so that it does
/// not hide the standard library's.
pub mod prelude {
    pub use crate::{EventLoop, Exception, Instant, LoopHandle};
    pub use eventloop::prelude::*;
    pub use transports::prelude::*;
}

/// The programs in the project's pages, so that they are compiled, and run where they end by themselves.
#[cfg(doctest)]
pub mod pages {
    #[doc = include_str!("../../../README.md")]
    pub struct Readme;
    #[doc = include_str!("../../../docs/tutorial.md")]
    pub struct Tutorial;
    #[doc = include_str!("../../../docs/cancellation.md")]
    pub struct Cancellation;
    #[doc = include_str!("../../../docs/porting.md")]
    pub struct Porting;
    #[doc = include_str!("../../../docs/names.md")]
    pub struct Names;
    #[cfg(all(
        feature = "futures-core",
        feature = "futures-io",
        feature = "hyper",
        feature = "tokio"
    ))]
    #[doc = include_str!("../../../docs/interop.md")]
    pub struct Interop;
    #[cfg(feature = "tls")]
    #[doc = include_str!("../../../docs/tls.md")]
    pub struct Tls;
}
