//! [`Owner`]: what the tasks of one scheduler share. It keeps them alive until they are done (T-9),
//! and ends with the scheduler.

use super::cell::AnyTask;
use super::running;
use crate::{Callback, Instant, Scheduler, SchedulerId, ThreadsafeScheduler};
use std::cell::{Cell, RefCell};
use std::mem::{forget, replace};
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

thread_local! {
    /// The owners of this thread: few, and the one that was asked for last stands first.
    static OWNERS: RefCell<Vec<Rc<Owner>>> = const { RefCell::new(Vec::new()) };
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The tasks of one scheduler.
pub(crate) struct Owner {
    name: OwnerName,
    /// Whether it owns a task that was refused, and no other.
    is_detached: bool,
    tasks: RefCell<Places>,
}

/// What wakers must know of an owner; any thread may look at it.
#[derive(Clone)]
pub(crate) struct OwnerName {
    pub(super) scheduler: SchedulerId,
    pub(super) thread: ThreadNumber,
    /// Weak: a waker is no promise that something will be posted.
    pub(super) threadsafe: Weak<dyn ThreadsafeScheduler>,
}

/// The tasks that are not done, each in a place that it keeps.
///
/// Invariant: `vacant` begins the list of the free places, which goes through all of them and ends with
/// the number of places there are.
#[derive(Default)]
struct Places {
    places: Vec<Place>,
    vacant: usize,
}

enum Place {
    Task(Rc<dyn AnyTask>),
    /// It is free, and so is this one.
    Free(usize),
}

/// Names a thread, for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadNumber(u64);

impl ThreadNumber {
    /// That of this thread.
    #[inline]
    pub(crate) fn current() -> Self {
        match THREAD.with(Cell::get) {
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
    #[inline]
    pub(crate) fn of(scheduler: &dyn Scheduler) -> Option<Rc<Owner>> {
        if scheduler.is_closed() {
            return None;
        }
        // Mostly a task makes another one of its own loop.
        let own = running::with_task(|running| {
            let running = running.filter(|running| running.runs_on(scheduler))?;
            let owner = running.header().owner();
            (!owner.is_detached).then(|| owner.clone())
        });
        own.or_else(|| Self::find(scheduler.id())).or_else(|| Self::install(scheduler))
    }

    #[inline(never)]
    fn find(id: SchedulerId) -> Option<Rc<Owner>> {
        let found = OWNERS.try_with(|owners| {
            let mut owners = owners.borrow_mut();
            let place = owners.iter().position(|owner| owner.name.scheduler == id)?;
            owners.swap(0, place);
            owners.first().cloned()
        });
        found.ok().flatten()
    }

    /// Has the scheduler keep the right to own tasks, as the captive of a timer that never fires:
    /// when it closes, it drops that, and the tasks that are left are destroyed.
    #[cold]
    fn install(scheduler: &dyn Scheduler) -> Option<Rc<Owner>> {
        let owner = Rc::new(Owner { is_detached: false, ..Owner::detached(scheduler) });
        OWNERS.try_with(|owners| owners.borrow_mut().insert(0, owner.clone())).ok()?;
        let tenure = Tenure(owner.clone());
        let captive = Callback::without_context(Location::caller(), move || drop(tenure));
        // A closed scheduler gives it back: dropping it ends the tenure.
        scheduler.schedule_at(Instant::NEVER, captive).ok()?;
        Some(owner)
    }

    /// One that nobody finds, for a task that is refused.
    pub(super) fn detached(scheduler: &dyn Scheduler) -> Self {
        let name = OwnerName {
            scheduler: scheduler.id(),
            thread: ThreadNumber::current(),
            threadsafe: Arc::downgrade(&scheduler.threadsafe()),
        };
        Self { name, is_detached: true, tasks: RefCell::default() }
    }

    #[inline]
    pub(super) fn name(&self) -> &OwnerName {
        &self.name
    }

    /// The place that the next task will have.
    #[inline]
    pub(super) fn vacant_place(&self) -> usize {
        self.tasks.borrow().vacant
    }

    /// Keeps `task`, which was made for the vacant place.
    #[inline]
    pub(super) fn keep(&self, task: Rc<dyn AnyTask>) {
        self.tasks.borrow_mut().keep(task);
    }

    /// Keeps the task in this place no longer.
    #[inline]
    pub(super) fn release(&self, place: usize) -> Option<Rc<dyn AnyTask>> {
        self.tasks.borrow_mut().release(place)
    }

    /// All tasks that are not done, in the order in which they were made.
    pub(super) fn tasks(&self) -> Vec<Rc<dyn AnyTask>> {
        let tasks = self.tasks.borrow();
        let mut tasks: Vec<_> = tasks.places.iter().filter_map(Place::task).cloned().collect();
        tasks.sort_by_key(|task| task.header().number());
        tasks
    }
}

impl Place {
    fn task(&self) -> Option<&Rc<dyn AnyTask>> {
        match self {
            Place::Task(task) => Some(task),
            Place::Free(_) => None,
        }
    }
}

impl Places {
    #[inline]
    fn keep(&mut self, task: Rc<dyn AnyTask>) {
        match self.places.get_mut(self.vacant) {
            Some(place) => {
                if let Place::Free(next) = *place {
                    self.vacant = next;
                }
                // A free place has nothing to drop.
                forget(replace(place, Place::Task(task)));
            }
            None => {
                self.places.push(Place::Task(task));
                self.vacant = self.places.len();
            }
        }
    }

    #[inline]
    fn release(&mut self, place: usize) -> Option<Rc<dyn AnyTask>> {
        let left = self.places.get_mut(place)?;
        match replace(left, Place::Free(self.vacant)) {
            Place::Task(task) => {
                self.vacant = place;
                Some(task)
            }
            free @ Place::Free(_) => {
                *left = free;
                None
            }
        }
    }
}

impl OwnerName {
    /// The task of this thread that has the place, if it is still the one with this number.
    pub(super) fn find(&self, place: usize, number: u64) -> Option<Rc<dyn AnyTask>> {
        let owner = Owner::find(self.scheduler)?;
        let task = owner.tasks.borrow().places.get(place)?.task()?.clone();
        (task.header().number() == number).then_some(task)
    }
}

/// A scheduler's right to own tasks. It ends when the scheduler closes.
struct Tenure(Rc<Owner>);

impl Drop for Tenure {
    fn drop(&mut self) {
        let removed = OWNERS.try_with(|owners| {
            let mut owners = owners.borrow_mut();
            let place = owners.iter().position(|owner| Rc::ptr_eq(owner, &self.0))?;
            Some(owners.swap_remove(place))
        });
        drop(removed);
        for task in self.0.tasks() {
            task.destroy();
        }
    }
}

/// The tasks of a scheduler of this thread that are not done, in the order in which they were made.
pub(super) fn tasks_of(scheduler: SchedulerId) -> Vec<Rc<dyn AnyTask>> {
    Owner::find(scheduler).map(|owner| owner.tasks()).unwrap_or_default()
}
