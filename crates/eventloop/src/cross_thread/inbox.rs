//! The queue through which other threads reach the loop, and the protocol that wakes it.
//!
//! All that decides about sleeping is in one word of flags, changed only by read-modify-write
//! operations. These have one order that all threads agree on, so nothing can fall between "is
//! there news?" and "I sleep now" (L-33): a sender that adds its flag to a word that says `ASLEEP`
//! and nothing else is the first with news in this sleep, and wakes the loop; everybody else finds
//! either an awake loop or a wake-up already on its way, and does nothing (L-32).
//!
//! The items themselves are behind a lock, and so is whether the inbox is closed: an item is
//! either accepted, and then drained or returned by `close`, or it is refused (L-34).
//!
//! Invariants: `ITEMS` is set exactly while the queue holds something (seen under the lock). No
//! foreign code, no destructor and no `Wake` runs under the lock.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::sync::{AtomicU8, Mutex, Ordering, lock};

/// What other threads and signal handlers have for one loop.
///
/// It begins asleep and is asleep whenever the loop is outside its run call, so that a guest's
/// descriptor becomes readable when something comes.
pub(crate) struct Inbox<T> {
    flags: Arc<OwnLine<AtomicU8>>,
    door: OwnLine<Mutex<Door<T>>>,
}

/// Gets a loop out of its sleep: a write to an eventfd, say.
///
/// `wake` is called from any thread and from signal handlers, also after the loop has gone: it must
/// be async-signal-safe (no lock, no allocation, errno kept), must not block, and cannot fail.
/// Wakings may collapse into one, but a waking before the wait must end the wait as well.
pub trait Wake: Send + Sync {
    /// Ends the wait that is going on, or else the next one.
    fn wake(&self);
}

/// What came besides items, as of one [`Inbox::drain_into`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Somebody asked the loop to stop.
    pub(crate) stop: bool,
    /// A [`Signaller`] was used: look at what its signal handler left behind.
    pub(crate) signal: bool,
}

/// Wakes the loop from a signal handler: atomics and the [`Wake`] only.
pub(crate) struct Signaller {
    flags: Arc<OwnLine<AtomicU8>>,
    wake: Arc<dyn Wake>,
}

enum Door<T> {
    Open {
        items: VecDeque<T>,
        /// The number of the first of them: as many came and went before.
        first: u64,
        wake: Arc<dyn Wake>,
    },
    Closed,
}

/// The loop sleeps, or is outside its run call.
const ASLEEP: u8 = 1;
/// The queue holds something.
const ITEMS: u8 = 2;
/// A stop was asked for.
const STOP: u8 = 4;
/// A signal handler has left something.
const SIGNAL: u8 = 8;
/// The loop is gone. Never cleared.
const CLOSED: u8 = 16;

const NEWS: u8 = ITEMS | STOP | SIGNAL;

/// Room for this many items is kept, whatever the traffic.
const KEPT_ROOM: usize = 1024;

