//! [`Semaphore`] and [`BoundedSemaphore`]: so many at a time.

use super::tokens::{Token, Tokens};
use crate::{Exception, InvalidStateError};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Lets so many tasks at a time do something.
///
/// [`acquire`](Semaphore::acquire) takes one of its tokens, and gives a [`SemaphorePermit`] that puts
/// it back when it is dropped. Tokens are given out in the order of asking; one that is put back goes
/// straight to the first who waits (S-20). Clones name the same semaphore.
///
/// The tokens need not stay the same: [`release`](Semaphore::release) adds one, and
/// [`SemaphorePermit::forget`] takes one away.
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, Semaphore};
///
/// async fn fetch(slots: Semaphore, url: String) -> Result<(), Exception> {
///     let _permit = slots.acquire().await?; // at most as many at a time as there are slots
///     println!("fetching {url}");
///     Ok(())
/// }
/// let slots = Semaphore::new(8);
/// assert!(!slots.locked());
/// ```
#[derive(Clone)]
pub struct Semaphore {
    tokens: Rc<Tokens>,
}

/// A [`Semaphore`] that never has more tokens than at first.
///
/// A release too many is an error instead of a further token (S-18): it tells of a mistake.
#[derive(Clone)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

/// A token of a [`Semaphore`]. Dropping it puts the token back.
#[must_use = "dropping the permit puts the token back at once"]
pub struct SemaphorePermit {
    token: Token,
}

impl Semaphore {
    /// A semaphore with `value` tokens. [`Semaphore::default`] has one.
    pub fn new(value: usize) -> Self {
        Self { tokens: Tokens::new(value, usize::MAX) }
    }

    /// Waits for a token and takes it. If one is free for which nobody waits, there is no pause.
    ///
    /// Cancelling or dropping it loses nothing: a token that was on its way goes to the next (S-21).
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`] if it has to wait and no event loop is running here, or another one than
    /// those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit, Exception>> + use<> {
        let (tokens, asked_at) = (self.tokens.clone(), Location::caller());
        async move { Ok(SemaphorePermit { token: tokens.take(asked_at).await? }) }
    }

    /// Takes a token if that is possible without waiting and without overtaking anybody.
    pub fn try_acquire(&self) -> Option<SemaphorePermit> {
        self.tokens.try_take().map(|token| SemaphorePermit { token })
    }

    /// Adds a token, which may make more than there were at first. A permit needs no release: it is
    /// dropped.
    pub fn release(&self) {
        self.tokens.add();
    }

    /// Whether a newcomer would have to wait (S-19).
    pub fn locked(&self) -> bool {
        !self.tokens.available()
    }

    /// How many tokens nobody has.
    pub fn value(&self) -> usize {
        self.tokens.free()
    }
}

impl BoundedSemaphore {
    /// A semaphore with `value` tokens, and never more. [`BoundedSemaphore::default`] has one.
    pub fn new(value: usize) -> Self {
        Self { semaphore: Semaphore { tokens: Tokens::new(value, value) } }
    }

    /// Waits for a token and takes it. See [`Semaphore::acquire`].
    ///
    /// # Errors
    /// Those of [`Semaphore::acquire`].
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit, Exception>> + use<> {
        self.semaphore.acquire()
    }

    /// Takes a token if that is possible without waiting and without overtaking anybody.
    pub fn try_acquire(&self) -> Option<SemaphorePermit> {
        self.semaphore.try_acquire()
    }

    /// Puts back the token of a permit that was [forgotten](SemaphorePermit::forget).
    ///
    /// # Errors
    /// [`InvalidStateError`] if all tokens are there; nothing is changed then (S-18).
    pub fn release(&self) -> Result<(), InvalidStateError> {
        match self.semaphore.tokens.add() {
            true => Ok(()),
            false => Err(InvalidStateError::new("the semaphore was released too many times")),
        }
    }

    /// Whether a newcomer would have to wait (S-19).
    pub fn locked(&self) -> bool {
        self.semaphore.locked()
    }

    /// How many tokens nobody has.
    pub fn value(&self) -> usize {
        self.semaphore.value()
    }
}

impl SemaphorePermit {
    /// Keeps the token out. A later `release` may put one in its place.
    pub fn forget(self) {
        self.token.forget();
    }
}

impl Default for Semaphore {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Default for BoundedSemaphore {
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({} free, {} waiting)", self.value(), self.tokens.waiting())
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bounded{:?}", self.semaphore)
    }
}

impl fmt::Debug for SemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SemaphorePermit")
    }
}
