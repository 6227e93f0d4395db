//! [`Claim`]: the right of one operation to wait for a direction of a descriptor that is not ours.
//!
//! Invariants: each direction of a descriptor has one claim at most, so that no operation takes another
//! one's readiness (N-47); the loop knows of a descriptor only while it is claimed; a claim that ends
//! takes out what it put in, and nothing else: it is told from later ones by its number, and the
//! registration by its key (N-44).

use eventloop::{
    AbstractEventLoop, AbstractEventLoopExt, Direction, Interest, Source, SourceKey, SourceKind,
    Taken,
};
use futures::{Future, SchedulerExt};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::{Rc, Weak};

/// One direction of a descriptor, claimed. Dropping it ends the wait at once.
pub(super) struct Claim {
    event_loop: Rc<dyn AbstractEventLoop>,
    descriptor: Rc<Claimed>,
    direction: Direction,
    number: u64,
}

/// A descriptor with the claims on it: what the loop watches.
struct Claimed {
    owner: Rc<dyn AsFd>,
    key: Cell<Option<SourceKey>>,
    sides: RefCell<[Option<Side>; 2]>,
}

/// The claim on one direction.
struct Side {
    number: u64,
    operation: &'static str,
    wait: Option<Wait>,
}

/// What an operation waits for.
struct Wait {
    done: Future<()>,
    /// It is done when the descriptor is ready; else by somebody else.
    for_readiness: bool,
}

/// The claimed descriptors of a loop.
#[derive(Default)]
struct Claims {
    by_descriptor: RefCell<HashMap<RawFd, Weak<Claimed>>>,
    made: Cell<u64>,
}

impl Claim {
    /// Claims `direction` of the descriptor of `owner` for `operation`.
    ///
    /// # Errors
    /// `ResourceBusy` if the direction is claimed already (N-47), or if the descriptor belongs to a
    /// transport, or is watched by a callback (N-48); or what the loop says.
    pub(super) fn new(
        event_loop: &Rc<dyn AbstractEventLoop>,
        owner: &Rc<dyn AsFd>,
        direction: Direction,
        operation: &'static str,
    ) -> io::Result<Self> {
        let claims = event_loop.local(Claims::default);
        let number = claims.next_number();
        let descriptor = claims.claimed(&**event_loop, owner)?;
        let claim = Self { event_loop: event_loop.clone(), descriptor, direction, number };
        claim.descriptor.take_side(direction, Side { number, operation, wait: None })?;
        Ok(claim)
    }

    /// A future that is done when the descriptor is ready.
    ///
    /// # Errors
    /// What the poller says.
    pub(super) fn wait(&self) -> io::Result<Future<()>> {
        let done: Future<()> = self.event_loop.create_future();
        let wait = Wait { done: done.clone(), for_readiness: true };
        drop(self.descriptor.set_wait(self, Some(wait)));
        self.descriptor.watch(&*self.event_loop)?;
        Ok(done)
    }

    /// The operation waits for something else than the descriptor: if that is called off, others need not
    /// wait until the operation has noticed.
    pub(super) fn waits_for(&self, done: &Future<()>) {
        let wait = Wait { done: done.clone(), for_readiness: false };
        drop(self.descriptor.set_wait(self, Some(wait)));
    }

    /// The wait has ended, or was called off: nothing is watched for it any more.
    pub(super) fn stop_waiting(&self) {
        let wait = self.descriptor.set_wait(self, None);
        if wait.is_some_and(|wait| wait.for_readiness) {
            self.descriptor.watch_less(&*self.event_loop);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let released = self.descriptor.release_side(self);
        if self.descriptor.is_free() {
            let claims = self.event_loop.local(Claims::default);
            claims.forget(&self.descriptor);
            if let Some(key) = self.descriptor.key.take() {
                drop(self.event_loop.unwatch(key)); // we hold a count of our own
            }
        } else {
            self.descriptor.watch_less(&*self.event_loop);
        }
        drop(released);
    }
}

impl Claims {
    fn next_number(&self) -> u64 {
        self.made.set(self.made.get() + 1);
        self.made.get()
    }

