//! How a scope ends: it asks, waits until the deadline, and aborts what is left.
//!
//! Invariant: a scope has ended when nothing of it is left and no call that ends something is under
//! way, and everybody who waits for that is told once.

use super::core::{ENDED, ScopeCore};
use super::member::Member;
use crate::slots::SlotKey;
use crate::{Callback, Future, TimerHandle};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// What became of what a scope had when its end began. Callbacks, timers and futures end at once and
/// are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScopeReport {
    /// The tasks and other members that ended by themselves within the deadline.
    pub ended: usize,
    /// Those that had to be aborted.
    pub aborted: usize,
}

/// How a scope stands.
#[derive(Default)]
pub(super) enum State {
    #[default]
    Open,
    Ending(Ending),
    Ended(ScopeReport),
}

const DROPPING: &str = "dropping what a scope owned";

/// An end that is under way.
#[derive(Default)]
pub(super) struct Ending {
    report: ScopeReport,
    aborted: bool,
    deadline: Option<TimerHandle>,
}

/// The loop's keeping of a scope. It ends with the loop.
pub(super) struct Tenure(pub(super) Rc<ScopeCore>);

impl Drop for Tenure {
    fn drop(&mut self) {
        self.0.loop_closed();
    }
}

/// A call that ends something is under way.
struct Work<'a>(&'a ScopeCore);

impl<'a> Work<'a> {
    fn begin(core: &'a ScopeCore) -> Self {
        core.at_work.set(core.at_work.get() + 1);
        Self(core)
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.at_work.set(self.0.at_work.get() - 1);
        self.0.finish_if_empty();
    }
}

impl ScopeCore {
    /// Asks everything to end within `deadline`. If that has been done, an earlier deadline counts.
    pub(super) fn begin_to_end(&self, deadline: Duration) {
        let _alive = self.rc();
        if !self.is_open() {
            return self.shorten(deadline);
        }
        self.state.replace(State::Ending(Ending::default()));
        let _work = Work::begin(self);
        self.drop_callbacks();
        self.for_each_member(|_, member| self.ask_to_end(member, deadline));
        if !self.members.borrow().is_empty() {
            self.arm(deadline);
        }
    }

    /// An earlier deadline replaces the one that is set.
    fn shorten(&self, deadline: Duration) {
        let due = self.root().time() + deadline;
        if let State::Ending(Ending { deadline: Some(timer), .. }) = &*self.state.borrow()
            && due < timer.when()
        {
            timer.reschedule(due);
        }
        self.for_each_member(|_, member| match member {
            Member::Child(child) => child.begin_to_end(deadline.min(child.deadline())),
            Member::Future(_) | Member::Task(_) | Member::Owned { .. } => {}
        });
    }

    fn ask_to_end(&self, member: &Member, deadline: Duration) {
        match member {
            Member::Future(future) => {
                if let Some(future) = future.upgrade() {
                    future.request_cancel(Some(ENDED.into()));
                }
            }
            Member::Task(task) => {
                task.cancel_with(ENDED);
            }
            Member::Child(child) => child.begin_to_end(deadline.min(child.deadline())),
            Member::Owned { member, .. } => {
                self.contain("closing what a scope owns", || member.close());
            }
        }
    }

    /// Has the rest aborted when the time is over.
    fn arm(&self, deadline: Duration) {
        let core = self.rc();
        let over = Callback::without_context(Location::caller(), move || core.abort());
        let timer = self.root().schedule_at(self.root().time() + deadline, over);
        let unneeded = match (&mut *self.state.borrow_mut(), timer) {
            (State::Ending(ending), Ok(timer)) => {
                ending.deadline = Some(timer);
                None
            }
            (_, timer) => timer.ok(),
        };
        if let Some(timer) = unneeded {
            timer.cancel();
        }
    }

    /// Ends everything now.
    pub(super) fn abort(&self) {
        let _alive = self.rc();
        let timer = {
            let mut state = self.state.borrow_mut();
            if matches!(*state, State::Open) {
                *state = State::Ending(Ending::default());
            }
            match &mut *state {
                State::Ending(ending) if !ending.aborted => {
                    ending.aborted = true;
                    ending.deadline.take()
                }
                State::Open | State::Ending(_) | State::Ended(_) => return,
            }
        };
        let _work = Work::begin(self);
        if let Some(timer) = timer {
            timer.cancel();
        }
        self.drop_callbacks();
        self.for_each_member(|key, member| self.abort_member(key, member));
    }

