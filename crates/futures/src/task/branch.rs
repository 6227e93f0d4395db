//! [`Branch`]: a part of a task's body that can be cancelled apart from the rest.
//!
//! It is polled in place, as a part of the running task, but what it waits for stands in a wait set of
//! its own. Time-outs, races and the bodies of task groups are branches: a deadline cancels what is
//! inside of it and nothing beside it.

use super::drive::{Driven, drive};
use super::running;
use super::wait_set::{CancelRequest, WaitSet, Waited};
use super::{CancelMessage, WakeTarget};
use crate::future::{CallbackToken, next_token};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// The wait set of a part of the running task.
pub(crate) struct Branch {
    state: Rc<BranchState>,
    /// Its entry in the wait set of the coroutine around it, while it waits.
    within: Option<CallbackToken>,
}

pub(crate) struct BranchState {
    wait_set: WaitSet,
    /// How often it was asked to end.
    asked: Cell<u32>,
    /// Who polls it, while it waits.
    target: Cell<Option<WakeTarget>>,
    /// A cancellation of what is around it has come in.
    cancelled_from_outside: Cell<bool>,
}

/// How a branch ended.
pub(crate) enum BranchEnd<O> {
    /// By itself, with a cancellation that it has not noticed.
    Output(O, Option<CancelRequest>),
    /// It was cancelled while it waited for something that cannot be told, and was dropped.
    Dropped(CancelRequest),
}

impl Branch {
    pub(crate) fn new() -> Self {
        let state = BranchState {
            wait_set: WaitSet::default(),
            asked: Cell::new(0),
            target: Cell::new(None),
            cancelled_from_outside: Cell::new(false),
        };
        Self { state: Rc::new(state), within: None }
    }

    /// Its name, for whoever may [cancel](BranchId::cancel) it from a callback.
    pub(crate) fn id(&self) -> BranchId {
        BranchId(Rc::downgrade(&self.state))
    }

    /// Whether a request to cancel what is around this branch has come in: such a cancellation is not,
    /// or not only, that of whoever made the branch.
    pub(crate) fn cancelled_from_outside(&self) -> bool {
        self.state.cancelled_from_outside.get()
    }

    /// Polls `future` as this branch: always the same one, until it has ended.
    pub(crate) fn poll<F: std::future::Future>(
        &mut self,
        future: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<BranchEnd<F::Output>> {
        drop(self.state.target.replace(Some(WakeTarget::of(context.waker()))));
        let wait_set = &self.state.wait_set;
        let driven = running::as_branch(wait_set, || drive(wait_set, future, context));
        let end = match driven {
            Driven::Pending => {
                self.wait();
                return Poll::Pending;
            }
            Driven::Ready(output, request) => BranchEnd::Output(output, request),
            Driven::Dropped(request) => BranchEnd::Dropped(request),
        };
        self.leave();
        Poll::Ready(end)
    }

    /// Takes its place in the wait set of the coroutine around it.
    fn wait(&mut self) {
        if self.within.is_some() {
            return;
        }
        self.within = running::with_wait_set(|around| {
            let token = next_token();
            around?.begin(token, Waited::Branch(Rc::downgrade(&self.state)));
            Some(token)
        });
    }

    fn leave(&mut self) {
        if let Some(token) = self.within.take() {
            running::with_wait_set(|around| around.map(|around| around.end(token)));
        }
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.leave();
    }
}

impl BranchState {
    pub(super) fn wait_set(&self) -> &WaitSet {
        &self.wait_set
    }

    /// What is around the branch is cancelled, and so is this.
    pub(super) fn cancel_from_outside(&self, request: CancelRequest) {
        self.cancelled_from_outside.set(true);
        self.cancel(request);
    }

    /// Cancels what the branch waits for; if nothing of that accepts it, the branch's next turn
    /// delivers the request.
    pub(super) fn cancel(&self, request: CancelRequest) {
        self.asked.set(self.asked.get().saturating_add(1));
        if self.wait_set.cancel(&request) {
            return;
        }
        self.wait_set.set_request(request);
        if let Some(target) = self.target.take() {
            target.wake();
        }
    }
}

/// Names a branch, for as long as one likes.
#[derive(Clone)]
pub(crate) struct BranchId(Weak<BranchState>);

impl BranchId {
    /// Cancels the branch, unless it has ended.
    pub(crate) fn cancel(&self, message: CancelMessage) {
        if let Some(state) = self.0.upgrade() {
            state.cancel(CancelRequest(message));
        }
    }

    /// How often it was asked to end, by [`cancel`](Self::cancel) or with the coroutine around it.
    pub(crate) fn asked(&self) -> u32 {
        self.0.upgrade().map_or(0, |state| state.asked.get())
    }
}
