//! From the futures of other threads to those of a loop, and back: [`wrap_future`] and
//! [`to_concurrent`].
//!
//! Word of a completion or a cancellation travels by [`ThreadsafeScheduler::post`]; the loop's
//! future itself never leaves its thread, it is [parked](crate::parked). Whatever stays undelivered,
//! because the loop closed or the receiver was cancelled, is dropped silently (F-27).

use crate::future::WeakFuture;
use crate::parked::{Key, Parked, find, park};
use crate::{Callback, Future, Instant, Scheduler, ThreadsafeScheduler, TimerHandle, concurrent};
use std::cell::OnceCell;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// A future of `scheduler` that becomes what `source`, a future of other threads, becomes.
///
/// The value is moved, so it need not be `Clone`: afterwards `source` says that it was taken.
/// Cancelling the new future asks `source` to be cancelled, which works unless it is running (E-4);
/// its outcome is then left where it is. If every handle of `source` is dropped before it is done, the
/// new future is cancelled. While the loop is open it keeps the new future alive for its callbacks; if
/// the loop is closed when `source` completes, that is ignored.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, Scheduler};
/// # fn example(event_loop: &dyn Scheduler) -> Result<(), Exception> {
/// use tulipa_futures::{concurrent, wrap_future};
/// let source = concurrent::Future::new();
/// let wrapped = wrap_future(&source, event_loop);
/// std::thread::spawn(move || source.set_result("from afar"));
/// wrapped.add_done_callback(|wrapped| println!("{:?}", wrapped.result()));
/// # Ok(()) }
/// ```
#[track_caller]
pub fn wrap_future<T: Send + 'static>(
    source: &concurrent::Future<T>,
    scheduler: &dyn Scheduler,
) -> Future<T> {
    let wrapper = Future::new(scheduler.to_rc());
    if source.done() {
        settle(&wrapper, source);
        return wrapper;
    }
    let arrival = Arrival { wrapper: wrapper.clone(), keeper: OnceCell::new() };
    let parked = park(arrival);
    let key = parked.key();
    // The loop owns the parked wrapper, as the captive of a timer that never fires: closing the loop
    // drops both. A closed loop delivers nothing, so there nothing needs to be kept.
    let captive = Callback::without_context(Location::caller(), move || drop(parked));
    // Also if `scheduler` is a scope: this is not to end before the wrapper does.
    if let Ok(keeper) = wrapper.get_loop().schedule_at(Instant::NEVER, captive)
        && let Some(arrival) = find::<Arrival<T>>(key)
    {
        let _ = arrival.keeper.set(keeper); // set nowhere else
    }
    let messenger = Messenger::<T>::new(key, scheduler.threadsafe());
    let listener = source.add_listener(move |source| messenger.deliver(source.clone()));
    let source = source.downgrade();
    wrapper.add_done_callback(move |wrapper| {
        // One that is still kept was ended by somebody else than its source.
        if release::<T>(key).is_some()
            && let Some(source) = source.upgrade()
        {
            source.remove_listener(listener);
            if wrapper.cancelled() {
                source.cancel();
            }
        }
    });
    wrapper
}

/// A wrapper that waits for word from another thread, and what makes the loop keep it.
struct Arrival<T: 'static> {
    wrapper: Future<T>,
    keeper: OnceCell<TimerHandle>,
}

/// Takes word from another thread to a parked wrapper. Dropping it undelivered is word too: nobody is
/// left to complete the source.
struct Messenger<T: Send + 'static> {
    key: Key,
    threadsafe: Option<Arc<dyn ThreadsafeScheduler>>,
    wrapper: PhantomData<fn(T)>,
}

