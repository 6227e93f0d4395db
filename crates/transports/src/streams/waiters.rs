//! [`Waiters`] and [`Waiting`]: those who wait for something that all of them are told at once.

use super::StreamShared;
use futures::{Exception, Future, Scheduler, SchedulerExt};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Who waits, in the order of their coming. One that is cancelled or dropped leaves the others alone.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: RefCell<BTreeMap<u64, Future<()>>>,
    next: Cell<u64>,
}

/// Which of the lines of a stream.
pub(super) type Line = fn(&StreamShared) -> &Waiters;

impl Waiters {
    /// Wakes all who wait. What they waited for they look up themselves.
    pub(super) fn wake_all(&self) {
        let waiting = self.waiting.take();
        for future in waiting.into_values() {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
    }
}

/// One wait. Dropping it leaves the line.
pub(super) struct Waiting {
    future: Future<()>,
    place: Option<(Rc<StreamShared>, Line, u64)>,
    /// How often writing had been resumed when it began.
    resumes: u64,
}

impl Waiting {
    /// Gets in line. The future is `scheduler`'s, so that a task that waits can be cancelled.
    pub(super) fn in_line(
        shared: &Rc<StreamShared>,
        line: Line,
        scheduler: &dyn Scheduler,
    ) -> Self {
        let waiters = line(shared);
        let number = waiters.next.get();
        waiters.next.set(number + 1);
        let future: Future<()> = scheduler.create_future();
        waiters.waiting.borrow_mut().insert(number, future.clone());
        let resumes = shared.resumes();
        Self { future, place: Some((shared.clone(), line, number)), resumes }
    }

    /// A wait for the next batch of callbacks.
    pub(super) fn for_a_turn(scheduler: &dyn Scheduler) -> Self {
        let future: Future<()> = scheduler.create_future();
        let done = future.clone();
        scheduler.call_soon(move || {
            // If it was cancelled, nobody waits for it.
            let _ = done.set_result(());
        });
        Self::of(future)
    }

    /// A wait for `future`, which nobody else waits for.
    pub(super) fn of(future: Future<()>) -> Self {
        Self { future, place: None, resumes: 0 }
    }

    /// Whether writing was resumed since it began.
    pub(super) fn was_resumed(&self) -> bool {
        self.place.as_ref().is_some_and(|(shared, ..)| shared.resumes() != self.resumes)
    }

    /// Whether it waits among others.
    pub(super) fn is_in_line(&self) -> bool {
        self.place.is_some()
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        std::future::Future::poll(Pin::new(&mut self.future), context)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((shared, line, number)) = self.place.take() {
            let left = line(&shared).waiting.borrow_mut().remove(&number);
            drop(left); // after the borrow: it may hold a foreign waker
        } else {
            self.future.cancel(); // whoever would set it need not keep it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;
    use eventloop::TestLoop;
    use std::task::Waker;

    #[test]
    fn y19_who_stops_waiting_leaves_the_line_and_the_others_in_it() {
        let event_loop = TestLoop::new();
        let shared = StreamShared::new(Bytes(1)).unwrap();
        let scheduler = event_loop.to_rc();
        let wait = || Waiting::in_line(&shared, |shared| &shared.drainers, &*scheduler);
        let (first, second, mut third) = (wait(), wait(), wait());
        drop(second);
        assert_eq!(shared.drainers.waiting.borrow().len(), 2);
        drop(first);
        let mut context = Context::from_waker(Waker::noop());
        assert!(third.poll(&mut context).is_pending());
        shared.drainers.wake_all();
        assert!(third.poll(&mut context).is_ready());
        assert_eq!(shared.drainers.waiting.borrow().len(), 0);
        let fourth = wait();
        drop(third);
        assert_eq!(shared.drainers.waiting.borrow().len(), 1, "an old place is nobody else's");
        drop(fourth);
    }
}
