//! [`WaitSet`]: what a coroutine waits for right now.
//!
//! Each task has one, and each [branch](super::branch) of a task: a part of its body that can be
//! cancelled apart. Every pending wait on something of ours stands in it, so that a cancellation can
//! be given to all of it, and comes out of each `.await` as an error.
//!
//! A wait that was moved to another coroutine, or dropped outside of its own, leaves its entry behind.
//! So entries keep nothing alive, and what waits says in which set it does so now: an entry that nobody
//! waits by any more is told nothing, and delays a cancellation by a turn at most.
//!
//! Invariant: nothing here is borrowed while what is waited for is told.

use super::CancelMessage;
use super::branch::BranchState;
use crate::future::{AnyFuture, CallbackToken};
use crate::{CancelledError, Exception};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::{forget, replace};
use std::rc::{Rc, Weak};

pub(crate) struct WaitSet {
    waits: RefCell<Waits>,
    /// How many waits are for the coroutine's own next turn, which comes by itself.
    turns: Cell<u32>,
    /// How many coroutines this one is a part of: none for a task.
    depth: Cell<u16>,
    /// The depth of the coroutine that the last request was made to: of this one, or of one around it.
    asked: Cell<u16>,
    /// Boxed, for mostly there is none.
    request: Cell<Option<Box<CancelRequest>>>,
    /// Whether the coroutine was given one more turn to take the request.
    insisted: Cell<bool>,
    /// Whether all that it waits for has declined the request.
    declined: Cell<bool>,
}

/// Tells a wait set from all others that are alive. One that has died may have had the same.
///
/// The address as a number: with a pointer, what holds one could not go to another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitSetId(usize);

impl WaitSetId {
    /// That of no set.
    pub(crate) const NONE: Self = Self(0);

    /// That of the set which lies there.
    #[inline]
    pub(super) fn at(place: *const WaitSet) -> Self {
        Self(place.addr())
    }
}

/// A cancellation that no wait has taken yet: the next one that is polled does.
#[derive(Clone)]
pub(crate) struct CancelRequest(pub(crate) CancelMessage);

impl CancelRequest {
    /// What the wait that takes it fails with.
    #[cold]
    pub(crate) fn into_exception(self) -> Exception {
        CancelledError::from(self.0).into()
    }
}

/// What a coroutine may wait for.
#[derive(Clone)]
pub(crate) enum Waited {
    Future(Weak<dyn AnyFuture>),
    Branch(Weak<BranchState>),
}

/// The usual single wait is kept inline. Tokens grow, so that a map keeps the order of coming.
#[derive(Default)]
enum Waits {
    #[default]
    Empty,
    One(CallbackToken, Waited),
    Many(BTreeMap<CallbackToken, Waited>),
}

impl Default for WaitSet {
    #[inline(always)]
    fn default() -> Self {
        Self {
            waits: RefCell::new(Waits::Empty),
            turns: Cell::new(0),
            depth: Cell::new(0),
            asked: Cell::new(0),
            request: Cell::new(None),
            insisted: Cell::new(false),
            declined: Cell::new(false),
        }
    }
}

impl WaitSet {
    #[inline]
    pub(crate) fn id(&self) -> WaitSetId {
        WaitSetId::at(self)
    }

    /// Notes that the coroutine waits for something, if that is not known yet.
    #[inline]
    pub(crate) fn begin(&self, token: CallbackToken, waited: impl FnOnce() -> Waited) {
        self.waits.borrow_mut().insert(token, waited);
    }

    /// Notes that a wait has ended.
    #[inline]
    pub(crate) fn end(&self, token: CallbackToken) {
        self.waits.borrow_mut().remove(token);
    }

    /// Notes that the coroutine waits for its next turn.
    #[inline]
    pub(crate) fn begin_turn(&self) {
        self.turns.set(self.turns.get() + 1);
    }

    /// Notes that the turn has come.
    #[inline]
    pub(crate) fn end_turn(&self) {
        self.turns.set(self.turns.get().saturating_sub(1));
    }

