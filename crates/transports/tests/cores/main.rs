//! Servers on several cores, and connections that change their loop: real threads, real sockets.
//!
//! No test sleeps: the clients block until they are answered, and the ends are futures. The tests of this
//! program run one at a time, since they count the process's threads and descriptors.

mod failures;
mod giving;
mod serving;
mod shutdown;
mod support;
