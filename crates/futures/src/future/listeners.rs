//! Who waits for a future: done-callbacks and wakers, in the order in which they came.
//!
//! The usual single one is kept inline. Nothing here calls user code; what is removed is handed out,
//! so that the caller drops it when no borrow is left (F-15).
//!
//! One who leaves a crowd leaves an empty place behind, and the places are closed up when most are
//! empty: so leaving costs the same however many there are.

use super::{CallbackToken, Future};
use crate::inline_once::InlineOnce;
use crate::scope::Membership;
use crate::task::WakeTarget;
use crate::task::wait_set::WaitSetId;
use indexmap::IndexMap;
use std::cell::Cell;
use std::num::NonZeroU64;
use std::panic::Location;

/// Listeners by token, in the order of their coming.
///
/// Once the future is done the list is *closed*: turned round, so that the callbacks can leave one by
/// one from its end. The first `unannounced` places are then those who were not told yet.
pub(super) struct Listeners<T: 'static> {
    list: List<T>,
    unannounced: usize,
    empty_places: usize,
}

enum List<T: 'static> {
    Empty,
    One(CallbackToken, Listener<T>),
    Many(IndexMap<CallbackToken, Listener<T>>),
}

pub(super) enum Listener<T: 'static> {
    Callback {
        closure: InlineOnce<Future<T>>,
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
    /// Nobody: an empty place.
    Gone,
}

impl<T: 'static> Default for Listeners<T> {
    fn default() -> Self {
        Self { list: List::Empty, unannounced: 0, empty_places: 0 }
    }
}

impl<T: 'static> Listeners<T> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.list, List::Empty)
    }

    /// Whether the list is closed and some were not told yet. Only user code that is called in the
    /// middle of a completion, a waker, can find it so.
    pub(super) fn is_announcing(&self) -> bool {
        self.unannounced > 0
    }

    /// Adds one behind all others.
    pub(super) fn push(&mut self, listener: Listener<T>) -> CallbackToken {
        let token = next_token();
        match &mut self.list {
            List::Empty => self.list = List::One(token, listener),
            List::Many(map) if self.unannounced > 0 => {
                // The list is turned round: the last to be told stands first.
                map.shift_insert(0, token, listener);
                self.unannounced += 1;
            }
            List::Many(map) => {
                map.insert(token, listener);
            }
            List::One(..) => {
                let mut map = IndexMap::with_capacity(4);
                if let List::One(first, earlier) = std::mem::replace(&mut self.list, List::Empty) {
                    map.insert(first, earlier);
                }
                map.insert(token, listener);
                self.list = List::Many(map);
            }
        }
        token
    }

    /// Takes one out of a list that is not closed; the others keep their order.
    pub(super) fn remove(&mut self, token: CallbackToken) -> Option<Listener<T>> {
        match &mut self.list {
            List::One(only, _) if *only == token => {
                match std::mem::replace(&mut self.list, List::Empty) {
                    List::One(_, listener) => Some(listener),
                    List::Empty | List::Many(_) => None,
                }
            }
            List::Many(map) => {
                let removed = match std::mem::replace(map.get_mut(&token)?, Listener::Gone) {
                    Listener::Gone => return None,
                    listener => listener,
                };
                self.empty_places += 1;
                if self.empty_places * 2 > map.len() {
                    map.retain(|_, listener| !matches!(listener, Listener::Gone));
                    self.empty_places = 0;
                }
                Some(removed)
            }
            List::Empty | List::One(..) => None,
        }
    }

    /// Who waits under `token`.
    pub(super) fn waiter_mut(&mut self, token: CallbackToken) -> Option<&mut Waiter> {
        let listener = match &mut self.list {
            List::One(only, listener) if *only == token => Some(listener),
            List::Many(map) => map.get_mut(&token),
            List::Empty | List::One(..) => None,
        };
        match listener {
            Some(Listener::Waiter(waiter)) => Some(waiter),
            Some(Listener::Callback { .. } | Listener::Scope(_) | Listener::Gone) | None => None,
        }
    }

    /// Takes out the one who waits, if nobody else is there.
    #[inline]
    pub(super) fn take_only_waiter(&mut self) -> Option<WakeTarget> {
        match &self.list {
            List::One(_, Listener::Waiter(_)) => {}
            _ => return None,
        }
        match std::mem::replace(&mut self.list, List::Empty) {
            List::One(_, Listener::Waiter(waiter)) => Some(waiter.target),
            _ => None,
        }
    }

    /// Closes the list: the future is done.
    pub(super) fn close(&mut self) {
        self.unannounced = match &mut self.list {
            List::Empty => 0,
            List::One(..) => 1,
            List::Many(map) => {
                map.reverse();
                map.len()
            }
        };
    }

    /// The next one to be told; `None` when all are.
    pub(super) fn announce(&mut self) -> Option<Announced> {
        self.unannounced = self.unannounced.checked_sub(1)?;
        let listener = match &mut self.list {
            List::Empty => None,
            List::One(_, listener) => Some(listener),
            List::Many(map) => map.get_index_mut(self.unannounced).map(|(_, listener)| listener),
        }?;
        Some(match std::mem::replace(listener, Listener::Gone) {
            Listener::Waiter(waiter) => Announced::Waiter(waiter.target),
            Listener::Scope(membership) => Announced::Scope(membership),
            Listener::Callback { closure, location } => {
                *listener = Listener::Callback { closure, location };
                Announced::Callback(location)
            }
            Listener::Gone => Announced::Gone,
        })
    }

    /// Takes out the first callback that is left of a closed list.
    pub(super) fn pop_callback(&mut self) -> Option<InlineOnce<Future<T>>> {
        loop {
            let listener = match &mut self.list {
                List::Many(map) => map.pop().map(|(_, listener)| listener),
                List::Empty => None,
                List::One(..) => match std::mem::replace(&mut self.list, List::Empty) {
                    List::One(_, listener) => Some(listener),
                    List::Empty | List::Many(_) => None,
                },
            }?;
            if let Listener::Callback { closure, .. } = listener {
                return Some(closure);
            }
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
            let mut listeners = Listeners::<u32>::default();
            let target = || WakeTarget::Waker(Waker::noop().clone());
            let waiter = || Listener::Waiter(Waiter { target: target(), within: WaitSetId::NONE });
            let tokens: Vec<_> = (0..crowd).map(|_| listeners.push(waiter())).collect();
            for (gone, token) in tokens.iter().enumerate() {
                assert!(listeners.remove(*token).is_some());
                assert!(listeners.remove(*token).is_none());
                let List::Many(map) = &listeners.list else { panic!("a crowd stays one") };
                let left = crowd - gone - 1;
                assert!((left..=2 * left + 1).contains(&map.len()), "{left} in {}", map.len());
            }
            listeners.close();
            assert!(!listeners.is_announcing() && listeners.announce().is_none());
        }
    }
}