impl<T> Inbox<T> {
    /// An open, empty inbox of a loop that is not running: asleep.
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        Self {
            flags: Arc::new(OwnLine(AtomicU8::new(ASLEEP))),
            door: OwnLine(Mutex::new(Door::Open { items: VecDeque::new(), first: 0, wake })),
        }
    }

    // For any thread.

    /// Queues what `make` makes of `source` and, if the loop sleeps and nobody has woken it yet,
    /// wakes it. Answers with its number: items are numbered from 0 in the order of the queue.
    ///
    /// `make` runs under the lock, so that it need not be undone: it only moves or wraps.
    ///
    /// # Errors
    ///
    /// The inbox is closed; `source` comes back.
    pub(crate) fn post_made<S>(&self, source: S, make: impl FnOnce(S) -> T) -> Result<u64, S> {
        let mut wake_first = None;
        let number = {
            let mut door = lock(&self.door.0);
            let Door::Open { items, first, wake } = &mut *door else { return Err(source) };
            let number = *first + items.len() as u64;
            items.push_back(make(source));
            if items.len() == 1 && self.flags.announce(ITEMS) {
                wake_first = Some(Arc::clone(wake));
            }
            number
        };
        if let Some(wake) = wake_first {
            wake.wake();
        }
        Ok(number)
    }

    /// Queues `item`; see [`post_made`](Self::post_made).
    #[cfg(test)]
    pub(crate) fn post(&self, item: T) -> Result<u64, T> {
        self.post_made(item, |item| item)
    }

    /// Lets `visit` change the item of that number, if it is still queued; under the lock.
    pub(crate) fn visit<R>(&self, number: u64, visit: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut door = lock(&self.door.0);
        let Door::Open { items, first, .. } = &mut *door else { return None };
        let index = usize::try_from(number.checked_sub(*first)?).ok()?;
        items.get_mut(index).map(visit)
    }

    /// Asks the loop to stop. What this thread posted before comes with the same drain or an
    /// earlier one. Does nothing once closed.
    pub(crate) fn request_stop(&self) {
        let wake = match &*lock(&self.door.0) {
            Door::Open { wake, .. } if self.flags.announce(STOP) => Some(Arc::clone(wake)),
            Door::Open { .. } | Door::Closed => None,
        };
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.flags.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// A way to wake this loop that signal handlers may use; `None` once closed.
    pub(crate) fn signaller(&self) -> Option<Signaller> {
        let wake = self.open_wake()?;
        Some(Signaller { flags: Arc::clone(&self.flags), wake })
    }

    // For the loop's thread.

    /// Whether there is anything to take. One load of a line that changes only with news, meant to
    /// be asked once a batch. It may be a moment late; [`prepare_to_sleep`](Self::prepare_to_sleep)
    /// never is.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.flags.0.load(Ordering::Relaxed) & NEWS != 0
    }

    /// Moves all items to the end of `items`, in the order in which they came, and takes the other
    /// news.
    ///
    /// If `items` is empty, its memory becomes the queue's, so that a steady flow allocates nothing.
    /// What a thread posted before it asked to stop is in `items` when `stop` is true.
    pub(crate) fn drain_into(&self, items: &mut VecDeque<T>) -> News {
        let flags = {
            let mut door = lock(&self.door.0);
            // Acquire: the news' senders released what they had done before. Under the lock, so
            // that whoever finds the queue empty afterwards also finds `ITEMS` gone.
            let flags = self.flags.0.fetch_and(!NEWS, Ordering::AcqRel);
            if let Door::Open { items: queued, first, .. } = &mut *door {
                *first += queued.len() as u64;
                if items.is_empty() {
                    // The queue begins at the front of its memory again: going round in all of it
                    // would have every item written where no cache has a line, and cost half as much
                    // again as a whole post.
                    items.clear();
                    mem::swap(queued, items);
                } else {
                    items.append(queued);
                }
            }
            flags
        };
        give_back_unused_room(items);
        News { stop: flags & STOP != 0, signal: flags & SIGNAL != 0 }
    }

    /// Declares the loop asleep, right before it blocks. False: something has come, and it must not
    /// block (it is not asleep then).
    #[must_use = "blocking in spite of news may be for ever"]
    pub(crate) fn prepare_to_sleep(&self) -> bool {
        // It is awake: so adding the flag sets it, which takes the processor one instruction, and `fetch_or` a loop.
        let before = self.flags.0.fetch_add(ASLEEP, Ordering::AcqRel);
        debug_assert!(before & ASLEEP == 0, "it sleeps already");
        if before & NEWS != 0 {
            // Nobody has woken us for this news: it was there before we were asleep.
            self.woke_up();
            return false;
        }
        true
    }

    /// Declares the loop awake, after a sleep and when a run call begins: from here on nobody
    /// needs to wake it.
    pub(crate) fn woke_up(&self) {
        self.flags.0.fetch_and(!ASLEEP, Ordering::AcqRel);
    }

    /// Declares the loop asleep at the end of a run call. If news came before, it wakes itself, so
    /// that a host that watches the loop's descriptor calls it again.
    pub(crate) fn leave(&self) {
        let before = self.flags.0.fetch_or(ASLEEP, Ordering::AcqRel);
        if before & NEWS != 0
            && let Some(wake) = self.open_wake()
        {
            wake.wake();
        }
    }

    /// Refuses everything from now on, lets go of the [`Wake`], and returns what was accepted but
    /// never drained. The caller drops it where user code may run.
    #[must_use = "accepted items must be abandoned one by one, where a panic is caught"]
    pub(crate) fn close(&self) -> VecDeque<T> {
        let before = {
            let mut door = lock(&self.door.0);
            self.flags.0.fetch_or(CLOSED, Ordering::AcqRel);
            mem::replace(&mut *door, Door::Closed)
        };
        match before {
            Door::Open { items, .. } => items,
            Door::Closed => VecDeque::new(),
        }
    }

    /// How many items wait to be drained.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        match &*lock(&self.door.0) {
            Door::Open { items, .. } => items.len(),
            Door::Closed => 0,
        }
    }

    /// Does `action` while the lock is held, as a signal handler might that interrupts its holder.
    #[cfg(all(test, not(loom)))]
    pub(super) fn while_locked(&self, action: impl FnOnce()) {
        let _door = lock(&self.door.0);
        action();
    }

    fn open_wake(&self) -> Option<Arc<dyn Wake>> {
        match &*lock(&self.door.0) {
            Door::Open { wake, .. } => Some(Arc::clone(wake)),
            Door::Closed => None,
        }
    }
}

impl Signaller {
    /// Tells the loop that a signal handler has left something, and wakes it if it sleeps.
    /// Async-signal-safe. Several before the loop looks are one (G-4); after its close, nothing.
    pub(crate) fn signal(&self) {
        if self.flags.announce(SIGNAL) {
            self.wake.wake();
        }
    }
}

impl<F: Fn() + Send + Sync> Wake for F {
    fn wake(&self) {
        self();
    }
}

/// A cache line of its own: the flags, which the loop reads once a batch, must not travel with
/// the lock, which senders write all the time.
#[repr(align(64))]
pub(super) struct OwnLine<T>(pub(super) T);

impl OwnLine<AtomicU8> {
    /// Adds news to the flags; true if the loop sleeps and nobody else has woken it in this sleep.
    fn announce(&self, news: u8) -> bool {
        // Release: the loop that takes this news also sees what was done before. A plain look
        // whether the flag is set already would not do in place of the write: it could be answered
        // from before the loop took the flag, while our data comes after.
        self.0.fetch_or(news, Ordering::AcqRel) == ASLEEP
    }
}

/// After a burst, room that is more than four times what was needed is given back, down to
/// [`KEPT_ROOM`]. Growing doubles, so a flow of even size settles without allocating.
fn give_back_unused_room<T>(items: &mut VecDeque<T>) {
    if items.capacity() > KEPT_ROOM && items.len() < items.capacity() / 4 {
        items.shrink_to(KEPT_ROOM.max(items.len() * 2));
    }
}
