//! [`gather`] and [`gather_results`]: one future of many.
//!
//! Children own what gathers them, through their callbacks, and it refers to those that are pending
//! only weakly; done ones it keeps for their values. A child that is dropped undone counts as
//! cancelled, so that nobody waits for it for ever.
//!
//! Invariant: `progress` is borrowed only where nothing foreign is called or dropped.

use super::ensure_future::{Given, common_loop};
use crate::catch::catch;
use crate::future::{AnyFuture, AnyShared, FutureObject, Shared, State, WeakFuture};
use crate::task::CancelMessage;
use crate::{CancelledError, Exception, Future};
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::identity;
use std::future::IntoFuture;
use std::mem::offset_of;
use std::panic::Location;
use std::rc::Rc;

/// A future of the values of all of `awaitables`, in their order (T-46).
///
/// Futures and tasks are taken as they are, anything else is started as a task. The same future given
/// twice is waited for once and gives its value twice. If all are done already, so is the new one.
///
/// - The first failure is the outcome at once; the others *go on*, and what they fail with later is
///   not reported (T-47). A child that is cancelled, by itself, is such a failure, with
///   [`CancelledError`]; that is not the same as being cancelled (T-48).
/// - [`cancel`](Future::cancel), also by the cancellation of a task that awaits it, cancels every
///   child that is not done, and the whole is done when they all are: cancelled, or with the first
///   failure among them. It answers false if there is none left to cancel (T-49). After the first
///   failure it is done, and cancelling it does nothing to those that still run (T-51).
///
/// If the awaitables belong to different loops, none is started, and the new future fails with
/// [`InvalidStateError`](crate::InvalidStateError).
///
/// # Which one?
/// | | children | after a failure | gives |
/// |-|-|-|-|
/// | `gather` | run by themselves, `'static` | go on, on their own (T-52) | a [`Future`] of the values |
/// | [`gather_results`] | run by themselves, `'static` | are waited for | a [`Future`] of all outcomes |
/// | `TaskGroup` | run by themselves, `'static` | are cancelled and awaited | all failures |
/// | [`gather!`](crate::gather!), [`join_all`](crate::join_all) | parts of the task, may borrow | are cancelled and awaited | the values, or the first failure |
///
/// # Panics
/// If nothing in `awaitables` has a loop, and none is running on this thread.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, SchedulerExt, gather, sleep};
/// # use std::time::Duration;
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// event_loop.create_task(async {
///     let squares = gather((1..=3).map(|number| async move {
///         sleep(Duration::from_millis(10 * number)).await?;
///         Ok(number * number)
///     }));
///     assert_eq!(squares.await?, [1, 4, 9]); // after 30 ms
///     Ok(())
/// });
/// # }
/// ```
#[track_caller]
pub fn gather<T, I>(awaitables: I) -> Future<Vec<T>>
where
    T: Clone + 'static,
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    gather_with(awaitables, Kind { entry: identity, collects: false })
}

/// A future of the outcomes of all of `awaitables`, in their order: failures and cancellations of
/// children are entries of the list (T-50). asyncio's `gather(return_exceptions=True)`.
///
/// It waits for all of them, and fails only if it is itself cancelled: then each child is cancelled,
/// and when all are done it ends cancelled, whatever they made of it. As [`gather()`] otherwise.
///
/// # Panics
/// As [`gather()`].
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, SchedulerExt, gather_results};
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// event_loop.create_task(async {
///     let parsed = gather_results(["7", "seven"].map(|text| async { Ok(text.parse::<u32>()?) }));
///     let parsed = parsed.await?;
///     assert_eq!((*parsed[0].as_ref().unwrap(), parsed[1].is_err()), (7, true));
///     Ok(())
/// });
/// # }
/// ```
#[track_caller]
pub fn gather_results<T, I>(awaitables: I) -> Future<Vec<Result<T, Exception>>>
where
    T: Clone + 'static,
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    gather_with(awaitables, Kind { entry: Ok, collects: true })
}

