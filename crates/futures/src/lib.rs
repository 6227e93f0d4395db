//! Callbacks, futures and the scheduler interface of Tulipa, after PEP 3156: no I/O, no operating
//! system. Everything here works on any [`Scheduler`]; `tulipa-eventloop` has the one to use.
//!
//! - [`Scheduler`] is what an event loop must offer; [`SchedulerExt`] adds `call_soon` and company.
//! - [`Future`] is a result that will come, for one thread; [`concurrent::Future`] the kind that may
//!   cross threads (PEP 3148).
//! - [`TaskLocal`] is a variable whose value goes along with callbacks and tasks.
//! - [`TaskGroup`] runs tasks that end together; a [`Scope`] owns what is made through it, of any kind.
//! - [`Exception`] is the error that travels through them.

mod call_result;
mod callback;
mod catch;
pub mod channels;
mod combinators;
pub mod concurrent;
mod context;
mod cooperator;
mod current;
mod defer_later;
mod errors;
mod exception;
mod exception_context;
mod exception_group;
mod future;
mod handle;
mod in_place;
mod inline_once;
mod instant;
mod looping_call;
mod panic;
mod parked;
mod periodic_callback;
mod rate_limiter;
mod scheduler;
mod scope;
mod sleep;
mod slots;
mod sync;
mod task;
mod task_group;
mod timeout;
mod wrap_future;
mod yield_now;

pub use call_result::CallResult;
pub use callback::Callback;
pub use catch::{catch, catch_silently};
pub use combinators::{
    AsCompleted, AsFuture, JoinParts, Race, StaggeredRace, Ticket, Tickets, as_completed,
    ensure_future, ensure_future_on, gather, gather_results, join, join_all, race, shield,
    staggered_race, wait, wait_for,
};
pub use concurrent::ReturnWhen;
pub use context::{ResetToken, Scoped, TaskContext, TaskLocal};
pub use cooperator::{CooperativeTask, Cooperator};
pub use current::{EnteredScheduler, current, try_current};
pub use defer_later::defer_later;
pub use errors::{CancelledError, InvalidStateError, TimeoutError};
pub use exception::Exception;
pub use exception_context::ExceptionContext;
pub use exception_group::{ExceptionGroup, Leaves};
pub use future::{CallbackToken, Future};
pub use handle::{Handle, HandleState, TimerHandle};
pub use instant::Instant;
pub use looping_call::{FirstCall, LateCalls, LoopingCall, OnFailure, StopOnDrop};
pub use panic::PanicError;
pub use periodic_callback::{InvalidInterval, PeriodicCallback};
pub use rate_limiter::{InvalidRate, NeverEnough, RateLimiter, TokenBucket};
pub use scheduler::{
    CallbackId, Closed, ClosedError, PostedClosure, Scheduler, SchedulerExt, SchedulerId,
    ThreadsafeScheduler,
};
pub use scope::{Scope, ScopeHandle, ScopeMember, ScopeReport};
pub use sleep::{Sleep, sleep, sleep_until};
pub use sync::{
    Barrier, BoundedSemaphore, BrokenBarrierError, Condition, Event, LifoQueue, Lock, LockGuard,
    PriorityQueue, PutError, Queue, QueueEmpty, QueueFull, QueueShutDown, QueueUnderflow,
    Semaphore, SemaphorePermit,
};
#[doc(hidden)]
pub use task::take_unretrieved_panics;
pub use task::{
    Awaited, AwaitedFuture, CallGraph, CallGraphNode, CancelOnDrop, Step, StepFailure, Task,
    TaskBuilder, TaskRef, TaskState, all_tasks, capture_call_graph, create_task, current_task,
    format_task_tree, print_task_tree, spawn,
};
pub use task_group::TaskGroup;
pub use timeout::{Timeout, timeout, timeout_at, timeout_value};
pub use wrap_future::{to_concurrent, wrap_future};
pub use yield_now::{YieldNow, yield_now};

/// What the macros of this crate expand to.
#[doc(hidden)]
pub mod __private {
    pub use crate::call_result::Outcome;
    pub use crate::combinators::{Arm, Contestant, Outcomes, contest};
}
