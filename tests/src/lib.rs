//! What the tests across the crates share.
//!
//! - [`Host`] is a loop under test: a suite is written once, against it, and runs on every host.
//! - [`LoopHost`] is the event loop. [`MiniHost`] is the smallest one, around [`MiniScheduler`], and
//!   [`LocalSetHost`] one that another runtime drives, around [`LocalSetScheduler`]. These two are not our
//!   event loop: whatever passes on them uses nothing but the public interface of a scheduler (I-1,
//!   I-17).
//! - [`on_every_host!`](on_every_host) makes a test for each check and host; a new host is one more
//!   line there.

mod host;
mod local_set_scheduler;
mod mini_scheduler;
mod probes;
mod reports;

pub use host::{Host, LocalSetHost, LoopHost, MiniHost, check};
pub use local_set_scheduler::LocalSetScheduler;
pub use mini_scheduler::MiniScheduler;
pub use probes::{OnDrop, Trace, WakeCounter, local_waker, on_drop};
pub use reports::ExceptionHandler;
