//! [`as_completed`]: futures in the order in which they are done.
//!
//! A future that is done goes to the [`Ticket`] that has waited longest, or into the queue of those
//! that arrived unawaited. A ticket that is given up gives back what it was granted.
//!
//! Invariants: while a ticket waits, nothing stands in the queue. `desk` is borrowed only where
//! nothing foreign is called or dropped.

use super::ensure_future::{Given, common_loop};
use crate::future::{Others, Proxy};
use crate::{CallbackToken, Exception, Future, Scheduler, SchedulerExt, TimeoutError, TimerHandle};
use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::IntoFuture;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// The futures of `awaitables`, each once, in the order in which they are done (T-56).
///
/// Futures and tasks are taken as they are; anything else is started as a task, at this call (T-59).
/// Those that are done already come first. [`next`](AsCompleted::next) gives the very future, which
/// is done: ask it for its result. To let several wait at a time, take [tickets](Ticket), one for each
/// future, by [`ticket`](AsCompleted::ticket) or by iterating.
///
/// When `timeout`, counted from this call, is over, each item that is missing is a [`TimeoutError`];
/// nothing is cancelled (T-58). Dropping it, or cancelling who waits, leaves the futures alone.
///
/// If the awaitables belong to different loops, none is started, and the only item is an
/// [`InvalidStateError`](crate::InvalidStateError).
///
/// # Panics
/// If nothing in `awaitables` has a loop, and none is running on this thread.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, as_completed, sleep};
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Exception> {
/// let naps = [30, 10, 20].map(|milliseconds| async move {
///     sleep(Duration::from_millis(milliseconds)).await?;
///     Ok(milliseconds)
/// });
/// let mut naps = as_completed(naps, None);
/// let mut order = Vec::new();
/// while let Some(nap) = naps.next().await {
///     order.push(nap?.result()?);
/// }
/// assert_eq!(order, [10, 20, 30]);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn as_completed<T, I>(awaitables: I, timeout: Option<Duration>) -> AsCompleted<T>
where
    T: 'static,
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, Exception>, IntoFuture: 'static>,
{
    let given: Vec<_> = awaitables.into_iter().map(Given::new).collect();
    let (scheduler, refused) = match common_loop("as_completed", &given) {
        Ok(scheduler) => (scheduler, None),
        Err((scheduler, error)) => (scheduler, Some(error)),
    };
    let (mut futures, mut known) = (Vec::new(), HashSet::new());
    if refused.is_none() {
        for given in given {
            let future = given.start(&*scheduler);
            if known.insert(future.address()) {
                futures.push(future);
            }
        }
    }
    let (done, pending): (Vec<_>, Vec<_>) = futures.into_iter().partition(Future::done);
    let mut arrived: VecDeque<_> = done.into_iter().map(Ok).collect();
    arrived.extend(refused.map(|error| Err(error.into())));
    let total = arrived.len() + pending.len();
    let desk = Desk {
        arrived,
        waiting: VecDeque::new(),
        given_up: 0,
        to_come: pending.len(),
        unclaimed: total,
        timed_out: false,
    };
    let completions = Rc::new(Completions {
        scheduler,
        created_at: Location::caller(),
        others: pending.iter().map(Future::as_other).collect(),
        total,
        desk: RefCell::new(desk),
        watched: RefCell::default(),
        timer: OnceCell::new(),
    });
    completions.watch(pending, timeout);
    AsCompleted { completions, waiting: None }
}

/// What [`as_completed`] returns: the futures to come, each to be claimed once.
///
/// Iterating gives a [`Ticket`] for each of them.
#[must_use = "it gives the futures to who asks for the next one"]
pub struct AsCompleted<T: 'static> {
    completions: Rc<Completions<T>>,
    /// That of a [`poll_next`](AsCompleted::poll_next) that had to wait.
    waiting: Option<Ticket<T>>,
}

impl<T: 'static> AsCompleted<T> {
    /// The next future that is done; `None` when each was given out or has a [`Ticket`].
    ///
    /// An error is a [`TimeoutError`], which counts as the item, or a
    /// [`CancelledError`](crate::CancelledError): then the task was cancelled, and the item is still
    /// to come. If it is dropped before it is ready, nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Future<T>, Exception>> {
        let ticket = self.ticket()?;
        Some(ticket.await)
    }

    /// As [`next`](AsCompleted::next), or has the task of `context` woken when there is one. Unlike
    /// there, the place among those who wait is kept from one poll to the next.
    ///
    /// With the feature `futures-core` this makes it a `futures_core::Stream`.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Future<T>, Exception>>> {
        let Some(mut ticket) = self.waiting.take().or_else(|| self.completions.ticket()) else {
            return Poll::Ready(None);
        };
        let polled = std::future::Future::poll(Pin::new(&mut ticket), context);
        if polled.is_pending() {
            self.waiting = Some(ticket);
        }
        polled.map(Some)
    }

    /// The right to one of the futures; `None` when each was given out or has a ticket.
    ///
    /// A [`poll_next`](AsCompleted::poll_next) that waits has one; this takes it over.
    pub fn ticket(&mut self) -> Option<Ticket<T>> {
        self.waiting.take().or_else(|| self.completions.ticket())
    }

    /// How many can still be claimed.
    pub fn remaining(&self) -> usize {
        self.completions.desk.borrow().unclaimed + usize::from(self.waiting.is_some())
    }
}

