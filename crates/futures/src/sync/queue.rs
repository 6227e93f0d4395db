//! [`Queue`], [`PriorityQueue`] and [`LifoQueue`]: items from tasks to tasks.
//!
//! An item leaves only with the getter that returns it: who is woken looks again (S-31), so that
//! neither a cancelled getter nor one that was overtaken by `get_nowait` loses any (S-32).
//!
//! Invariant: where there are items and getters wait, some getter is *woken* and has not run yet; when
//! it runs, or leaves, it looks after the others. The same holds of room and putters. While one is
//! woken newcomers wait too, so that they do not overtake it.

mod errors;
mod items;

use super::waiters::{Grants, Home, Wait, Waiters};
use crate::{Exception, InvalidStateError};
use errors::Reason;
pub use errors::{PutError, QueueEmpty, QueueFull, QueueShutDown, QueueUnderflow};
use items::{Items, Newest, Oldest, Smallest};
use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
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

struct Inner<T: 'static> {
    items: RefCell<Box<dyn Items<T>>>,
    /// How many `items` has; it can be asked while those are busy.
    len: Cell<usize>,
    /// 0 if there is no limit.
    maxsize: usize,
    backlog: Cell<Option<usize>>,
    unfinished: Cell<usize>,
    shut_down: Cell<bool>,
    home: Home,
    getters: Side,
    putters: Side,
    joiners: Waiters,
}

