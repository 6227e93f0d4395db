//! The sync types this module is written over: std's, or loom's when its models are explored.
//!
//! `Arc` is std's in both: what is modelled is our protocol, not the counting.

use std::sync::PoisonError;
use std::time::Duration;

#[cfg(loom)]
pub(super) use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::{self, ThreadId},
};
#[cfg(not(loom))]
pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::{self, ThreadId},
};

/// Locks `mutex`. No user code runs under these locks, so none is ever left half-changed, and a
/// poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on `condvar` while `condition` holds, for at most `timeout` if there is one.
#[cfg(not(loom))]
pub(super) fn wait_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Option<Duration>,
    mut condition: impl FnMut(&T) -> bool,
) -> MutexGuard<'a, T> {
    let condition = |value: &mut T| condition(value);
    match timeout {
        None => condvar.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner),
        Some(timeout) => {
            let waited = condvar.wait_timeout_while(guard, timeout, condition);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// As the other, but time stands still in a model.
#[cfg(loom)]
pub(super) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    _timeout: Option<Duration>,
    mut condition: impl FnMut(&T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&guard) {
        guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
    guard
}
