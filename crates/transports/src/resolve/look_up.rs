//! One question to the loop's resolver: asked once, answered or given up by the deadline.
//!
//! Invariant: the deadline's timer, which the loop owns, owns the look-up. Whichever way it ends, the
//! timer is gone then and the resolver's future is done or cancelled; closing the loop drops all of it.

use super::ResolveError;
use super::resolver::{Resolver, Resolving};
use eventloop::AbstractEventLoop;
use futures::{ClosedError, Exception, Future, Instant, SchedulerExt, TimerHandle, catch};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Something that a resolver is asked.
pub(super) trait Question: 'static {
    /// What it answers.
    type Answer: 'static;

    /// For people.
    fn asked(&self) -> String;

    fn ask(
        &self,
        resolver: &dyn Resolver,
        event_loop: &dyn AbstractEventLoop,
    ) -> Future<Self::Answer>;

    /// The part of the answer that is one.
    fn usable(&self, answer: Self::Answer) -> io::Result<Self::Answer>;

    fn why_late(&self, resolver: &dyn Resolver) -> Option<String>;
}

struct LookUp<Q: Question, U: 'static> {
    event_loop: Rc<dyn AbstractEventLoop>,
    resolver: Rc<dyn Resolver>,
    question: Q,
    since: Instant,
    /// The resolver's.
    answer: Future<Q::Answer>,
    /// The caller's.
    outcome: Future<U>,
    timer: Cell<Option<TimerHandle>>,
}

/// Asks the resolver of `event_loop`. Its code is user code: it may panic, and call anything. The
/// future is never done yet when it is returned, however fast the resolver is, unless it
/// panicked, or the loop is closed.
pub(super) fn begin<Q: Question, U: 'static>(
    event_loop: &dyn AbstractEventLoop,
    question: Q,
    finish: impl FnOnce(Q::Answer) -> U + 'static,
) -> Future<U> {
    let outcome = event_loop.create_future();
    if event_loop.is_closed() {
        // It is new, hence pending.
        let _ = outcome.set_exception(ClosedError);
        return outcome;
    }
    let resolving = Resolving::of(event_loop);
    let (resolver, deadline) = (resolving.resolver(), resolving.deadline());
    let since = event_loop.time();
    let answer = match catch(|| question.ask(&*resolver, event_loop)) {
        Ok(answer) => answer,
        Err(panic) => {
            // It is new, hence pending.
            let _ = outcome.set_exception(panic);
            return outcome;
        }
    };
    let look_up = Rc::new(LookUp {
        event_loop: event_loop.to_event_loop(),
        resolver,
        question,
        since,
        answer,
        outcome: outcome.clone(),
        timer: Cell::new(None),
    });
    let owner = look_up.clone();
    let timer = event_loop.call_later(deadline, move || owner.time_is_over(deadline));
    look_up.timer.set(Some(timer));
    let weak = Rc::downgrade(&look_up);
    look_up.answer.add_done_callback(move |_| {
        if let Some(look_up) = weak.upgrade() {
            look_up.answered(finish);
        }
    });
    let weak = Rc::downgrade(&look_up);
    outcome.add_done_callback(move |_| {
        if let Some(look_up) = weak.upgrade() {
            look_up.let_go();
        }
    });
    outcome
}

impl<Q: Question, U: 'static> LookUp<Q, U> {
    fn answered(&self, finish: impl FnOnce(Q::Answer) -> U) {
        if self.outcome.done() {
            return;
        }
        let failed = |source: Exception| ResolveError::exception(self.question.asked(), source);
        let outcome = match self.answer.take() {
            Ok(answer) => match self.question.usable(answer) {
                Ok(answer) => Ok(finish(answer)),
                Err(error) => Err(failed(error.into())),
            },
            // Nobody cancelled the caller.
            Err(exception) if exception.is_cancelled() => {
                Err(failed(io::Error::other("the resolver gave up").into()))
            }
            Err(panic) if panic.panicked().is_some() => Err(panic),
            Err(exception) => Err(failed(exception)),
        };
        self.finish(outcome);
    }

    fn time_is_over(&self, deadline: Duration) {
        if self.outcome.done() {
            return;
        }
        let why = catch(|| self.question.why_late(&*self.resolver)).ok().flatten();
        let message = match why {
            Some(why) => format!("no answer within {deadline:?}: {why}"),
            None => format!("no answer within {deadline:?}"),
        };
        let source = io::Error::new(io::ErrorKind::TimedOut, message);
        self.finish(Err(ResolveError::exception(self.question.asked(), source)));
    }

    fn finish(&self, outcome: Result<U, Exception>) {
        self.report_if_slow();
        // It was pending a moment ago.
        let _ = self.outcome.set_outcome(outcome);
        self.let_go();
    }

    /// It is decided, or nobody waits: what is under way for it ends.
    fn let_go(&self) {
        if let Some(timer) = self.timer.take() {
            timer.cancel();
        }
        self.answer.cancel();
    }

    /// D-4.
    fn report_if_slow(&self) {
        if !self.event_loop.get_debug() {
            return;
        }
        let took = self.event_loop.time() - self.since;
        if took >= self.event_loop.slow_callback_duration() {
            log::info!(target: "tulipa", "looking up {:?} took {took:?}", self.question.asked());
        }
    }
}
