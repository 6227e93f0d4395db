//! [`Scope`]: a view of a loop that owns what is made through it, and ends it together.
//!
//! What it has is kept by [`ScopeCore`](core): callbacks and timers, which wait in the scope and leave
//! no more than a [ticket](callbacks) in the loop's queue, and [members](member), which end by
//! themselves and are then forgotten.

mod callbacks;
mod core;
mod ending;
mod member;

pub(crate) use self::core::{ENDED, ScopeCore};
pub use ending::ScopeReport;
pub(crate) use member::Membership;
pub use member::ScopeMember;

use crate::{Future, InvalidStateError, Scheduler, TaskRef};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A view of a loop that owns what is made through it: callbacks, timers, futures, tasks, inner scopes,
/// and whatever else is a [`ScopeMember`], such as transports and servers. They end together.
///
/// It is used like the loop itself: `call_soon`, `call_later`, `create_future`, `create_task` and the
/// other methods of [`SchedulerExt`](crate::SchedulerExt) work on it, and so does every function that
/// takes a [`Scheduler`]. Whatever ends by itself is forgotten at once, so a scope may live as long as
/// the loop.
///
/// # How it ends
/// [`close`](ScopeHandle::close) begins the end. At once, callbacks and timers are dropped, pending
/// futures cancelled, tasks asked to end ([`cancel`](crate::Task::cancel)), inner scopes and other members closed.
/// From then on nothing new can be made: the scope refuses as a closed loop does. The tasks go on, to
/// clean up; those that have not ended at the [deadline](ScopeHandle::deadline) are aborted, and so are
/// the other members. [`abort`](ScopeHandle::abort) does that without waiting.
///
/// Those who wait for a future or a task of the scope from outside are told of its end: done-callbacks
/// are not the scope's.
///
/// Dropping a `Scope` that is open aborts it; dropping one that is being closed changes nothing.
/// A scope also ends with the scope it was made in, and with the loop.
///
/// All of this may be done from inside the scope's own callbacks and tasks, and from destructors of
/// what they captured. For them there is [`handle`](Scope::handle), which does not end anything when it
/// is dropped.
///
/// # Examples
/// A service that is started and stopped from callbacks:
/// ```
/// use std::time::Duration;
/// use tulipa_futures::{Scheduler, SchedulerExt, Scope, sleep};
///
/// struct Service { scope: Scope }
///
/// impl Service {
///     fn start(event_loop: &dyn Scheduler) -> Service {
///         let scope = event_loop.create_scope();
///         scope.call_later(Duration::from_secs(60), || println!("a minute has passed"));
///         scope.spawn(async {
///             while sleep(Duration::from_secs(1)).await.is_ok() {
///                 println!("tick");
///             }
///             println!("no more ticks"); // it may await here, too
///         });
///         Service { scope }
///     }
///
///     fn stop(self) {
///         let ended = self.scope.close_within(Duration::from_secs(5));
///         ended.add_done_callback(|report| println!("{:?}", report.result()));
///     }
/// }
/// ```
/// In a coroutine:
/// ```
/// # use tulipa_futures::{Exception, SchedulerExt, current};
/// # async fn example() -> Result<(), Exception> {
/// let scope = current().create_scope();
/// let answer = scope.create_task(async { Ok(42) });
/// println!("{}", answer.await?);
/// let report = scope.close().await?;
/// assert_eq!(report.aborted, 0);
/// # Ok(()) }
/// ```
#[must_use = "dropping a scope aborts what is in it"]
pub struct Scope {
    handle: ScopeHandle,
    aborts_when_dropped: bool,
}

impl Scope {
    /// A scope of `scheduler`; if that is a scope itself, the new one is inside of it and ends with it.
    /// On a closed loop, and in a scope that has ended, it is born ended.
    pub fn new(scheduler: &(impl Scheduler + ?Sized)) -> Self {
        let core = match scheduler.scope() {
            None => ScopeCore::new(scheduler.to_rc()),
            Some(parent) => parent.core.new_child(),
        };
        Self { handle: ScopeHandle { core }, aborts_when_dropped: true }
    }

    /// A handle, which may be kept anywhere.
    pub fn handle(&self) -> ScopeHandle {
        self.handle.clone()
    }

    /// Leaves the scope to its handles: it then ends when one of them says so, with the scope around
    /// it, or with the loop.
    pub fn detach(mut self) -> ScopeHandle {
        self.aborts_when_dropped = false;
        self.handle.clone()
    }
}

