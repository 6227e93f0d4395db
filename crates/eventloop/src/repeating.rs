//! [`RepeatingCallback`]: a callback that runs each time something happens, and may end itself.
//!
//! Invariant: the closure is taken out of its place while it runs, so that it may remove or replace
//! itself; it goes back only if its place is still marked as running.

use futures::TaskContext;
use std::cell::Cell;
use std::panic::Location;

#[derive(Default)]
pub(crate) struct RepeatingCallback {
    place: Cell<Place>,
    /// Where the latest closure was handed over; it stays known after its removal.
    created_at: Cell<Option<&'static Location<'static>>>,
}

/// A closure for a [`RepeatingCallback`], where it was handed over, and the context of that moment.
pub(crate) struct RepeatedClosure {
    closure: Box<dyn FnMut()>,
    location: &'static Location<'static>,
    context: TaskContext,
}

impl RepeatedClosure {
    pub(crate) fn new(closure: Box<dyn FnMut()>, location: &'static Location<'static>) -> Self {
        Self { closure, location, context: TaskContext::current() }
    }

    /// Each run starts with the same values, whatever the last one set (L-53).
    fn call(&mut self) {
        self.context.run(|| (self.closure)());
    }
}

/// Where the closure is.
#[derive(Default)]
pub(crate) enum Place {
    #[default]
    Empty,
    Waiting(RepeatedClosure),
    Running,
}

impl RepeatingCallback {
    /// Puts `closure` in place; what was there comes back, to be dropped where that is safe.
    pub(crate) fn set(&self, new: RepeatedClosure) -> Place {
        self.created_at.set(Some(new.location));
        self.place.replace(Place::Waiting(new))
    }

    /// Where the latest closure was handed over.
    pub(crate) fn created_at(&self) -> Option<&'static Location<'static>> {
        self.created_at.get()
    }

    /// Takes the closure out; it does not run any more.
    pub(crate) fn unset(&self) -> Place {
        self.place.take()
    }

    /// Runs the closure, if there is one. A panic passes through; the closure stays.
    pub(crate) fn run(&self) {
        match self.place.replace(Place::Running) {
            Place::Waiting(closure) => {
                let mut running = Running { place: &self.place, closure: Some(closure) };
                if let Some(closure) = &mut running.closure {
                    closure.call();
                }
            }
            other => self.place.set(other),
        }
    }
}

/// Brings the closure back to its place after the call, also when it panicked.
struct Running<'a> {
    place: &'a Cell<Place>,
    closure: Option<RepeatedClosure>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        match self.place.take() {
            Place::Running => {
                if let Some(closure) = self.closure.take() {
                    self.place.set(Place::Waiting(closure));
                }
            }
            // Removed or replaced meanwhile: the old one is dropped with `self`.
            other => self.place.set(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[track_caller]
    fn repeated(closure: impl FnMut() + 'static) -> RepeatedClosure {
        RepeatedClosure::new(Box::new(closure), Location::caller())
    }

    fn counting(count: &Rc<Cell<u32>>) -> RepeatedClosure {
        let count = count.clone();
        repeated(move || count.set(count.get() + 1))
    }

    #[test]
    fn g6_l38_a_callback_may_replace_or_remove_itself_and_survives_a_panic() {
        let callback = Rc::new(RepeatingCallback::default());
        let (first, second) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (replacing, next) = (callback.clone(), second.clone());
        let count = first.clone();
        callback.set(repeated(move || {
            count.set(count.get() + 1);
            replacing.set(counting(&next));
        }));
        callback.run();
        callback.run();
        assert_eq!((first.get(), second.get()), (1, 1));
        assert_eq!(Rc::strong_count(&first), 1, "the replaced closure is gone");

        let removing = callback.clone();
        callback.set(repeated(move || drop(removing.unset())));
        callback.run();
        callback.run();

        let count = first.clone();
        callback.set(repeated(move || {
            count.set(count.get() + 1);
            panic!("expected");
        }));
        for _ in 0..2 {
            let run = std::panic::AssertUnwindSafe(|| callback.run());
            assert!(std::panic::catch_unwind(run).is_err());
        }
        assert_eq!(first.get(), 3);
    }
}