#[cfg(feature = "futures-core")]
impl<T: 'static> futures_core::Stream for AsCompleted<T> {
    type Item = Result<Future<T>, Exception>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        AsCompleted::poll_next(self.get_mut(), context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }
}

impl<T: 'static> IntoIterator for AsCompleted<T> {
    type Item = Ticket<T>;
    type IntoIter = Tickets<T>;

    fn into_iter(self) -> Tickets<T> {
        Tickets(self)
    }
}

impl<T: 'static> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsCompleted({} of {} to claim)", self.remaining(), self.completions.total)
    }
}

/// The tickets of an [`AsCompleted`].
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct Tickets<T: 'static>(AsCompleted<T>);

impl<T: 'static> Iterator for Tickets<T> {
    type Item = Ticket<T>;

    fn next(&mut self) -> Option<Ticket<T>> {
        self.0.ticket()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.remaining(), None)
    }
}

/// The right to one of the futures of [`as_completed`]. Awaiting it gives the next one that is done:
/// those who began to wait first are served first (T-57).
///
/// A ticket that is dropped, or whose task is cancelled, leaves what it would have got to others.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, Task, as_completed, spawn};
/// # async fn example(jobs: Vec<Task<u32>>) -> Result<(), Exception> {
/// for ticket in as_completed(jobs, None) {
///     spawn(async move { println!("done: {:?}", ticket.await?.result()); Ok::<_, Exception>(()) });
/// }
/// # Ok(()) }
/// ```
#[must_use = "it waits when it is awaited"]
pub struct Ticket<T: 'static> {
    completions: Rc<Completions<T>>,
    stage: Stage<T>,
}

enum Stage<T: 'static> {
    New,
    /// Where the next one will be put.
    Waiting(Future<Future<T>>),
    Ended,
}

impl<T: 'static> std::future::Future for Ticket<T> {
    type Output = Result<Future<T>, Exception>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.stage, Stage::New) {
            let claimed = self.completions.claim();
            self.stage = match claimed {
                Claimed::Item(item) => {
                    self.stage = Stage::Ended;
                    return Poll::Ready(item);
                }
                Claimed::Place(place) => Stage::Waiting(place),
            };
        }
        let Stage::Waiting(place) = &mut self.stage else { return Poll::Pending };
        let polled = Pin::new(place).poll(context);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => self.stage = Stage::Ended,
            Poll::Ready(Err(error)) if error.is::<TimeoutError>() => self.stage = Stage::Ended,
            Poll::Ready(Err(_)) => self.give_up(),
        }
        polled
    }
}

impl<T: 'static> Ticket<T> {
    /// Leaves what it has, or would get, to others.
    fn give_up(&mut self) {
        let granted = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => return,
            Stage::New => None,
            Stage::Waiting(place) => {
                place.cancel();
                // One that was granted in this very turn holds a future (T-17).
                let granted = place.take().ok();
                if granted.is_none() {
                    self.completions.desk.borrow_mut().note_given_up();
                }
                granted
            }
        };
        self.completions.desk.borrow_mut().unclaimed += 1;
        if let Some(future) = granted
            && let Err(future) = self.completions.hand_out(future)
        {
            self.completions.desk.borrow_mut().arrived.push_front(Ok(future));
        }
    }
}

impl<T: 'static> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<T: 'static> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::New => "Ticket(not awaited yet)",
            Stage::Waiting(_) => "Ticket(waiting)",
            Stage::Ended => "Ticket(used)",
        })
    }
}

/// What the tickets share. The futures refer to it only weakly.
struct Completions<T: 'static> {
    scheduler: Rc<dyn Scheduler>,
    created_at: &'static Location<'static>,
    others: Others,
    total: usize,
    desk: RefCell<Desk<T>>,
    /// The futures that are pending, with our callbacks, by their addresses.
    watched: RefCell<HashMap<*const (), (Future<T>, CallbackToken)>>,
    timer: OnceCell<TimerHandle>,
}

