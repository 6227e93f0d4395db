//! Making tasks: [`create_task`], [`spawn`] and [`TaskBuilder`].

use super::cell::{AnyTask, Fallible, Finish, Plain, TaskCell};
use super::owner::Owner;
use super::{Step, Task, TaskRef, running};
use crate::context::TaskContext;
use crate::current::{current, current_id};
use crate::{Exception, Future, Scheduler};
use std::panic::Location;
use std::rc::Rc;

/// Runs `coroutine` as a task of the current loop (T-1). See [`TaskBuilder::create_task`].
///
/// # Panics
/// If no loop is running on this thread.
#[track_caller]
pub fn create_task<T: 'static>(
    coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
) -> Task<T> {
    TaskBuilder::new().create_task(&*current(), coroutine)
}

/// As [`create_task`], for a coroutine that cannot fail: its output is the task's value.
///
/// # Panics
/// If no loop is running on this thread.
#[track_caller]
pub fn spawn<T: 'static>(coroutine: impl std::future::Future<Output = T> + 'static) -> Task<T> {
    TaskBuilder::new().spawn(&*current(), coroutine)
}

/// A task that is about to be made, with what is not as usual.
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// use tulipa_futures::TaskBuilder;
/// let task = TaskBuilder::new().name("greeter").spawn(event_loop, async { "hello" });
/// assert_eq!(&*task.name(), "greeter");
/// # }
/// ```
#[derive(Default)]
#[must_use = "a builder makes a task when it is given a coroutine"]
pub struct TaskBuilder {
    name: Option<Rc<str>>,
    context: Option<TaskContext>,
    eager: bool,
    created_at: Option<&'static Location<'static>>,
}

impl TaskBuilder {
    /// The usual settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The task's name, instead of `Task-<number>` (T-7).
    pub fn name(mut self, name: impl Into<Rc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The context that it runs in, instead of a copy of the current one.
    pub fn context(mut self, context: TaskContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Has the first step run at once, before this returns, if the loop is running on this thread
    /// (T-26): a coroutine that ends without waiting costs no turn of the loop (T-27).
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }

    /// The place that counts as having spawned it, instead of the one that calls
    /// [`create_task`](TaskBuilder::create_task): for functions that make tasks for their callers.
    pub fn created_at(mut self, location: &'static Location<'static>) -> Self {
        self.created_at = Some(location);
        self
    }

    /// Runs `coroutine` as a task of `scheduler`. Nothing of it runs before the next iteration (T-1),
    /// unless it is [eager](TaskBuilder::eager).
    ///
    /// A coroutine's `Err` is the task's exception; [`CancelledError`](crate::CancelledError) ends it
    /// cancelled (T-4). A panic is its exception too. On a closed scheduler the coroutine is dropped,
    /// which is reported once, and the task is cancelled.
    #[track_caller]
    #[inline]
    pub fn create_task<T: 'static>(
        self,
        scheduler: &(impl Scheduler + ?Sized),
        coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Task<T> {
        let Self { name, context, eager, created_at } = self;
        let location = created_at.unwrap_or(Location::caller());
        Self::make::<Fallible, _, _>(name, context, eager, location, scheduler.to_rc(), coroutine)
    }

    /// As [`create_task`](TaskBuilder::create_task), for a coroutine whose output is the value.
    #[track_caller]
    #[inline]
    pub fn spawn<T: 'static>(
        self,
        scheduler: &(impl Scheduler + ?Sized),
        coroutine: impl std::future::Future<Output = T> + 'static,
    ) -> Task<T> {
        let Self { name, context, eager, created_at } = self;
        let location = created_at.unwrap_or(Location::caller());
        Self::make::<Plain, _, _>(name, context, eager, location, scheduler.to_rc(), coroutine)
    }

    /// The settings come one by one, by registers: they were written word by word a moment ago, and
    /// the processor would wait for that before it moved them as a whole.
    fn make<K, F, T>(
        name: Option<Rc<str>>,
        context: Option<TaskContext>,
        eager: bool,
        location: &'static Location<'static>,
        scheduler: Rc<dyn Scheduler>,
        coroutine: F,
    ) -> Task<T>
    where
        K: Finish<F::Output, T>,
        F: std::future::Future + 'static,
        T: 'static,
    {
        // A task's steps are the loop's business, also while its scope ends.
        let is_own_loop = running::with_task(|task| task.is_some_and(|it| it.runs_on(&*scheduler)));
        let scope = if is_own_loop { None } else { scheduler.scope() };
        let scheduler = scope.as_ref().map_or(scheduler, |scope| scope.root().clone());
        let owner = match &scope {
            Some(scope) if !scope.is_open() => None,
            _ => Owner::of(&*scheduler),
        };
        let accepted = owner.is_some();
        let owner = owner.unwrap_or_else(|| Rc::new(Owner::detached(&*scheduler)));
        let context = context.unwrap_or_else(TaskContext::current);
        let starts_now = eager && current_id() == Some(scheduler.id());
        let cell = TaskCell::<F, T, K>::new(scheduler, location, owner, context, coroutine);
        if let Some(name) = name {
            cell.header().set_name(name);
        }
        if accepted {
            cell.header().owner().keep(cell.clone());
        }
        if let Some(scope) = scope.as_ref().filter(|_| accepted) {
            scope.adopt_task(&Future::from_object(cell.clone()), TaskRef::new(cell.clone()));
        }
        match (accepted, starts_now) {
            (false, _) => cell.clone().refuse(scope.is_some()),
            (true, true) => Step::new(cell.clone()).run(),
            (true, false) => cell.clone().schedule_step_by(&**cell.scheduler()),
        }
        Task { future: Future::from_object(cell) }
    }
}
