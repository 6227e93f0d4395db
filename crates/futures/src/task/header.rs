//! [`TaskHeader`]: what is known of a task besides its coroutine and result.

use super::owner::Owner;
use super::wait_set::WaitSet;
use super::waker::TaskWaker;
use crate::context::{self, TaskContext};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct TaskHeader {
    waker: TaskWaker,
    wait_set: WaitSet,
    name: RefCell<Option<Rc<str>>>,
    /// What its next step runs in.
    context: Cell<TaskContext>,
    /// How many requests to cancel it were made and not taken back (T-19).
    requests: Cell<u32>,
    /// How many blocks of its own are asking it to end, and will take that back (T-20).
    own_requests: Cell<u32>,
    /// A step is queued.
    queued: Cell<bool>,
    aborted: Cell<bool>,
    /// Of no interest if it is destroyed while pending (T-23).
    exempt: Cell<bool>,
    /// A request to cancel it is being given to what it waits for.
    passing_on: Cell<bool>,
}

impl TaskHeader {
    #[inline(always)]
    pub(super) fn new(owner: Rc<Owner>, context: TaskContext) -> Self {
        Self {
            waker: TaskWaker::new(owner, next_number()),
            wait_set: WaitSet::default(),
            name: RefCell::new(None),
            context: Cell::new(context),
            requests: Cell::new(0),
            own_requests: Cell::new(0),
            queued: Cell::new(false),
            aborted: Cell::new(false),
            exempt: Cell::new(false),
            passing_on: Cell::new(false),
        }
    }

    #[inline]
    pub(crate) fn number(&self) -> u64 {
        self.waker.number()
    }

    #[inline]
    pub(super) fn waker(&self) -> &TaskWaker {
        &self.waker
    }

    #[inline]
    pub(super) fn owner(&self) -> &Rc<Owner> {
        self.waker.owner()
    }

    #[inline]
    pub(crate) fn wait_set(&self) -> &WaitSet {
        &self.wait_set
    }

    /// The name that was given, or `Task-<number>` (T-7).
    pub(crate) fn name(&self) -> Rc<str> {
        match &*self.name.borrow() {
            Some(name) => name.clone(),
            None => format!("Task-{}", self.number()).into(),
        }
    }

    pub(crate) fn set_name(&self, name: Rc<str>) {
        self.name.replace(Some(name));
    }

    /// Makes the task's context the current one, and hands out the one before; `None` if there are no
    /// values in either.
    #[inline]
    pub(super) fn enter_context(&self) -> Option<TaskContext> {
        let context = self.context.take();
        match context.is_empty() && !context::is_any_set() {
            true => None,
            false => Some(context::replace(context)),
        }
    }

    /// Takes what the step has made of the task's context, and puts back the one before.
    #[inline]
    pub(super) fn leave_context(&self, outside: Option<TaskContext>) {
        if outside.is_some() || context::is_any_set() {
            self.context.set(context::replace(outside.unwrap_or_default()));
        }
    }

    /// A copy of the context that its next step runs in; empty while a step runs.
    pub(crate) fn context(&self) -> TaskContext {
        let context = self.context.take();
        let copy = context.clone();
        self.context.set(context);
        copy
    }

    /// All requests that stand.
    pub(crate) fn cancelling(&self) -> u32 {
        self.requests.get().saturating_add(self.own_requests.get())
    }

    /// The requests that stand and come from outside.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.get()
    }

    pub(crate) fn count_request(&self) {
        self.requests.set(self.requests.get().saturating_add(1));
    }

    /// Takes one request back, and says how many are left.
    pub(crate) fn uncount_request(&self) -> u32 {
        match self.requests.get() {
            0 => self.uncount_own_request(),
            requests => self.requests.set(requests - 1),
        }
        self.cancelling()
    }

    pub(crate) fn count_own_request(&self) {
        self.own_requests.set(self.own_requests.get().saturating_add(1));
    }

    pub(crate) fn uncount_own_request(&self) {
        self.own_requests.set(self.own_requests.get().saturating_sub(1));
    }

    /// Notes that a step is to be queued; false if one is.
    #[inline]
    pub(super) fn queue(&self) -> bool {
        !self.queued.replace(true)
    }

    #[inline]
    pub(super) fn dequeue(&self) {
        self.queued.set(false);
    }

    pub(super) fn is_queued(&self) -> bool {
        self.queued.get()
    }

    #[inline]
    pub(super) fn aborted(&self) -> bool {
        self.aborted.get()
    }

    pub(super) fn set_aborted(&self) {
        self.aborted.set(true);
    }

    pub(super) fn is_passing_on(&self) -> bool {
        self.passing_on.get()
    }

    pub(super) fn set_passing_on(&self, passing_on: bool) {
        self.passing_on.set(passing_on);
    }

    pub(super) fn is_exempt(&self) -> bool {
        self.exempt.get()
    }

    pub(crate) fn set_exempt(&self) {
        self.exempt.set(true);
    }
}

/// A number that no other task of the process has (T-7). Each thread takes many at once, so that
/// spawning costs nothing between threads.
#[inline]
fn next_number() -> u64 {
    const AT_ONCE: u64 = 1024;
    static TAKEN: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        /// The next number, and how many are left.
        static NEXT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    NEXT.with(|next| {
        let (number, left) = match next.get() {
            (_, 0) => (TAKEN.fetch_add(AT_ONCE, Ordering::Relaxed), AT_ONCE),
            some => some,
        };
        next.set((number + 1, left - 1));
        number
    })
}
