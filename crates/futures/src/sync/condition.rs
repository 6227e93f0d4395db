//! [`Condition`]: waiting, under a lock, for something to become true.

use super::lock::{Lock, LockGuard};
use super::waiters::{AskedAt, Grants, Home, Wait, Waiters};
use crate::{Exception, InvalidStateError};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Waits, under a [`Lock`], for something to become true.
///
/// Who holds the lock and does not find what it needs calls [`wait`](Condition::wait), which gives the
/// lock up meanwhile; who changes something, under the lock, calls [`notify`](Condition::notify). A
/// waiter may be woken for nothing, so it looks again (S-16); [`wait_for`](Condition::wait_for) does
/// that. Several conditions can share a lock. Clones name the same condition.
///
/// # Examples
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use tulipa_futures::{Condition, Exception};
///
/// async fn next_letter(
///     arrived: Condition,
///     letters: Rc<RefCell<Vec<String>>>,
/// ) -> Result<String, Exception> {
///     let mut guard = arrived.acquire().await?;
///     arrived.wait_for(&mut guard, || letters.borrow_mut().pop()).await
/// }
/// ```
#[derive(Clone, Default)]
pub struct Condition {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    lock: Lock,
    home: Home,
    waiters: Waiters,
}

impl Condition {
    /// A condition with a lock of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// A condition under a lock that others may use too (S-13).
    pub fn with_lock(lock: Lock) -> Self {
        Self { inner: Rc::new(Inner { lock, ..Inner::default() }) }
    }

    /// The lock that it is under.
    pub fn lock(&self) -> &Lock {
        &self.inner.lock
    }

    /// Acquires the lock. The same as [`Lock::acquire`].
    ///
    /// # Errors
    /// Those of [`Lock::acquire`].
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<LockGuard, Exception>> + use<> {
        self.inner.lock.acquire()
    }

    /// Whether somebody holds the lock.
    pub fn locked(&self) -> bool {
        self.inner.lock.locked()
    }

    /// Gives the lock up, waits until it is notified, and holds the lock again when it ends, however
    /// it ends (S-14): also after an error the caller may look at what the lock protects.
    ///
    /// A cancellation that arrives while it is acquiring the lock again is kept until it holds it.
    ///
    /// If this is *dropped*, by an abort or as the loser of a race, nothing can be waited for: then the guard
    /// [holds](LockGuard::is_held) nothing, and to wait with it again is an error.
    ///
    /// # Errors
    /// [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile; if it had been
    /// notified, the notification is passed on to another (S-16).
    /// [`InvalidStateError`](crate::InvalidStateError) if `guard` is not of this condition's lock or
    /// holds nothing (S-13), or for the reasons of [`Lock::acquire`].
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn wait<'a>(
        &'a self,
        guard: &'a mut LockGuard,
    ) -> impl Future<Output = Result<(), Exception>> + 'a {
        self.wait_at(guard, Location::caller())
    }

    /// Waits until `predicate` gives something, and returns that (S-17).
    ///
    /// It is asked at once, then each time this is notified, always under the lock. A plain condition
    /// is asked with `|| ready.get().then_some(())`.
    ///
    /// # Errors
    /// Those of [`wait`](Condition::wait).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn wait_for<'a, R: 'a>(
        &'a self,
        guard: &'a mut LockGuard,
        mut predicate: impl FnMut() -> Option<R> + 'a,
    ) -> impl Future<Output = Result<R, Exception>> + 'a {
        let asked_at = Location::caller();
        async move {
            self.check_guard(guard)?;
            loop {
                if let Some(found) = predicate() {
                    return Ok(found);
                }
                self.wait_at(guard, asked_at).await?;
            }
        }
    }

    /// Wakes the first `n` who wait; fewer, if there are fewer. They run once the lock is released
    /// (S-15).
    ///
    /// # Errors
    /// [`InvalidStateError`] if nobody holds the lock (S-13).
    pub fn notify(&self, n: usize) -> Result<(), InvalidStateError> {
        self.check_locked("notify")?;
        for _ in 0..n {
            if !self.inner.waiters.grant(()) {
                break;
            }
        }
        Ok(())
    }

    /// Wakes all who wait.
    ///
    /// # Errors
    /// [`InvalidStateError`] if nobody holds the lock (S-13).
    pub fn notify_all(&self) -> Result<(), InvalidStateError> {
        self.check_locked("notify_all")?;
        self.inner.waiters.grant_all(());
        Ok(())
    }

    async fn wait_at(&self, guard: &mut LockGuard, asked_at: AskedAt) -> Result<(), Exception> {
        self.check_guard(guard)?;
        let wait = Wait::<Notifications>::begin(&self.inner, &self.inner.home, asked_at)?;
        guard.give_up();
        let (unused, mut error) = match wait.await {
            Ok(()) => (Some(Notification(Some(self.inner.clone()))), None),
            Err(exception) => (None, Some(exception)),
        };
        loop {
            match guard.hold_again(asked_at).await {
                Ok(()) => break,
                Err(exception) if exception.is_cancelled() => error = Some(exception),
                // Without a loop there is no way to the lock.
                Err(exception) => return Err(exception),
            }
        }
        match error {
            None => {
                if let Some(notification) = unused {
                    notification.consume();
                }
                Ok(())
            }
            Some(exception) => Err(exception),
        }
    }

    fn check_guard(&self, guard: &LockGuard) -> Result<(), InvalidStateError> {
        let error = match (guard.lock().ptr_eq(&self.inner.lock), guard.is_held()) {
            (true, true) => return Ok(()),
            (true, false) => "waiting on a condition with a guard that gave its lock up",
            (false, _) => "waiting on a condition with the guard of another lock",
        };
        Err(InvalidStateError::new(error))
    }

    fn check_locked(&self, operation: &str) -> Result<(), InvalidStateError> {
        match self.locked() {
            true => Ok(()),
            false => {
                let error = format!("{operation} on a condition whose lock nobody holds");
                Err(InvalidStateError::new(error))
            }
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?}, {} waiting)", self.inner.lock, self.inner.waiters.len())
    }
}

/// A notification that was received. Unless it is consumed, another waiter gets it.
struct Notification(Option<Rc<Inner>>);

impl Notification {
    fn consume(mut self) {
        self.0 = None;
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            inner.waiters.grant(());
        }
    }
}

struct Notifications;

impl Grants for Notifications {
    type Owner = Inner;
    type Grant = ();

    fn waiters(inner: &Inner) -> &Waiters {
        &inner.waiters
    }

    fn come_back(inner: &Rc<Inner>, (): ()) {
        inner.waiters.grant(());
    }
}
