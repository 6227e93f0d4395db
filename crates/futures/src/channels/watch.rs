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

use crate::Exception;
use crate::sync::{AskedAt, Grants, Home, Wait, Waiters};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A channel whose value is `value` at first, which its receiver counts as seen.
pub fn channel<T: 'static>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        latest: RefCell::new(Rc::new(value)),
        version: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(1),
        home: Home::default(),
        waiters: Waiters::default(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: Cell::new(0) })
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
    senders: Cell<usize>,
    receivers: Cell<usize>,
    home: Home,
    waiters: Waiters,
}

impl<T: 'static> Sender<T> {
    /// Sets the value, and wakes the receivers. Without receivers it is set all the same: there may be
    /// some [later](Sender::subscribe).
    pub fn send(&self, value: T) {
        let replaced = self.shared.latest.replace(Rc::new(value));
        self.shared.version.set(self.shared.version.get() + 1);
        self.shared.waiters.grant_all(());
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
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        Receiver { shared: self.shared.clone(), seen: Cell::new(self.shared.version.get()) }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.receivers.get()
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
            if self.shared.senders.get() == 0 {
                return Ok(None);
            }
            Wait::<Changes<T>>::begin(&self.shared, &self.shared.home, asked_at)?.await?;
        }
    }

    /// Whether all senders are gone, so that the value will not change any more.
    pub fn is_closed(&self) -> bool {
        self.shared.senders.get() == 0
    }
}

impl<T: 'static> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.set(self.shared.senders.get() + 1);
        Self { shared: self.shared.clone() }
    }
}

impl<T: 'static> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.senders.set(self.shared.senders.get() - 1);
        if self.shared.senders.get() == 0 {
            self.shared.waiters.grant_all(());
        }
    }
}

impl<T: 'static> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        Self { shared: self.shared.clone(), seen: self.seen.clone() }
    }
}

impl<T: 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.set(self.shared.receivers.get() - 1);
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

struct Changes<T>(std::marker::PhantomData<T>);

impl<T: 'static> Grants for Changes<T> {
    type Owner = Shared<T>;
    type Grant = ();

    fn waiters(shared: &Shared<T>) -> &Waiters {
        &shared.waiters
    }

    /// All were told: there is nothing that another would miss.
    fn come_back(_: &Rc<Shared<T>>, (): ()) {}
}