/// Those who wait on one side of the queue.
#[derive(Default)]
struct Side {
    waiters: Waiters,
    /// How many were woken and have not run yet.
    woken: Cell<usize>,
}

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
        let inner = Inner {
            items: RefCell::new(items),
            len: Cell::new(0),
            maxsize,
            backlog: Cell::new(None),
            unfinished: Cell::new(0),
            shut_down: Cell::new(false),
            home: Home::default(),
            getters: Side::default(),
            putters: Side::default(),
            joiners: Waiters::default(),
        };
        Self { inner: Rc::new(inner) }
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
    pub fn get(&self) -> impl Future<Output = Result<T, Exception>> + use<T> {
        let inner = self.inner.clone();
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
            let mut wait = Wait::<Getters<T>>::begin(&inner, &inner.home)?;
            loop {
                let place = wait.place();
                wait.await?;
                inner.getters.one_ran();
                let taken = inner.can_get().then(|| inner.take());
                inner.wake_getters();
                match taken {
                    Some(taken) => return taken,
                    // Somebody was quicker.
                    None => wait = Wait::begin_again(&inner, &inner.home, place)?,
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
    pub fn put(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + use<T> {
        let inner = self.inner.clone();
        async move {
            if !inner.shut_down.get() && (inner.putters.woken.get() > 0 || inner.room() == 0) {
                let mut wait = match Wait::<Putters<T>>::begin(&inner, &inner.home) {
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
                    wait = match Wait::begin_again(&inner, &inner.home, place) {
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
    pub fn join(&self) -> impl Future<Output = Result<(), Exception>> + use<T> {
        let inner = self.inner.clone();
        async move {
            match inner.unfinished.get() {
                0 => Ok(()),
                _ => Wait::<Joiners<T>>::begin(&inner, &inner.home)?.await,
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
            true => inner.open().map(|mut opened| opened.items.take_all()).unwrap_or_default(),
            false => Vec::new(),
        };
        inner.finish(thrown_away.len());
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

impl<T: 'static> Inner<T> {
    /// The items, to change them; `None` from inside a comparison of items, which is user code.
    fn open(&self) -> Option<Opened<'_, T>> {
        Some(Opened { items: self.items.try_borrow_mut().ok()?, len: &self.len })
    }

    fn room(&self) -> usize {
        match self.maxsize {
            0 => usize::MAX,
            maxsize => maxsize - self.len.get(),
        }
    }

    /// Whether asking for an item has an answer now.
    fn can_get(&self) -> bool {
        self.len.get() > 0 || self.shut_down.get()
    }

    /// Whether putting an item has an answer now.
    fn can_put(&self) -> bool {
        self.room() > 0 || self.shut_down.get()
    }

    fn take(&self) -> Result<T, Exception> {
        let item = match self.open() {
            Some(mut opened) => opened.items.pop(),
            None => return Err(busy().into()),
        };
        match item {
            Some(item) => {
                self.wake_putters();
                Ok(item)
            }
            None if self.shut_down.get() => Err(QueueShutDown.into()),
            None => Err(QueueEmpty.into()),
        }
    }

    fn add(&self, item: T) -> Result<(), PutError<T>> {
        if self.shut_down.get() {
            return Err(PutError::new(item, Reason::ShutDown));
        }
        if self.room() == 0 {
            return Err(PutError::new(item, Reason::Full));
        }
        let Some(mut opened) = self.open() else {
            return Err(PutError::new(item, Reason::Other(busy().into())));
        };
        // First, for a comparison that panics leaves the item in the queue.
        self.unfinished.set(self.unfinished.get() + 1);
        opened.items.push(item);
        drop(opened);
        self.wake_getters();
        Ok(())
    }

    /// Counts `count` items as done.
    fn finish(&self, count: usize) {
        let unfinished = self.unfinished.get();
        self.unfinished.set(unfinished.saturating_sub(count));
        if unfinished > 0 && self.unfinished.get() == 0 {
            self.joiners.grant_all(());
        }
    }

    /// Wakes as many getters as there is something for.
    fn wake_getters(&self) {
        self.getters.wake_while(|woken| self.shut_down.get() || woken < self.len.get());
    }

    /// Wakes as many putters as there is room for.
    fn wake_putters(&self) {
        self.putters.wake_while(|woken| self.shut_down.get() || woken < self.room());
    }
}

impl Side {
    fn wake_while(&self, wanted: impl Fn(usize) -> bool) {
        while wanted(self.woken.get()) {
            // First the books, then the waiter: waking may run code that looks at them.
            self.woken.set(self.woken.get() + 1);
            if !self.waiters.grant(()) {
                return self.one_ran();
            }
        }
    }

    /// One who was woken has run, or never will.
    fn one_ran(&self) {
        self.woken.set(self.woken.get() - 1);
    }
}

/// The items while they are changed. They are counted when this is dropped, also by a panic.
struct Opened<'a, T: 'static> {
    items: RefMut<'a, Box<dyn Items<T>>>,
    len: &'a Cell<usize>,
}

impl<T: 'static> Drop for Opened<'_, T> {
    fn drop(&mut self) {
        self.len.set(self.items.len());
    }
}

fn busy() -> InvalidStateError {
    InvalidStateError::new("the queue is used from inside a comparison of its items")
}

struct Getters<T>(PhantomData<T>);
struct Putters<T>(PhantomData<T>);
struct Joiners<T>(PhantomData<T>);

impl<T: 'static> Grants for Getters<T> {
    type Owner = Inner<T>;
    type Grant = ();

    fn waiters(inner: &Inner<T>) -> &Waiters {
        &inner.getters.waiters
    }

    fn come_back(inner: &Rc<Inner<T>>, (): ()) {
        inner.getters.one_ran();
        inner.wake_getters();
    }
}

impl<T: 'static> Grants for Putters<T> {
    type Owner = Inner<T>;
    type Grant = ();

    fn waiters(inner: &Inner<T>) -> &Waiters {
        &inner.putters.waiters
    }

    fn come_back(inner: &Rc<Inner<T>>, (): ()) {
        inner.putters.one_ran();
        inner.wake_putters();
    }
}

impl<T: 'static> Grants for Joiners<T> {
    type Owner = Inner<T>;
    type Grant = ();

    fn waiters(inner: &Inner<T>) -> &Waiters {
        &inner.joiners
    }

    /// All were told: there is nothing that another would miss.
    fn come_back(_: &Rc<Inner<T>>, (): ()) {}
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
