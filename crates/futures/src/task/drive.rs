//! Polling a coroutine under a wait set of its own: what tasks and branches have in common.

use super::coroutines::{self, CancelRequest, CoroutineId};
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a poll ended.
pub(crate) enum Driven<O> {
    Pending,
    /// It ended, with the cancellation that it was asked for and has not noticed.
    Ready(O, Option<CancelRequest>),
    /// It waited for something that cannot be told of a cancellation, and was dropped (T-25).
    Dropped(CancelRequest),
}

/// Polls `coroutine`, which must be the running one. `Pending` if it has ended before.
///
/// A coroutine that is asked to end while it waits for nothing of ours, because it has not begun yet
/// or waits for a foreign future, is dropped instead of polled (T-13, T-25).
pub(crate) fn drive<F: std::future::Future>(
    id: CoroutineId,
    mut coroutine: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Driven<F::Output> {
    if coroutines::request(id).is_some() && coroutines::waits_for_nothing(id) {
        coroutine.set(None);
        return match coroutines::take_request(id) {
            Some(request) => Driven::Dropped(request),
            None => Driven::Dropped(CancelRequest(None)),
        };
    }
    let Some(future) = coroutine.as_mut().as_pin_mut() else { return Driven::Pending };
    match future.poll(context) {
        Poll::Ready(output) => Driven::Ready(output, coroutines::take_request(id)),
        Poll::Pending => {
            // It asked for its own cancellation, and began to wait before that (T-15).
            if let Some(request) = coroutines::take_request(id) {
                coroutines::cancel(id, request);
            }
            Driven::Pending
        }
    }
}
