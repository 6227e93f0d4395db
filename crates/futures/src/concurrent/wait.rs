//! Blocking until several futures are done: [`wait`] and [`as_completed`].
//!
//! Every future gets a callback that notes its arrival; whoever waits looks at that list alone. The
//! callbacks are taken back when the waiting ends, so that asking again and again leaves nothing.

use super::future::{Future, ListenerId, refuse_to_block};
use super::sync::{self, Condvar, Mutex};
use crate::{Exception, InvalidStateError, TimeoutError};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When [`wait`] has waited long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnWhen {
    /// When one is done.
    FirstCompleted,
    /// When one has failed (being cancelled does not count), or all are done.
    FirstException,
    /// When all are done.
    #[default]
    AllCompleted,
}

/// What [`wait`] found: each future once, in the order in which they were given.
#[derive(Debug)]
pub struct Waited<T: 'static> {
    /// Those that are finished or cancelled.
    pub done: Vec<Future<T>>,
    /// The others.
    pub not_done: Vec<Future<T>>,
}

/// Blocks until `return_when` says so or the timeout is over, and sorts the futures.
///
/// # Errors
/// [`InvalidStateError`] if it would have to wait on a thread that runs a loop (F-29).
///
/// # Examples
/// ```
/// use tulipa_futures::concurrent::{Future, ReturnWhen, wait};
/// let (first, second) = (Future::new(), Future::<u32>::new());
/// first.set_result(1)?;
/// let waited = wait([first, second], None, ReturnWhen::FirstCompleted)?;
/// assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
/// # Ok::<(), tulipa_futures::InvalidStateError>(())
/// ```
pub fn wait<T: 'static>(
    futures: impl IntoIterator<Item = Future<T>>,
    timeout: Option<Duration>,
    return_when: ReturnWhen,
) -> Result<Waited<T>, InvalidStateError> {
    let deadline = Deadline::after(timeout);
    let watch = Watch::new(futures);
    let mut left = watch.futures.len();
    while left > 0 {
        let Some(arrived) = watch.arrivals.next("wait", &deadline)? else { break };
        left -= 1;
        match return_when {
            ReturnWhen::FirstCompleted => break,
            ReturnWhen::FirstException if watch.futures[arrived].failed() => break,
            ReturnWhen::FirstException | ReturnWhen::AllCompleted => {}
        }
    }
    let (done, not_done) = watch.futures.iter().cloned().partition(Future::done);
    Ok(Waited { done, not_done })
}

/// The futures, each once, as they become done; those that are done already come first.
///
/// The iterator blocks until the next one is there. The timeout counts from this call; when it is
/// over the iterator gives a [`TimeoutError`] and ends. If it would have to wait on a thread that runs
/// a loop, it gives an [`InvalidStateError`] and ends (F-29).
///
/// # Examples
/// ```
/// use tulipa_futures::concurrent::{Future, as_completed};
/// let (slow, fast) = (Future::new(), Future::new());
/// fast.set_result("fast")?;
/// let mut completed = as_completed([slow, fast], None);
/// assert_eq!(completed.next().unwrap()?.result(None)?, "fast");
/// # Ok::<(), tulipa_futures::Exception>(())
/// ```
pub fn as_completed<T: 'static>(
    futures: impl IntoIterator<Item = Future<T>>,
    timeout: Option<Duration>,
) -> AsCompleted<T> {
    let deadline = Deadline::after(timeout);
    let watch = Watch::new(futures);
    AsCompleted { left: watch.futures.len(), watch, deadline }
}

/// What [`as_completed`] returns.
#[must_use = "it waits only when it is asked for the next one"]
pub struct AsCompleted<T: 'static> {
    watch: Watch<T>,
    deadline: Deadline,
    left: usize,
}

impl<T: 'static> Iterator for AsCompleted<T> {
    type Item = Result<Future<T>, Exception>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        match self.watch.arrivals.next("as_completed", &self.deadline) {
            Ok(Some(arrived)) => {
                self.left -= 1;
                Some(Ok(self.watch.futures[arrived].clone()))
            }
            Ok(None) => {
                let (left, all) = (std::mem::take(&mut self.left), self.watch.futures.len());
                let operation = format!("as_completed: {left} of {all} futures are not done");
                Some(Err(TimeoutError::new(operation).into()))
            }
            Err(refused) => {
                self.left = 0;
                Some(Err(refused.into()))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.min(1), Some(self.left))
    }
}

impl<T: 'static> std::iter::FusedIterator for AsCompleted<T> {}

impl<T: 'static> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsCompleted({} of {} to come)", self.left, self.watch.futures.len())
    }
}

/// Distinct futures under observation, until this is dropped.
struct Watch<T: 'static> {
    futures: Vec<Future<T>>,
    listeners: Vec<ListenerId>,
    arrivals: Arc<Arrivals>,
}

impl<T: 'static> Watch<T> {
    fn new(futures: impl IntoIterator<Item = Future<T>>) -> Self {
        let mut known = HashSet::new();
        let futures: Vec<_> =
            futures.into_iter().filter(|future| known.insert(future.address())).collect();
        let arrivals = Arc::new(Arrivals::default());
        let listeners = futures.iter().enumerate().map(|(index, future)| {
            let arrivals = arrivals.clone();
            future.add_listener(move |_| arrivals.note(index))
        });
        let listeners = listeners.collect();
        Self { futures, listeners, arrivals }
    }
}

impl<T: 'static> Drop for Watch<T> {
    fn drop(&mut self) {
        for (future, listener) in self.futures.iter().zip(&self.listeners) {
            future.remove_listener(*listener);
        }
    }
}

/// Which futures are done and were not looked at yet, by their number, in order of completion.
#[derive(Default)]
struct Arrivals {
    queue: Mutex<VecDeque<usize>>,
    arrived: Condvar,
}

impl Arrivals {
    fn note(&self, index: usize) {
        sync::lock(&self.queue).push_back(index);
        self.arrived.notify_one();
    }

    /// The next arrival; `None` when the time is over.
    fn next(
        &self,
        operation: &str,
        deadline: &Deadline,
    ) -> Result<Option<usize>, InvalidStateError> {
        let mut queue = sync::lock(&self.queue);
        let remaining = deadline.remaining();
        if queue.is_empty() && remaining != Some(Duration::ZERO) {
            refuse_to_block(operation)?;
            queue = sync::wait_while(&self.arrived, queue, remaining, VecDeque::is_empty);
        }
        Ok(queue.pop_front())
    }
}

/// When waiting ends, on the system's clock: no loop is concerned, so neither is a loop's clock.
struct Deadline(Option<Instant>);

impl Deadline {
    /// A timeout too long to count never ends.
    fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    fn remaining(&self) -> Option<Duration> {
        self.0.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn f29_waiting_takes_its_callbacks_back() {
        let future = Future::<u32>::new();
        let watch = Watch::new([future.clone(), future.clone()]);
        let arrivals = watch.arrivals.clone();
        assert_eq!(Arc::strong_count(&arrivals), 3);
        drop(watch);
        assert_eq!(Arc::strong_count(&arrivals), 1);
    }
}
