//! Children, their pipes and their ends, watched by a descriptor each.
//!
//! Every test runs on a `TestLoop`, which fails if anything is left at its end. No test sleeps; what is
//! waited for comes from the system.

use tulipa_transports::subprocess::ChildWatcher;

mod coroutines;
mod ends;
mod options;
mod protocols;
mod reentrancy;
mod support;

const WATCHER: ChildWatcher = ChildWatcher::Pidfd;
