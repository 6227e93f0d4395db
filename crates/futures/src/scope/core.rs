//! [`ScopeCore`]: what a scope has.
//!
//! The loop keeps it, as the captive of a timer that never fires, until the scope has ended: so the end
//! of the loop is the end of the scope, and whatever refers to itself through it is let go. Nothing is
//! borrowed while something of the user's is called or dropped.

use super::ScopeReport;
use super::callbacks::Waiting;
use super::ending::{State, Tenure};
use super::member::{Member, Membership, ScopeMember};
use crate::future::{AnyFuture, Shared};
use crate::in_place;
use crate::slots::{SlotKey, Slots};
use crate::{
    Callback, ExceptionContext, Future, Instant, InvalidStateError, Scheduler, TaskRef,
    TimerHandle, catch,
};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Why something cannot be made, or was cancelled.
pub(crate) const ENDED: &str = "the scope has ended";

/// How long the members have to end, unless somebody says otherwise: as long as a connection has to
/// send what was written.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct ScopeCore {
    this: Weak<ScopeCore>,
    /// The loop itself.
    root: Rc<dyn Scheduler>,
    /// The scope around it, and the place there.
    parent: Option<Weak<ScopeCore>>,
    pub(super) place: Cell<Option<SlotKey>>,
    pub(super) callbacks: RefCell<Slots<Waiting>>,
    pub(super) members: RefCell<Slots<Member>>,
    pub(super) state: RefCell<State>,
    /// How many calls that end something are under way: the end is told by the outermost.
    pub(super) at_work: Cell<u32>,
    /// Those who want to know of the end.
    pub(super) waiting: RefCell<Vec<Future<ScopeReport>>>,
    /// What has the loop keep it.
    pub(super) keeper: Cell<Option<TimerHandle>>,
    deadline: Cell<Duration>,
}

impl ScopeCore {
    pub(super) fn new(root: Rc<dyn Scheduler>) -> Rc<Self> {
        Self::make(root, None, DEADLINE)
    }

    /// A scope inside of this one.
    pub(super) fn new_child(&self) -> Rc<Self> {
        let child = Self::make(self.root.clone(), Some(self.this.clone()), self.deadline());
        match self.is_open() && child.is_open() {
            true => {
                let key = self.members.borrow_mut().insert(Member::Child(child.clone()));
                child.place.set(Some(key));
            }
            false => child.abort(),
        }
        child
    }

    fn make(
        root: Rc<dyn Scheduler>,
        parent: Option<Weak<ScopeCore>>,
        deadline: Duration,
    ) -> Rc<Self> {
        let core = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            root,
            parent,
            place: Cell::new(None),
            callbacks: RefCell::default(),
            members: RefCell::default(),
            state: RefCell::default(),
            at_work: Cell::new(0),
            waiting: RefCell::default(),
            keeper: Cell::new(None),
            deadline: Cell::new(deadline),
        });
        let tenure = Tenure(core.clone());
        let captive = Callback::without_context(Location::caller(), move || drop(tenure));
        // A closed loop gives it back: dropping it ends the scope.
        if let Ok(keeper) = core.root.schedule_at(Instant::NEVER, captive) {
            core.keeper.set(Some(keeper));
        }
        core
    }

    pub(super) fn rc(&self) -> Rc<Self> {
        self.this.upgrade().expect("a borrowed scope is alive")
    }

    pub(super) fn root(&self) -> &Rc<dyn Scheduler> {
        &self.root
    }

    pub(super) fn parent(&self) -> Option<Rc<ScopeCore>> {
        self.parent.as_ref()?.upgrade()
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline.get()
    }

    pub(super) fn set_deadline(&self, deadline: Duration) {
        self.deadline.set(deadline);
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Open)
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(*self.state.borrow(), State::Ended(_))
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.borrow().len()
    }

    pub(super) fn make_future<T: 'static>(
        &self,
        location: &'static Location<'static>,
    ) -> Future<T> {
        let shared = in_place::rc(|| Shared::new(self.root.clone(), location));
        let future = Future::from_object(shared.clone());
        match self.is_open() {
            true => {
                let shared: Rc<dyn AnyFuture> = shared;
                future.attach(self.enter(Member::Future(Rc::downgrade(&shared))));
            }
            false => {
                future.cancel_with(ENDED);
            }
        }
        future
    }

    pub(super) fn adopt_task<T: 'static>(&self, future: &Future<T>, task: TaskRef) {
        future.attach(self.enter(Member::Task(task)));
    }

    pub(super) fn own(&self, member: Rc<dyn ScopeMember>) -> Result<(), InvalidStateError> {
        if self.is_open() {
            let closed = member.closed(); // the user's
            if self.is_open() {
                let membership = self.enter(Member::Owned { member, closed: closed.clone() });
                closed.attach(membership);
                return Ok(());
            }
        }
        self.contain("aborting what a scope that has ended was given", || member.abort());
        Err(InvalidStateError::new(ENDED))
    }

    fn enter(&self, member: Member) -> Membership {
        let key = self.members.borrow_mut().insert(member);
        Membership::new(self.rc(), key)
    }

    /// The members as they are now, in the order in which they came.
    pub(super) fn snapshot(&self) -> Vec<(SlotKey, Member)> {
        let members = self.members.borrow();
        members.in_order().into_iter().map(|(key, member)| (key, member.clone())).collect()
    }

    /// Runs user code, whose panic keeps nothing else from ending.
    pub(super) fn contain(&self, doing: &'static str, user_code: impl FnOnce()) {
        if let Err(exception) = catch(user_code) {
            self.root.call_exception_handler(ExceptionContext::with_exception(doing, exception));
        }
    }
}