/// What becomes of the children's outcomes.
struct Kind<T, R> {
    /// The entry in the list, or what the whole fails with.
    entry: fn(Result<T, Exception>) -> Result<R, Exception>,
    /// Whether failures are waited out.
    collects: bool,
}

#[track_caller]
fn gather_with<T, R, I>(awaitables: I, kind: Kind<T, R>) -> Future<Vec<R>>
where
    T: Clone + 'static,
    R: 'static,
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    let given: Vec<_> = awaitables.into_iter().map(Given::new).collect();
    let scheduler = match common_loop("gather", &given) {
        Ok(scheduler) => scheduler,
        Err((scheduler, error)) => {
            let refused = Future::new(scheduler);
            // It is new, so it takes the outcome.
            let _ = refused.set_exception(error);
            return refused;
        }
    };
    let (mut children, mut places, mut known) = (Vec::new(), Vec::new(), HashMap::new());
    for given in given {
        let child = given.start_exempt(&*scheduler);
        let place = *known.entry(child.address()).or_insert(children.len());
        places.push(place);
        if place == children.len() {
            children.push(child);
        }
    }
    let progress = Progress {
        children: children.iter().map(|child| Child::Pending(child.downgrade())).collect(),
        places,
        left: children.len(),
        asked: None,
        failure: None,
    };
    const { assert!(offset_of!(Gathering<T, R>, shared) == 0, "see `FutureObject`") };
    let gathering = Rc::new(Gathering {
        shared: Shared::new(scheduler, Location::caller()),
        kind,
        progress: RefCell::new(progress),
    });
    if children.is_empty() {
        gathering.finish();
    }
    for (index, child) in children.into_iter().enumerate() {
        if child.done() {
            gathering.child_done(index, Some(&child));
        } else {
            let watch = Watch { gathering: Some(gathering.clone()), index };
            child.add_done_callback(move |child| watch.done(child));
        }
    }
    Future::from_object(gathering)
}

/// The future of the whole.
#[repr(C)] // see `FutureObject`
struct Gathering<T: 'static, R: 'static> {
    shared: Shared<Vec<R>>,
    kind: Kind<T, R>,
    progress: RefCell<Progress<T>>,
}

struct Progress<T: 'static> {
    /// Each child once.
    children: Vec<Child<T>>,
    /// For each argument, which child it is.
    places: Vec<usize>,
    /// How many are to come.
    left: usize,
    /// Whether the whole was asked to end, and with which message.
    asked: Option<CancelMessage>,
    /// The first failure after that.
    failure: Option<Exception>,
}

enum Child<T: 'static> {
    Pending(WeakFuture<T>),
    Done(Future<T>),
    /// It was dropped before it was done.
    Gone,
}

impl<T: 'static> Child<T> {
    fn outcome(&self) -> Result<T, Exception>
    where
        T: Clone,
    {
        match self {
            Child::Done(future) => future.result(),
            Child::Pending(_) | Child::Gone => Err(dropped().into()),
        }
    }
}

fn dropped() -> CancelledError {
    CancelledError::with_message("a future that was gathered was dropped")
}

impl<T: Clone + 'static, R: 'static> Gathering<T, R> {
    /// A child is done; `None` if it was dropped undone.
    fn child_done(self: &Rc<Self>, index: usize, child: Option<&Future<T>>) {
        // The outcome is the whole's business from now on, also when that is over (T-47).
        let failure = match child.map(Future::exception) {
            Some(Ok(failure)) => failure,
            Some(Err(cancelled)) => Some(cancelled),
            None => Some(dropped().into()),
        };
        if self.shared.done() {
            return;
        }
        let (left, failure) = {
            let mut progress = self.progress.borrow_mut();
            progress.children[index] = match child {
                Some(child) => Child::Done(child.clone()),
                None => Child::Gone,
            };
            progress.left -= 1;
            let failure = failure.filter(|_| !self.kind.collects);
            match (failure, &progress.asked) {
                (Some(failure), Some(_)) => {
                    if progress.failure.is_none() && !failure.is_cancelled() {
                        progress.failure = Some(failure);
                    }
                    (progress.left, None)
                }
                (failure, _) => (progress.left, failure),
            }
        };
        if let Some(failure) = failure {
            let cancelled = failure.is_cancelled();
            self.complete(match child {
                Some(_) => State::Finished(Err(failure)),
                None => State::from(Err(failure)),
            });
            if cancelled {
                self.shared.set_retrieved(); // nobody needs to hear of a cancellation (F-20)
            }
        } else if left == 0 {
            self.finish();
        }
    }

