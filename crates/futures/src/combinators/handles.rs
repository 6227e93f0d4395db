//! Telling handles from coroutines.

use crate::{CancelOnDrop, Future, Task};
use std::any::type_name;

/// Whether an `F` only stands for work that goes on elsewhere: it is a [`Task`] or a [`Future`], or a
/// mutable reference to one. Polling such a handle starts nothing, and what it stands for may be done
/// although nobody polls it.
///
/// Asks for the name of the type, because a `TypeId` would ask for types that borrow nothing. Should
/// another type ever have the name of ours, it is one of ours of another version.
pub(super) fn is_handle<F: std::future::Future>() -> bool {
    let name = type_name::<F>().trim_start_matches("&mut ");
    [type_name::<Task<()>>(), type_name::<Future<()>>(), type_name::<CancelOnDrop<()>>()]
        .into_iter()
        .any(|handle| handle.strip_suffix("()>").is_some_and(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;

    fn asked<F: std::future::Future>(_future: impl FnOnce() -> F) -> bool {
        is_handle::<F>()
    }

    #[test]
    fn t39_handles_are_told_from_coroutines() {
        assert!(is_handle::<Task<String>>() && is_handle::<&mut Task<(u8, Vec<()>)>>());
        assert!(is_handle::<Future<&'static str>>() && is_handle::<&mut Future<()>>());
        assert!(is_handle::<CancelOnDrop<u8>>());
        assert!(!is_handle::<std::future::Ready<Task<()>>>() && !is_handle::<crate::Sleep>());
        assert!(!is_handle::<Pin<Box<dyn std::future::Future<Output = Task<()>>>>>());
        assert!(!asked(|| async { 7 }));
    }
}
