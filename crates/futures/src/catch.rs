//! Running user code so that its panic becomes a value.

use crate::Exception;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `function`; a panic becomes an [`Exception`] that holds a [`PanicError`](crate::PanicError).
///
/// What the function had half changed stays as it is: callers must not let it reach state of ours.
///
/// # Errors
/// The panic, if there was one.
#[inline]
pub fn catch<R>(function: impl FnOnce() -> R) -> Result<R, Exception> {
    catch_unwind(AssertUnwindSafe(function)).map_err(Exception::from_panic)
}

/// Runs `function` where there is nobody left to tell of a panic: logging, or dropping what is known
/// of an error, whose payload may panic when it is dropped.
pub fn catch_silently(function: impl FnOnce()) {
    if let Err(panic) = catch(function)
        && let Err(panic) = catch(|| drop(panic))
    {
        // It would go on for ever.
        std::mem::forget(panic);
    }
}
