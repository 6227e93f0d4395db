//! [`wait`]: until enough of several futures are done.
//!
//! Each future gets a callback that counts. Callbacks and timer belong to a [`Watch`], and go with it
//! however the waiting ends (T-38).

use super::AsFuture;
use crate::future::{Others, Proxy};
use crate::{
    CallbackToken, Exception, Future, InvalidStateError, ReturnWhen, SchedulerExt, TimerHandle,
    yield_now,
};
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Waits until `return_when` says that it is enough, or until `timeout` is over, and sorts the handles
/// into those that are done and those that are not (T-33).
///
/// Each handle comes back, the same ones in the order in which they were given; a future given twice
/// counts and comes back once (T-34). What is done at the moment when the task goes on counts as done
/// (T-36). Failures stay in the futures, for whoever asks, and nothing is ever cancelled: not by the
/// timeout, which is no error, nor when the waiting task is cancelled (T-38).
/// [`FirstException`](ReturnWhen::FirstException) is not triggered by a cancellation (T-35).
///
/// If enough are done already, it returns after one turn of the loop (T-37). The timeout counts from
/// the first poll.
///
/// # Errors
/// [`InvalidStateError`] if there is nothing to wait for, or if the futures belong to different loops;
/// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, ReturnWhen, sleep, spawn, wait};
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Exception> {
/// let naps = [3, 1, 2].map(|seconds| {
///     spawn(async move {
///         sleep(Duration::from_secs(seconds)).await.unwrap();
///         seconds
///     })
/// });
/// let (done, pending) = wait(naps, ReturnWhen::FirstCompleted, None).await?;
/// assert_eq!((done[0].result()?, pending.len()), (1, 2));
/// for nap in pending {
///     nap.cancel();
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn wait<H: AsFuture>(
    handles: impl IntoIterator<Item = H>,
    return_when: ReturnWhen,
    timeout: Option<Duration>,
) -> impl std::future::Future<Output = Result<(Vec<H>, Vec<H>), Exception>> {
    let mut known = HashSet::new();
    let handles = handles.into_iter();
    let handles: Vec<H> =
        handles.filter(|handle| known.insert(handle.as_future().address())).collect();
    let location = Location::caller();
    async move {
        let Some(first) = handles.first().map(H::as_future) else {
            return Err(InvalidStateError::new("wait: nothing to wait for").into());
        };
        let mut futures = handles.iter().map(H::as_future);
        if futures.any(|future| future.scheduler_id() != first.scheduler_id()) {
            let error = "wait: the futures belong to different event loops";
            return Err(InvalidStateError::new(error).into());
        }
        if is_enough(&handles, return_when) {
            yield_now().await?;
        } else {
            let watch = Watch::new(&handles, return_when, timeout, location);
            watch.over.clone().await?;
        }
        Ok(handles.into_iter().partition(|handle| handle.as_future().done()))
    }
}

/// Whether there is no reason to wait.
fn is_enough<H: AsFuture>(handles: &[H], return_when: ReturnWhen) -> bool {
    let mut futures = handles.iter().map(H::as_future);
    match return_when {
        ReturnWhen::FirstCompleted => futures.any(Future::done),
        ReturnWhen::FirstException => {
            handles.iter().any(|handle| handle.as_future().shared().failed())
                || futures.all(Future::done)
        }
        ReturnWhen::AllCompleted => futures.all(Future::done),
    }
}

/// Futures under observation, until this is dropped.
struct Watch<'a, H: AsFuture> {
    /// Done when it is enough.
    over: Future<()>,
    callbacks: Vec<(&'a H, CallbackToken)>,
    timer: Option<TimerHandle>,
}

impl<'a, H: AsFuture> Watch<'a, H> {
    fn new(
        handles: &'a [H],
        return_when: ReturnWhen,
        timeout: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Self {
        let pending = || handles.iter().filter(|handle| !handle.as_future().done());
        let others: Others = pending().map(|handle| handle.as_future().as_other()).collect();
        let count = Rc::new(Count { left: Cell::new(others.len()), return_when });
        let scheduler = handles[0].as_future().get_loop();
        let over = Proxy::create(scheduler.clone(), location, others);
        let callbacks = pending().map(|handle| {
            let (count, over) = (count.clone(), over.clone());
            let token = handle.as_future().add_done_callback(move |future| {
                if count.is_enough_with(future) {
                    // It may be over already, with the time.
                    let _ = over.try_set_result(());
                }
            });
            (handle, token)
        });
        let callbacks = callbacks.collect();
        let timer = timeout.map(|timeout| {
            let over = over.clone();
            scheduler.call_later(timeout, move || {
                let _ = over.try_set_result(());
            })
        });
        Self { over, callbacks, timer }
    }
}

impl<H: AsFuture> Drop for Watch<'_, H> {
    fn drop(&mut self) {
        for (handle, token) in &self.callbacks {
            handle.as_future().remove_done_callback(*token);
        }
        if let Some(timer) = &self.timer {
            timer.cancel();
        }
    }
}

/// What the callbacks of one wait share.
struct Count {
    left: Cell<usize>,
    return_when: ReturnWhen,
}

impl Count {
    fn is_enough_with<T: 'static>(&self, done: &Future<T>) -> bool {
        self.left.set(self.left.get() - 1);
        let enough = match self.return_when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => done.shared().failed(),
            ReturnWhen::AllCompleted => false,
        };
        enough || self.left.get() == 0
    }
}
