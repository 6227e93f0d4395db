//! [`Callback`]: something to run once, with the place that scheduled it.

use crate::inline_once::InlineOnce;
use crate::{TaskContext, context};
use std::fmt;
use std::panic::Location;

/// Something to run once, on the loop's thread.
///
/// Closures of up to four words are kept inline, so that scheduling one allocates nothing. Dropping
/// a callback drops what its closure captured, without running it.
///
/// It runs in the [`TaskContext`] of the place that made it (L-53), which takes one of the four words
/// unless it is empty.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc};
/// let ran = Rc::new(Cell::new(false));
/// let seen = ran.clone();
/// let callback = tulipa_futures::Callback::new(move || seen.set(true));
/// assert!(callback.location().file().ends_with(".rs"));
/// callback.run();
/// assert!(ran.get());
/// ```
#[must_use = "a callback that is dropped does not run"]
#[repr(C)] // see `InlineOnce`
pub struct Callback {
    closure: InlineOnce<()>,
    location: &'static Location<'static>,
}

impl Callback {
    /// Wraps `closure`, remembering the caller as the place where it was scheduled.
    #[track_caller]
    #[inline]
    pub fn new(closure: impl FnOnce() + 'static) -> Self {
        Self::at(Location::caller(), closure)
    }

    /// Wraps `closure`, with `location` as the place where it was scheduled.
    #[inline]
    pub fn at(location: &'static Location<'static>, closure: impl FnOnce() + 'static) -> Self {
        Self { closure: context::bind(move |()| closure()), location }
    }

    /// As [`at`](Callback::at), to be run in `context` in the place of the current one.
    #[inline]
    pub fn in_context(
        location: &'static Location<'static>,
        context: TaskContext,
        closure: impl FnOnce() + 'static,
    ) -> Self {
        Self { closure: context::bind_to(context, move |()| closure()), location }
    }

    /// As [`at`](Callback::at), for a closure that enters a context of its own: it finds the one of
    /// whoever runs it, and has to leave it as it was.
    #[inline]
    pub(crate) fn without_context(
        location: &'static Location<'static>,
        closure: impl FnOnce() + 'static,
    ) -> Self {
        Self { closure: InlineOnce::new(move |()| closure()), location }
    }

    /// The place that scheduled it (H-16).
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Runs it. A panic of the closure passes through; loops catch it.
    #[inline]
    pub fn run(mut self) {
        self.run_in_place();
    }

    /// As [`run`](Callback::run), where it lies: moving a callback costs as much as a short one. A
    /// second call does nothing. For implementers of [`Scheduler`](crate::Scheduler).
    #[inline]
    pub fn run_in_place(&mut self) {
        self.closure.call_in_place(());
    }

    /// As [`run`](Callback::run), for one that is not moved: the closure is taken out of where it lies
    /// before anything of it runs, so what runs may put something else there. For implementers of
    /// [`Scheduler`](crate::Scheduler).
    ///
    /// # Safety
    /// There is a callback at `place`, and from here on it is as if it had been moved out of there.
    #[inline]
    #[allow(unsafe_code)]
    pub unsafe fn run_at(place: *mut Self) {
        // SAFETY: with the callback there is its closure, and the caller says that it is given away.
        unsafe { InlineOnce::call_at(&raw mut (*place).closure, ()) };
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback(created at {})", self.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h16_a_callback_knows_where_it_was_created() {
        let line = line!() + 1;
        let callback = Callback::new(|| {});
        assert_eq!(callback.location().line(), line);
        assert!(format!("{callback:?}").contains(&format!("callback.rs:{line}")));
    }

    #[test]
    fn a_callback_is_six_words() {
        assert_eq!(size_of::<Option<Callback>>(), 6 * size_of::<usize>());
    }
}
