//! From any thread to a task of the loop.
//!
//! Senders are `Send + Sync` and can be cloned; the receiver stays on the thread where it was made,
//! which is the loop's. The loop is woken once when there is something for a receiver that waits, not
//! once for each item; a receiver that is busy is not disturbed at all.
//!
//! Invariant: if the receiver waits, nothing is in the mailbox or the *bell* was taken out: whoever
//! took it rings it. Neither user code nor a scheduler's is called under the mutex.
//!
//! # Examples
//! ```
//! use tulipa_futures::{Exception, channels::mailbox};
//!
//! async fn show(mut receiver: mailbox::Receiver<String>) -> Result<(), Exception> {
//!     while let Some(line) = receiver.recv().await? {
//!         println!("{line}");
//!     }
//!     Ok(()) // all senders are gone
//! }
//! let (sender, mut receiver) = mailbox::unbounded();
//! let worker = std::thread::spawn(move || sender.send("done"));
//! worker.join().expect("it does not panic")?;
//! assert_eq!(receiver.try_recv(), Some("done"));
//! # Ok::<(), Exception>(())
//! ```

use super::SendError;
use crate::parked::{Key, Parked, find, park};
use crate::sync::{AskedAt, Grants, Home, Wait, Waiters};
use crate::{Exception, ThreadsafeScheduler};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

/// A mailbox that takes any number of items.
pub fn unbounded<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
    let (outside, receiver) = mailbox(None);
    (Sender { outside }, receiver)
}

/// A mailbox that takes at most `capacity` items which were not received yet.
pub fn bounded<T: Send + 'static>(capacity: NonZeroUsize) -> (BoundedSender<T>, Receiver<T>) {
    let (outside, receiver) = mailbox(Some(capacity));
    (BoundedSender { outside }, receiver)
}

/// Puts items into an unbounded mailbox, from any thread.
pub struct Sender<T: Send + 'static> {
    outside: Outside<T>,
}

/// Puts items into a bounded mailbox, from any thread.
pub struct BoundedSender<T: Send + 'static> {
    outside: Outside<T>,
}

/// Receives what was put into a mailbox, on the thread where it was made.
pub struct Receiver<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    /// Where the bell rings; parked, so that the bell can be on other threads.
    inside: Rc<Inside>,
    parked: Parked,
}

/// An item that a bounded mailbox did not take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// As many items are in it as may be.
    Full(T),
    /// Nobody is left to receive it.
    Closed(T),
}

struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: Option<NonZeroUsize>,
}

struct State<T> {
    /// Items with their numbers, which only grow.
    items: VecDeque<(u64, T)>,
    sent: u64,
    senders: usize,
    /// False once the receiver is gone, or the loop that it waits on.
    open: bool,
    /// There if the receiver waits and nobody has called it yet.
    bell: Option<Bell>,
}

/// What calls a receiver that waits.
struct Bell {
    threadsafe: Arc<dyn ThreadsafeScheduler>,
    key: Key,
}

#[derive(Default)]
struct Inside {
    home: Home,
    waiters: Waiters,
}

fn mailbox<T: Send + 'static>(capacity: Option<NonZeroUsize>) -> (Outside<T>, Receiver<T>) {
    let state = State { items: VecDeque::new(), sent: 0, senders: 1, open: true, bell: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), capacity });
    let inside = Rc::new(Inside::default());
    let parked = park(inside.clone());
    (Outside(shared.clone()), Receiver { shared, inside, parked })
}

impl<T: Send + 'static> Sender<T> {
    /// Puts `item` into the mailbox, and wakes the receiver's loop if it waits for one.
    ///
    /// # Errors
    /// [`SendError`] gives the item back if the receiver is gone, or waits on a loop that is closed.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.outside.put(item).map_err(|refused| SendError(refused.into_item()))
    }

    /// Whether the receiver is gone, as far as is known.
    pub fn is_closed(&self) -> bool {
        !self.outside.0.lock().open
    }
}

