//! [`Queue`], [`PriorityQueue`] and [`LifoQueue`]: items from tasks to tasks.
//!
//! An item leaves only with the getter that returns it: who is woken looks again (S-31), so that
//! neither a cancelled getter nor one that was overtaken by `get_nowait` loses any (S-32).

mod errors;
mod inner;
mod items;

use super::waiters::Wait;
use crate::{Exception, InvalidStateError};
use errors::Reason;
pub use errors::{PutError, QueueEmpty, QueueFull, QueueShutDown, QueueUnderflow};
use inner::{Getters, Inner, Joiners, Putters};
use items::{Items, Newest, Oldest, Smallest};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

/// Items from tasks to tasks: first in, first out.
///
/// [`get`](Queue::get) waits for an item, [`put`](Queue::put) for room; both are served in the order of
/// asking (S-30). Cancelling either at any time loses no item. Clones name the same queue.
///
/// Who takes an item may say with [`task_done`](Queue::task_done) that the work on it is done;
/// [`join`](Queue::join) waits until all work is. [`shutdown`](Queue::shutdown) ends a queue.
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, Queue};
///
/// async fn work(jobs: Queue<String>) -> Result<(), Exception> {
///     loop {
///         let job = jobs.get().await?; // ends with QueueShutDown
///         println!("{job}");
///         jobs.task_done()?;
///     }
/// }
/// let jobs = Queue::bounded(100);
/// jobs.put_nowait("sweep".to_owned())?;
/// assert_eq!((jobs.qsize(), jobs.full()), (1, false));
/// # Ok::<(), Exception>(())
/// ```
pub struct Queue<T: 'static> {
    inner: Rc<Inner<T>>,
}

/// A [`Queue`] whose smallest item comes first; among equals, the one that was put first (S-34).
///
/// It is a [`Queue`] in all else, and can be lent as one. With [`Reverse`](std::cmp::Reverse) around
/// the items, the greatest comes first. Comparing runs while the queue is busy: a comparison that uses
/// the very queue gets an [`InvalidStateError`].
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, PriorityQueue};
/// let jobs = PriorityQueue::new();
/// jobs.put_nowait((2, "sweep"))?;
/// jobs.put_nowait((1, "wake up"))?;
/// assert_eq!(jobs.get_nowait()?, (1, "wake up"));
/// # Ok::<(), Exception>(())
/// ```
pub struct PriorityQueue<T: Ord + 'static>(Queue<T>);

/// A [`Queue`] whose newest item comes first (S-34). It is a [`Queue`] in all else.
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, LifoQueue};
/// let idle = LifoQueue::new();
/// idle.put_nowait("cold connection")?;
/// idle.put_nowait("warm connection")?;
/// assert_eq!(idle.get_nowait()?, "warm connection");
/// # Ok::<(), Exception>(())
/// ```
pub struct LifoQueue<T: 'static>(Queue<T>);

