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
    /// Who polls it, while it waits.
    target: Cell<Option<WakeTarget>>,
    received: Cell<Received>,
}

/// How many requests to end a branch has received.
#[derive(Clone, Copy, Default)]
pub(crate) struct Received {
    /// From whoever made it.
    pub(crate) own: u32,
    /// Through branches that it is a part of, which were cancelled by whoever made them.
    pub(crate) branches: u32,
    /// Through the task.
    pub(crate) task: u32,
}

impl Received {
    pub(crate) fn all(self) -> u32 {
        self.own.saturating_add(self.outer())
    }

    /// Those that do not end with it.
    pub(crate) fn outer(self) -> u32 {
        self.branches.saturating_add(self.task)
    }
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
            target: Cell::new(None),
            received: Cell::default(),
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
        self.state.received.get().outer() > 0
    }

    /// Polls `future` as this branch: always the same one, until it has ended.
    pub(crate) fn poll<F: std::future::Future>(
        &mut self,
        future: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<BranchEnd<F::Output>> {
        drop(self.state.target.replace(Some(WakeTarget::of(context.waker()))));
        let wait_set = &self.state.wait_set;
        let around = running::with_wait_set(|around| around.map_or(0, WaitSet::depth));
        wait_set.set_depth(around.saturating_add(1));
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

    /// The requests to end that it has received.
    pub(crate) fn received(&self) -> Received {
        self.state.received.get()
    }

    /// Gives a request that it has not noticed to the coroutine around it, which is the running one,
    /// unless it was made to the branch itself.
    pub(crate) fn pass_on(&self, unnoticed: Option<CancelRequest>) {
        let asked = self.state.wait_set.asked();
        if let Some(request) = unnoticed
            && asked < self.state.wait_set.depth()
        {
            ask_around(request, asked);
        }
    }

    /// The depth of the coroutine that the last request to this branch was made to.
    pub(crate) fn asked(&self) -> u16 {
        self.state.wait_set.asked()
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

    /// Cancels what the branch waits for, because the coroutine at depth `asked` is to end; if nothing
    /// of that accepts it, the branch's next turn delivers the request.
    pub(super) fn cancel(&self, request: CancelRequest, asked: u16) {
        let mut received = self.received.get();
        let count = match asked {
            0 => &mut received.task,
            _ if asked < self.wait_set.depth() => &mut received.branches,
            _ => &mut received.own,
        };
        *count = count.saturating_add(1);
        self.received.set(received);
        self.wait_set.set_asked(asked);
        if self.wait_set.cancel(&request) {
            return;
        }
        self.wait_set.set_request(request);
        self.wake();
    }

    fn wake(&self) {
        if let Some(target) = self.target.take() {
            target.wake();
        }
    }
}

/// Asks the running coroutine, on behalf of one at depth `asked`: something that it has given the
/// request to has kept it to itself.
pub(crate) fn ask_around(request: CancelRequest, asked: u16) {
    running::with_wait_set(|around| {
        if let Some(around) = around {
            around.set_asked(asked);
            around.set_request(request);
        }
    });
}

/// Names a branch, for as long as one likes.
#[derive(Clone)]
pub(crate) struct BranchId(Weak<BranchState>);

impl BranchId {
    /// Cancels the branch, unless it has ended.
    pub(crate) fn cancel(&self, message: CancelMessage) {
        if let Some(state) = self.0.upgrade() {
            // One that was never polled does not know its depth yet.
            let own = state.wait_set.depth().max(1);
            state.cancel(CancelRequest(message), own);
        }
    }

    /// Whether nothing of what it waits for can be told of a cancellation.
    pub(crate) fn waits_for_nothing(&self) -> bool {
        self.0.upgrade().is_none_or(|state| state.wait_set.is_empty())
    }

    /// Has the branch polled.
    pub(crate) fn wake(&self) {
        if let Some(state) = self.0.upgrade() {
            state.wake();
        }
    }

    /// How often it was asked to end, by [`cancel`](Self::cancel) or with the coroutine around it.
    pub(crate) fn asked(&self) -> u32 {
        self.0.upgrade().map_or(0, |state| state.received.get().all())
    }
}
