//! [`defer_later`]: a call that is put off, as a future.

use crate::{Callback, Exception, Future, Scheduler, catch};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Calls `function` once, `delay` from now, and gives the future of what it returns: Twisted's
/// `deferLater` (W-26).
///
/// Cancelling the future calls the call off, and drops the function with all it captured. Dropping the
/// future does not. A panic is the future's exception. To wait for a future that the function gives,
/// chain it with [`then`](Future::then).
///
/// On a closed scheduler the function is dropped and the future cancelled.
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// use {std::time::Duration, tulipa_futures::defer_later};
/// let answer = defer_later(event_loop, Duration::from_secs(2), || Ok(42));
/// answer.add_done_callback(|answer| println!("{:?}", answer.result()));
/// # }
/// ```
#[track_caller]
pub fn defer_later<T: 'static>(
    scheduler: &(impl Scheduler + ?Sized),
    delay: Duration,
    function: impl FnOnce() -> Result<T, Exception> + 'static,
) -> Future<T> {
    let location = Location::caller();
    let scheduler = scheduler.to_rc();
    let future = Future::new(scheduler.clone());
    let told = future.clone();
    let callback = Callback::at(location, move || {
        // Cancelled in this very batch, and the timer not yet.
        if !told.done() {
            let outcome = catch(function).flatten();
            // The function may have had it cancelled.
            let _ = told.set_outcome(outcome);
        }
    });
    match scheduler.schedule_at(scheduler.time() + delay, callback) {
        Err(closed) => {
            drop(closed);
            future.cancel_with("the event loop is closed");
        }
        Ok(timer) => {
            let timer = Rc::new(timer);
            future.add_done_callback(move |_| {
                timer.cancel();
            });
        }
    }
    future
}
