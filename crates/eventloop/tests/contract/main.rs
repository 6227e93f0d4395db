//! What `docs/contract.md` promises of the loop, clause by clause, on every loop there is: both
//! drivers, with one batch between two polls and with many.
//!
//! One file for one idea. A test's name begins with the clauses that it holds. Nothing here sleeps:
//! time is a test's clock, and other threads are waited for by pipes, channels and barriers.

mod closing;
mod common;
mod current_loop;
mod descriptors;
mod exceptions;
mod executor;
mod guest;
mod model;
mod observation;
mod ordering;
mod own_process;
mod reentrancy;
mod replaced;
mod runner;
mod running;
mod signals;
mod stopping;
mod system_events;
mod tasks;
mod threads;
mod threadsafe_tasks;
mod timers;
mod upheaval;