    /// Calls `action`, which does not panic, with each member that there is now, in the order in which
    /// they came. They may leave meanwhile.
    fn for_each_member(&self, action: impl Fn(SlotKey, &Member)) {
        for (key, member) in self.snapshot() {
            action(key, &member);
            // This may be what is left of it.
            self.contain(DROPPING, || drop(member));
        }
    }

    fn abort_member(&self, key: SlotKey, member: &Member) {
        match member {
            Member::Future(future) => {
                if let Some(future) = future.upgrade() {
                    future.request_cancel(Some(ENDED.into()));
                }
            }
            Member::Task(task) => {
                if task.abort() {
                    self.report(|report| report.aborted += 1);
                }
            }
            Member::Child(child) => child.abort(),
            Member::Owned { member, .. } => {
                let removed = self.members.borrow_mut().remove(key);
                if removed.is_some() {
                    self.report(|report| report.aborted += 1);
                    self.contain("aborting what a scope owns", || member.abort());
                    self.contain(DROPPING, || drop(removed));
                }
            }
        }
    }

    /// A member has ended.
    pub(super) fn forget(&self, key: SlotKey) {
        let removed = self.members.borrow_mut().remove(key);
        let Some(removed) = removed else { return };
        if removed.is_counted()
            && let State::Ending(ending) = &mut *self.state.borrow_mut()
            && !ending.aborted
        {
            ending.report.ended += 1;
        }
        self.contain(DROPPING, || drop(removed));
        self.finish_if_empty();
    }

    /// A scope inside of this one has ended.
    fn child_ended(&self, place: SlotKey, its: ScopeReport) {
        self.report(|report| {
            report.ended += its.ended;
            report.aborted += its.aborted;
        });
        self.forget(place);
    }

    /// Changes the report of the end that is under way.
    fn report(&self, change: impl FnOnce(&mut ScopeReport)) {
        if let State::Ending(ending) = &mut *self.state.borrow_mut() {
            change(&mut ending.report);
        }
    }

    fn finish_if_empty(&self) {
        if self.at_work.get() > 0 || !self.members.borrow().is_empty() {
            return;
        }
        let (report, timer) = match &mut *self.state.borrow_mut() {
            State::Ending(ending) => (ending.report, ending.deadline.take()),
            State::Open | State::Ended(_) => return,
        };
        let _alive = self.rc();
        self.state.replace(State::Ended(report));
        for timer in timer.into_iter().chain(self.keeper.take()) {
            timer.cancel();
        }
        if let (Some(parent), Some(place)) = (self.parent(), self.place.take()) {
            parent.child_ended(place, report);
        }
        for future in self.waiting.take() {
            // One that was cancelled waits no more.
            let _ = future.set_result(report);
        }
    }

    /// The loop is closed, and so is everything that it had: lets go of the rest.
    fn loop_closed(&self) {
        let before = self.state.replace(State::Ended(ScopeReport::default()));
        if let State::Ended(report) = before {
            self.state.replace(State::Ended(report));
            return;
        }
        let callbacks = self.callbacks.borrow_mut().take_all();
        let members = self.members.borrow_mut().take_all();
        let waiting = self.waiting.take();
        self.contain("dropping a scope with its loop", || {
            drop((before, callbacks, members, waiting, self.keeper.take()));
        });
    }

    pub(super) fn closed(&self) -> Future<ScopeReport> {
        let future = Future::new(self.root().clone());
        let report = match &*self.state.borrow() {
            State::Ended(report) => Some(*report),
            State::Open | State::Ending(_) => None,
        };
        match report {
            Some(report) => {
                // It is new, hence pending.
                let _ = future.set_result(report);
            }
            None => {
                let mut waiting = self.waiting.borrow_mut();
                let gone: Vec<_> = waiting.extract_if(.., |future| future.done()).collect();
                waiting.push(future.clone());
                drop(waiting);
                drop(gone); // what they hold is the user's
            }
        }
        future
    }
}
