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

/// As [`lock`], for a lock that others take often and for moments only. Who waits for it asleep has
/// to be woken by one of them; so it is tried for a while first.
#[cfg(not(loom))]
pub(super) fn lock_soon<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for _ in 0..TRIES {
        if let Ok(guard) = mutex.try_lock() {
            return guard;
        }
        std::hint::spin_loop();
    }
    lock(mutex)
}

#[cfg(loom)]
pub(super) use lock as lock_soon;

/// Some microseconds: whoever has not left the lock by then has lost its processor.
#[cfg(not(loom))]
const TRIES: u32 = 100;
