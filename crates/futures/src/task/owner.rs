//! [`Owner`]: what the tasks of one scheduler share. It keeps them alive until they are done (T-9),
//! and ends with the scheduler.

use super::cell::AnyTask;
use super::coroutines;
use crate::{Callback, Instant, Scheduler, SchedulerId, ThreadsafeScheduler};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

thread_local! {
    /// The owners of this thread: few, and the one that was asked for last stands first.
    static OWNERS: RefCell<Vec<Rc<Owner>>> = const { RefCell::new(Vec::new()) };
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// What the tasks of one scheduler have in common.
pub(crate) struct Owner {
    scheduler: SchedulerId,
    thread: ThreadNumber,
    threadsafe: Weak<dyn ThreadsafeScheduler>,
}

/// Names a thread, for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadNumber(u64);

impl ThreadNumber {
    /// That of this thread.
    #[inline]
    pub(crate) fn current() -> Self {
        match THREAD.get() {
            0 => Self::assign(),
            number => Self(number),
        }
    }

    #[cold]
    fn assign() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        THREAD.set(number);
        Self(number)
    }

    /// Whether this is the thread.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        self == Self::current()
    }
}

impl Owner {
    /// The owner of the tasks of `scheduler`; `None` if the scheduler is closed.
    pub(crate) fn of(scheduler: &dyn Scheduler) -> Option<Rc<Owner>> {
        let id = scheduler.id();
        let known = OWNERS.try_with(|owners| {
            let mut owners = owners.borrow_mut();
            let place = owners.iter().position(|owner| owner.scheduler == id)?;
            owners.swap(0, place);
            owners.first().cloned()
        });
        match known.ok()? {
            Some(owner) if !scheduler.is_closed() => Some(owner),
            Some(_) => None,
            None => Self::install(scheduler),
        }
    }

    /// Has the scheduler keep the right to own tasks, as the captive of a timer that never fires:
    /// when it closes, it drops that, and the tasks that are left are destroyed.
    #[cold]
    fn install(scheduler: &dyn Scheduler) -> Option<Rc<Owner>> {
        let owner = Rc::new(Owner::detached(scheduler));
        OWNERS.try_with(|owners| owners.borrow_mut().insert(0, owner.clone())).ok()?;
        let tenure = Tenure(owner.scheduler);
        let captive = Callback::without_context(Location::caller(), move || drop(tenure));
        // A closed scheduler gives it back: dropping it ends the tenure.
        scheduler.schedule_at(Instant::NEVER, captive).ok()?;
        Some(owner)
    }

    /// One that keeps nothing.
    pub(crate) fn detached(scheduler: &dyn Scheduler) -> Self {
        Self {
            scheduler: scheduler.id(),
            thread: ThreadNumber::current(),
            threadsafe: Arc::downgrade(&scheduler.threadsafe()),
        }
    }

    pub(crate) fn thread(&self) -> ThreadNumber {
        self.thread
    }

    pub(crate) fn threadsafe(&self) -> &Weak<dyn ThreadsafeScheduler> {
        &self.threadsafe
    }
}

/// A scheduler's right to own tasks. It ends when the scheduler closes.
struct Tenure(SchedulerId);

impl Drop for Tenure {
    fn drop(&mut self) {
        let removed = OWNERS.try_with(|owners| {
            let mut owners = owners.borrow_mut();
            let place = owners.iter().position(|owner| owner.scheduler == self.0)?;
            Some(owners.swap_remove(place))
        });
        drop(removed);
        let mut left = tasks_of(self.0);
        left.sort_by_key(|task| task.header().number());
        for task in left {
            task.destroy();
        }
    }
}

/// The tasks of a scheduler of this thread that are not done, in no order.
pub(crate) fn tasks_of(scheduler: SchedulerId) -> Vec<Rc<dyn AnyTask>> {
    let mut tasks = coroutines::tasks();
    tasks.retain(|task| task.scheduler().id() == scheduler);
    tasks
}
