//! Who waits for a future: done-callbacks and wakers, in the order in which they came.
//!
//! The usual single one is kept inline. Nothing here calls user code; what is removed is handed out,
//! so that the caller drops it when no borrow is left (F-15).
//!
//! One who leaves a crowd leaves an empty place behind, and the places are closed up when most are
//! empty: so leaving costs the same however many there are.

use super::{CallbackToken, FutureObject};
use crate::inline_once::InlineOnce;
use crate::scope::Membership;
use crate::task::wait_set::WaitSetId;
use crate::task::{AnyTask, WakeTarget};
use indexmap::IndexMap;
use std::cell::Cell;
use std::mem::{forget, replace};
use std::num::NonZeroU64;
use std::panic::Location;
use std::rc::Rc;

/// Listeners by token, in the order of their coming. Of a done future, those callbacks whose turn is
/// queued.
pub(super) enum Listeners<T: 'static> {
    Empty,
    One(CallbackToken, Listener<T>),
    Many(Box<Crowd<T>>),
}

/// More than one listener.
///
/// Once the future is done the list is *closed*: turned round, so that the callbacks can leave one by
/// one from its end. The first `unannounced` places are then those who were not told yet.
pub(super) struct Crowd<T: 'static> {
    places: IndexMap<CallbackToken, Listener<T>>,
    unannounced: usize,
    empty_places: usize,
}

/// Called with the future as an object: a handle is a word longer, and would go by memory.
pub(super) type DoneCallback<T> = InlineOnce<Rc<dyn FutureObject<T>>>;

pub(super) enum Listener<T: 'static> {
    Callback {
        /// There until its turn.
        closure: Option<DoneCallback<T>>,
        location: &'static Location<'static>,
    },
    Waiter(Waiter),
    /// The scope that the future belongs to.
    Scope(Membership),
    /// The place of one who left, or of one who was told.
    Gone,
}

/// One who waits.
pub(super) struct Waiter {
    pub(super) target: WakeTarget,
    /// The wait set that the wait stands in.
    pub(super) within: WaitSetId,
}

/// Whom to tell that the future is done.
pub(super) enum Announced {
    /// A callback, which stays in the list for its turn.
    Callback(&'static Location<'static>),
    Waiter(WakeTarget),
    /// The scope, which is told when this is dropped.
    Scope(Membership),
    Nobody,
}

impl<T: 'static> Listeners<T> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Listeners::Empty)
    }

    /// Whether the list is closed and some were not told yet. Only user code that is called in the
    /// middle of a completion, a waker, can find it so.
    pub(super) fn is_announcing(&self) -> bool {
        matches!(self, Listeners::Many(crowd) if crowd.unannounced > 0)
    }

    /// Adds one behind all others. It is made where it will lie, for a move costs as much again.
    #[inline(always)]
    pub(super) fn push(&mut self, listener: impl FnOnce() -> Listener<T>) -> CallbackToken {
        let token = next_token();
        match self {
            Listeners::Empty => self.replace_empty(Listeners::One(token, listener())),
            Listeners::One(..) | Listeners::Many(_) => self.crowd().push(token, listener()),
        }
        token
    }

    /// Puts `listeners` where nothing is left to drop.
    #[inline(always)]
    fn replace_empty(&mut self, listeners: Self) {
        forget(replace(self, listeners));
    }

    /// The list as that of a crowd.
    #[cold]
    fn crowd(&mut self) -> &mut Crowd<T> {
        if !matches!(self, Listeners::Many(_)) {
            let mut crowd = Crowd::default();
            if let Listeners::One(token, listener) = replace(self, Listeners::Empty) {
                crowd.push(token, listener);
            }
            *self = Listeners::Many(Box::new(crowd));
        }
        match self {
            Listeners::Many(crowd) => crowd,
            _ => unreachable!("it was made one"),
        }
    }

    /// Takes one out of a list that is not closed; the others keep their order.
    pub(super) fn remove(&mut self, token: CallbackToken) -> Option<Listener<T>> {
        match self {
            Listeners::One(only, _) if *only == token => match replace(self, Listeners::Empty) {
                Listeners::One(_, listener) => Some(listener),
                _ => None,
            },
            Listeners::Many(crowd) => crowd.remove(token),
            Listeners::Empty | Listeners::One(..) => None,
        }
    }

    /// Who waits under `token`.
    pub(super) fn waiter_mut(&mut self, token: CallbackToken) -> Option<&mut Waiter> {
        let listener = match self {
            Listeners::One(only, listener) if *only == token => Some(listener),
            Listeners::Many(crowd) => crowd.places.get_mut(&token),
            Listeners::Empty | Listeners::One(..) => None,
        };
        match listener {
            Some(Listener::Waiter(waiter)) => Some(waiter),
            Some(Listener::Callback { .. } | Listener::Scope(_) | Listener::Gone) | None => None,
        }
    }

    /// Takes out the task that waits, if nobody else is there.
    #[inline]
    pub(super) fn take_only_task(&mut self) -> Option<Rc<dyn AnyTask>> {
        let Listeners::One(_, Listener::Waiter(waiter)) = self else { return None };
        let task = waiter.target.take_task()?;
        // Only what is needed is moved: the whole has many words.
        self.replace_empty(Listeners::Empty);
        Some(task)
    }

    /// Closes the list: the future is done. Answers whom to tell; `None` if it is a crowd, which is
    /// [announced](Self::announce) one by one.
    #[inline(always)]
    pub(super) fn close(&mut self) -> Option<Announced> {
        match self {
            Listeners::Empty => Some(Announced::Nobody),
            Listeners::One(_, Listener::Callback { location, .. }) => {
                Some(Announced::Callback(location))
            }
            Listeners::One(..) => match replace(self, Listeners::Empty) {
                Listeners::One(_, listener) => Some(listener.announced()),
                Listeners::Empty | Listeners::Many(_) => None,
            },
            Listeners::Many(crowd) => {
                crowd.close();
                None
            }
        }
    }

    /// The next one of a closed crowd to be told; `None` when all are.
    pub(super) fn announce(&mut self) -> Option<Announced> {
        match self {
            Listeners::Many(crowd) => crowd.announce(),
            Listeners::Empty | Listeners::One(..) => None,
        }
    }

    /// Takes out the first callback that is left of a closed list.
    #[inline(always)]
    pub(super) fn pop_callback(&mut self) -> Option<DoneCallback<T>> {
        match self {
            Listeners::One(_, Listener::Callback { closure, .. }) => {
                // Only what is needed is moved.
                let closure = closure.take();
                self.replace_empty(Listeners::Empty);
                closure
            }
            Listeners::Many(crowd) => crowd.pop_callback(),
            Listeners::Empty | Listeners::One(..) => None,
        }
    }
}

