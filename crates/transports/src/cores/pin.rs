//! Keeping a thread on one processor, where the system has a call for it.

use std::io;

/// Keeps this thread on one of the processors that the process may use: the `index`th, counted round.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn pin(index: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let Some(chosen) = processors.get(index % processors.len().max(1)) else { return Ok(()) };
    let mut only = CpuSet::new();
    only.set(*chosen);
    Ok(sched_setaffinity(None, &only)?)
}

/// Cannot be done here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn pin(_index: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
