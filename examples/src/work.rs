//! Counts the bytes that the parsers look at, in tests only: linear work is counted, never timed.

/// Notes that `bytes` bytes of input were looked at.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn count(_bytes: usize) {}

#[cfg(test)]
pub(crate) use counted::{count, counted};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<u64> = const { Cell::new(0) };
    }

    /// Notes that `bytes` bytes of input were looked at.
    pub(crate) fn count(bytes: usize) {
        BYTES.set(BYTES.get() + bytes as u64);
    }

    /// How many bytes were looked at while `run` ran.
    pub(crate) fn counted(run: impl FnOnce()) -> u64 {
        let before = BYTES.get();
        run();
        BYTES.get() - before
    }
}
