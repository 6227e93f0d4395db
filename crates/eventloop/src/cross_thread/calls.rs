//! The calls that other threads have given to a loop, from the post to the run.
//!
//! A call is an entry in one of two queues: the inbox, to which senders append, and the batch, to
//! which the loop moves all of the inbox at once and from which it runs one call at a time. Each
//! call has a number, counted from the first one ever; that, not memory of its own, is how its
//! handle finds it. So nothing is allocated for a call whose closure is small.
//!
//! Invariants: the numbers in the batch come right before those in the inbox, and `batch.begun`
//! is the number of the next call to run. A call moves from the inbox to the batch while both
//! locks are held, so who looks first in the one, then in the other, cannot miss it. A closure is
//! taken out under a lock, by exactly one of run, cancel and close, and run or dropped without it.

use std::collections::VecDeque;
use std::mem;
use std::panic::Location;
use std::sync::Arc;

use super::call::{CallState, CancelAnswer};
use super::inbox::{Inbox, News, OwnLine, Wake};
use super::sent_callback::SentCallback;
use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock};

/// All calls of one loop that have not run, and how many have.
pub(crate) struct Calls {
    inbox: Inbox<Entry>,
    batch: OwnLine<Mutex<Batch>>,
    /// The number of the call that runs now, plus one; 0 if none does. Set under the batch's lock.
    running: AtomicU64,
}

/// A call that its loop will never run, because it closed. Dropping it drops the closure: user code.
pub(crate) struct AbandonedCall(#[allow(dead_code, reason = "held to be dropped")] SentCallback);

/// A call whose turn it is. It counts as running until it has run, or is dropped.
pub(crate) struct BegunCall<'a> {
    callback: SentCallback,
    ends: EndOfCall<'a>,
}

/// Says that no call runs any more, when it is dropped.
struct EndOfCall<'a> {
    running: &'a AtomicU64,
}

struct Batch {
    entries: VecDeque<Entry>,
    /// How many calls have left the batch: the number of its first entry.
    begun: u64,
    /// Whether the loop is closed, so that whatever had not begun never will.
    is_closed: bool,
}

/// A call that has not begun.
pub(crate) enum Entry {
    /// It will run.
    Waiting(SentCallback),
    /// Called off; keeps the place in the queue, and where it was made.
    Cancelled(&'static Location<'static>),
}