impl<T: 'static> Queue<T> {
    /// A queue without a limit.
    pub fn new() -> Self {
        Self::bounded(0)
    }

    /// A queue of at most `maxsize` items; 0 is no limit (S-29).
    pub fn bounded(maxsize: usize) -> Self {
        Self::with_items(maxsize, Box::new(Oldest::default()))
    }

    fn with_items(maxsize: usize, items: Box<dyn Items<T>>) -> Self {
        Self { inner: Rc::new(Inner::new(maxsize, items)) }
    }

    /// Lets at most so many getters wait; further ones get [`QueueUnderflow`] at once. That is the
    /// other end's limit, which Twisted's `DeferredQueue` calls its backlog (S-37). `None`, as at
    /// first, is no limit.
    pub fn set_backlog(&self, backlog: Option<usize>) {
        self.inner.backlog.set(backlog);
    }

    /// Waits for an item and takes it.
    ///
    /// Cancelling or dropping it loses no item: one that was on its way goes to the next (S-32).
    ///
    /// # Errors
    /// [`QueueShutDown`] if the queue was shut down and is empty;
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`QueueUnderflow`] if too many [wait already](Queue::set_backlog); [`InvalidStateError`] if it
    /// has to wait and no event loop is running here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<T, Exception>> + use<T> {
        let (inner, asked_at) = (self.inner.clone(), Location::caller());
        async move {
            let will_stay_empty = inner.shut_down.get() && inner.len.get() == 0;
            if will_stay_empty || (inner.getters.woken.get() == 0 && inner.can_get()) {
                return inner.take();
            }
            if let Some(backlog) = inner.backlog.get()
                && inner.getters.waiters.len() >= backlog
                && inner.getters.waiters.count_pending() >= backlog
            {
                return Err(QueueUnderflow.into());
            }
            let mut wait = Wait::<Getters<T>>::begin(&inner, &inner.home, asked_at)?;
            loop {
                let place = wait.place();
                wait.await?;
                inner.getters.one_ran();
                let taken = inner.can_get().then(|| inner.take());
                inner.wake_getters();
                match taken {
                    Some(taken) => return taken,
                    // Somebody was quicker.
                    None => wait = Wait::begin_again(&inner, &inner.home, place, asked_at)?,
                }
            }
        }
    }

    /// Takes an item if there is one, even if others wait for it (S-31).
    ///
    /// # Errors
    /// [`QueueEmpty`] if there is none, [`QueueShutDown`] if there never will be.
    pub fn get_nowait(&self) -> Result<T, Exception> {
        self.inner.take()
    }

    /// Waits for room and adds `item`.
    ///
    /// # Errors
    /// A [`PutError`] gives the item back; `?` makes an exception of it that says why:
    /// [`QueueShutDown`]; [`CancelledError`](crate::CancelledError) if the task was cancelled
    /// meanwhile; [`InvalidStateError`] if it has to wait and no event loop is running here, or another
    /// one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn put(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + use<T> {
        let (inner, asked_at) = (self.inner.clone(), Location::caller());
        async move {
            if !inner.shut_down.get() && (inner.putters.woken.get() > 0 || inner.room() == 0) {
                let mut wait = match Wait::<Putters<T>>::begin(&inner, &inner.home, asked_at) {
                    Ok(wait) => wait,
                    Err(error) => return Err(PutError::new(item, Reason::Other(error.into()))),
                };
                loop {
                    let place = wait.place();
                    if let Err(exception) = wait.await {
                        return Err(PutError::new(item, Reason::Other(exception)));
                    }
                    inner.putters.one_ran();
                    if inner.can_put() {
                        break;
                    }
                    // Somebody was quicker.
                    wait = match Wait::begin_again(&inner, &inner.home, place, asked_at) {
                        Ok(wait) => wait,
                        Err(error) => return Err(PutError::new(item, Reason::Other(error.into()))),
                    };
                }
            }
            let outcome = inner.add(item);
            inner.wake_putters();
            outcome
        }
    }

    /// Adds `item` if there is room, even if others wait for it (S-31).
    ///
    /// # Errors
    /// A [`PutError`] gives the item back, and says why: [`QueueFull`] or [`QueueShutDown`].
    pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
        self.inner.add(item)
    }

    /// Says that the work on an item that was taken is done (S-33).
    ///
    /// # Errors
    /// [`InvalidStateError`] if it was said as often as items were put.
    pub fn task_done(&self) -> Result<(), InvalidStateError> {
        if self.inner.unfinished.get() == 0 {
            return Err(InvalidStateError::new("task_done was called too many times"));
        }
        self.inner.finish(1);
        Ok(())
    }

    /// Waits until the work on all items that were put is done; without a pause if it is (S-33).
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`] if it has to wait and no event loop is running here, or another one than
    /// those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn join(&self) -> impl Future<Output = Result<(), Exception>> + use<T> {
        let (inner, asked_at) = (self.inner.clone(), Location::caller());
        async move {
            match inner.unfinished.get() {
                0 => Ok(()),
                _ => Wait::<Joiners<T>>::begin(&inner, &inner.home, asked_at)?.await,
            }
        }
    }

    /// Ends the queue: nothing can be put any more, and who waits to put is told so. What is there can
    /// still be taken; then getters are told too (S-35).
    ///
    /// With `immediate` what is there is thrown away, and counts as done (S-36). That may follow a
    /// shutdown without.
    pub fn shutdown(&self, immediate: bool) {
        let inner = &self.inner;
        inner.shut_down.set(true);
        let thrown_away = match immediate {
            true => inner.throw_away(),
            false => Vec::new(),
        };
        inner.wake_getters();
        inner.wake_putters();
        drop(thrown_away); // user values: last, for their destructors may look at the queue
    }

    /// How many items are there.
    pub fn qsize(&self) -> usize {
        self.inner.len.get()
    }

    /// Whether no item is there.
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether as many items are there as may be; never of a queue without a limit (S-29).
    pub fn full(&self) -> bool {
        self.inner.room() == 0
    }

    /// How many items may be there; 0 if there is no limit.
    pub fn maxsize(&self) -> usize {
        self.inner.maxsize
    }

    /// Whether it was shut down.
    pub fn is_shut_down(&self) -> bool {
        self.inner.shut_down.get()
    }
}

impl<T: Ord + 'static> PriorityQueue<T> {
    /// A queue without a limit.
    pub fn new() -> Self {
        Self::bounded(0)
    }

    /// A queue of at most `maxsize` items; 0 is no limit (S-29).
    pub fn bounded(maxsize: usize) -> Self {
        Self(Queue::with_items(maxsize, Box::new(Smallest::default())))
    }
}

impl<T: 'static> LifoQueue<T> {
    /// A queue without a limit.
    pub fn new() -> Self {
        Self::bounded(0)
    }

    /// A queue of at most `maxsize` items; 0 is no limit (S-29).
    pub fn bounded(maxsize: usize) -> Self {
        Self(Queue::with_items(maxsize, Box::new(Newest::default())))
    }
}

impl<T: 'static> Clone for Queue<T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T: Ord + 'static> Clone for PriorityQueue<T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: 'static> Clone for LifoQueue<T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: 'static> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Ord + 'static> Default for PriorityQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> Default for LifoQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Ord + 'static> Deref for PriorityQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T: 'static> Deref for LifoQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T: 'static> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (getters, putters) = (&self.inner.getters.waiters, &self.inner.putters.waiters);
        f.debug_struct("Queue")
            .field("qsize", &self.qsize())
            .field("maxsize", &self.maxsize())
            .field("unfinished", &self.inner.unfinished.get())
            .field("shut_down", &self.is_shut_down())
            .field("getters", &getters.len())
            .field("putters", &putters.len())
            .finish()
    }
}

impl<T: Ord + 'static> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PriorityQueue").field(&self.0).finish()
    }
}

impl<T: 'static> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LifoQueue").field(&self.0).finish()
    }
}
