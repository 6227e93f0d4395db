//! Waiting for several things, or for one in a special way.
//!
//! What runs by itself, futures and tasks, is joined by [`gather()`], [`wait()`], [`as_completed()`]
//! and [`shield()`]; parts of the task that waits are joined in place by [`join()`], [`join_all`] and
//! the macro [`gather!`](crate::gather!).

mod as_completed;
mod as_future;
mod ensure_future;
mod gather;
mod join;
mod shield;
mod wait;

pub use as_completed::{AsCompleted, Ticket, Tickets, as_completed};
pub use as_future::AsFuture;
pub use ensure_future::{ensure_future, ensure_future_on};
pub use gather::{gather, gather_results};
pub use join::{JoinParts, join, join_all};
pub use shield::shield;
pub use wait::wait;
