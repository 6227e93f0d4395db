//! Waiting for one's turn: [`Waiters`], and [`Wait`], the place of one of them.
//!
//! Who waits puts a loop future into the line and awaits it; who has something to give completes the
//! first one that is still pending. Between that and the turn in which the waiter runs anything may
//! happen: it may be cancelled, or dropped. Then [`Wait`] gives the grant back (S-3).
//!
//! Invariant: a grant is either returned by the `.await` of its `Wait` or handed to
//! [`Grants::come_back`], never both, never neither. Futures are completed, and dropped, while nothing
//! is borrowed.

use super::line::{Line, Place};
use crate::future::Shared;
use crate::in_place;
use crate::{Exception, Future, InvalidStateError, Scheduler, SchedulerId, try_current};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The loop that something belongs to: the first one on which somebody had to wait (S-1).
#[derive(Default)]
pub(crate) struct Home(Cell<Option<SchedulerId>>);

impl Home {
    /// The running loop, if it is the one.
    pub(crate) fn enter(&self) -> Result<Rc<dyn Scheduler>, InvalidStateError> {
        let Some(running) = try_current() else {
            return Err(InvalidStateError::new("no event loop is running on this thread"));
        };
        match self.0.get() {
            None => self.0.set(Some(running.id())),
            Some(home) if home == running.id() => {}
            Some(_) => {
                let error = "it was waited on in another event loop, to which it belongs";
                return Err(InvalidStateError::new(error));
            }
        }
        Ok(running)
    }
}

/// Where the user asked for what is waited for: what is told of a task that waits names that place,
/// not one in here.
pub(crate) type AskedAt = &'static Location<'static>;

fn pending_future<G: 'static>(scheduler: Rc<dyn Scheduler>, asked_at: AskedAt) -> Future<G> {
    Future::from_object(in_place::rc(|| Shared::new(scheduler, asked_at)))
}

/// A line of waiters, each of whom is to be given a `G`.
pub(crate) struct Waiters<G: Clone + 'static = ()> {
    line: RefCell<Line<Future<G>>>,
}

impl<G: Clone + 'static> Default for Waiters<G> {
    fn default() -> Self {
        Self { line: RefCell::new(Line::new()) }
    }
}

impl<G: Clone + 'static> Waiters<G> {
    /// How many stand in the line. Those who were cancelled a moment ago may be among them.
    pub(crate) fn len(&self) -> usize {
        self.line.borrow().len()
    }

    /// How many stand in the line and still wait. This looks at each of them.
    pub(crate) fn count_pending(&self) -> usize {
        let cancelled = self.line.borrow_mut().extract_if(Future::done);
        drop(cancelled);
        self.len()
    }

    /// Gives `grant` to the first who still waits; false if nobody does.
    pub(crate) fn grant(&self, grant: G) -> bool {
        loop {
            let first = self.line.borrow_mut().pop();
            match first {
                None => return false,
                // One that was cancelled cannot be given anything.
                Some(waiter) => match waiter.set_result(grant.clone()) {
                    Ok(()) => return true,
                    Err(_) => continue,
                },
            }
        }
    }

    /// Gives `grant` to all who wait now, but not to those who come while they are told.
    pub(crate) fn grant_all(&self, grant: G) {
        let limit = self.line.borrow().next_ticket();
        loop {
            let first = self.line.borrow_mut().pop_before(limit);
            let Some(waiter) = first else { return };
            // One that was cancelled cannot be given anything.
            let _ = waiter.set_result(grant.clone());
        }
    }
}

/// What a line of waiters is for: where it is, and what becomes of a grant that was not used.
pub(crate) trait Grants: 'static {
    /// What the line belongs to.
    type Owner: 'static;
    /// What a waiter is given.
    type Grant: Clone + 'static;

    fn waiters(owner: &Self::Owner) -> &Waiters<Self::Grant>;

    /// Takes back what a waiter was given that cannot use it any more. By default it is gone, which is
    /// right where nobody else would miss it: where all are told, or each looks for itself.
    fn come_back(_owner: &Rc<Self::Owner>, _grant: Self::Grant) {}
}

/// A place in a line. As a future it gives the grant, or the reason why this waits no longer.
///
/// Dropping it leaves the line, or gives the grant back.
pub(crate) struct Wait<L: Grants> {
    owner: Rc<L::Owner>,
    future: Future<L::Grant>,
    place: Place,
    over: bool,
}

impl<L: Grants> Wait<L> {
    /// Goes to the end of the line.
    pub(crate) fn begin(
        owner: &Rc<L::Owner>,
        home: &Home,
        asked_at: AskedAt,
    ) -> Result<Self, InvalidStateError> {
        let future = pending_future(home.enter()?, asked_at);
        let place = L::waiters(owner).line.borrow_mut().push(future.clone());
        Ok(Self { owner: owner.clone(), future, place, over: false })
    }

    /// Waits once more, in front of all who came later than `place` was taken.
    pub(crate) fn begin_again(
        owner: &Rc<L::Owner>,
        home: &Home,
        place: Place,
        asked_at: AskedAt,
    ) -> Result<Self, InvalidStateError> {
        let future = pending_future(home.enter()?, asked_at);
        let place = L::waiters(owner).line.borrow_mut().push_again(future.clone(), place);
        Ok(Self { owner: owner.clone(), future, place, over: false })
    }

    /// The place, to come back to it.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Ends the wait without having used anything.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        match self.future.take() {
            Ok(grant) => L::come_back(&self.owner, grant),
            Err(_) => {
                let left = L::waiters(&self.owner).line.borrow_mut().remove(self.place);
                drop(left);
            }
        }
    }
}

impl<L: Grants> std::future::Future for Wait<L> {
    type Output = Result<L::Grant, Exception>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.future).poll(context));
        match &outcome {
            Ok(_) => self.over = true,
            // The grant may have come first: then it is in the future, and goes back.
            Err(_) => self.leave(),
        }
        Poll::Ready(outcome)
    }
}

impl<L: Grants> Drop for Wait<L> {
    fn drop(&mut self) {
        self.leave();
    }
}
