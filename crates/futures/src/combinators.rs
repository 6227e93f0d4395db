//! Waiting for several things, or for one in a special way.
//!
//! What runs by itself, futures and tasks, is joined by [`gather()`], [`wait()`], [`as_completed()`]
//! and [`shield()`]; parts of the task that waits are joined in place by [`join()`], [`join_all`] and
//! the macro [`gather!`](crate::gather!), and compete in place in [`race()`],
//! [`select!`](crate::select!) and [`staggered_race()`].

mod as_completed;
mod as_future;
mod ensure_future;
mod gather;
mod handles;
mod join;
mod race;
mod select;
mod shield;
mod staggered_race;
mod wait;
mod wait_for;

pub use as_completed::{AsCompleted, Ticket, Tickets, as_completed};
pub use as_future::AsFuture;
pub(crate) use ensure_future::Given;
pub use ensure_future::{ensure_future, ensure_future_on};
pub use gather::{gather, gather_results};
pub use join::{JoinParts, join, join_all};
pub use race::{Arm, Contestant, Outcomes, Race, contest, race};
pub use shield::shield;
pub use staggered_race::{StaggeredRace, staggered_race};
pub use wait::wait;
pub use wait_for::wait_for;
