//! [`TaskGroup`]: tasks that end together, before the code that made them goes on.
//!
//! The body of a group is a [`Branch`] of the task that runs it, so that the failure of a member can
//! cancel the body and nothing around it: the requests to cancel the task itself are left alone.
//!
//! Invariant: while the scope is there, everything that was made in it is either among the members or
//! has ended; the scope is left when both the body and the members have ended.

use crate::current::current;
use crate::future::AnyFuture;
use crate::slots::{SlotKey, Slots};
use crate::task::branch::ask_around;
use crate::task::wait_set::{CancelRequest, WaitSet};
use crate::task::{Branch, BranchEnd, BranchId, running};
use crate::{
    CancelledError, Exception, ExceptionGroup, Future, InvalidStateError, Scheduler, SchedulerExt,
    Task, TaskBuilder, catch, current_task,
};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// A group of tasks that end together: [`scope`](TaskGroup::scope) runs a body that makes tasks, and
/// goes on when the body and all of them have ended.
///
/// If one of them fails, the others are cancelled, the body too, and all failures come out together as
/// an [`ExceptionGroup`]. A member that is merely cancelled ends nothing (T-73). This is what
/// [`gather`](crate::gather()) is not: there the others go on after a failure, and nobody waits for
/// them.
///
/// The group that the body is given is a handle: members may keep a clone, and add members, for as
/// long as a member runs (T-70).
///
/// # What members may borrow
/// Nothing: they are tasks, which the loop owns, so their coroutines must be `'static`. A group could
/// only lend them something of the enclosing function if it were certain to outlive them. But a future
/// can be dropped at any `.await`, or leaked with `std::mem::forget`, without any code of ours being
/// able to wait for the members first: they would go on with what is no more. (A thread can wait in a
/// destructor, so that `std::thread::scope` may lend; a coroutine cannot.) Share what they need with
/// an `Rc`, or use [`gather!`](macro@crate::gather) or [`join_all`](crate::join_all()): these poll
/// their parts in place, so that the parts may borrow, and end with the future around them.
///
/// # When the scope is dropped
/// If the future of [`scope`](TaskGroup::scope) is dropped half-way (its task was aborted, or it lost a
/// race), the members are cancelled; but nobody can wait for them any more. They end when they have
/// cleaned up, and their failures go to the exception handler as those of any task.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, TaskGroup, sleep};
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Exception> {
/// let sum = TaskGroup::scope(async |group| {
///     let slow = group.create_task(async {
///         sleep(Duration::from_millis(20)).await?;
///         Ok(20)
///     })?;
///     let fast = group.spawn(async { 1 })?;
///     Ok(slow.await? + fast.await?)
/// });
/// assert_eq!(sum.await?, 21);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TaskGroup {
    group: Rc<Group>,
}

impl TaskGroup {
    /// Runs `body`, then waits until every member has ended, and gives what the body returned.
    ///
    /// A cancellation from outside is passed to the body and the members, which are still waited for;
    /// further ones do not cut the waiting short (T-74, T-76).
    ///
    /// # Errors
    /// - An [`ExceptionGroup`] of every failure, that of the body and panics included: "unhandled errors
    ///   in a TaskGroup" (T-71, T-72). If the task was cancelled from outside as well, the next wait
    ///   after the scope is told so (T-74).
    /// - [`CancelledError`] if the task was cancelled and no member failed, or if
    ///   [`cancel`](TaskGroup::cancel) cut the body short, so that there is no value: see
    ///   [`cancellable_scope`](TaskGroup::cancellable_scope).
    /// - [`InvalidStateError`] outside of a task (T-69).
    pub async fn scope<R>(
        body: impl AsyncFnOnce(&TaskGroup) -> Result<R, Exception>,
    ) -> Result<R, Exception> {
        let value = Self::cancellable_scope(body).await?;
        value.ok_or_else(|| CancelledError::with_message("the task group was cancelled").into())
    }

