//! [`Event`]: something that has happened, or not yet.

use super::waiters::{Grants, Home, Wait, Waiters};
use crate::Exception;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Something that has happened, or not yet: any number of tasks may wait for it.
///
/// [`set`](Event::set) lets all pass who wait, and all who come later, until [`clear`](Event::clear).
/// Clones name the same event.
///
/// # Examples
/// ```
/// use tulipa_futures::{Event, Exception};
///
/// async fn serve(ready: Event) -> Result<(), Exception> {
///     ready.wait().await?;
///     println!("ready");
///     Ok(())
/// }
/// ```
#[derive(Clone, Default)]
pub struct Event {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    set: Cell<bool>,
    home: Home,
    waiters: Waiters,
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// It has happened: all who wait pass, also if it is cleared before they run (S-11), and all who
    /// come. Setting twice is setting once (S-12).
    pub fn set(&self) {
        if !self.inner.set.replace(true) {
            self.inner.waiters.grant_all(());
        }
    }

    /// It has not happened: those who come wait again.
    pub fn clear(&self) {
        self.inner.set.set(false);
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.inner.set.get()
    }

    /// Waits until it has happened; without a pause if it has.
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`](crate::InvalidStateError) if it has to wait and no event loop is running
    /// here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = Result<(), Exception>> + use<> {
        let (inner, asked_at) = (self.inner.clone(), Location::caller());
        async move {
            match inner.set.get() {
                true => Ok(()),
                false => Wait::<InnerWaiters>::begin(&inner, &inner.home, asked_at)?.await,
            }
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_set() { "set" } else { "unset" };
        write!(f, "Event({state}, {} waiting)", self.inner.waiters.len())
    }
}

struct InnerWaiters;

impl Grants for InnerWaiters {
    type Owner = Inner;
    type Grant = ();

    fn waiters(inner: &Inner) -> &Waiters {
        &inner.waiters
    }
}
