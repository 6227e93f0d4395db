//! Locks, events, semaphores, barriers and queues for the tasks of one loop.
//!
//! They are plain handles: clones name the same thing, what is acquired is a guard, and dropping the
//! guard gives it back (S-4). All are fair: who waits first is served first (S-2). A wait may be
//! cancelled or dropped at any time; if its turn had come by then, the next one gets it (S-3).
//!
//! They are made without a loop. The first operation that has to wait ties them to the loop that is
//! running; waiting on another one is an [`InvalidStateError`](crate::InvalidStateError) from then on
//! (S-1). Code between two `.await`s is never interrupted, so plain data that is not held across one
//! needs no lock at all.
//!
//! The futures that the waiting methods return borrow nothing and can be made into tasks:
//! `create_task(queue.get())` is how callback code waits for an item.

mod barrier;
mod condition;
mod event;
mod line;
mod lock;
mod queue;
mod semaphore;
mod tokens;
mod waiters;

pub use barrier::{Barrier, BrokenBarrierError};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use queue::{
    LifoQueue, PriorityQueue, PutError, Queue, QueueEmpty, QueueFull, QueueShutDown, QueueUnderflow,
};
pub use semaphore::{BoundedSemaphore, Semaphore, SemaphorePermit};
pub(crate) use waiters::{AskedAt, Grants, Home, Wait, Waiters};