    /// As [`scope`](TaskGroup::scope), for a body that [`cancel`](TaskGroup::cancel) may cut short:
    /// then the outcome is `None`, which is no error (T-80).
    ///
    /// # Errors
    /// As [`scope`](TaskGroup::scope) otherwise.
    ///
    /// # Examples
    /// ```
    /// # use tulipa_futures::{Exception, TaskGroup, sleep};
    /// # use std::time::Duration;
    /// # async fn example() -> Result<(), Exception> {
    /// let answer = TaskGroup::cancellable_scope(async |group| {
    ///     let impatient = group.clone();
    ///     group.spawn(async move {
    ///         if sleep(Duration::from_millis(20)).await.is_ok() {
    ///             impatient.cancel();
    ///         }
    ///     })?;
    ///     sleep(Duration::from_secs(60)).await?;
    ///     Ok("rested")
    /// });
    /// assert_eq!(answer.await?, None);
    /// # Ok(()) }
    /// ```
    pub async fn cancellable_scope<R>(
        body: impl AsyncFnOnce(&TaskGroup) -> Result<R, Exception>,
    ) -> Result<Option<R>, Exception> {
        let Some(parent) = current_task() else {
            return Err(InvalidStateError::new("a task group works inside of a task only").into());
        };
        let requests_before = parent.cancelling();
        let mut branch = Branch::new();
        let group = TaskGroup { group: Rc::new(Group::new(branch.id())) };
        let abandoned = Abandoned(&group.group);
        let end = {
            let mut body = pin!(Some(async { body(&group).await }));
            let end = poll_fn(|context| {
                let polled = catch(|| branch.poll(body.as_mut(), context));
                match polled {
                    Ok(polled) => polled.map(Ok),
                    Err(panic) => Poll::Ready(Err(panic)),
                }
            })
            .await;
            // What is left of one that panicked may panic again.
            end.and_then(|end| catch(|| body.set(None)).map(|()| end))
        };
        // The outermost coroutine that was asked decides who is to hear of it.
        let mut outermost = branch.received().outermost;
        let from_outside = outermost.is_some();
        let mut ended = BodyEnd::of(end, from_outside, group.group.is_aborting.get());
        // The request from outside that the code after the scope is to hear of, should the outcome not
        // tell it. One that the body has swallowed counts unless it was taken back (T-20).
        let mut owed = match &ended.cancellation {
            Some(cancellation) if from_outside => Some(request_of(cancellation)),
            None if from_outside && parent.cancelling() > requests_before => {
                Some(CancelRequest(None))
            }
            _ => None,
        };
        // The next wait is told: that for the members, or one after the scope.
        branch.pass_on(ended.unnoticed.take());
        drop(branch);
        group.group.stage.set(Stage::Waiting);
        if !ended.is_good() {
            group.group.abort();
        }
        while let Some(all_ended) = group.group.wait_for_members() {
            let Err(exception) = all_ended.await else { continue };
            if !exception.is_cancelled() {
                return Err(exception);
            }
            owed = Some(request_of(&exception));
            let asked = running::with_wait_set(|around| around.map(WaitSet::asked));
            outermost = outermost.into_iter().chain(asked).min();
            ended.cancellation.get_or_insert(exception);
            group.group.abort();
        }
        group.group.stage.set(Stage::Over);
        drop(abandoned);
        let mut errors = group.group.errors.take();
        errors.extend(ended.error);
        if !errors.is_empty() {
            if let Some(request) = owed {
                // Not counted: it was counted when it came.
                ask_around(request, outermost.unwrap_or_default());
            }
            return Err(ExceptionGroup::new("unhandled errors in a TaskGroup", errors).into());
        }
        match ended.cancellation {
            Some(cancellation) => Err(cancellation),
            None => Ok(ended.value),
        }
    }

    /// Makes a task that is a member. See [`SchedulerExt::create_task`].
    ///
    /// # Errors
    /// If the group has ended, or is giving up; the coroutine is dropped (T-69).
    #[track_caller]
    pub fn create_task<T: 'static>(
        &self,
        coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Result<Task<T>, InvalidStateError> {
        self.create_task_with(TaskBuilder::new(), coroutine)
    }

    /// As [`create_task`](TaskGroup::create_task), for a coroutine that cannot fail.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn spawn<T: 'static>(
        &self,
        coroutine: impl std::future::Future<Output = T> + 'static,
    ) -> Result<Task<T>, InvalidStateError> {
        self.group.admit()?;
        let task = TaskBuilder::new().spawn(&*self.group.scheduler, coroutine);
        self.group.add(&task);
        Ok(task)
    }

    /// As [`create_task`](TaskGroup::create_task), for a task with a name, or one that starts eagerly.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn create_task_with<T: 'static>(
        &self,
        builder: TaskBuilder,
        coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Result<Task<T>, InvalidStateError> {
        self.group.admit()?;
        let task = builder.create_task(&*self.group.scheduler, coroutine);
        self.group.add(&task);
        Ok(task)
    }

    /// Ends the group early, without a failure: cancels the members, and the body if it has not ended
    /// (T-80). May be called from inside or outside, any number of times.
    pub fn cancel(&self) {
        if self.group.stage.get() != Stage::Over {
            self.group.abort();
        }
    }

    /// How many members have not ended.
    pub fn member_count(&self) -> usize {
        self.group.members.borrow().len()
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.group.stage.get(), self.group.is_aborting.get()) {
            (Stage::Over, _) => "over",
            (_, true) => "giving up",
            (Stage::Body, false) => "running",
            (Stage::Waiting | Stage::Abandoned, false) => "waiting",
        };
        write!(f, "TaskGroup({state}, {} members)", self.member_count())
    }
}

/// How the body ended.
struct BodyEnd<R> {
    value: Option<R>,
    error: Option<Exception>,
    /// It was cancelled, and not by the group.
    cancellation: Option<Exception>,
    /// It was cancelled by the group.
    was_cut_short: bool,
    /// A request from outside that it did not notice.
    unnoticed: Option<CancelRequest>,
}

