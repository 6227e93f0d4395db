//! What the checks share.

use futures::{Exception, InvalidStateError};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The outcome in words.
pub(crate) fn words<T: std::fmt::Debug>(outcome: &Result<T, Exception>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(exception) => format!("error: {exception}"),
    }
}

/// What one poll gives, outside of any task.
pub(crate) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future that must be ready at once.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it pauses"),
    }
}

pub(crate) fn is_invalid_state<T>(outcome: &Result<T, Exception>) -> bool {
    outcome.as_ref().is_err_and(|exception| exception.is::<InvalidStateError>())
}

/// For tasks whose failure a check has seen already: it is not reported as one that nobody asked for.
pub(crate) fn unless_cancelled<T>(outcome: Result<T, Exception>) -> Result<(), Exception> {
    match outcome {
        Err(exception) if exception.is_cancelled() => Err(exception),
        _ => Ok(()),
    }
}
