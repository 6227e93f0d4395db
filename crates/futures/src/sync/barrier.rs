//! [`Barrier`]: so many have to arrive before any goes on.
//!
//! Only one round at a time is on its way out; who comes meanwhile stands in the line and belongs to
//! the next (S-24). So the phase of the barrier is also the verdict on everybody who is leaving.
//!
//! Invariant: in the phase `Filling` nobody is leaving, and in it fewer stand in the line than make a
//! round. In the phases `Draining` and `Resetting` somebody is leaving, and the last to leave begins
//! the next round.

use super::waiters::{Grants, Home, Wait, Waiters};
use crate::Exception;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::rc::Rc;

/// Holds tasks back until so many have arrived; then all pass, and the next round may begin.
///
/// Each gets its place in the order of arrival, from 0 on. One who is cancelled while waiting leaves,
/// and the round goes on without it (S-27). Clones name the same barrier.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use tulipa_futures::{Barrier, Exception};
///
/// async fn work(phase: Barrier) -> Result<(), Exception> {
///     // … the first half …
///     if phase.wait().await? == 0 {
///         println!("everybody is through with the first half");
///     }
///     // … the second half …
///     Ok(())
/// }
/// let phase = Barrier::new(NonZeroUsize::new(3).expect("three is not zero"));
/// assert_eq!(phase.n_waiting(), 0);
/// ```
#[derive(Clone)]
pub struct Barrier {
    inner: Rc<Inner>,
}

/// The barrier that was waited at is broken, or was reset meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrierError;

struct Inner {
    parties: NonZeroUsize,
    phase: Cell<Phase>,
    /// How many were let out of the line and have not run yet.
    leaving: Cell<usize>,
    home: Home,
    line: Waiters<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A round is gathering.
    Filling,
    /// A full round is on its way out.
    Draining,
    /// Those on their way out are told that the barrier was reset.
    Resetting,
    /// All are told that the barrier is broken.
    Broken,
}

impl Barrier {
    /// A barrier at which `parties` have to arrive.
    pub fn new(parties: NonZeroUsize) -> Self {
        let inner = Inner {
            parties,
            phase: Cell::new(Phase::Filling),
            leaving: Cell::new(0),
            home: Home::default(),
            line: Waiters::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Waits until as many have arrived as there are parties, and returns which in the order of arrival
    /// this one was, from 0 on. The last to arrive does not pause.
    ///
    /// While an earlier round is still leaving, this counts for the next (S-24, S-28).
    ///
    /// # Errors
    /// [`BrokenBarrierError`] if the barrier is broken, or was broken or reset before this one was
    /// past it; [`CancelledError`](crate::CancelledError) if the task was cancelled meanwhile;
    /// [`InvalidStateError`](crate::InvalidStateError) if it has to wait and no event loop is running
    /// here, or another one than those before waited on (S-1).
    #[must_use = "nothing happens until it is awaited"]
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = Result<usize, Exception>> + use<> {
        let (inner, asked_at) = (self.inner.clone(), Location::caller());
        async move {
            match inner.phase.get() {
                Phase::Broken => return Err(BrokenBarrierError.into()),
                Phase::Filling if inner.is_last() => {
                    let others = inner.parties.get() - 1;
                    inner.let_out(Phase::Draining, others);
                    return Ok(others);
                }
                Phase::Filling | Phase::Draining | Phase::Resetting => {}
            }
            let index = Wait::<Line>::begin(&inner, &inner.home, asked_at)?.await?;
            let verdict = inner.phase.get();
            inner.one_left();
            match verdict {
                Phase::Filling | Phase::Draining => Ok(index),
                Phase::Resetting | Phase::Broken => Err(BrokenBarrierError.into()),
            }
        }
    }

    /// Sends those inside away with a [`BrokenBarrierError`], and makes the barrier usable again, also
    /// if it was broken (S-25).
    ///
    /// Inside are those who wait, and of a full round those who have not run yet; who came while that
    /// round was leaving belongs to the next, and stays.
    pub fn reset(&self) {
        let inner = &self.inner;
        match inner.phase.get() {
            Phase::Filling => inner.let_out(Phase::Resetting, inner.line.len()),
            Phase::Draining => inner.phase.set(Phase::Resetting),
            Phase::Resetting => {}
            Phase::Broken => match inner.leaving.get() {
                0 => inner.phase.set(Phase::Filling),
                _ => inner.phase.set(Phase::Resetting),
            },
        }
    }

    /// Breaks the barrier: those inside and all who come get a [`BrokenBarrierError`], until it is
    /// [reset](Barrier::reset) (S-26).
    pub fn abort(&self) {
        self.inner.let_out(Phase::Broken, self.inner.line.len());
    }

    /// Whether it is broken.
    pub fn broken(&self) -> bool {
        self.inner.phase.get() == Phase::Broken
    }

    /// How many have to arrive.
    pub fn parties(&self) -> usize {
        self.inner.parties.get()
    }

    /// How many of the next round have arrived; 0 while a round is leaving.
    pub fn n_waiting(&self) -> usize {
        match self.inner.phase.get() {
            Phase::Filling => self.inner.line.count_pending(),
            Phase::Draining | Phase::Resetting | Phase::Broken => 0,
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.inner.phase.get() {
            Phase::Filling => "filling",
            Phase::Draining => "draining",
            Phase::Resetting => "resetting",
            Phase::Broken => "broken",
        };
        write!(f, "Barrier({state}, {} of {} waiting)", self.n_waiting(), self.parties())
    }
}

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken or was reset")
    }
}

impl Error for BrokenBarrierError {}

impl Inner {
    /// Whether one more makes a full round.
    fn is_last(&self) -> bool {
        let others = self.parties.get() - 1;
        // Only a long enough line is searched for those who were cancelled a moment ago.
        self.line.len() >= others && self.line.count_pending() >= others
    }

    /// Lets the first `count` out of the line, each with its place in the order of arrival.
    fn let_out(&self, phase: Phase, count: usize) {
        self.phase.set(phase);
        // Whoever lets them out is the last to leave: else a waker could begin the next round.
        self.leaving.set(self.leaving.get() + 1);
        for index in 0..count {
            self.leaving.set(self.leaving.get() + 1);
            if !self.line.grant(index) {
                self.leaving.set(self.leaving.get() - 1);
                break;
            }
        }
        self.one_left();
    }

    /// One who was let out has run, or never will. The last begins the next round, which may be full
    /// already.
    fn one_left(&self) {
        self.leaving.set(self.leaving.get() - 1);
        if self.leaving.get() > 0 || self.phase.get() == Phase::Broken {
            return;
        }
        self.phase.set(Phase::Filling);
        let parties = self.parties.get();
        if self.line.len() >= parties && self.line.count_pending() >= parties {
            self.let_out(Phase::Draining, parties);
        }
    }
}

struct Line;

impl Grants for Line {
    type Owner = Inner;
    type Grant = usize;

    fn waiters(inner: &Inner) -> &Waiters<usize> {
        &inner.line
    }

    fn come_back(inner: &Rc<Inner>, _: usize) {
        inner.one_left();
    }
}
