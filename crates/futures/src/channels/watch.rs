//! The latest value of something, and word when it changes.
//!
//! Receivers see the latest value, not each one: a value that is replaced before a receiver looks is
//! never seen by it. Values are handed out as `Rc<T>`, so nothing is borrowed while one is looked at.
//!
//! # Examples
//! ```
//! use tulipa_futures::{Exception, channels::watch};
//!
//! async fn follow(receiver: watch::Receiver<u32>) -> Result<(), Exception> {
//!     while let Some(level) = receiver.changed().await? {
//!         println!("the level is {level}");
//!     }
//!     Ok(()) // the sender is gone
//! }
//! let (sender, receiver) = watch::channel(1);
//! sender.send(2);
//! assert_eq!((*receiver.latest(), receiver.has_changed()), (2, true));
//! ```

use super::audience::{Audience, HasAudience, news};
use crate::Exception;
use crate::sync::AskedAt;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A channel whose value is `value` at first, which its receiver counts as seen.
pub fn channel<T: 'static>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        latest: RefCell::new(Rc::new(value)),
        version: Cell::new(0),
        audience: Audience::default(),
    });
    shared.audience.sender_came();
    let sender = Sender { shared };
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Sets the value. Clones set the same one.
pub struct Sender<T: 'static> {
    shared: Rc<Shared<T>>,
}

/// Sees the value, and hears when it changes. A clone has seen what the original has.
pub struct Receiver<T: 'static> {
    shared: Rc<Shared<T>>,
    seen: Cell<u64>,
}

struct Shared<T> {
    latest: RefCell<Rc<T>>,
    version: Cell<u64>,
    audience: Audience,
}

impl<T: 'static> HasAudience for Shared<T> {
    fn audience(&self) -> &Audience {
        &self.audience
    }
}

impl<T: 'static> Sender<T> {
    /// Sets the value, and wakes the receivers. Without receivers it is set all the same: there may be
    /// some [later](Sender::subscribe).
    pub fn send(&self, value: T) {
        let replaced = self.shared.latest.replace(Rc::new(value));
        self.shared.version.set(self.shared.version.get() + 1);
        self.shared.audience.tell_all();
        drop(replaced); // a user value: last, for its destructor may look at the channel
    }

    /// Sets the value to what `update` makes of the latest one.
    pub fn update(&self, update: impl FnOnce(&T) -> T) {
        let value = update(&self.latest());
        self.send(value);
    }

    /// The latest value.
    pub fn latest(&self) -> Rc<T> {
        self.shared.latest.borrow().clone()
    }

    /// A new receiver, which has seen the latest value.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.audience.receiver_came();
        Receiver { shared: self.shared.clone(), seen: Cell::new(self.shared.version.get()) }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.audience.receiver_count()
    }
}

impl<T: 'static> Receiver<T> {
    /// The latest value. This does not count as having seen it.
    pub fn latest(&self) -> Rc<T> {
        self.shared.latest.borrow().clone()
    }

    /// Whether the value was set since [`changed`](Receiver::changed) last returned.
    pub fn has_changed(&self) -> bool {
        self.seen.get() != self.shared.version.get()
    }

    /// Waits until the value is set again, and returns the latest; without a pause if it was set since
    /// this last returned. `None` if all senders are gone and the last value was seen.
    ///
    /// Cancelling or dropping it loses nothing: the value then still counts as not seen.
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`](crate::InvalidStateError) if it has to wait and no event loop is running
    /// here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn changed(&self) -> impl Future<Output = Result<Option<Rc<T>>, Exception>> {
        self.changed_at(Location::caller())
    }

    async fn changed_at(&self, asked_at: AskedAt) -> Result<Option<Rc<T>>, Exception> {
        loop {
            if self.has_changed() {
                self.seen.set(self.shared.version.get());
                return Ok(Some(self.latest()));
            }
            if !self.shared.audience.has_senders() {
                return Ok(None);
            }
            news(&self.shared, asked_at).await?;
        }
    }

    /// Whether all senders are gone, so that the value will not change any more.
    pub fn is_closed(&self) -> bool {
        !self.shared.audience.has_senders()
    }
}

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
        self.shared.audience.receiver_came();
        Self { shared: self.shared.clone(), seen: self.seen.clone() }
    }
}

impl<T: 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.audience.receiver_left();
    }
}

impl<T: 'static> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watch::Sender({} receivers)", self.receiver_count())
    }
}

impl<T: 'static> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.has_changed() { "changed" } else { "seen" };
        write!(f, "watch::Receiver({state})")
    }
}
