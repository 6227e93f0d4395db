//! [`Branch`]: a part of a task's body that can be cancelled apart from the rest.
//!
//! It is polled in place, as a part of the running task, but what it waits for stands in a wait set of
//! its own. Time-outs, races and the bodies of task groups are branches: a deadline cancels what is
//! inside of it and nothing beside it.

use super::coroutines::{self, CancelRequest, CoroutineId, Driven, Waited};
use super::drive::{self, drive};
use super::running::{self, Entered};
use super::{CancelMessage, WakeTarget};
use crate::future::{CallbackToken, next_token};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The wait set of a part of the running task.
pub(crate) struct Branch {
    id: CoroutineId,
    /// The place in the wait set of the coroutine that this is a branch of, while it waits.
    within: Option<(CoroutineId, CallbackToken)>,
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
        let id = coroutines::insert(Driven::Branch(None)).unwrap_or(CoroutineId::NOBODY);
        Self { id, within: None }
    }

    /// Its name, for whoever may [cancel](BranchId::cancel) it from a callback.
    pub(crate) fn id(&self) -> BranchId {
        BranchId(self.id)
    }

    /// Polls `future` as this branch: always the same one, until it has ended.
    pub(crate) fn poll<F: std::future::Future>(
        &mut self,
        future: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
    ) -> Poll<BranchEnd<F::Output>> {
        let target = WakeTarget::of(context.waker());
        drop(coroutines::set_driven(self.id, Driven::Branch(Some(target))));
        let driven = {
            let _entered = Entered::branch(self.id);
            drive(self.id, future, context)
        };
        let end = match driven {
            drive::Driven::Pending => {
                self.wait();
                return Poll::Pending;
            }
            drive::Driven::Ready(output, request) => BranchEnd::Output(output, request),
            drive::Driven::Dropped(request) => BranchEnd::Dropped(request),
        };
        self.leave();
        Poll::Ready(end)
    }

    /// Takes its place in the wait set of the coroutine around it.
    fn wait(&mut self) {
        if self.within.is_none()
            && let Some(outer) = running::coroutine()
        {
            let token = next_token();
            coroutines::begin_wait(outer, token, Waited::Branch(self.id));
            self.within = Some((outer, token));
        }
    }

    fn leave(&mut self) {
        if let Some((outer, token)) = self.within.take() {
            drop(coroutines::end_wait(outer, token));
        }
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.leave();
        drop(coroutines::remove(self.id));
    }
}

/// Names a branch. Harmless once the branch has ended.
#[derive(Clone, Copy)]
pub(crate) struct BranchId(CoroutineId);

impl BranchId {
    /// Cancels what the branch waits for; if nothing of that accepts it, the branch's next turn
    /// delivers the request.
    pub(crate) fn cancel(self, message: CancelMessage) {
        coroutines::cancel(self.0, CancelRequest(message));
    }
}