impl<T: Send + 'static> BoundedSender<T> {
    /// Puts `item` into the mailbox if there is room, and wakes the receiver's loop if it waits for
    /// one.
    ///
    /// # Errors
    /// [`TrySendError`] gives the item back: there is no room; or the receiver is gone, or waits on a
    /// loop that is closed.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.outside.put(item)
    }

    /// Whether the receiver is gone, as far as is known.
    pub fn is_closed(&self) -> bool {
        !self.outside.0.lock().open
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// Waits for an item; `None` if all senders are gone and everything was received.
    ///
    /// Cancelling or dropping it loses nothing: an item leaves the mailbox with the call that returns
    /// it.
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`](crate::InvalidStateError) if it has to wait and no event loop is running
    /// here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<T>, Exception>> {
        self.recv_at(Location::caller())
    }

    async fn recv_at(&mut self, asked_at: AskedAt) -> Result<Option<T>, Exception> {
        loop {
            if let Some(item) = self.try_recv() {
                return Ok(Some(item));
            }
            let wait = Wait::<Rings>::begin(&self.inside, &self.inside.home, asked_at)?;
            match self.hang_up_bell(self.inside.home.enter()?.threadsafe()) {
                Hung::Waits(_takes_it_down) => wait.await?,
                Hung::SomethingCame => {}
                Hung::NothingWillCome => return Ok(None),
            }
        }
    }

    /// Takes an item if there is one. Works without a loop.
    pub fn try_recv(&mut self) -> Option<T> {
        self.shared.lock().items.pop_front().map(|(_, item)| item)
    }

    /// How many items are in the mailbox.
    pub fn len(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Whether no item is in the mailbox.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the next sender call this receiver, by way of `threadsafe`.
    fn hang_up_bell(&self, threadsafe: Arc<dyn ThreadsafeScheduler>) -> Hung<'_, T> {
        let bell = Bell { threadsafe, key: self.parked.key() };
        let mut state = self.shared.lock();
        if !state.items.is_empty() {
            drop(state);
            return Hung::SomethingCame;
        }
        if state.senders == 0 {
            drop(state);
            return Hung::NothingWillCome;
        }
        let replaced = state.bell.replace(bell);
        drop(state);
        drop(replaced);
        Hung::Waits(TakesDownBell(&self.shared))
    }
}

/// What there is to wait for.
enum Hung<'a, T> {
    /// The bell hangs. Nobody needs it longer than this lives.
    Waits(TakesDownBell<'a, T>),
    SomethingCame,
    NothingWillCome,
}

struct TakesDownBell<'a, T>(&'a Shared<T>);

impl<T> Drop for TakesDownBell<'_, T> {
    fn drop(&mut self) {
        let bell = self.0.lock().bell.take();
        drop(bell); // not under the mutex: a scheduler may look after who can still call it
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic is done under the mutex.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    /// Wakes the receiver; false if its loop is closed.
    fn ring(self) -> bool {
        let key = self.key;
        let refused = self.threadsafe.post(Box::new(move || {
            if let Some(inside) = find::<Rc<Inside>>(key) {
                inside.waiters.grant_all(());
            }
        }));
        refused.is_ok()
    }
}

/// One sender, of those that are counted.
struct Outside<T: Send + 'static>(Arc<Shared<T>>);

impl<T: Send + 'static> Outside<T> {
    fn put(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.lock();
        if !state.open {
            return Err(TrySendError::Closed(item));
        }
        if self.0.capacity.is_some_and(|capacity| state.items.len() >= capacity.get()) {
            return Err(TrySendError::Full(item));
        }
        let number = state.sent;
        state.sent += 1;
        state.items.push_back((number, item));
        let bell = state.bell.take();
        drop(state);
        if bell.is_none_or(Bell::ring) {
            return Ok(());
        }
        // The loop is closed, so nobody will come for the item; unless it was taken without waiting.
        let mut state = self.0.lock();
        state.open = false;
        match state.items.binary_search_by_key(&number, |item| item.0) {
            Ok(at) => match state.items.remove(at) {
                Some((_, item)) => Err(TrySendError::Closed(item)),
                None => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }
}

impl<T: Send + 'static> Clone for Outside<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> Drop for Outside<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let bell = match state.senders {
            0 => state.bell.take(),
            _ => None,
        };
        drop(state);
        if let Some(bell) = bell {
            // On a closed loop nobody is left to be told.
            bell.ring();
        }
    }
}

impl<T: Send + 'static> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { outside: self.outside.clone() }
    }
}

impl<T: Send + 'static> Clone for BoundedSender<T> {
    fn clone(&self) -> Self {
        Self { outside: self.outside.clone() }
    }
}

impl<T: Send + 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.open = false;
        let left = std::mem::take(&mut state.items);
        drop(state);
        drop(left); // user values: not under the mutex
    }
}

impl<T> TrySendError<T> {
    /// The item that was not taken.
    pub fn into_item(self) -> T {
        match self {
            TrySendError::Full(item) | TrySendError::Closed(item) => item,
        }
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, TrySendError::Full(_))
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "Full(..)" } else { "Closed(..)" })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "cannot send an item: the mailbox is full",
            TrySendError::Closed(_) => "cannot send an item: nobody is left to receive it",
        })
    }
}

impl<T> Error for TrySendError<T> {}

impl<T: Send + 'static> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mailbox::Sender")
    }
}

impl<T: Send + 'static> fmt::Debug for BoundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mailbox::BoundedSender")
    }
}

impl<T: Send + 'static> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mailbox::Receiver({} items)", self.len())
    }
}

struct Rings;

impl Grants for Rings {
    type Owner = Inside;
    type Grant = ();

    fn waiters(inside: &Inside) -> &Waiters {
        &inside.waiters
    }
}

#[cfg(all(test, loom))]
mod models;