struct Desk<T: 'static> {
    /// What nobody has claimed yet.
    arrived: VecDeque<Result<Future<T>, Exception>>,
    /// Who waits, in order. Places that were given up are done.
    waiting: VecDeque<Future<Future<T>>>,
    /// How many of those were given up.
    given_up: usize,
    /// How many futures are not done.
    to_come: usize,
    /// How many tickets may still be taken.
    unclaimed: usize,
    timed_out: bool,
}

enum Claimed<T: 'static> {
    Item(Result<Future<T>, Exception>),
    Place(Future<Future<T>>),
}

impl<T: 'static> Desk<T> {
    /// A place was given up. They are cleared away when most are, so that this costs little.
    fn note_given_up(&mut self) {
        self.given_up += 1;
        if self.given_up * 2 > self.waiting.len() {
            // Their waiters are gone: all that a place still owns is itself.
            self.waiting.retain(|place| !place.done());
            self.given_up = 0;
        }
    }

    /// The place of who has waited longest.
    fn next_place(&mut self) -> Option<Future<Future<T>>> {
        loop {
            let place = self.waiting.pop_front()?;
            if !place.done() {
                return Some(place);
            }
            self.given_up = self.given_up.saturating_sub(1);
        }
    }
}

impl<T: 'static> Completions<T> {
    /// One of those that can still be claimed.
    fn ticket(self: &Rc<Self>) -> Option<Ticket<T>> {
        let mut desk = self.desk.borrow_mut();
        desk.unclaimed = desk.unclaimed.checked_sub(1)?;
        Some(Ticket { completions: self.clone(), stage: Stage::New })
    }

    fn watch(self: &Rc<Self>, pending: Vec<Future<T>>, timeout: Option<Duration>) {
        if pending.is_empty() {
            return;
        }
        let watched = pending.into_iter().map(|future| {
            let this = Rc::downgrade(self);
            let token = future.add_done_callback(move |future| {
                if let Some(this) = Weak::upgrade(&this) {
                    this.future_done(future.clone());
                }
            });
            (future.address(), (future, token))
        });
        let watched = watched.collect();
        self.watched.replace(watched);
        if let Some(timeout) = timeout {
            let this = Rc::downgrade(self);
            let timer = self.scheduler.call_later(timeout, move || {
                if let Some(this) = Weak::upgrade(&this) {
                    this.time_out();
                }
            });
            let _ = self.timer.set(timer); // set nowhere else
        }
    }

    fn future_done(&self, future: Future<T>) {
        // What was given out is for whoever got it: nothing here keeps its value.
        let watched = self.watched.borrow_mut().remove(&future.address());
        drop(watched);
        let left = {
            let mut desk = self.desk.borrow_mut();
            desk.to_come -= 1;
            desk.to_come
        };
        if left == 0 {
            self.stop_watching();
        }
        if let Err(future) = self.hand_out(future) {
            self.desk.borrow_mut().arrived.push_back(Ok(future));
        }
    }

    /// Gives a future to who has waited longest. Comes back if nobody waits.
    fn hand_out(&self, future: Future<T>) -> Result<(), Future<T>> {
        let place = self.desk.borrow_mut().next_place();
        match place {
            Some(place) => place.try_set_result(future),
            None => Err(future),
        }
    }

    /// The next one, or a place to wait for it.
    fn claim(&self) -> Claimed<T> {
        let mut desk = self.desk.borrow_mut();
        if let Some(item) = desk.arrived.pop_front() {
            return Claimed::Item(item);
        }
        if desk.timed_out {
            let left = desk.to_come;
            return Claimed::Item(Err(self.late(left)));
        }
        let (scheduler, others) = (self.scheduler.clone(), self.others.clone());
        let place = Proxy::create(scheduler, self.created_at, others);
        desk.waiting.push_back(place.clone());
        Claimed::Place(place)
    }

    /// The time is over: what is missing is late.
    fn time_out(&self) {
        self.stop_watching();
        let (waiting, left) = {
            let mut desk = self.desk.borrow_mut();
            desk.timed_out = true;
            (std::mem::take(&mut desk.waiting), desk.to_come)
        };
        for place in waiting {
            // One that was given up is done already.
            let _ = place.set_exception(self.late(left));
        }
    }

    fn late(&self, left: usize) -> Exception {
        let operation = format!("as_completed: {left} of {} futures are not done", self.total);
        TimeoutError::new(operation).into()
    }

    /// Takes callbacks and timer back.
    fn stop_watching(&self) {
        for (future, token) in self.watched.take().into_values() {
            future.remove_done_callback(token);
        }
        if let Some(timer) = self.timer.get() {
            timer.cancel();
        }
    }
}

impl<T: 'static> Drop for Completions<T> {
    fn drop(&mut self) {
        self.stop_watching();
    }
}
