//! What is asked of the system so that short windows can be compared on a machine that has other work too.
//! Each of these is done where it is allowed and left where it is not: what is measured stays the same, only
//! noisier.

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::gettid;
use std::process::{Command, Stdio};

/// The core on which what is measured runs.
pub const SERVER_CORE: usize = 0;

/// The core on which what measures runs.
pub const GENERATOR_CORE: usize = 1;

/// Has the calling thread, and what it starts, run before all ordinary work of its core (`SCHED_RR`), so that
/// nothing cuts into a window. Whether it was allowed; that takes rights which few but root have, and the program
/// `chrt`.
pub fn run_in_real_time() -> bool {
    let thread = gettid().to_string();
    Command::new("chrt")
        .args(["--rr", "--pid", "1", &thread])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Lets the process, and what it starts, open as many descriptors as it may.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // What needs more than there are says so itself, when it comes to that.
    let _ =
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}
