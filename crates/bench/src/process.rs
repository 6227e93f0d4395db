//! What is asked of the system so that short windows can be compared on a machine that has other work too.
//! Each of these is done where it is allowed and left where it is not: what is measured stays the same, only
//! noisier.

use crate::pin;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, gettid, sched_getaffinity};
use std::io::Error;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The two cores that are used: what is measured runs on the one, what measures on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// For what is measured.
    pub server: usize,
    /// For what measures.
    pub generator: usize,
}

impl Cores {
    /// The first two on which this process may run. (So `taskset` chooses others, as those of one socket that are
    /// not two halves of the same core.)
    ///
    /// # Errors
    /// If there are fewer than two.
    pub fn of_this_process() -> Result<Self, Error> {
        match *allowed() {
            [server, generator, ..] => Ok(Self { server, generator }),
            _ => Err(Error::other("two cores are needed: a server's and a client's")),
        }
    }
}

/// The cores on which this process may run. They are looked up once: threads that are pinned later know them too.
fn allowed() -> &'static [usize] {
    static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
        (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect()
    })
}

/// Keeps the calling thread, the one that is measured, on the first core that is allowed. The first of these calls
/// in a program must come before anything else is pinned.
pub fn pin_to_first() {
    pin(allowed().get(..1).unwrap_or_default());
}

/// Keeps the calling thread, one that works beside what is measured, on the second core that is allowed; on the first
/// if there is no other.
pub fn pin_to_second() {
    let allowed = allowed();
    pin(allowed.get(1..2).unwrap_or(allowed));
}

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
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
