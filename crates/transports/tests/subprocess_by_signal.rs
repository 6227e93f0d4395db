//! The tests of `subprocess`, with children watched by SIGCHLD.

use tulipa_transports::subprocess::ChildWatcher;

#[path = "subprocess/coroutines.rs"]
mod coroutines;
#[path = "subprocess/ends.rs"]
mod ends;
#[path = "subprocess/options.rs"]
mod options;
#[path = "subprocess/protocols.rs"]
mod protocols;
#[path = "subprocess/reentrancy.rs"]
mod reentrancy;
#[path = "subprocess/support.rs"]
mod support;

const WATCHER: ChildWatcher = ChildWatcher::Signal;
