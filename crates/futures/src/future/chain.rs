//! Chaining: a [`Future`] made from another one, where Twisted's Deferred would add a callback.
//!
//! Each link takes one iteration, so that a chain of any length uses no stack (W-30). Cancelling a
//! derived future cancels the one that it waits for.

use super::Future;
use crate::Exception;
use crate::catch::catch;
use std::cell::RefCell;
use std::rc::Rc;

impl<T: 'static> Future<T> {
    /// A future of `function` applied to the value; exceptions and cancellation pass by.
    ///
    /// The value is moved into `function`: other handles of `self` then say that it was taken. A
    /// panic of `function` becomes the new future's exception.
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
        let derived = self.derive::<U>();
        let target = derived.clone();
        self.add_done_callback(move |source| {
            settle(&target, source.take().and_then(|value| catch(|| function(value))));
        });
        derived
    }

    /// A future of what the future made by `function` becomes; exceptions and cancellation pass by.
    /// As [`map`](Future::map) otherwise.
    #[track_caller]
    pub fn then<U: 'static>(self, function: impl FnOnce(T) -> Future<U> + 'static) -> Future<U> {
        let derived = self.derive_through::<U>();
        let (target, stage) = (derived.future.clone(), derived.stage);
        self.add_done_callback(move |source| {
            match source.take().and_then(|value| catch(|| function(value))) {
                Ok(inner) => adopt(&target, inner, &stage),
                Err(exception) => settle(&target, Err(exception)),
            }
        });
        derived.future
    }

    /// A future of the same value, or else of what the future made by `function` becomes. A
    /// cancellation is given to `function` too: test with
    /// [`is_cancelled`](Exception::is_cancelled) and pass it on.
    #[track_caller]
    pub fn or_else(self, function: impl FnOnce(Exception) -> Future<T> + 'static) -> Future<T> {
        let derived = self.derive_through::<T>();
        let (target, stage) = (derived.future.clone(), derived.stage);
        self.add_done_callback(move |source| match source.take() {
            Ok(value) => settle(&target, Ok(value)),
            Err(exception) => match catch(|| function(exception)) {
                Ok(inner) => adopt(&target, inner, &stage),
                Err(exception) => settle(&target, Err(exception)),
            },
        });
        derived.future
    }

    /// A pending future of the same loop that cancels `self` when it is cancelled.
    #[track_caller]
    fn derive<U: 'static>(&self) -> Future<U> {
        let derived = Future::new(self.get_loop());
        let source = Rc::downgrade(&self.shared);
        derived.add_done_callback(move |derived| {
            if derived.cancelled()
                && let Some(shared) = source.upgrade()
            {
                Future::from_shared(shared).cancel();
            }
        });
        derived
    }

    /// As [`derive`](Future::derive), for chains whose awaited future changes on the way.
    #[track_caller]
    fn derive_through<U: 'static>(&self) -> Derived<U> {
        let future = Future::new(self.get_loop());
        let source = Rc::downgrade(&self.shared);
        let first: CancelStage = Box::new(move || {
            if let Some(shared) = source.upgrade() {
                Future::from_shared(shared).cancel();
            }
        });
        let stage = Rc::new(RefCell::new(Some(first)));
        let current = Rc::downgrade(&stage);
        future.add_done_callback(move |future: &Future<U>| {
            let cancel = current.upgrade().and_then(|stage| stage.borrow_mut().take());
            if let Some(cancel) = cancel.filter(|_| future.cancelled()) {
                cancel();
            }
        });
        Derived { future, stage }
    }
}

/// A derived future, and how to cancel what it waits for right now.
struct Derived<U: 'static> {
    future: Future<U>,
    stage: Rc<RefCell<Option<CancelStage>>>,
}

type CancelStage = Box<dyn FnOnce()>;

/// Lets `target` become what `inner` becomes.
fn adopt<U: 'static>(
    target: &Future<U>,
    inner: Future<U>,
    stage: &Rc<RefCell<Option<CancelStage>>>,
) {
    if target.cancelled() {
        inner.cancel();
        return;
    }
    let to_cancel = inner.clone();
    let previous = stage.borrow_mut().replace(Box::new(move || {
        to_cancel.cancel();
    }));
    drop(previous);
    let (target, stage) = (target.clone(), stage.clone());
    inner.add_done_callback(move |inner| {
        let finished = stage.borrow_mut().take();
        drop(finished);
        settle(&target, inner.take());
    });
}

/// Finishes `target`, unless somebody cancelled it meanwhile: then nobody wants the outcome.
fn settle<U: 'static>(target: &Future<U>, outcome: Result<U, Exception>) {
    if !target.done() {
        // It was pending a moment ago, and `outcome` runs no code of its own.
        let _ = target.set_outcome(outcome);
    }
}
