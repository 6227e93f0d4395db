//! What thread futures, waiting for several, and executors promise (F-29, E-4, E-11).
//!
//! Nobody sleeps here: who blocks is released by another thread, and who must time out gets a
//! timeout that is over soon.

mod executor;
mod log_records;
mod random;
mod state;
mod threads;
mod wait;
