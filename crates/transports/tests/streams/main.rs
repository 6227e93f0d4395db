//! Protocols, transports and servers, on real sockets and in memory.
//!
//! Every test runs on a `TestLoop`, which fails if anything is left at its end, and every protocol is
//! wrapped in the life-cycle recorder. No test sleeps.

mod apart;
mod budgets;
mod chaos;
mod clients;
mod descriptors;
mod flow_control;
mod half_close;
mod life;
mod panics;
mod protocols;
mod push_back;
mod reading;
mod reentrancy;
mod scopes;
mod send_file;
mod servers;
mod shutdown;
mod support;
mod transports;
mod unix;
mod within;
mod writing;
