//! Polling a coroutine over its wait set: what tasks and branches have in common.

use super::wait_set::{CancelRequest, WaitSet};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a poll ended.
pub(crate) enum Driven<R> {
    Pending,
    /// It ended, and this was made of its output.
    Ready(R),
    /// It waited for something that cannot be told of a cancellation, and was dropped (T-25).
    Dropped(CancelRequest),
}

/// Polls `coroutine`, the running one, whose waits stand in `wait_set`. `Pending` if it has ended.
///
/// A coroutine that has ended is dropped, and then its output is handed to `ended`, with the cancellation
/// that it was asked for and has not noticed. It is handed on from where it lies: to be returned, it
/// would be moved once more. One that is asked to end while
/// it waits for nothing of ours, because it has not begun yet or waits for a foreign future, is
/// dropped too (T-13, T-25).
#[inline(always)]
pub(crate) fn drive<F: std::future::Future, R>(
    wait_set: &WaitSet,
    mut coroutine: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
    ended: impl FnOnce(F::Output, Option<CancelRequest>) -> R,
) -> Driven<R> {
    if wait_set.has_request() && wait_set.is_empty() {
        return drop_it(wait_set.take_request(), coroutine);
    }
    let Some(future) = coroutine.as_mut().as_pin_mut() else { return Driven::Pending };
    match future.poll(context) {
        Poll::Ready(output) => {
            coroutine.set(None);
            Driven::Ready(ended(output, wait_set.take_request()))
        }
        Poll::Pending if wait_set.has_request() => insist(wait_set, coroutine, context),
        Poll::Pending => Driven::Pending,
    }
}

/// It was polled, and has not taken the request: it asked for it itself after it had begun to wait
/// (T-15), or nothing that it polls can take it.
#[cold]
fn insist<F: std::future::Future, R>(
    wait_set: &WaitSet,
    coroutine: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Driven<R> {
    if wait_set.has_come() && wait_set.insist() {
        // Something that it waits for has come: its next turn will take the request. Unless it does
        // not poll that any more: so this holds once.
        context.waker().wake_by_ref();
        return Driven::Pending;
    }
    let Some(request) = wait_set.take_request() else { return Driven::Pending };
    if wait_set.cancel(&request) {
        return Driven::Pending;
    }
    drop_it(Some(request), coroutine)
}

#[cold]
fn drop_it<F: std::future::Future, R>(
    request: Option<CancelRequest>,
    mut coroutine: Pin<&mut Option<F>>,
) -> Driven<R> {
    coroutine.set(None);
    Driven::Dropped(request.unwrap_or(CancelRequest(None)))
}
