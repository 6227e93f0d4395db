//! The wakers of tasks.
//!
//! While a task is polled it lends out a waker that lies in the task itself: futures of ours
//! recognise it and note the task down, so that waiting allocates nothing and counts without atomics.
//! Whoever clones it gets an [`Arc`] that any thread may keep for as long as it likes: from the loop's
//! own thread it queues the task's step, from another one it posts to the loop, once however often it
//! is woken, and after the task's or the loop's end it does nothing.
#![allow(unsafe_code)]

use super::cell::AnyTask;
use super::notified::Notified;
use super::owner::{Owner, OwnerName};
use super::running::{self, RunningTask};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, replace};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

/// Whom to wake: a task of this thread, or somebody's waker.
pub(crate) enum WakeTarget {
    Task(Rc<dyn AnyTask>),
    Waker(Waker),
    /// It was woken.
    Nobody,
}

impl WakeTarget {
    /// Whom `waker`, the one that `running` is polled with, wakes. Cloning a foreign one is user code.
    #[inline]
    pub(crate) fn of(running: Option<&RunningTask>, waker: &Waker) -> Self {
        match running {
            Some(running) if running.lent(waker) => WakeTarget::Task(running.task().clone()),
            _ => WakeTarget::Waker(waker.clone()),
        }
    }

    /// Takes out the task, if it is one.
    #[inline]
    pub(crate) fn take_task(&mut self) -> Option<Rc<dyn AnyTask>> {
        match self {
            WakeTarget::Task(_) => match replace(self, WakeTarget::Nobody) {
                WakeTarget::Task(task) => Some(task),
                WakeTarget::Waker(_) | WakeTarget::Nobody => None,
            },
            WakeTarget::Waker(_) | WakeTarget::Nobody => None,
        }
    }

    /// Whether `waker` wakes the same.
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self {
            WakeTarget::Task(task) => task.header().waker().has_lent(waker),
            WakeTarget::Waker(known) => known.will_wake(waker),
            WakeTarget::Nobody => false,
        }
    }

    /// Wakes. That of a foreign waker is user code.
    #[inline]
    pub(crate) fn wake(self) {
        match self {
            WakeTarget::Task(task) => task.schedule_step(),
            WakeTarget::Waker(waker) => waker.wake(),
            WakeTarget::Nobody => {}
        }
    }
}

/// Wakes by the waker of a poll.
#[inline]
pub(crate) fn wake_by_ref(waker: &Waker) {
    running::with_task(|running| match running {
        Some(running) if running.lent(waker) => {
            running.task().clone().schedule_step_by(running.scheduler());
        }
        _ => waker.wake_by_ref(),
    });
}

/// What lies in a task for its wakers. All that a lent waker looks at may be seen by other threads
/// while the task is being polled.
pub(crate) struct TaskWaker {
    /// Counted on the loop's thread only.
    owner: Rc<Owner>,
    /// Copies of what is in `owner`, for `Owner` itself is not for other threads.
    place: usize,
    number: u64,
    name: LentName,
    shared: OnceLock<Arc<SharedWaker>>,
}

/// The name of the owner, which lives at least as long as the task.
struct LentName(*const OwnerName);

/// A waker that may go anywhere.
struct SharedWaker {
    owner: OwnerName,
    place: usize,
    number: u64,
    notified: Notified,
}

impl TaskWaker {
    /// For the task that will have the owner's vacant place.
    #[inline(always)]
    pub(super) fn new(owner: Rc<Owner>, number: u64) -> Self {
        let (place, name) = (owner.vacant_place(), LentName(owner.name()));
        Self { owner, place, number, name, shared: OnceLock::new() }
    }

    #[inline]
    pub(super) fn owner(&self) -> &Rc<Owner> {
        &self.owner
    }

    #[inline]
    pub(super) fn place(&self) -> usize {
        self.place
    }

    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// A waker for one poll.
    #[inline]
    pub(super) fn lend(&self) -> LentWaker<'_> {
        let raw = RawWaker::new((&raw const *self).cast(), &LENT);
        // SAFETY: the functions of the vtable uphold the contract of `RawWaker` for as long as `self`
        // is borrowed, and `LentWaker` gives out no more than a reference that ends with it. What
        // they touch may be touched from any thread: see `Lent`.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
        LentWaker { waker, task: PhantomData }
    }

    /// Whether this is where `waker` was lent from.
    #[inline]
    pub(super) fn has_lent(&self, waker: &Waker) -> bool {
        std::ptr::eq(waker.data().cast(), self) && std::ptr::eq(waker.vtable(), &raw const LENT)
    }
}

/// A waker that must not outlive the poll that it was made for.
pub(super) struct LentWaker<'a> {
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

/// What a lent waker may touch.
#[derive(Clone, Copy)]
struct Lent<'a> {
    owner: &'a OwnerName,
    place: usize,
    number: u64,
    shared: &'a OnceLock<Arc<SharedWaker>>,
}

/// Proves at compile time that any thread may.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Lent<'_>>();
};

impl Lent<'_> {
    /// # Safety
    /// `data` must come from [`TaskWaker::lend`], and the `TaskWaker` must still be borrowed.
    #[inline]
    unsafe fn new<'a>(data: *const ()) -> Lent<'a> {
        let waker = data.cast::<TaskWaker>();
        // SAFETY: by the caller's promise `waker` is alive and not borrowed mutably. Only the fields
        // named here are touched; `name` points into the `Owner` that the task's `Rc` keeps alive,
        // to a part that never changes.
        unsafe {
            Lent {
                owner: &*(*waker).name.0,
                place: (*waker).place,
                number: (*waker).number,
                shared: &(*waker).shared,
            }
        }
    }

    /// The waker for whoever keeps one: one for all.
    fn share(self) -> Waker {
        let shared = self.shared.get_or_init(|| {
            Arc::new(SharedWaker {
                owner: self.owner.clone(),
                place: self.place,
                number: self.number,
                notified: Notified::default(),
            })
        });
        Waker::from(shared.clone())
    }
}

unsafe fn clone_lent(data: *const ()) -> RawWaker {
    // SAFETY: `RawWaker`'s contract: the waker that is cloned is alive, so it is still lent.
    let waker = ManuallyDrop::new(unsafe { Lent::new(data) }.share());
    RawWaker::new(waker.data(), waker.vtable())
}

unsafe fn wake_lent(data: *const ()) {
    // SAFETY: as in `clone_lent`.
    let lent = unsafe { Lent::new(data) };
    match lent.owner.thread.is_current() {
        true => wake_local(lent.owner, lent.place, lent.number),
        false => lent.share().wake(),
    }
}

/// A lent waker owns nothing.
unsafe fn drop_lent(_data: *const ()) {}

/// Queues a step of a task of this thread, if it is still there.
fn wake_local(owner: &OwnerName, place: usize, number: u64) {
    if let Some(task) = owner.find(place, number) {
        task.schedule_step();
    }
}

impl Wake for SharedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.owner.thread.is_current() {
            return wake_local(&self.owner, self.place, self.number);
        }
        if !self.notified.notify() {
            return; // the post that is on its way does for this one too
        }
        let Some(threadsafe) = self.owner.threadsafe.upgrade() else { return };
        let this = self.clone();
        // A closed loop drops it: the task is gone too.
        let _refused = threadsafe.post(Box::new(move || {
            this.notified.taken();
            wake_local(&this.owner, this.place, this.number);
        }));
    }
}