    /// Whether it waits for nothing of ours.
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.get() == 0 && matches!(*self.waits.borrow(), Waits::Empty)
    }

    /// Whether something that it waits for itself has come, so that its next poll notices a request.
    /// What its branches wait for does not count: they have to be told of the request.
    pub(crate) fn has_come(&self) -> bool {
        let has_come = |live: &Live| match live {
            Live::Future(future) => future.is_done(),
            Live::Branch(_) => false,
        };
        self.turns.get() > 0 || self.live().iter().any(has_come)
    }

    /// Whether it waits for its next turn, or a branch of it does.
    pub(crate) fn awaits_turn(&self) -> bool {
        let in_branch = |live: &Live| match live {
            Live::Future(_) => false,
            Live::Branch(branch) => branch.wait_set().awaits_turn(),
        };
        self.turns.get() > 0 || self.live().iter().any(in_branch)
    }

    /// The futures that it waits for, those of its branches among them, in the order of coming.
    pub(crate) fn futures(&self) -> Vec<Rc<dyn AnyFuture>> {
        let mut futures = Vec::new();
        for live in self.live() {
            match live {
                Live::Future(future) => futures.push(future),
                Live::Branch(branch) => futures.extend(branch.wait_set().futures()),
            }
        }
        futures
    }

    /// Cancels all that it waits for, and says whether anything of it has accepted that.
    ///
    /// Calls into other coroutines and wakes, so nothing may be borrowed.
    pub(crate) fn cancel(&self, request: &CancelRequest) -> bool {
        let mut accepted = false;
        for live in self.live() {
            match live {
                Live::Future(future) => accepted |= future.request_cancel(request.0.clone()),
                Live::Branch(branch) => {
                    branch.cancel(request.clone(), self.asked.get());
                    accepted = true;
                }
            }
        }
        accepted
    }

    /// Whether there is a cancellation that nobody has taken yet.
    #[inline]
    pub(crate) fn has_request(&self) -> bool {
        let request = self.request.take();
        let has_one = request.is_some();
        self.request.set(request);
        has_one
    }

    /// Takes the cancellation: it is delivered, or called off.
    #[inline]
    pub(crate) fn take_request(&self) -> Option<CancelRequest> {
        self.request.take().map(|request| *request)
    }

    /// Takes a request that was made to the coroutine at depth `asked`, also if a branch has it.
    pub(crate) fn withdraw(&self, asked: u16) {
        if self.asked.get() == asked {
            drop(self.take_request());
        }
        for live in self.live() {
            if let Live::Branch(branch) = live {
                branch.wait_set().withdraw(asked);
            }
        }
    }

    pub(crate) fn depth(&self) -> u16 {
        self.depth.get()
    }

    pub(super) fn set_depth(&self, depth: u16) {
        self.depth.set(depth);
    }

    /// The depth of the coroutine that the last request was made to.
    pub(crate) fn asked(&self) -> u16 {
        self.asked.get()
    }

    /// A request comes that was made to the coroutine at depth `asked`. Of two that nobody has taken,
    /// one remains: that to the outer coroutine, which must not end with the inner one.
    pub(crate) fn set_asked(&self, asked: u16) {
        if !self.has_request() || asked < self.asked.get() {
            self.asked.set(asked);
        }
    }

    /// Has the next wait that is polled end with `request`.
    pub(crate) fn set_request(&self, request: CancelRequest) {
        self.insisted.set(false);
        self.declined.set(false);
        self.request.set(Some(Box::new(request)));
    }

    /// As [`set_request`](Self::set_request), after all that it waits for has declined it: it is for
    /// the coroutine itself.
    pub(crate) fn set_declined_request(&self, request: CancelRequest) {
        self.set_request(request);
        self.declined.set(true);
    }

    /// Takes a request that is for the coroutine itself.
    pub(crate) fn take_declined_request(&self) -> Option<CancelRequest> {
        match self.declined.get() {
            true => self.take_request(),
            false => None,
        }
    }

    /// Gives the coroutine one more turn to take the request; false if it had that.
    pub(crate) fn insist(&self) -> bool {
        !self.insisted.replace(true)
    }

    /// What it still waits for. The entries of others are forgotten.
    fn live(&self) -> Vec<Live> {
        let entries: Vec<_> = match &*self.waits.borrow() {
            Waits::Empty => Vec::new(),
            Waits::One(token, waited) => vec![(*token, waited.clone())],
            Waits::Many(map) => {
                map.iter().map(|(token, waited)| (*token, waited.clone())).collect()
            }
        };
        let live = entries.into_iter().filter_map(|(token, waited)| {
            let live = match waited {
                Waited::Branch(branch) => branch
                    .upgrade()
                    .filter(|branch| branch.waits_within(self.id()))
                    .map(Live::Branch),
                Waited::Future(future) => future
                    .upgrade()
                    .filter(|future| {
                        future.is_done() || future.common().is_awaited(token, self.id())
                    })
                    .map(Live::Future),
            };
            if live.is_none() {
                self.end(token);
            }
            live
        });
        live.collect()
    }
}

enum Live {
    Future(Rc<dyn AnyFuture>),
    Branch(Rc<BranchState>),
}

impl Waits {
    #[inline]
    fn insert(&mut self, token: CallbackToken, waited: impl FnOnce() -> Waited) {
        match self {
            Waits::Empty => forget(replace(self, Waits::One(token, waited()))),
            Waits::One(known, _) if *known == token => {}
            Waits::Many(map) if map.contains_key(&token) => {}
            Waits::One(..) | Waits::Many(_) => self.insert_among(token, waited()),
        }
    }

    #[cold]
    fn insert_among(&mut self, token: CallbackToken, waited: Waited) {
        let mut map = match std::mem::take(self) {
            Waits::Many(map) => map,
            Waits::One(first, earlier) => BTreeMap::from([(first, earlier)]),
            Waits::Empty => BTreeMap::new(),
        };
        map.insert(token, waited);
        *self = Waits::Many(map);
    }

    /// What is dropped here is a weak reference, which calls nobody.
    #[inline]
    fn remove(&mut self, token: CallbackToken) {
        match self {
            // Dropped where it lies: to move it first costs more.
            Waits::One(only, _) if *only == token => *self = Waits::Empty,
            Waits::Empty | Waits::One(..) => {}
            Waits::Many(_) => self.remove_from_among(token),
        }
    }

    #[cold]
    fn remove_from_among(&mut self, token: CallbackToken) {
        if let Waits::Many(map) = self {
            map.remove(&token);
            if map.is_empty() {
                *self = Waits::Empty;
            }
        }
    }
}
