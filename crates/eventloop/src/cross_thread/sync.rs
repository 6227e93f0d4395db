//! The sync types this module is written over: std's, or loom's when its models are explored.
//!
//! `Arc` is std's in both: what is modelled is our protocol, not the counting.

#[cfg(loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64},
};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64},
};

pub(super) use std::sync::atomic::Ordering;

/// Locks `mutex`. No user code runs under these locks, so none is ever left half-changed, and a
/// poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