impl<T: 'static> Default for Crowd<T> {
    fn default() -> Self {
        Self { places: IndexMap::with_capacity(4), unannounced: 0, empty_places: 0 }
    }
}

impl<T: 'static> Crowd<T> {
    fn push(&mut self, token: CallbackToken, listener: Listener<T>) {
        if self.unannounced > 0 {
            // The list is turned round: the last to be told stands first.
            self.places.shift_insert(0, token, listener);
            self.unannounced += 1;
        } else {
            self.places.insert(token, listener);
        }
    }

    fn remove(&mut self, token: CallbackToken) -> Option<Listener<T>> {
        let removed = match replace(self.places.get_mut(&token)?, Listener::Gone) {
            Listener::Gone => return None,
            listener => listener,
        };
        self.empty_places += 1;
        if self.empty_places * 2 > self.places.len() {
            self.places.retain(|_, listener| !matches!(listener, Listener::Gone));
            self.empty_places = 0;
        }
        Some(removed)
    }

    fn close(&mut self) {
        self.places.reverse();
        self.unannounced = self.places.len();
    }

    fn announce(&mut self) -> Option<Announced> {
        self.unannounced = self.unannounced.checked_sub(1)?;
        let (_, place) = self.places.get_index_mut(self.unannounced)?;
        Some(match replace(place, Listener::Gone) {
            Listener::Callback { closure, location } => {
                *place = Listener::Callback { closure, location };
                Announced::Callback(location)
            }
            listener => listener.announced(),
        })
    }

    #[cold]
    fn pop_callback(&mut self) -> Option<DoneCallback<T>> {
        loop {
            if let (_, Listener::Callback { closure, .. }) = self.places.pop()? {
                return closure;
            }
        }
    }
}

impl<T: 'static> Listener<T> {
    /// Whom to tell; a callback is dropped.
    fn announced(self) -> Announced {
        match self {
            Listener::Waiter(waiter) => Announced::Waiter(waiter.target),
            Listener::Scope(membership) => Announced::Scope(membership),
            Listener::Callback { location, .. } => Announced::Callback(location),
            Listener::Gone => Announced::Nobody,
        }
    }
}

/// A token that no other listener of this thread's futures has, so that one which is given to the
/// wrong future finds nothing.
pub(crate) fn next_token() -> CallbackToken {
    thread_local! {
        static NEXT: Cell<NonZeroU64> = const { Cell::new(NonZeroU64::MIN) };
    }
    // A `Cell` of a number has no destructor: it is there for as long as the thread. Nobody counts
    // to 2⁶⁴, where the token of no listener is.
    NEXT.with(|next| CallbackToken(next.replace(next.get().saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn f15_places_are_closed_up_as_a_crowd_leaves() {
        for crowd in [3, 10, 999, 1000] {
            let mut listeners = Listeners::<u32>::Empty;
            let target = || WakeTarget::Waker(Waker::noop().clone());
            let waiter = || Listener::Waiter(Waiter { target: target(), within: WaitSetId::NONE });
            let tokens: Vec<_> = (0..crowd).map(|_| listeners.push(waiter)).collect();
            for (gone, token) in tokens.iter().enumerate() {
                assert!(listeners.remove(*token).is_some());
                assert!(listeners.remove(*token).is_none());
                let Listeners::Many(they) = &listeners else { panic!("a crowd stays one") };
                let (left, places) = (crowd - gone - 1, they.places.len());
                assert!((left..=2 * left + 1).contains(&places), "{left} in {places}");
            }
            assert!(listeners.close().is_none());
            assert!(!listeners.is_announcing() && listeners.announce().is_none());
        }
    }
}
