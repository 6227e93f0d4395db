//! [`Branch`]: a part of a task's body that can be cancelled apart from the rest.
//!
//! It is polled in place, as a part of the running task, but what it waits for stands in a wait set of
//! its own. Time-outs, races and the bodies of task groups are branches: a deadline cancels what is
//! inside of it and nothing beside it.

use super::drive::{Driven, drive};
use super::running;
use super::wait_set::{CancelRequest, WaitSet, WaitSetId, Waited};
use super::{CancelMessage, WakeTarget};
use crate::future::{CallbackToken, next_token};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// The wait set of a part of the running task.
pub(crate) struct Branch {
    state: Rc<BranchState>,
    /// What it waits under, once it was polled.
    wait: Option<CallbackToken>,
}

pub(crate) struct BranchState {
    wait_set: WaitSet,
    /// Who polls it, while it waits.
    target: Cell<Option<WakeTarget>>,
    /// The wait set that it stands in, while it waits.
    around: Cell<WaitSetId>,
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
    /// The depth of the outermost coroutine that any of those from outside was made to, since
    /// somebody last [forgot](Branch::forget_outermost) it.
    pub(crate) outermost: Option<u16>,
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
            around: Cell::new(WaitSetId::NONE),
            received: Cell::default(),
        };
        Self { state: Rc::new(state), wait: None }
    }

    /// Its name, for whoever may [cancel](BranchId::cancel) it from a callback.
    pub(crate) fn id(&self) -> BranchId {
        BranchId(Rc::downgrade(&self.state))
    }

    /// Polls `future` as this branch: always the same one, until it has ended.
    pub(crate) fn poll<F: std::future::Future>(
        &mut self,
        future: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<BranchEnd<F::Output>> {
        let target = running::with_task(|task| WakeTarget::of(task, context.waker()));
        drop(self.state.target.replace(Some(target)));
        let wait_set = &self.state.wait_set;
        let around = running::with_wait_set(|around| around.map_or(0, WaitSet::depth));
        wait_set.set_depth(around.saturating_add(1));
        let driven =
            running::as_branch(wait_set, || drive(wait_set, future, context, BranchEnd::Output));
        let end = match driven {
            Driven::Pending => {
                self.wait();
                return Poll::Pending;
            }
            Driven::Ready(end) => end,
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

    /// Has [`Received::outermost`] count from now on.
    pub(crate) fn forget_outermost(&self) {
        self.state.received.set(Received { outermost: None, ..self.state.received.get() });
    }

    /// Takes its place in the wait set of the coroutine around it, which may be another one than it
    /// was polled in before.
    fn wait(&mut self) {
        let token = *self.wait.get_or_insert_with(next_token);
        self.state.around.set(running::wait_set_id());
        running::with_wait_set(|around| {
            if let Some(around) = around {
                around.begin(token, || Waited::Branch(Rc::downgrade(&self.state)));
            }
        });
    }

    fn leave(&mut self) {
        if let Some(token) = self.wait.take() {
            self.state.around.set(WaitSetId::NONE);
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

    /// Whether it stands in this wait set now.
    pub(super) fn waits_within(&self, around: WaitSetId) -> bool {
        self.around.get() == around
    }

    /// Cancels what the branch waits for, because the coroutine at depth `asked` is to end; if nothing
    /// of that accepts it, the branch's next turn delivers the request.
    pub(super) fn cancel(&self, request: CancelRequest, asked: u16) {
        let mut received = self.received.get();
        let is_own = asked > 0 && asked >= self.wait_set.depth();
        let count = match asked {
            _ if is_own => &mut received.own,
            0 => &mut received.task,
            _ => &mut received.branches,
        };
        *count = count.saturating_add(1);
        if !is_own {
            received.outermost = Some(received.outermost.map_or(asked, |depth| depth.min(asked)));
        }
        self.received.set(received);
        self.wait_set.set_asked(asked);
        if self.wait_set.cancel(&request) {
            return;
        }
        self.wait_set.set_declined_request(request);
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
        self.received().all()
    }

    /// The requests to end that it has received.
    pub(crate) fn received(&self) -> Received {
        self.0.upgrade().map_or_else(Received::default, |state| state.received.get())
    }
}
