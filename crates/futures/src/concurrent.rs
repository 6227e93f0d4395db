//! Futures that may cross threads (PEP 3148), and who runs jobs for them.
//!
//! [`Future`] is a result that comes from another thread: its callbacks run in the thread that
//! completes it, and other threads may block until it is there. [`Executor`] is what runs jobs
//! elsewhere; [`ExecutorExt::submit`] turns a closure into a job and its future.
//! [`wrap_future`](crate::wrap_future()) and [`to_concurrent`](crate::to_concurrent) lead to the futures
//! of a loop and back.
//!
//! # Blocking and loops
//! A thread that runs a loop must not wait: what it waits for may need that very loop. So every
//! blocking call here ([`Future::result`], [`Future::take`], [`Future::exception`], [`wait()`],
//! [`as_completed`]) that would have to wait while a scheduler is
//! [current](crate::try_current) on the calling thread is refused with an
//! [`InvalidStateError`](crate::InvalidStateError), with or without a timeout (F-29). A call that need
//! not wait always works: a future that is done, or a timeout of zero.

mod executor;
mod future;
#[cfg(all(test, loom))]
mod models;
mod sync;
mod wait;

pub use executor::{Executor, ExecutorExt, Job, Refused};
pub use future::Future;
pub(crate) use future::ListenerId;
pub use wait::{AsCompleted, ReturnWhen, Waited, as_completed, wait};
