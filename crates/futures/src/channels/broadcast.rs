//! Every item for every receiver, with a bound on what is kept for the slow ones.
//!
//! A receiver gets the items that are sent after it was made, in order. At most `capacity` items are
//! kept: if a further one comes, the oldest goes, and receivers that had not received it are told how
//! many they [lost](Lagged) before they get the next. An item that all have received is kept no longer.
//!
//! Invariant: the kept items are numbered from `first` on without a gap, and each knows how many
//! receivers are still to get it. Those who have one have all before it, so that the counts never fall
//! from one item to the next.
//!
//! # Examples
//! ```
//! use std::num::NonZeroUsize;
//! use tulipa_futures::{Exception, channels::broadcast};
//!
//! async fn listen(receiver: broadcast::Receiver<String>) -> Result<(), Exception> {
//!     loop {
//!         match receiver.recv().await {
//!             Ok(Some(line)) => println!("{line}"),
//!             Ok(None) => return Ok(()), // all senders are gone
//!             Err(exception) => match exception.downcast_ref::<broadcast::Lagged>() {
//!                 Some(lagged) => println!("… {} lines …", lagged.lost()),
//!                 None => return Err(exception),
//!             },
//!         }
//!     }
//! }
//! let (sender, receiver) = broadcast::channel(NonZeroUsize::new(16).expect("it is not zero"));
//! sender.send("hello".to_owned())?;
//! assert_eq!(receiver.len(), 1);
//! # Ok::<(), Exception>(())
//! ```

use super::SendError;
use super::audience::{Audience, HasAudience, news};
use crate::Exception;
use crate::sync::AskedAt;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::rc::Rc;

/// A channel that keeps at most `capacity` items for those who have not received them.
pub fn channel<T: Clone + 'static>(capacity: NonZeroUsize) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        kept: RefCell::new(Kept { items: VecDeque::new(), first: 0 }),
        capacity,
        audience: Audience::default(),
    });
    shared.audience.sender_came();
    let sender = Sender { shared };
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Sends items to all receivers. Clones send to the same.
pub struct Sender<T: 'static> {
    shared: Rc<Shared<T>>,
}

/// Receives every item that is sent while it is there. A clone gets what the original has yet to get.
pub struct Receiver<T: 'static> {
    shared: Rc<Shared<T>>,
    /// The number of the item that comes next.
    next: Cell<u64>,
}

/// A receiver was too slow: items that it had not received are gone. The next call goes on behind the
/// gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged {
    lost: u64,
}

struct Shared<T> {
    kept: RefCell<Kept<T>>,
    capacity: NonZeroUsize,
    audience: Audience,
}

impl<T: 'static> HasAudience for Shared<T> {
    fn audience(&self) -> &Audience {
        &self.audience
    }
}

struct Kept<T> {
    items: VecDeque<Item<T>>,
    /// The number of the first one.
    first: u64,
}

struct Item<T> {
    value: Rc<T>,
    /// How many receivers are still to get it.
    missing: usize,
}

impl<T: 'static> Sender<T> {
    /// Sends `item` to all receivers. If as many are kept as may be, the oldest goes.
    ///
    /// # Errors
    /// [`SendError`] gives the item back if there is no receiver.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        let missing = self.shared.audience.receiver_count();
        if missing == 0 {
            return Err(SendError(item));
        }
        let lost = self.shared.kept.borrow_mut().push(item, missing, self.shared.capacity);
        self.shared.audience.tell_all();
        drop(lost); // a user value: last, for its destructor may look at the channel
        Ok(())
    }

    /// A new receiver, which gets what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.audience.receiver_came();
        let next = Cell::new(self.shared.kept.borrow().end());
        Receiver { shared: self.shared.clone(), next }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.audience.receiver_count()
    }
}