    /// The claims on the descriptor of `owner`: those that are there, or new ones, which the loop
    /// owns from now on.
    fn claimed(
        &self,
        event_loop: &dyn AbstractEventLoop,
        owner: &Rc<dyn AsFd>,
    ) -> io::Result<Rc<Claimed>> {
        let number = owner.as_fd().as_raw_fd();
        let known = self.by_descriptor.borrow().get(&number).and_then(Weak::upgrade);
        if let Some(known) = known
            && !known.is_called_off()
        {
            return Ok(known);
        }
        let claimed = Rc::new(Claimed {
            owner: owner.clone(),
            key: Cell::new(None),
            sides: RefCell::default(),
        });
        let key = event_loop.watch(claimed.clone(), Interest::NONE).map_err(|error| {
            match error.kind() == io::ErrorKind::AlreadyExists {
                true => io::Error::new(io::ErrorKind::ResourceBusy, error.to_string()),
                false => error,
            }
        })?;
        claimed.key.set(Some(key));
        self.by_descriptor.borrow_mut().insert(number, Rc::downgrade(&claimed));
        Ok(claimed)
    }

    fn forget(&self, claimed: &Rc<Claimed>) {
        let mut known = self.by_descriptor.borrow_mut();
        let number = claimed.owner.as_fd().as_raw_fd();
        if known
            .get(&number)
            .is_some_and(|entry| std::ptr::eq(entry.as_ptr(), &raw const **claimed))
        {
            known.remove(&number);
        }
    }
}

impl Side {
    /// Whether whoever waited for this was told to give up, and has only not done so yet.
    fn is_called_off(&self) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.done.cancelled())
    }

    /// Whether it waits until the descriptor is ready.
    fn waits_for_readiness(&self) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.for_readiness && !wait.done.done())
    }
}

impl Claimed {
    fn take_side(&self, direction: Direction, side: Side) -> io::Result<()> {
        let before = {
            let mut sides = self.sides.borrow_mut();
            let place = &mut sides[direction as usize];
            if let Some(other) = place
                && !other.is_called_off()
            {
                let number = self.owner.as_fd().as_raw_fd();
                let message = format!("{} waits for descriptor {number} already", other.operation);
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
            }
            place.replace(side)
        };
        drop(before);
        Ok(())
    }

    /// Gives `claim` something to wait by, or takes it away; what was there comes back. Nothing
    /// happens if its place was taken over.
    fn set_wait(&self, claim: &Claim, wait: Option<Wait>) -> Option<Wait> {
        let mut sides = self.sides.borrow_mut();
        match &mut sides[claim.direction as usize] {
            Some(side) if side.number == claim.number => std::mem::replace(&mut side.wait, wait),
            _ => wait,
        }
    }

    fn release_side(&self, claim: &Claim) -> Option<Side> {
        let mut sides = self.sides.borrow_mut();
        sides[claim.direction as usize].take_if(|side| side.number == claim.number)
    }

    fn is_free(&self) -> bool {
        self.sides.borrow().iter().all(Option::is_none)
    }

    /// What is waited for.
    fn interest(&self) -> Interest {
        let sides = self.sides.borrow();
        let waits = |direction: Direction| {
            sides[direction as usize].as_ref().is_some_and(Side::waits_for_readiness)
        };
        Interest { readable: waits(Direction::Read), writable: waits(Direction::Write) }
    }

    fn watch(&self, event_loop: &dyn AbstractEventLoop) -> io::Result<()> {
        match self.key.get() {
            Some(key) => event_loop.set_interest(key, self.interest()),
            None => Ok(()),
        }
    }

    /// As `watch`, where something is waited for no more.
    fn watch_less(&self, event_loop: &dyn AbstractEventLoop) {
        if let Err(error) = self.watch(event_loop) {
            log::debug!(target: "tulipa", "{}: {error}", self.describe());
        }
    }
}

impl Source for Claimed {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.owner.as_fd()
    }

    fn ready(self: Rc<Self>, direction: Direction) -> Taken {
        let waiting = {
            let mut sides = self.sides.borrow_mut();
            let side = sides[direction as usize].as_mut();
            side.and_then(|side| side.wait.take_if(|wait| wait.for_readiness))
        };
        let Some(waiting) = waiting else { return Taken::Unknown };
        // Whoever waits may take its time: until then nothing is watched, since it would be ready again
        // and again.
        if let Some(event_loop) = eventloop::try_current() {
            self.watch_less(&*event_loop);
        }
        // One that was cancelled waits no more.
        let _ = waiting.done.set_result(());
        Taken::Unknown
    }

    fn is_called_off(&self) -> bool {
        self.sides.borrow().iter().flatten().all(Side::is_called_off)
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Operation
    }

    fn describe(&self) -> String {
        let sides = self.sides.borrow();
        let names: Vec<_> = sides.iter().flatten().map(|side| side.operation).collect();
        format!("descriptor {}, for {}", self.owner.as_fd().as_raw_fd(), names.join(" and "))
    }
}
