//! [`Limited`]: a running block, and [`Alarm`]: what ends it.
//!
//! Invariant: the alarm does not outlive the block, so nothing rings after it was left (T-68).

use super::Timeout;
use crate::task::wait_set::{CancelRequest, WaitSet};
use crate::task::{AnyTask, Branch, BranchEnd, BranchId, TaskHeader, running};
use crate::{
    CancelledError, Exception, Handle, HandleState, Instant, Scheduler, SchedulerExt, TimerHandle,
};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// A block that runs under a limit.
///
/// At its end it must tell its own cancellation from others'. Those that came through a branch around
/// it the block has counted; those that came through the task can be taken back (T-20), so the task
/// is asked how many stand.
pub(super) struct Limited<'a> {
    timeout: &'a Timeout,
    branch: Branch,
    owner: Owner,
    /// How many requests to the task stood, and were delivered, when it was entered.
    earlier: u32,
    left: bool,
}

/// The task that a block is a part of, if it is one of ours.
#[derive(Clone)]
struct Owner(Option<Weak<dyn AnyTask>>);

impl Owner {
    fn look<R: Default>(&self, look: impl FnOnce(&TaskHeader) -> R) -> R {
        let task = self.0.as_ref().and_then(Weak::upgrade);
        task.map(|task| look(task.header())).unwrap_or_default()
    }
}

impl<'a> Limited<'a> {
    pub(super) fn new(timeout: &'a Timeout) -> Self {
        let owner =
            running::with_task(|running| running.map(|running| Rc::downgrade(running.task())));
        let owner = Owner(owner);
        let waiting = running::with_wait_set(|around| around.is_some_and(WaitSet::has_request));
        let earlier = owner.look(|task| {
            // What is to come is of now.
            let waiting = waiting || task.wait_set().has_request();
            task.requests().saturating_sub(u32::from(waiting))
        });
        Self { timeout, branch: Branch::new(), owner, earlier, left: false }
    }

    pub(super) fn alarm(&self, patience: Patience, scheduler: Rc<dyn Scheduler>) -> Alarm {
        let (branch, owner) = (self.branch.id(), self.owner.clone());
        Alarm { branch, owner, patience, scheduler, set: Set::Off }
    }

    fn cancelled_here(&self) -> bool {
        self.branch.received().own > 0
    }

    /// Whether somebody else has cancelled it too.
    fn cancelled_elsewhere(&self) -> bool {
        self.branch.received().branches > 0 || self.owner.look(TaskHeader::requests) > self.earlier
    }

    /// Polls the block, and cancels it if the alarm has left that to this.
    pub(super) fn poll<F: Future>(
        &mut self,
        body: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<BranchEnd<F::Output>> {
        let polled = self.branch.poll(body, context);
        if polled.is_pending() && !self.cancelled_here() && self.timeout.has_rung() {
            expire(&self.branch.id(), &self.owner);
        }
        polled
    }

    /// The outcome of a block that ended (T-62…T-64).
    pub(super) fn conclude<T>(
        mut self,
        end: BranchEnd<Result<T, Exception>>,
    ) -> Result<T, Exception> {
        let cancelled_here = self.leave();
        match end {
            BranchEnd::Output(outcome, unnoticed) => {
                let is_cancelled = outcome.as_ref().is_err_and(Exception::is_cancelled);
                if is_cancelled && cancelled_here {
                    return outcome.map_err(|exception| self.blame(exception));
                }
                self.branch.pass_on(unnoticed);
                outcome
            }
            BranchEnd::Dropped(request) => Err(self.dropped(request, cancelled_here)),
        }
    }

    /// The outcome of a block that returns what it likes.
    pub(super) fn conclude_value<T>(mut self, end: BranchEnd<T>) -> Result<T, Exception> {
        let cancelled_here = self.leave();
        match end {
            BranchEnd::Output(value, unnoticed) => {
                self.branch.pass_on(unnoticed);
                Ok(value)
            }
            BranchEnd::Dropped(request) => Err(self.dropped(request, cancelled_here)),
        }
    }

    fn dropped(&self, request: CancelRequest, cancelled_here: bool) -> Exception {
        let cancelled = Exception::from(CancelledError::from(request.0));
        if cancelled_here { self.blame(cancelled) } else { cancelled }
    }

    /// What a cancellation is that arrived at the end of a block which expired: a time-out, unless
    /// somebody else asked for one too.
    fn blame(&self, exception: Exception) -> Exception {
        if self.cancelled_elsewhere() {
            return exception;
        }
        let error = self.timeout.error();
        match exception.cancelled() {
            Some(cancelled) => error.caused_by(cancelled.clone()).into(),
            None => error.into(),
        }
    }

    /// Says whether this block has cancelled itself, which it takes back.
    fn leave(&mut self) -> bool {
        let cancelled_here = self.cancelled_here();
        if !self.left {
            self.left = true;
            self.timeout.leave();
            if cancelled_here {
                self.owner.look(TaskHeader::uncount_own_request);
            }
        }
        cancelled_here
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What to do at the deadline with a block whose next turn may be its last.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// Cancels it, unless it waits for something that cannot be told and would be dropped.
    Strict,
    /// Lets it have one more turn first: what is done by then is the outcome (T-43).
    LastTurn,
    /// The time was up before it began: its first turn is its last (T-40).
    FirstTurn,
}

/// The timer of a block.
pub(super) struct Alarm {
    branch: BranchId,
    owner: Owner,
    patience: Patience,
    scheduler: Rc<dyn Scheduler>,
    set: Set,
}

enum Set {
    Off,
    /// For an instant that has passed: first come, first served (T-65).
    Now(Handle),
    At(TimerHandle),
    Rung,
}

impl Alarm {
    /// Moves it to `when`, or turns it off.
    pub(super) fn set(&mut self, when: Option<Instant>) {
        if let (Set::At(timer), Some(when)) = (&self.set, when)
            && when > self.scheduler.time()
            && timer.reschedule(when)
        {
            return;
        }
        self.turn_off();
        let Some(when) = when else { return };
        if let Patience::FirstTurn = self.patience {
            self.set = Set::Rung;
            return;
        }
        let (branch, owner, patience) = (self.branch.clone(), self.owner.clone(), self.patience);
        let ring = move || match patience {
            // Its next turn decides.
            Patience::LastTurn | Patience::FirstTurn => branch.wake(),
            Patience::Strict if branch.waits_for_nothing() => branch.wake(),
            Patience::Strict => expire(&branch, &owner),
        };
        self.set = match when <= self.scheduler.time() {
            true => Set::Now(self.scheduler.call_soon(ring)),
            false => Set::At(self.scheduler.call_at(when, ring)),
        };
    }

    pub(super) fn has_rung(&self) -> bool {
        match &self.set {
            Set::Off => false,
            Set::Rung => true,
            Set::Now(handle) => handle.state() == HandleState::Done,
            Set::At(timer) => timer.state() == HandleState::Done,
        }
    }

    fn turn_off(&mut self) {
        match std::mem::replace(&mut self.set, Set::Off) {
            Set::Off | Set::Rung => {}
            Set::Now(handle) => drop(handle.cancel()),
            Set::At(timer) => drop(timer.cancel()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.turn_off();
    }
}

/// The time is up: cancels the block.
fn expire(branch: &BranchId, owner: &Owner) {
    owner.look(TaskHeader::count_own_request);
    branch.cancel(None);
}
