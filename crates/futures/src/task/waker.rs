//! The wakers of tasks.
//!
//! While a task is polled it lends out a waker that lies in the task itself: futures of ours
//! recognise it and note down the task's id, so that waiting costs no allocation and no counting.
//! Whoever clones it gets an [`Arc`] that any thread may keep for as long as it likes: from the loop's
//! own thread it queues the task's step, from another one it posts to the loop, once however often it
//! is woken, and after the task's or the loop's end it does nothing.
#![allow(unsafe_code)]

use super::coroutines::{self, CoroutineId};
use super::notified::Notified;
use super::owner::{Owner, ThreadNumber};
use crate::ThreadsafeScheduler;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

/// Whom to wake: the noted id of a task of this thread, or somebody's waker.
pub(crate) enum WakeTarget {
    Task(CoroutineId),
    Waker(Waker),
}

impl WakeTarget {
    /// Whom `waker` wakes. Cloning a foreign waker is user code.
    #[inline]
    pub(crate) fn of(waker: &Waker) -> Self {
        match lent_by(waker) {
            Some(task) => WakeTarget::Task(task),
            None => WakeTarget::Waker(waker.clone()),
        }
    }

    /// Whether `waker` wakes the same.
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self {
            WakeTarget::Task(task) => lent_by(waker) == Some(*task),
            WakeTarget::Waker(known) => known.will_wake(waker),
        }
    }

    /// Wakes. That of a foreign waker is user code.
    #[inline]
    pub(crate) fn wake(self) {
        match self {
            WakeTarget::Task(task) => wake_task(task),
            WakeTarget::Waker(waker) => waker.wake(),
        }
    }
}

/// Queues a step of a task of this thread, unless one is queued or the task is done.
#[inline]
pub(crate) fn wake_task(task: CoroutineId) {
    coroutines::wake(task);
}

/// What lies in a task for its wakers. All of it may be read from other threads while the task is
/// being polled.
pub(crate) struct TaskWaker {
    task: CoroutineId,
    /// Counted on the loop's thread only; what it points to is `Sync`.
    owner: Rc<Owner>,
    shared: OnceLock<Arc<SharedWaker>>,
}

/// A waker that may go anywhere.
struct SharedWaker {
    task: CoroutineId,
    thread: ThreadNumber,
    /// Weak: a waker is no promise that something will be posted.
    threadsafe: Weak<dyn ThreadsafeScheduler>,
    notified: Notified,
}

impl TaskWaker {
    pub(crate) fn new(task: CoroutineId, owner: Rc<Owner>) -> Self {
        Self { task, owner, shared: OnceLock::new() }
    }

    pub(crate) fn task(&self) -> CoroutineId {
        self.task
    }

    /// A waker for one poll.
    #[inline]
    pub(crate) fn lend(&self) -> LentWaker<'_> {
        let raw = RawWaker::new((&raw const *self).cast(), &LENT);
        // SAFETY: the functions of the vtable uphold the contract of `RawWaker` for as long as `self`
        // is borrowed, and `LentWaker` gives out no more than a reference that ends with it. What
        // they touch is `Sync`: see `look`.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
        LentWaker { waker, task: PhantomData }
    }

    /// The waker for whoever keeps one.
    fn shared(task: CoroutineId, owner: &Owner, shared: &OnceLock<Arc<SharedWaker>>) -> Waker {
        let shared = shared.get_or_init(|| {
            Arc::new(SharedWaker {
                task,
                thread: owner.thread(),
                threadsafe: owner.threadsafe().clone(),
                notified: Notified::default(),
            })
        });
        Waker::from(shared.clone())
    }
}

/// A waker that must not outlive the poll that it was made for.
pub(crate) struct LentWaker<'a> {
    waker: ManuallyDrop<Waker>,
    task: PhantomData<&'a TaskWaker>,
}

impl Deref for LentWaker<'_> {
    type Target = Waker;

    #[inline]
    fn deref(&self) -> &Waker {
        &self.waker
    }
}

/// One static, so that its address tells our lent wakers from all others.
static LENT: RawWakerVTable = RawWakerVTable::new(clone_lent, wake_lent, wake_lent, drop_lent);

/// The task that lent `waker`, if it is one of ours.
#[inline]
fn lent_by(waker: &Waker) -> Option<CoroutineId> {
    if !std::ptr::eq(waker.vtable(), &raw const LENT) {
        return None;
    }
    // SAFETY: only `lend` makes wakers with this vtable, and whoever holds a reference to one holds
    // it within the borrow that it was lent for.
    let (task, ..) = unsafe { look(waker.data()) };
    Some(task)
}

/// What a lent waker may touch, from any thread.
///
/// # Safety
/// `data` must come from [`TaskWaker::lend`], and the `TaskWaker` must still be borrowed.
#[inline]
unsafe fn look<'a>(data: *const ()) -> (CoroutineId, &'a Owner, &'a OnceLock<Arc<SharedWaker>>) {
    // SAFETY: by the caller's promise it points to a live `TaskWaker` that nobody borrows mutably.
    // `Owner` and `OnceLock<Arc<SharedWaker>>` are `Sync`, and the count of the `Rc` is not touched.
    let waker = unsafe { &*data.cast::<TaskWaker>() };
    (waker.task, &waker.owner, &waker.shared)
}

unsafe fn clone_lent(data: *const ()) -> RawWaker {
    // SAFETY: `RawWaker`'s contract: the waker that is cloned is alive, so it is still lent.
    let (task, owner, shared) = unsafe { look(data) };
    let waker = ManuallyDrop::new(TaskWaker::shared(task, owner, shared));
    RawWaker::new(waker.data(), waker.vtable())
}

unsafe fn wake_lent(data: *const ()) {
    // SAFETY: as in `clone_lent`.
    let (task, owner, shared) = unsafe { look(data) };
    match owner.thread().is_current() {
        true => wake_task(task),
        false => TaskWaker::shared(task, owner, shared).wake(),
    }
}

/// A lent waker owns nothing.
unsafe fn drop_lent(_data: *const ()) {}

/// Proves at compile time what `look` relies on.
const _: () = {
    const fn is_sync<T: Sync>() {}
    is_sync::<Owner>();
    is_sync::<OnceLock<Arc<SharedWaker>>>();
};

impl Wake for SharedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.thread.is_current() {
            return wake_task(self.task);
        }
        if !self.notified.notify() {
            return; // the post that is on its way does for this one too
        }
        let Some(threadsafe) = self.threadsafe.upgrade() else { return };
        let this = self.clone();
        // A closed loop drops it: the task is gone too.
        let _refused = threadsafe.post(Box::new(move || {
            this.notified.taken();
            wake_task(this.task);
        }));
    }
}