impl Deref for Scope {
    type Target = ScopeHandle;

    fn deref(&self) -> &ScopeHandle {
        &self.handle
    }
}

impl Drop for Scope {
    /// Aborts it, unless it is being closed.
    fn drop(&mut self) {
        if self.aborts_when_dropped && self.handle.is_open() {
            self.handle.abort();
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// A handle to a [`Scope`]. Dropping it changes nothing.
#[derive(Clone)]
pub struct ScopeHandle {
    core: Rc<ScopeCore>,
}

impl ScopeHandle {
    /// Begins the end of the scope, unless it has begun, with the scope's own
    /// [deadline](ScopeHandle::deadline). The future is done when everything has ended.
    ///
    /// A task of the scope that awaits this is itself asked to end: the wait fails with
    /// [`CancelledError`](crate::CancelledError).
    pub fn close(&self) -> Future<ScopeReport> {
        self.close_within(self.deadline())
    }

    /// As [`close`](ScopeHandle::close), with a deadline of its own. If the end has begun, an earlier
    /// deadline replaces the one that is set.
    pub fn close_within(&self, deadline: Duration) -> Future<ScopeReport> {
        let closed = self.closed();
        self.core.begin_to_end(deadline);
        closed
    }

    /// Begins the end of the scope, as [`close`](ScopeHandle::close) does, for those who do not wait
    /// for it.
    pub fn cancel(&self) {
        self.core.begin_to_end(self.deadline());
    }

    /// Ends it at once: tasks are [aborted](crate::Task::abort), whose coroutines go in a turn of their own;
    /// futures are cancelled; everything else is aborted or dropped before this returns.
    pub fn abort(&self) {
        self.core.abort();
    }

    /// A future that is done when the scope has ended, whoever ends it. It is never done if the loop is
    /// closed first.
    pub fn closed(&self) -> Future<ScopeReport> {
        self.core.closed()
    }

    /// Has the scope end `member` when it ends. A member that has ended is forgotten.
    ///
    /// # Errors
    /// If the scope is not open any more; then the member was aborted.
    ///
    /// # Examples
    /// See [`ScopeMember`].
    pub fn own(&self, member: impl ScopeMember + 'static) -> Result<(), InvalidStateError> {
        self.core.own(Rc::new(member))
    }

    /// How long tasks and other members have to end, once the scope is asked to.
    pub fn deadline(&self) -> Duration {
        self.core.deadline()
    }

    /// Sets the deadline, which is 30 seconds otherwise. Zero leaves them no more than the turns that
    /// are queued already.
    pub fn set_deadline(&self, deadline: Duration) {
        self.core.set_deadline(deadline);
    }

    /// Whether things can be made in it: until its end begins.
    pub fn is_open(&self) -> bool {
        self.core.is_open()
    }

    /// Whether everything that was in it has ended.
    pub fn is_ended(&self) -> bool {
        self.core.is_ended()
    }

    /// How many callbacks and timers wait in it.
    pub fn callback_count(&self) -> usize {
        self.core.callback_count()
    }

    /// How many futures, tasks, inner scopes and other members it has that have not ended.
    pub fn member_count(&self) -> usize {
        self.core.member_count()
    }

    /// The loop itself.
    pub(crate) fn root(&self) -> &Rc<dyn Scheduler> {
        self.core.root()
    }

    pub(crate) fn of(core: Rc<ScopeCore>) -> Self {
        Self { core }
    }

    /// A future that ends with the scope.
    pub(crate) fn make_future<T: 'static>(
        &self,
        location: &'static Location<'static>,
    ) -> Future<T> {
        self.core.make_future(location)
    }

    /// Has a new task end with the scope.
    pub(crate) fn adopt_task<T: 'static>(&self, future: &Future<T>, task: TaskRef) {
        self.core.adopt_task(future, task);
    }
}

impl Deref for ScopeHandle {
    type Target = dyn Scheduler;

    fn deref(&self) -> &Self::Target {
        &*self.core
    }
}

impl fmt::Debug for ScopeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_open(), self.is_ended()) {
            (true, _) => "open",
            (false, false) => "ending",
            (false, true) => "ended",
        };
        let (callbacks, members) = (self.callback_count(), self.member_count());
        write!(f, "Scope({state}, {callbacks} callbacks, {members} members)")
    }
}