impl<T: Send + 'static> Messenger<T> {
    fn new(key: Key, threadsafe: Arc<dyn ThreadsafeScheduler>) -> Self {
        Self { key, threadsafe: Some(threadsafe), wrapper: PhantomData }
    }

    fn deliver(mut self, source: concurrent::Future<T>) {
        self.post(move |wrapper| settle(wrapper, &source));
    }

    /// Has the loop end the keeping of the wrapper, and tell it. A closed loop drops that.
    fn post(&mut self, tell: impl FnOnce(&Future<T>) + Send + 'static) {
        let Some(threadsafe) = self.threadsafe.take() else { return };
        let key = self.key;
        let refused = threadsafe.post(Box::new(move || {
            if let Some(arrival) = release::<T>(key) {
                tell(&arrival.wrapper);
            }
        }));
        drop(refused);
    }
}

impl<T: Send + 'static> Drop for Messenger<T> {
    fn drop(&mut self) {
        self.post(|wrapper| {
            wrapper.cancel_with("the future of the other thread was dropped");
        });
    }
}

/// Ends the loop's keeping of a wrapper.
fn release<T: 'static>(key: Key) -> Option<Rc<Arrival<T>>> {
    let arrival = find::<Arrival<T>>(key)?;
    if let Some(keeper) = arrival.keeper.get() {
        keeper.cancel();
    }
    Some(arrival)
}

/// Lets `wrapper` become what `source`, which is done, has become; unless the wrapper was cancelled
/// meanwhile: then the outcome stays where it is.
fn settle<T: Send + 'static>(wrapper: &Future<T>, source: &concurrent::Future<T>) {
    if !wrapper.done() {
        // It was pending a moment ago, and nothing but this thread could change that.
        let _ = wrapper.set_outcome(source.take(None));
    }
}

/// A future for other threads that becomes what `source`, a future of this thread's loop, becomes.
///
/// The value is moved, so it need not be `Clone`: afterwards `source` says that it was taken.
/// Cancelling the new future, from whatever thread, has the loop cancel `source`. If `source` is
/// dropped without an outcome, also because its loop is gone, the new future is cancelled, so that
/// nobody waits for it for ever.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, Scheduler};
/// # fn example(event_loop: &dyn Scheduler) -> Result<(), Exception> {
/// use tulipa_futures::{SchedulerExt, to_concurrent};
/// let source = event_loop.create_future::<String>();
/// let target = to_concurrent(&source);
/// std::thread::spawn(move || println!("{:?}", target.take(None)));
/// source.set_result("to afar".to_owned())?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn to_concurrent<T: Send + 'static>(source: &Future<T>) -> concurrent::Future<T> {
    let target = concurrent::Future::new();
    let parked = park(source.downgrade());
    let (key, threadsafe) = (parked.key(), source.get_loop().threadsafe());
    let listener = target.add_listener(move |target: &concurrent::Future<T>| {
        if target.cancelled() {
            ask_to_cancel::<T>(key, threadsafe);
        }
    });
    let departure = Departure { target: target.clone(), listener, _parked: parked };
    source.add_done_callback(move |source| {
        let target = departure.end();
        if !target.done() {
            // A thread may have cancelled it just now: then nobody wants the outcome.
            let _ = target.set_outcome(source.take());
        }
    });
    target
}

/// From any thread: has the loop cancel the future that is parked under `key`.
fn ask_to_cancel<T: Send + 'static>(key: Key, threadsafe: Arc<dyn ThreadsafeScheduler>) {
    let refused = threadsafe.post(Box::new(move || {
        let source = find::<WeakFuture<T>>(key);
        if let Some(source) = source.and_then(|source| source.upgrade()) {
            source.cancel();
        }
    }));
    drop(refused); // the loop is closed, and the future cannot complete any more
}

/// The receiving end of [`to_concurrent`]. Dropping it means that nothing will come.
struct Departure<T: Send + 'static> {
    target: concurrent::Future<T>,
    listener: concurrent::ListenerId,
    _parked: Parked,
}

impl<T: Send + 'static> Departure<T> {
    /// The target, which from now on does not concern the source any more.
    fn end(&self) -> concurrent::Future<T> {
        self.target.remove_listener(self.listener);
        self.target.clone()
    }
}

impl<T: Send + 'static> Drop for Departure<T> {
    fn drop(&mut self) {
        self.end().cancel_with("the future of the loop was dropped");
    }
}
