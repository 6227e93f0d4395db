//! [`Inquiry`]: one question, those who wait for its answer, and the attempts to find it.
//!
//! Callers give up without the pool's lock: they only count themselves as gone. What is counted may be
//! less than what is true for a moment, never more.

use futures::concurrent;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// A question that is being looked up.
pub(super) struct Inquiry<A: 'static> {
    callers: Vec<concurrent::Future<A>>,
    /// How many of the callers have given up. One may be taken out before it has counted: less than 0
    /// stands for 0.
    gone: Arc<AtomicIsize>,
    /// Somebody has given up since the last attempt began, or another attempt has ended: those that
    /// run may hang.
    in_doubt: bool,
    /// How many of those who are gone were known when the last attempt was queued.
    known_gone: usize,
    queued: bool,
    running: usize,
}

/// So many attempts at one question at once: one that hangs whenever it is asked is not to take every
/// thread.
const MOST_ATTEMPTS: usize = 4;

impl<A: Send + 'static> Inquiry<A> {
    pub(super) fn new() -> Self {
        Self {
            callers: Vec::new(),
            gone: Arc::default(),
            in_doubt: false,
            known_gone: 0,
            queued: false,
            running: 0,
        }
    }

    /// Adds a caller, who counts for as long as it waits. Gives back some who do not.
    pub(super) fn add(
        &mut self,
        caller: &concurrent::Future<A>,
        counted: Counted,
    ) -> Vec<concurrent::Future<A>> {
        let removed =
            if self.gone() > self.callers.len() / 2 { self.take_gone() } else { Vec::new() };
        let gone = self.gone.clone();
        caller.add_done_callback(move |caller| {
            drop(counted);
            if caller.cancelled() {
                gone.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.callers.push(caller.clone());
        removed
    }

    /// Whether somebody waits.
    pub(super) fn is_wanted(&self) -> bool {
        self.gone() < self.callers.len()
    }

    /// Whether there is no attempt that the next caller may trust.
    pub(super) fn wants_attempt(&self) -> bool {
        let in_doubt = self.in_doubt || self.gone() > self.known_gone;
        !self.queued && (self.running == 0 || in_doubt && self.running < MOST_ATTEMPTS)
    }

    pub(super) fn queue_attempt(&mut self) {
        self.queued = true;
        self.in_doubt = false;
        self.known_gone = self.gone();
    }

    pub(super) fn unqueue_attempt(&mut self) {
        self.queued = false;
        self.in_doubt = true;
    }

    pub(super) fn begin_attempt(&mut self) {
        self.queued = false;
        self.running += 1;
    }

    pub(super) fn end_attempt(&mut self) {
        self.running -= 1;
        self.in_doubt = true;
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn has_attempts(&self) -> bool {
        self.queued || self.running > 0
    }

    /// All callers, whether they have given up or not.
    pub(super) fn take_callers(&mut self) -> Vec<concurrent::Future<A>> {
        self.gone = Arc::default(); // who has yet to give up is none of ours any more
        self.known_gone = 0;
        std::mem::take(&mut self.callers)
    }

    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        self.callers.len()
    }

    fn take_gone(&mut self) -> Vec<concurrent::Future<A>> {
        self.in_doubt |= self.gone() > self.known_gone;
        let gone: Vec<_> = self.callers.extract_if(.., |caller| caller.cancelled()).collect();
        let count = isize::try_from(gone.len()).expect("as many as there are in memory");
        self.gone.fetch_sub(count, Ordering::Relaxed);
        self.known_gone = self.gone();
        gone
    }

    fn gone(&self) -> usize {
        usize::try_from(self.gone.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// One more, until it is dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
