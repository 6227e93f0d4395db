//! [`Lock`]: one at a time, across `.await`s.

use super::tokens::{Token, Tokens};
use super::waiters::AskedAt;
use crate::Exception;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Lets one task at a time into a section that has `.await`s in it.
///
/// [`acquire`](Lock::acquire) gives a [`LockGuard`], and dropping the guard releases the lock: at the
/// end of the block, on an error, and when the task is cancelled or aborted (S-4). A released lock goes
/// to the one who waited longest, and nobody who comes meanwhile gets it first (S-6). It is not
/// re-entrant: a task that acquires it twice waits for itself. The guard belongs to nobody, and may be
/// moved to another task to be released there (S-9).
///
/// A lock is a handle: clones name the same lock.
///
/// # Examples
/// ```
/// use tulipa_futures::{Exception, Lock};
///
/// async fn transfer(books: Lock) -> Result<(), Exception> {
///     let guard = books.acquire().await?;
///     // … awaits something, and nobody else is in here meanwhile …
///     drop(guard);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Lock {
    tokens: Rc<Tokens>,
}

/// The right to be where a [`Lock`] lets one at a time. Dropping it releases the lock.
#[must_use = "dropping the guard releases the lock at once"]
pub struct LockGuard {
    lock: Lock,
    /// `None` if a wait on a condition gave it up and was dropped before it had it again.
    token: Option<Token>,
}

impl Lock {
    /// A lock that nobody holds.
    pub fn new() -> Self {
        Self { tokens: Tokens::new(1, 1) }
    }

    /// Waits until the lock is free and holds it. A free lock for which nobody waits is taken without
    /// a pause (S-5).
    ///
    /// Cancelling or dropping it loses nothing: if the lock was about to be taken, the next one gets
    /// it (S-8).
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`](crate::InvalidStateError) if it has to wait and no event loop is running
    /// here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<LockGuard, Exception>> + use<> {
        let (lock, asked_at) = (self.clone(), Location::caller());
        async move {
            let token = lock.tokens.clone().take(asked_at).await?;
            Ok(LockGuard { lock, token: Some(token) })
        }
    }

    /// Holds the lock if that is possible without waiting and without overtaking anybody.
    pub fn try_acquire(&self) -> Option<LockGuard> {
        let token = self.tokens.try_take()?;
        Some(LockGuard { lock: self.clone(), token: Some(token) })
    }

    /// Whether somebody holds it.
    ///
    /// Between a release and the turn of the next waiter nobody does; it cannot be taken then all the
    /// same (S-7).
    pub fn locked(&self) -> bool {
        self.tokens.free() == 0 && self.tokens.promised() == 0
    }

    /// Whether both handles name the same lock.
    pub fn ptr_eq(&self, other: &Lock) -> bool {
        Rc::ptr_eq(&self.tokens, &other.tokens)
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.locked() { "locked" } else { "unlocked" };
        write!(f, "Lock({state}, {} waiting)", self.tokens.waiting())
    }
}

impl LockGuard {
    /// The lock that it is of.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Whether it still holds its lock. It does, unless a [`Condition::wait`](crate::Condition::wait)
    /// that had given it up was dropped before it ended.
    pub fn is_held(&self) -> bool {
        self.token.is_some()
    }

    /// Releases the lock and keeps the guard, for one who means to hold it again.
    pub(crate) fn give_up(&mut self) {
        drop(self.token.take());
    }

    /// Waits until the lock that was given up is held again.
    pub(crate) async fn hold_again(&mut self, asked_at: AskedAt) -> Result<(), Exception> {
        self.token = Some(self.lock.tokens.clone().take(asked_at).await?);
        Ok(())
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_held() { "LockGuard(held)" } else { "LockGuard(given up)" })
    }
}
