//! [`TaskLocal`]: the name and type of a value in a [`TaskContext`](super::TaskContext).
//!
//! What tells one from another is a number that it is given when it is first used, not its address:
//! so one that is moved stays itself, and a later one at the same address is another.

use super::scoped::{Exchanged, Scoped};
use super::{Value, exchange, with_current};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A variable that has its own value in each line of work: what contextvars calls a `ContextVar`.
///
/// Make it a `static`. Callbacks and tasks start with the values of the place that scheduled them
/// (L-53), so that a request's number, say, can be known by all that is done for the request, without
/// being passed along.
///
/// # Examples
/// ```
/// use tulipa_futures::TaskLocal;
/// static REQUEST: TaskLocal<u64> = TaskLocal::new();
///
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// use tulipa_futures::SchedulerExt;
/// REQUEST.sync_scope(7, || {
///     event_loop.call_soon(|| assert_eq!(REQUEST.get(), Some(7)));
/// });
/// # }
/// assert_eq!(REQUEST.get(), None);
/// ```
#[doc(alias = "ContextVar")]
pub struct TaskLocal<T: 'static> {
    /// The number of its key; 0 until it is first used.
    number: AtomicU64,
    /// It holds no value itself, so it may go to any thread.
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> TaskLocal<T> {
    /// A variable that is not set.
    pub const fn new() -> Self {
        Self { number: AtomicU64::new(0), value: PhantomData }
    }

    /// A clone of the value that is set in the current context.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    /// Calls `function` with the value that is set in the current context. It may do anything, also
    /// set another value: the one it was given stays until it returns.
    pub fn with<R>(&self, function: impl FnOnce(Option<&T>) -> R) -> R {
        let key = self.key();
        let value = with_current(|current| current.get(key).cloned()).flatten();
        function(value.as_ref().and_then(|value| value.downcast_ref()))
    }

    /// Sets the value for what follows in this callback or task, and for what it schedules.
    ///
    /// [`ResetToken::reset`] sets the previous one back; a token that is dropped does nothing.
    /// [`sync_scope`](TaskLocal::sync_scope) and [`scope`](TaskLocal::scope) never forget to. Outside
    /// of any callback the value stays until the thread ends, whose destructors find nothing set.
    pub fn set(&self, value: T) -> ResetToken<T> {
        let key = self.key();
        ResetToken { key, previous: exchange(key, Some(Rc::new(value))), value: PhantomData }
    }

    /// Runs `function` with `value` set, then sets the previous value back, also after a panic.
    pub fn sync_scope<R>(&self, value: T, function: impl FnOnce() -> R) -> R {
        let mut other: Option<Value> = Some(Rc::new(value));
        let _exchanged = Exchanged::new(self.key(), &mut other);
        function()
    }

    /// `future`, with `value` set whenever it is polled, and when it is dropped. What it sets itself
    /// in this variable is there again at its next poll. It works in any executor.
    ///
    /// # Examples
    /// ```
    /// # use tulipa_futures::TaskLocal;
    /// static REQUEST: TaskLocal<u64> = TaskLocal::new();
    ///
    /// async fn handle_request() -> Option<u64> {
    ///     REQUEST.get()
    /// }
    /// # async fn example() {
    /// assert_eq!(REQUEST.scope(7, handle_request()).await, Some(7));
    /// # }
    /// ```
    pub fn scope<F: Future>(&self, value: T, future: F) -> Scoped<F> {
        Scoped::new(self.key(), Rc::new(value), future)
    }

    #[inline]
    fn key(&self) -> Key {
        // Relaxed: nothing but the number itself is passed on.
        match self.number.load(Ordering::Relaxed) {
            0 => self.make_key(),
            number => Key(number),
        }
    }

    #[cold]
    fn make_key(&self) -> Key {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let new = NEXT.fetch_add(1, Ordering::Relaxed);
        let known = self.number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        Key(known.map_or_else(|earlier| earlier, |_| new))
    }
}

impl<T: 'static> Default for TaskLocal<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.with(|value| if value.is_some() { "set" } else { "not set" });
        write!(f, "TaskLocal<{}>({state})", std::any::type_name::<T>())
    }
}

/// What a [`TaskLocal`] is called in a context. No two of a process have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64);

/// What [`TaskLocal::set`] replaced, and the way back to it.
///
/// It knows its variable, so it cannot be used with another; and it is used up.
pub struct ResetToken<T: 'static> {
    key: Key,
    previous: Option<Value>,
    value: PhantomData<T>,
}

impl<T: 'static> ResetToken<T> {
    /// The value that was set before, if there was one.
    #[doc(alias = "old_value")]
    pub fn previous(&self) -> Option<&T> {
        self.previous.as_ref().and_then(|value| value.downcast_ref())
    }

    /// Sets the variable back to what it was before, in the context that is current now.
    pub fn reset(self) {
        let replaced = exchange(self.key, self.previous);
        drop(replaced); // a user value
    }
}

impl<T: 'static> fmt::Debug for ResetToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = if self.previous.is_some() { "a value" } else { "not set" };
        write!(f, "ResetToken<{}>(previous: {previous})", std::any::type_name::<T>())
    }
}
