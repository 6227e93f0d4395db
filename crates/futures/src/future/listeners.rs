//! Who waits for a future: done-callbacks and wakers, in the order in which they came.
//!
//! The usual single one is kept inline. Nothing here calls user code; what is removed is handed out,
//! so that the caller drops it when no borrow is left (F-15).

use super::{Announced, CallbackToken, Future};
use crate::inline_once::InlineOnce;
use indexmap::IndexMap;
use std::panic::Location;
use std::task::Waker;

/// Listeners by token, in the order of their coming.
pub(super) struct Listeners<T: 'static> {
    list: List<T>,
    next_token: u64,
}

enum List<T: 'static> {
    Empty,
    One(u64, Listener<T>),
    Many(IndexMap<u64, Listener<T>>),
}

pub(super) enum Listener<T: 'static> {
    Callback {
        closure: InlineOnce<Future<T>>,
        location: &'static Location<'static>,
    },
    Waiter(Waker),
    /// A waiter that was woken: keeps the positions of those behind it.
    Told,
}

impl<T: 'static> Default for Listeners<T> {
    fn default() -> Self {
        Self { list: List::Empty, next_token: 0 }
    }
}

impl<T: 'static> Listeners<T> {
    pub(super) fn push(&mut self, listener: Listener<T>) -> CallbackToken {
        let token = self.next_token;
        self.next_token += 1;
        match &mut self.list {
            List::Empty => self.list = List::One(token, listener),
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
        CallbackToken(token)
    }

    /// Takes one out; the others keep their order.
    pub(super) fn remove(&mut self, token: CallbackToken) -> Option<Listener<T>> {
        match &mut self.list {
            List::One(only, _) if *only == token.0 => {
                match std::mem::replace(&mut self.list, List::Empty) {
                    List::One(_, listener) => Some(listener),
                    List::Empty | List::Many(_) => None,
                }
            }
            List::Many(map) => map.shift_remove(&token.0),
            List::Empty | List::One(..) => None,
        }
    }

    /// The waker registered under `token`.
    pub(super) fn waiter_mut(&mut self, token: CallbackToken) -> Option<&mut Waker> {
        let listener = match &mut self.list {
            List::One(only, listener) if *only == token.0 => Some(listener),
            List::Many(map) => map.get_mut(&token.0),
            List::Empty | List::One(..) => None,
        };
        match listener {
            Some(Listener::Waiter(waker)) => Some(waker),
            Some(Listener::Callback { .. } | Listener::Told) | None => None,
        }
    }

    /// Turns the list round, so that the callbacks can leave one by one from its end, and says how
    /// many listeners there are. The future is done: none is added or removed from here on.
    pub(super) fn close(&mut self) -> usize {
        match &mut self.list {
            List::Empty => 0,
            List::One(..) => 1,
            List::Many(map) => {
                map.reverse();
                map.len()
            }
        }
    }

    /// How to tell the listener that came as number `index`. A waiter is taken out by this.
    pub(super) fn announce(&mut self, index: usize) -> Option<Announced> {
        let listener = match &mut self.list {
            List::Empty => None,
            List::One(_, listener) => Some(listener),
            List::Many(map) => {
                let from_end = map.len().checked_sub(index + 1)?;
                map.get_index_mut(from_end).map(|(_, listener)| listener)
            }
        }?;
        match std::mem::replace(listener, Listener::Told) {
            Listener::Waiter(waker) => Some(Announced::Waiter(waker)),
            Listener::Callback { closure, location } => {
                *listener = Listener::Callback { closure, location };
                Some(Announced::Callback(location))
            }
            Listener::Told => None,
        }
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
