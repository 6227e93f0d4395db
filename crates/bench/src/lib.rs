//! What the benchmark programs share: clocks, pinning, the lines that report what was measured, and the
//! tables and charts that are made from them.

pub mod charts;
#[cfg(target_os = "linux")]
pub mod cpu;
pub mod figure;
#[cfg(target_os = "linux")]
pub mod load;
#[cfg(target_os = "linux")]
pub mod machine;
#[cfg(target_os = "linux")]
pub mod process;
pub mod record;
pub mod report;
#[cfg(target_os = "linux")]
pub mod server;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// CPU time of this process and wall time, since it was started. CPU time does not depend on what
/// else the machine does.
pub struct Stopwatch {
    cpu: Duration,
    wall: Instant,
}

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self { cpu: cpu_time(), wall: Instant::now() }
    }

    /// CPU time used by the process since.
    pub fn cpu(&self) -> Duration {
        cpu_time() - self.cpu
    }

    /// Wall time since.
    pub fn wall(&self) -> Duration {
        self.wall.elapsed()
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps the calling thread on these cores, if that is allowed.
pub fn pin(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    // What is measured stays the same, only noisier.
    let _ = sched_setaffinity(None, &set);
}

/// Numbers that look random, the same in every program (xorshift).
pub struct Random(u64);

impl Random {
    /// The generator that all peers' programs use.
    pub fn new() -> Self {
        Self(42)
    }

    /// A delay below one second.
    pub fn delay(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_nanos(self.0 % 1_000_000_000)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
