//! Dropping what is linked in long chains, without using the stack for it.
//!
//! A pending future owns its listeners, a listener may own the next future, and so on: dropping the
//! first of ten thousand links would nest ten thousand destructors. Instead the outermost drop on the
//! thread does the work, and those inside of it only leave their part for it.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

thread_local! {
    /// What was left to the drop that is at work on this thread; `None` if none is.
    static LEFT: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Drops `value` and all that its destructors hand to this function.
///
/// A destructor that panics keeps none of the others from running; the first such panic goes on when
/// all is done.
pub(super) fn drop_flat<V: 'static>(value: V) {
    let mut value = Some(value);
    let begins = LEFT.try_with(|left| match &mut *left.borrow_mut() {
        Some(left) => {
            left.extend(value.take().map(|value| Box::new(value) as Box<dyn Any>));
            false
        }
        idle @ None => {
            *idle = Some(Vec::new());
            true
        }
    });
    if begins != Ok(true) {
        return; // On a thread that is ending, with the value.
    }
    let mut outcome = catch_unwind(AssertUnwindSafe(|| drop(value)));
    while let Some(next) = LEFT.with_borrow_mut(|left| left.as_mut().and_then(Vec::pop)) {
        outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| drop(next))));
    }
    LEFT.set(None);
    if let Err(panic) = outcome
        && !thread::panicking()
    {
        resume_unwind(panic);
    }
}