impl<R> BodyEnd<R> {
    fn of(
        end: Result<BranchEnd<Result<R, Exception>>, Exception>,
        from_outside: bool,
        is_aborting: bool,
    ) -> Self {
        let (outcome, unnoticed) = match end {
            Ok(BranchEnd::Output(outcome, unnoticed)) => (outcome, unnoticed),
            Ok(BranchEnd::Dropped(CancelRequest(message))) => {
                (Err(CancelledError::from(message).into()), None)
            }
            Err(panic) => (Err(panic), None),
        };
        let mut ended = Self {
            value: None,
            error: None,
            cancellation: None,
            was_cut_short: false,
            unnoticed: unnoticed.filter(|_| from_outside),
        };
        match outcome {
            Ok(value) => ended.value = Some(value),
            Err(exception) if !exception.is_cancelled() => ended.error = Some(exception),
            Err(_) if is_aborting && !from_outside => ended.was_cut_short = true,
            Err(cancellation) => ended.cancellation = Some(cancellation),
        }
        ended
    }

    fn is_good(&self) -> bool {
        self.value.is_some() || self.was_cut_short
    }
}

/// The request that led to this cancellation.
fn request_of(cancellation: &Exception) -> CancelRequest {
    let message = cancellation.cancelled().and_then(CancelledError::message);
    CancelRequest(message.map(|message| message.to_owned().into()))
}

/// Where the scope of a group stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Body,
    /// The body has ended.
    Waiting,
    Over,
    /// The scope was dropped before its end.
    Abandoned,
}

struct Group {
    scheduler: Rc<dyn Scheduler>,
    body: BranchId,
    members: RefCell<Slots<Rc<dyn AnyFuture>>>,
    stage: Cell<Stage>,
    is_aborting: Cell<bool>,
    errors: RefCell<Vec<Exception>>,
    /// What the scope waits for.
    all_ended: RefCell<Option<Future<()>>>,
}

impl Group {
    fn new(body: BranchId) -> Self {
        Self {
            scheduler: current(),
            body,
            members: RefCell::default(),
            stage: Cell::new(Stage::Body),
            is_aborting: Cell::new(false),
            errors: RefCell::default(),
            all_ended: RefCell::default(),
        }
    }

    /// Whether a task may be made (T-69, T-70).
    fn admit(&self) -> Result<(), InvalidStateError> {
        let has_ended = match self.stage.get() {
            Stage::Body => false,
            Stage::Waiting => self.members.borrow().is_empty(),
            Stage::Over | Stage::Abandoned => true,
        };
        if has_ended {
            return Err(InvalidStateError::new("the task group has ended"));
        }
        match self.is_aborting.get() {
            true => Err(InvalidStateError::new("the task group is giving up")),
            false => Ok(()),
        }
    }

    /// Has a new task be a member until it has ended.
    fn add<T: 'static>(self: &Rc<Self>, task: &Task<T>) {
        let key = self.members.borrow_mut().insert(task.as_future().object().clone());
        let group = self.clone();
        // Also of one that has ended already: a failure in an eager first step is not to cancel the
        // body from inside of create_task (T-30).
        task.add_done_callback(move |task| group.member_ended(key, task));
        if self.is_aborting.get() {
            task.cancel(); // its own first step has ended the group
        }
    }

    fn member_ended<T: 'static>(&self, key: SlotKey, task: &Task<T>) {
        let removed = self.members.borrow_mut().remove(key);
        drop(removed);
        // If nobody waits for the group any more, the failure goes where that of any task goes.
        if self.stage.get() != Stage::Abandoned
            && let Ok(Some(exception)) = task.exception()
        {
            self.errors.borrow_mut().push(exception);
            self.abort();
        }
        if self.members.borrow().is_empty()
            && let Some(all_ended) = self.all_ended.take()
        {
            // If it was cancelled, the scope makes another one, or goes on.
            let _ = all_ended.set_result(());
        }
    }

    /// Cancels the members, and the body if it has not ended. Once is enough.
    fn abort(&self) {
        if self.is_aborting.replace(true) {
            return;
        }
        let members: Vec<Rc<dyn AnyFuture>> =
            self.members.borrow().in_order().into_iter().map(|(_, task)| task.clone()).collect();
        for task in members {
            task.request_cancel(None);
        }
        if self.stage.get() == Stage::Body {
            self.body.cancel(None);
        }
    }

    /// A future that is done when all members have ended; `None` if they have.
    fn wait_for_members(&self) -> Option<Future<()>> {
        if self.members.borrow().is_empty() {
            return None;
        }
        let all_ended = self.scheduler.create_future();
        self.all_ended.replace(Some(all_ended.clone()));
        Some(all_ended)
    }
}

/// Cancels the members if the scope is dropped before its end.
struct Abandoned<'a>(&'a Group);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if self.0.stage.get() != Stage::Over {
            self.0.stage.set(Stage::Abandoned);
            self.0.abort();
        }
    }
}
