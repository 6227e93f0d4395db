//! [`shield`]: waiting for something that is to go on when the waiting is cancelled.
//!
//! The inner future's callback owns the outer one, which refers back only weakly. Once the outer one
//! is cancelled that callback is taken back, and one for all shields is left to look for a failure.

use super::ensure_future;
use crate::future::{Proxy, WeakFuture};
use crate::{Exception, ExceptionContext, Future};
use std::future::IntoFuture;
use std::panic::Location;
use std::rc::Rc;

/// A future that becomes what `awaitable` becomes, and whose cancellation does not reach it (T-53).
///
/// A future or task is taken as it is, and comes back itself if it is done already; anything else is
/// started as a task. Its value, failure or cancellation comes through (T-54). When the wait was
/// cancelled and the inner one fails later, with nobody asking, that is reported once (T-55).
///
/// It protects from the cancellation of who waits, not from that of the inner task itself, nor from
/// the end of the loop.
///
/// # Panics
/// If a task is to be made and no loop is running on this thread.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, shield};
/// # async fn save() -> Result<(), Exception> { Ok(()) }
/// # async fn example() -> Result<(), Exception> {
/// shield(save()).await?; // it is saved to the end, even if this task is cancelled here
/// # Ok(()) }
/// ```
#[track_caller]
pub fn shield<T, A>(awaitable: A) -> Future<T>
where
    T: Clone + 'static,
    A: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    let inner = ensure_future(awaitable);
    if inner.done() {
        return inner;
    }
    let others = Rc::new([inner.as_other()]);
    let outer = Proxy::create(inner.get_loop(), Location::caller(), others);
    let passage = Passage(Some(outer.clone()));
    let token = inner.add_done_callback(move |inner| passage.done(inner));
    let source = inner.downgrade();
    outer.add_done_callback(move |outer: &Future<T>| {
        if outer.cancelled()
            && let Some(inner) = WeakFuture::upgrade(&source)
            && inner.remove_done_callback(token)
            && !inner.shared().set_watched()
        {
            inner.add_done_callback(report_failure);
        }
    });
    outer
}

/// The inner future's callback. If it is dropped, there will be no outcome.
struct Passage<T: Clone + 'static>(Option<Future<T>>);

impl<T: Clone + 'static> Passage<T> {
    fn done(mut self, inner: &Future<T>) {
        let Some(outer) = self.0.take() else { return };
        match outer.done() {
            true => report_failure(inner),
            false => {
                // It was pending a moment ago, unless cloning the value has ended it.
                let _ = outer.set_outcome(inner.result());
            }
        }
    }
}

impl<T: Clone + 'static> Drop for Passage<T> {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            outer.cancel_with("a future that was shielded was dropped");
        }
    }
}

/// Reports a failure that nobody has asked for (T-55).
fn report_failure<T: 'static>(inner: &Future<T>) {
    let Some(exception) = inner.shared().take_unretrieved() else { return };
    let message = "exception in a shielded future, whose waiting was cancelled";
    let mut context = ExceptionContext::with_exception(message, exception);
    match inner.object().task() {
        Some(_) => context.task = Some(format!("{inner:?}")),
        None => context.future = Some(format!("{inner:?}")),
    }
    context.created_at = Some(inner.created_at());
    inner.get_loop().call_exception_handler(context);
}