    /// All children are done.
    fn finish(self: &Rc<Self>) {
        let progress = self.progress.take();
        let state = match (progress.failure, progress.asked) {
            (Some(failure), _) => State::Finished(Err(failure)),
            (None, Some(message)) => State::cancelled(message),
            (None, None) => {
                // Cloning values is user code.
                let collected = catch(|| {
                    let places = progress.places.iter();
                    places
                        .map(|place| (self.kind.entry)(progress.children[*place].outcome()))
                        .collect()
                });
                State::Finished(collected.and_then(identity))
            }
        };
        self.complete(state);
    }

    fn complete(self: &Rc<Self>, state: State<Vec<R>>) {
        // Somebody may have completed it from outside: then nobody wants this.
        let _ = self.shared.complete(|| self.clone(), state, |state| state);
        drop(self.progress.take());
    }

    /// The children that are not done.
    fn pending(&self) -> Vec<Future<T>> {
        let progress = self.progress.borrow();
        let children = progress.children.iter().filter_map(|child| match child {
            Child::Pending(child) => child.upgrade(),
            Child::Done(_) | Child::Gone => None,
        });
        children.filter(|child| !child.done()).collect()
    }
}

impl<T: 'static> Default for Progress<T> {
    /// That of a whole which is over.
    fn default() -> Self {
        Self { children: Vec::new(), places: Vec::new(), left: 0, asked: None, failure: None }
    }
}

/// The callback of a child. If it is dropped, there will be no outcome.
struct Watch<T: Clone + 'static, R: 'static> {
    gathering: Option<Rc<Gathering<T, R>>>,
    index: usize,
}

impl<T: Clone + 'static, R: 'static> Watch<T, R> {
    fn done(mut self, child: &Future<T>) {
        if let Some(gathering) = self.gathering.take() {
            gathering.child_done(self.index, Some(child));
        }
    }
}

impl<T: Clone + 'static, R: 'static> Drop for Watch<T, R> {
    fn drop(&mut self) {
        if let Some(gathering) = self.gathering.take() {
            gathering.child_done(self.index, None);
        }
    }
}

impl<T: Clone + 'static, R: 'static> AnyFuture for Gathering<T, R> {
    fn common(&self) -> &dyn AnyShared {
        &self.shared
    }

    /// Cancels the children. The whole is done when they are (T-49).
    fn request_cancel(self: Rc<Self>, message: CancelMessage) -> bool {
        self.shared.set_retrieved();
        let children = self.pending();
        if self.shared.done() || children.is_empty() {
            return false;
        }
        // Noted before, for a waker may go on at once.
        let earlier = self.progress.borrow_mut().asked.replace(message.clone());
        let mut accepted = false;
        for child in children {
            accepted |= child.object().clone().request_cancel(message.clone());
        }
        if !accepted {
            self.progress.borrow_mut().asked = earlier;
        }
        accepted
    }

    fn stands_for(&self) -> Vec<Rc<dyn AnyFuture>> {
        self.pending().iter().map(|child| child.object().clone() as Rc<dyn AnyFuture>).collect()
    }
}

// SAFETY: it begins with that, and `repr(C)` leaves it there.
#[allow(unsafe_code)]
unsafe impl<T: Clone + 'static, R: 'static> FutureObject<Vec<R>> for Gathering<T, R> {}