impl<T: Clone + 'static> Receiver<T> {
    /// Waits for the next item; `None` if all senders are gone and everything was received. The last
    /// receiver of an item gets it itself, the others a clone.
    ///
    /// Cancelling or dropping it loses nothing: an item is received by the call that returns it.
    ///
    /// # Errors
    /// [`Lagged`] if items were lost, once for each gap; [`CancelledError`](crate::CancelledError) if
    /// the task was cancelled meanwhile; [`InvalidStateError`](crate::InvalidStateError) if it has to
    /// wait and no event loop is running here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn recv(&self) -> impl Future<Output = Result<Option<T>, Exception>> {
        self.recv_at(Location::caller())
    }

    async fn recv_at(&self, asked_at: AskedAt) -> Result<Option<T>, Exception> {
        loop {
            if let Some(received) = self.try_recv() {
                return Ok(Some(received?));
            }
            if !self.shared.audience.has_senders() {
                return Ok(None);
            }
            news(&self.shared, asked_at).await?;
        }
    }

    /// The next item, or `None` if there is none now.
    ///
    /// # Errors
    /// [`Lagged`] if items were lost, once for each gap.
    pub fn try_recv(&self) -> Option<Result<T, Lagged>> {
        let next = self.next.get();
        let (value, done_with) = {
            let mut kept = self.shared.kept.borrow_mut();
            if next < kept.first {
                self.next.set(kept.first);
                return Some(Err(Lagged { lost: kept.first - next }));
            }
            let value = kept.item(next)?.value.clone();
            self.next.set(next + 1);
            (value, kept.count_off(next, next + 1))
        };
        drop(done_with);
        Some(Ok(Rc::unwrap_or_clone(value)))
    }
}

impl<T: 'static> Receiver<T> {
    /// How many items are there for this receiver.
    pub fn len(&self) -> usize {
        let kept = self.shared.kept.borrow();
        usize::try_from(kept.end() - self.next.get().max(kept.first)).unwrap_or(usize::MAX)
    }

    /// Whether no item is there for this receiver.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Kept<T> {
    /// The number of the item that is sent next.
    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    fn item(&mut self, number: u64) -> Option<&mut Item<T>> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.items.get_mut(at)
    }

    /// Adds an item, and returns the one that had to go for it.
    fn push(&mut self, item: T, missing: usize, capacity: NonZeroUsize) -> Option<Item<T>> {
        let lost = match self.items.len() >= capacity.get() {
            true => self.pop(),
            false => None,
        };
        self.items.push_back(Item { value: Rc::new(item), missing });
        lost
    }

    fn pop(&mut self) -> Option<Item<T>> {
        let item = self.items.pop_front()?;
        self.first += 1;
        Some(item)
    }

    /// Notes that one receiver needs the items from `begin` to `end` no longer, and returns those that
    /// nobody needs.
    fn count_off(&mut self, begin: u64, end: u64) -> Vec<Item<T>> {
        for number in begin.max(self.first)..end {
            if let Some(item) = self.item(number) {
                item.missing -= 1;
            }
        }
        let mut done_with = Vec::new();
        while self.items.front().is_some_and(|item| item.missing == 0) {
            done_with.extend(self.pop());
        }
        done_with
    }
}

impl Lagged {
    /// How many items were lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver was too slow and lost {} items", self.lost)
    }
}

impl Error for Lagged {}

impl<T: 'static> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.audience.sender_came();
        Self { shared: self.shared.clone() }
    }
}

impl<T: 'static> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.audience.sender_left();
    }
}

impl<T: 'static> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut kept = self.shared.kept.borrow_mut();
        for number in self.next.get().max(kept.first)..kept.end() {
            if let Some(item) = kept.item(number) {
                item.missing += 1;
            }
        }
        self.shared.audience.receiver_came();
        Self { shared: self.shared.clone(), next: self.next.clone() }
    }
}

impl<T: 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.audience.receiver_left();
        let mut kept = self.shared.kept.borrow_mut();
        let end = kept.end();
        let done_with = kept.count_off(self.next.get(), end);
        drop(kept);
        drop(done_with); // user values
    }
}

impl<T: 'static> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broadcast::Sender({} receivers)", self.receiver_count())
    }
}

impl<T: 'static> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broadcast::Receiver({} items)", self.len())
    }
}