impl Calls {
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        let batch = Batch { entries: VecDeque::new(), begun: 0, is_closed: false };
        Self {
            inbox: Inbox::new(wake),
            batch: OwnLine(Mutex::new(batch)),
            running: AtomicU64::new(0),
        }
    }

    /// The inbox, for all that concerns sleeping and waking.
    pub(crate) fn inbox(&self) -> &Inbox<Entry> {
        &self.inbox
    }

    // For any thread.

    /// Gives `closure` to the loop and answers with its number.
    ///
    /// # Errors
    ///
    /// The loop is closed; the closure comes back.
    #[inline]
    pub(crate) fn post<F: FnOnce() + Send + 'static>(
        &self,
        location: &'static Location<'static>,
        closure: F,
    ) -> Result<u64, F> {
        self.inbox
            .post_made(closure, |closure| Entry::Waiting(SentCallback::new(location, closure)))
    }

    /// Calls off the call of that number. If it came in time, `cancelled` is set and the closure is
    /// dropped here and now.
    pub(super) fn cancel(&self, number: u64, cancelled: &AtomicBool) -> CancelAnswer {
        let closure = self.visit(number, |entry| {
            let closure = entry.call_off();
            if closure.is_some() {
                // Under the lock: who finds the call gone from the queue finds this set.
                cancelled.store(true, Ordering::Relaxed);
            }
            closure
        });
        drop(closure); // user code: nothing is locked
        match self.state(number, cancelled) {
            CallState::Cancelled => CancelAnswer::Cancelled,
            CallState::Running => CancelAnswer::Running,
            CallState::Done => CancelAnswer::Done,
            CallState::Dropped => CancelAnswer::Dropped,
            CallState::Pending => unreachable!("it was called off, or had begun"),
        }
    }

    /// Where the call of that number is; `cancelled` is what its handle gives to `cancel`.
    pub(super) fn state(&self, number: u64, cancelled: &AtomicBool) -> CallState {
        if self.visit(number, |entry| matches!(entry, Entry::Waiting(_))) == Some(true) {
            return CallState::Pending;
        }
        let never_began = {
            let batch = lock(&self.batch.0);
            batch.is_closed && number >= batch.begun
        };
        if cancelled.load(Ordering::Relaxed) {
            CallState::Cancelled
        } else if never_began {
            CallState::Dropped
        } else if self.running.load(Ordering::Acquire) == number + 1 {
            CallState::Running
        } else {
            CallState::Done
        }
    }

    // For the loop's thread.

    /// Moves what came into the batch, and says how many turns that makes: so many more times
    /// [`begin_next`](Self::begin_next) is to be called. Cancelled calls keep their turn.
    pub(crate) fn collect(&self) -> (usize, News) {
        let mut batch = lock(&self.batch.0);
        let before = batch.entries.len();
        let news = self.inbox.drain_into(&mut batch.entries);
        (batch.entries.len() - before, news)
    }

    /// Takes the oldest call of the batch out, to be run now: it cannot be cancelled any more.
    /// `None` if it was cancelled, and its turn is over.
    #[inline]
    pub(crate) fn begin_next(&self) -> Option<BegunCall<'_>> {
        let mut batch = lock(&self.batch.0);
        let entry = batch.entries.pop_front()?;
        batch.begun += 1;
        match entry {
            Entry::Waiting(callback) => {
                self.running.store(batch.begun, Ordering::Relaxed);
                Some(BegunCall { callback, ends: EndOfCall { running: &self.running } })
            }
            Entry::Cancelled(_) => None,
        }
    }

    /// Refuses everything from now on, and returns what was accepted but has not begun. Each is to
    /// be dropped where a panic is caught: what closures captured is user code.
    #[must_use = "each is to be dropped where a panic is caught"]
    pub(crate) fn close(&self) -> impl Iterator<Item = AbandonedCall> + use<> {
        let (batch, inbox) = {
            let mut batch = lock(&self.batch.0);
            batch.is_closed = true;
            let inbox = self.inbox.close();
            (mem::take(&mut batch.entries), inbox)
        };
        batch.into_iter().chain(inbox).filter_map(|entry| match entry {
            Entry::Waiting(callback) => Some(AbandonedCall(callback)),
            Entry::Cancelled(_) => None,
        })
    }

    /// How many calls are in the batch, the cancelled ones included.
    pub(crate) fn collected(&self) -> usize {
        lock(&self.batch.0).entries.len()
    }

    /// Where the first calls of the batch were made, at most so many.
    pub(crate) fn locations(&self, most: usize) -> Vec<&'static Location<'static>> {
        lock(&self.batch.0).entries.iter().take(most).map(Entry::location).collect()
    }

    /// Lets `visit` change the entry of that number, if its turn has not come; under a lock.
    fn visit<R>(&self, number: u64, visit: impl Fn(&mut Entry) -> R) -> Option<R> {
        if let Some(answer) = self.inbox.visit(number, &visit) {
            return Some(answer);
        }
        let mut batch = lock(&self.batch.0);
        let index = usize::try_from(number.checked_sub(batch.begun)?).ok()?;
        batch.entries.get_mut(index).map(visit)
    }
}

impl Entry {
    fn call_off(&mut self) -> Option<SentCallback> {
        let location = self.location();
        match mem::replace(self, Entry::Cancelled(location)) {
            Entry::Waiting(callback) => Some(callback),
            Entry::Cancelled(_) => None,
        }
    }

    fn location(&self) -> &'static Location<'static> {
        match self {
            Entry::Waiting(callback) => callback.location(),
            Entry::Cancelled(location) => location,
        }
    }
}

impl BegunCall<'_> {
    /// Where the call was made.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.callback.location()
    }

    /// Runs the callback. A panic passes through; the call is done then, too.
    #[inline]
    pub(crate) fn run(self) {
        let Self { callback, ends } = self;
        callback.run(); // user code: nothing is locked
        drop(ends);
    }
}

impl Drop for EndOfCall<'_> {
    fn drop(&mut self) {
        // Release: who reads "done" sees what the callback did.
        self.running.store(0, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn l31_a_waiting_call_is_six_words() {
        assert_eq!(size_of::<Entry>(), 6 * size_of::<usize>());
    }
}
