//! Chaining: a [`Future`] made from another one, where Twisted's Deferred would add a callback.
//!
//! Each link takes one iteration, so that a chain of any length uses no stack (F-31). What is to come
//! owns what waits for it: a derived future refers to its source, which it cancels when it is
//! cancelled, only weakly.

use super::{Future, WeakFuture};
use crate::catch::catch;
use crate::{Exception, InvalidStateError};
use std::cell::RefCell;
use std::rc::Rc;

impl<T: 'static> Future<T> {
    /// A future of `function` applied to the value; exceptions and cancellation pass by.
    ///
    /// The value is moved into `function`: other handles of `self` then say that it was taken. A
    /// panic of `function` becomes the new future's exception. Cancelling the new future cancels
    /// `self`, and `function` is not called any more.
    ///
    /// # Examples
    /// ```
    /// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
    /// use tulipa_futures::SchedulerExt;
    /// let text = event_loop.create_future::<String>();
    /// let length = text.clone().map(|text| text.len());
    /// # }
    /// ```
    #[track_caller]
    pub fn map<U: 'static>(self, function: impl FnOnce(T) -> U + 'static) -> Future<U> {
        let derived = Future::new(self.get_loop());
        let source = self.downgrade();
        derived.add_done_callback(move |derived: &Future<U>| {
            if derived.cancelled() {
                cancel(&source);
            }
        });
        let target = derived.clone();
        self.add_done_callback(move |source| {
            if !target.done() {
                settle(&target, source.take().and_then(|value| catch(|| function(value))));
            }
        });
        derived
    }

    /// A future of what the future made by `function` becomes; exceptions and cancellation pass by.
    /// As [`map`](Future::map) otherwise; cancelling the new future cancels whichever of the two it
    /// waits for.
    #[track_caller]
    pub fn then<U: 'static>(self, function: impl FnOnce(T) -> Future<U> + 'static) -> Future<U> {
        let (derived, stage) = self.derive_in_stages::<U>();
        let target = derived.clone();
        self.add_done_callback(move |source| {
            if target.done() {
                return;
            }
            match source.take().and_then(|value| catch(|| function(value))) {
                Ok(inner) => adopt(&target, inner, &stage),
                Err(exception) => settle(&target, Err(exception)),
            }
        });
        derived
    }

    /// A future of the same value, or else of what the future made by `function` becomes. A
    /// cancellation of `self` is given to `function` too: test with
    /// [`is_cancelled`](Exception::is_cancelled) and pass it on. As [`then`](Future::then) otherwise.
    #[track_caller]
    pub fn or_else(self, function: impl FnOnce(Exception) -> Future<T> + 'static) -> Future<T> {
        let (derived, stage) = self.derive_in_stages::<T>();
        let target = derived.clone();
        self.add_done_callback(move |source| {
            if target.done() {
                return;
            }
            match source.take() {
                Ok(value) => settle(&target, Ok(value)),
                Err(exception) => match catch(|| function(exception)) {
                    Ok(inner) => adopt(&target, inner, &stage),
                    Err(exception) => settle(&target, Err(exception)),
                },
            }
        });
        derived
    }

    /// A pending future of the same loop, and what it waits for: `self` at first. Cancelling the one
    /// cancels the other.
    #[track_caller]
    fn derive_in_stages<U: 'static>(&self) -> (Future<U>, Rc<Stage<T, U>>) {
        let derived = Future::new(self.get_loop());
        let stage = Rc::new(RefCell::new(Awaited::Source(self.downgrade())));
        let awaited = stage.clone();
        derived.add_done_callback(move |derived: &Future<U>| {
            if derived.cancelled() {
                match awaited.replace(Awaited::Nothing) {
                    Awaited::Source(source) => cancel(&source),
                    Awaited::Inner(inner) => cancel(&inner),
                    Awaited::Nothing => {}
                }
            }
        });
        (derived, stage)
    }
}

/// What a future that was derived by `then` or `or_else` waits for right now.
type Stage<T, U> = RefCell<Awaited<T, U>>;

enum Awaited<T: 'static, U: 'static> {
    Source(WeakFuture<T>),
    Inner(WeakFuture<U>),
    Nothing,
}

fn cancel<T: 'static>(future: &WeakFuture<T>) {
    if let Some(future) = future.upgrade() {
        future.cancel();
    }
}

/// Lets `target` become what `inner` becomes.
fn adopt<T: 'static, U: 'static>(target: &Future<U>, inner: Future<U>, stage: &Stage<T, U>) {
    if target.done() {
        // `function` itself ended it, so that what it made is wanted by nobody.
        inner.cancel();
        return;
    }
    if inner.ptr_eq(target) {
        let error = InvalidStateError::new("a future cannot wait for itself");
        return settle(target, Err(error.into()));
    }
    stage.replace(Awaited::Inner(inner.downgrade()));
    let target = target.clone();
    inner.add_done_callback(move |inner| {
        if !target.done() {
            settle(&target, inner.take());
        }
    });
}

/// Finishes `target`, unless somebody ended it meanwhile: then nobody wants the outcome.
fn settle<U: 'static>(target: &Future<U>, outcome: Result<U, Exception>) {
    let _ = target.set_outcome(outcome);
}
