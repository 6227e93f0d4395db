//! [`TaskContext`]: the values that go along with a line of work, after Python's contextvars.
//!
//! The thread has one current context. A snapshot of it costs one counted pointer, because a context
//! that is shared does not change: who sets a value in it goes on with a copy. The empty context, the
//! usual one, is no pointer at all, so that whoever uses no [`TaskLocal`] pays next to nothing.
//!
//! Invariant: whoever enters a context leaves the current one as it was found, also by a panic. The
//! slot of the current context is a `Cell`, and between taking it out and putting it back no user
//! code is called and no user value dropped. A flag beside it says whether it is the empty one.

mod scoped;
mod task_local;

pub use scoped::Scoped;
pub use task_local::{ResetToken, TaskLocal};

use crate::inline_once::InlineOnce;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use task_local::Key;

thread_local! {
    static CURRENT: Cell<TaskContext> = const { Cell::new(TaskContext::new()) };

    /// Whether any value is set in `CURRENT`. To look here costs a load: no destructor has to be
    /// thought of.
    static ANY_SET: Cell<bool> = const { Cell::new(false) };
}

/// The values of all [`TaskLocal`]s at one moment: a cheap, immutable snapshot.
///
/// A [`Callback`](crate::Callback) takes one when it is made, and runs in it: so whatever is
/// scheduled sees the values of the place that scheduled it, and what it sets is seen by nobody but
/// by what it schedules in turn (L-53). Done-callbacks take theirs when they are added.
///
/// # Examples
/// ```
/// use tulipa_futures::{TaskContext, TaskLocal};
/// static REQUEST: TaskLocal<u64> = TaskLocal::new();
///
/// let context = REQUEST.sync_scope(7, TaskContext::current);
/// assert_eq!(REQUEST.get(), None);
/// assert_eq!(context.run(|| REQUEST.get()), Some(7));
/// ```
#[derive(Clone, Default)]
pub struct TaskContext(Option<Rc<Vec<Entry>>>);

/// One value, under the key of its [`TaskLocal`]. A context has them in the order of their keys.
type Entry = (Key, Value);

/// Shared by all the contexts that have it.
type Value = Rc<dyn Any>;

impl TaskContext {
    /// The context without any value.
    pub const fn new() -> Self {
        Self(None)
    }

    /// A snapshot of what is set right now on this thread.
    #[inline]
    pub fn current() -> Self {
        match ANY_SET.get() {
            true => with_current(|current| current.clone()).unwrap_or_default(),
            false => Self::new(),
        }
    }

    /// Whether no value is set in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Runs `function` with these values, and no others, set.
    ///
    /// What `function` sets is gone afterwards, and does not change `self`: unlike a context of
    /// Python's, this one is a snapshot.
    pub fn run<R>(&self, function: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(self.clone());
        function()
    }

    fn get(&self, key: Key) -> Option<&Value> {
        let values = self.0.as_ref()?;
        let place = values.binary_search_by_key(&key, |entry| entry.0).ok()?;
        Some(&values[place].1)
    }

    /// Sets the value of `key`, or removes it, and hands out the previous one. Copies the list if
    /// somebody else shares it.
    fn exchange(&mut self, key: Key, value: Option<Value>) -> Option<Value> {
        let values = Rc::make_mut(self.0.get_or_insert_default());
        let place = values.binary_search_by_key(&key, |entry| entry.0);
        let previous = match (place, value) {
            (Ok(place), Some(value)) => Some(std::mem::replace(&mut values[place].1, value)),
            (Ok(place), None) => Some(values.remove(place).1),
            (Err(place), Some(value)) => {
                values.insert(place, (key, value));
                None
            }
            (Err(_), None) => None,
        };
        if values.is_empty() {
            self.0 = None;
        }
        previous
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.0.as_ref().map_or(0, |values| values.len());
        write!(f, "TaskContext({values} values)")
    }
}

/// Whether any value is set right now on this thread.
#[inline]
pub(crate) fn is_any_set() -> bool {
    ANY_SET.get()
}

/// Makes `context` the current one, and hands out the one before.
///
/// On a thread that is ending `context` is dropped: there all contexts are empty.
#[inline]
pub(crate) fn replace(context: TaskContext) -> TaskContext {
    match ANY_SET.get() || !context.is_empty() {
        true => replace_values(context),
        false => context,
    }
}

fn replace_values(context: TaskContext) -> TaskContext {
    let replaced = CURRENT.try_with(|slot| {
        ANY_SET.set(!context.is_empty());
        slot.replace(context)
    });
    replaced.unwrap_or_default()
}

/// `closure`, to be run in the context of this moment.
#[inline]
pub(crate) fn bind<A: 'static>(closure: impl FnOnce(A) + 'static) -> InlineOnce<A> {
    match ANY_SET.get() {
        true => bind_to_values(TaskContext::current(), closure),
        false => bind_to_none(closure),
    }
}

/// `closure`, to be run in `context`.
#[inline]
pub(crate) fn bind_to<A: 'static>(
    context: TaskContext,
    closure: impl FnOnce(A) + 'static,
) -> InlineOnce<A> {
    match context.is_empty() {
        true => bind_to_none(closure),
        false => bind_to_values(context, closure),
    }
}

/// `closure`, to be run in the empty context, which takes no place beside it.
#[inline]
fn bind_to_none<A: 'static>(closure: impl FnOnce(A) + 'static) -> InlineOnce<A> {
    InlineOnce::new(move |argument| {
        let _entered = Entered::new(TaskContext::new());
        closure(argument);
    })
}

#[inline]
fn bind_to_values<A: 'static>(
    context: TaskContext,
    closure: impl FnOnce(A) + 'static,
) -> InlineOnce<A> {
    InlineOnce::new(move |argument| {
        let _entered = Entered::new(context);
        closure(argument);
    })
}

/// Looks at or changes the current context. `None` on a thread that is ending.
///
/// While `function` runs the slot is empty, so it must call nothing of users', and drop nothing.
fn with_current<R>(function: impl FnOnce(&mut TaskContext) -> R) -> Option<R> {
    let looked = CURRENT.try_with(|slot| {
        let mut current = slot.take();
        let answer = function(&mut current);
        ANY_SET.set(!current.is_empty());
        slot.set(current);
        answer
    });
    looked.ok()
}

/// Sets the value of `key` in the current context, or removes it, and hands out the previous one.
fn exchange(key: Key, value: Option<Value>) -> Option<Value> {
    // On a thread that is ending `value` is dropped here.
    with_current(|current| current.exchange(key, value)).flatten()
}

/// Makes a context the current one until this is dropped.
struct Entered {
    outer: TaskContext,
}

impl Entered {
    #[inline]
    fn new(context: TaskContext) -> Self {
        Self { outer: replace(context) }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let left = replace(std::mem::take(&mut self.outer));
        drop(left); // user values, if this was the last to have them
    }
}

#[cfg(test)]
mod tests;
