//! The race itself, whatever the alternatives are: [`Arm`]s in a slice.
//!
//! Invariants: once there is a winner, nothing new is started, and every loser is cancelled once and
//! polled to its end. A cancellation from outside that only losers have seen is given to the
//! surrounding coroutine again, so that it is not lost with them.

use crate::task::branch::ask_around;
use crate::task::wait_set::CancelRequest;
use crate::task::{Branch, BranchEnd, CancelMessage};
use crate::{CancelledError, Exception, ExceptionContext};
use std::future::{Future, poll_fn};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::super::handles::is_handle;

/// One of those that race.
pub trait Contestant {
    /// Goes on, unless it has ended.
    #[doc(hidden)]
    fn poll(&mut self, context: &mut Context<'_>);

    /// Asks it to end, because it has lost.
    #[doc(hidden)]
    fn lose(&mut self);

    /// Takes note that it has won.
    #[doc(hidden)]
    fn win(&mut self);

    /// Gives a request from outside that it has not noticed to the coroutine around the race.
    #[doc(hidden)]
    fn pass_on(&mut self);

    #[doc(hidden)]
    fn stage(&self) -> Stage;

    /// Whether it stands for something that may be done although nobody polls it.
    #[doc(hidden)]
    fn is_handle(&self) -> bool;

    /// How often it was asked to end by others than the race, and the depth of the outermost
    /// coroutine that was asked since the winner was known.
    #[doc(hidden)]
    fn asked_from_outside(&self) -> (u32, Option<u16>);

    /// Takes note that the winner is known.
    #[doc(hidden)]
    fn note_winner(&mut self);

    /// The cancellation that it ended with.
    #[doc(hidden)]
    fn cancellation(&self) -> Option<Exception>;
}

/// How far a contestant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was never polled.
    New,
    /// It was polled and has not ended.
    Running,
    /// It ended with a value.
    Succeeded,
    /// It ended with an error that is no cancellation.
    Failed,
    /// It ended cancelled, or was dropped for that.
    Cancelled,
}

/// A future that races, at the place that `P` points to.
pub struct Arm<P, F>
where
    P: DerefMut<Target = Option<F>>,
    F: Future,
{
    branch: Branch,
    body: Pin<P>,
    started: bool,
    won: bool,
    outcome: Option<F::Output>,
    /// It ended without having noticed this.
    unnoticed: Option<CancelRequest>,
}

/// What an arm ended with.
#[derive(Debug)]
pub struct Outcomes<T> {
    /// If it was the first.
    pub won: Option<Result<T, Exception>>,
    /// If it was not, and did not end cancelled either.
    pub late: Option<Result<T, Exception>>,
}

impl<P, F, T> Arm<P, F>
where
    P: DerefMut<Target = Option<F>>,
    F: Future<Output = Result<T, Exception>>,
{
    /// One that has not begun.
    pub fn new(body: Pin<P>) -> Self {
        let branch = Branch::new();
        Self { branch, body, started: false, won: false, outcome: None, unnoticed: None }
    }

    /// What it ended with.
    pub fn into_outcomes(self) -> Outcomes<T> {
        let cancelled = self.stage() == Stage::Cancelled;
        match (self.won, cancelled) {
            (true, _) => Outcomes { won: self.outcome, late: None },
            (false, true) => Outcomes { won: None, late: None },
            (false, false) => Outcomes { won: None, late: self.outcome },
        }
    }
}

impl<P, F, T> Contestant for Arm<P, F>
where
    P: DerefMut<Target = Option<F>>,
    F: Future<Output = Result<T, Exception>>,
{
    fn poll(&mut self, context: &mut Context<'_>) {
        if !matches!(self.stage(), Stage::New | Stage::Running) {
            return;
        }
        self.started = true;
        let Poll::Ready(end) = self.branch.poll(self.body.as_mut(), context) else { return };
        self.outcome = Some(match end {
            BranchEnd::Output(outcome, unnoticed) => {
                self.unnoticed = unnoticed;
                outcome
            }
            BranchEnd::Dropped(CancelRequest(message)) => Err(CancelledError::from(message).into()),
        });
        self.body.set(None);
    }

    fn lose(&mut self) {
        self.branch.id().cancel(None);
    }

    fn win(&mut self) {
        self.won = true;
    }

    fn pass_on(&mut self) {
        self.branch.pass_on(self.unnoticed.take());
    }

    fn stage(&self) -> Stage {
        match &self.outcome {
            None if self.started => Stage::Running,
            None => Stage::New,
            Some(Ok(_)) => Stage::Succeeded,
            Some(Err(exception)) if exception.is_cancelled() => Stage::Cancelled,
            Some(Err(_)) => Stage::Failed,
        }
    }

    fn is_handle(&self) -> bool {
        is_handle::<F>()
    }

    fn asked_from_outside(&self) -> (u32, Option<u16>) {
        let received = self.branch.received();
        (received.outer(), received.outermost)
    }

    fn note_winner(&mut self) {
        self.branch.forget_outermost();
    }

    fn cancellation(&self) -> Option<Exception> {
        let exception = self.outcome.as_ref()?.as_ref().err()?;
        exception.is_cancelled().then(|| exception.clone())
    }
}

impl Contestant for &mut dyn Contestant {
    fn poll(&mut self, context: &mut Context<'_>) {
        (**self).poll(context);
    }

    fn lose(&mut self) {
        (**self).lose();
    }

    fn win(&mut self) {
        (**self).win();
    }

    fn pass_on(&mut self) {
        (**self).pass_on();
    }

    fn stage(&self) -> Stage {
        (**self).stage()
    }

    fn is_handle(&self) -> bool {
        (**self).is_handle()
    }

    fn asked_from_outside(&self) -> (u32, Option<u16>) {
        (**self).asked_from_outside()
    }

    fn note_winner(&mut self) {
        (**self).note_winner();
    }

    fn cancellation(&self) -> Option<Exception> {
        (**self).cancellation()
    }
}

impl<T> Outcomes<T> {
    /// Reports what came late and is wanted by nobody.
    pub fn report_late(self) {
        let Some(outcome) = self.late else { return };
        let mut context = ExceptionContext::new(
            "a loser of select! did not end cancelled, and has no `late` arm",
        );
        context.exception = outcome.err();
        if let Some(scheduler) = crate::try_current() {
            scheduler.call_exception_handler(context);
        }
    }
}

/// Polls `arms` until one has ended, cancels the others, and polls these to their ends.
pub async fn contest<C: Contestant>(arms: &mut [C]) -> Result<(), Exception> {
    if arms.is_empty() {
        return Err(Exception::msg("a race of nobody"));
    }
    let mut contest = Contest::new(FirstToEnd);
    poll_fn(|context| contest.poll(arms, context)).await;
    contest.conclude(arms)
}

/// Who wins.
pub(crate) trait Rule {
    /// Whether one wins that ended so. `cancelled` says that the whole race was cancelled.
    fn wins(&self, stage: Stage, cancelled: bool) -> bool;
}

/// Whoever ends first, however, unless it was only told to.
pub(crate) struct FirstToEnd;

impl Rule for FirstToEnd {
    fn wins(&self, stage: Stage, cancelled: bool) -> bool {
        match stage {
            Stage::New | Stage::Running => false,
            Stage::Succeeded | Stage::Failed => true,
            Stage::Cancelled => !cancelled,
        }
    }
}

/// Whoever succeeds first.
pub(crate) struct FirstToSucceed;

impl Rule for FirstToSucceed {
    fn wins(&self, stage: Stage, _cancelled: bool) -> bool {
        stage == Stage::Succeeded
    }
}

/// The course of a race.
pub(crate) struct Contest<R> {
    rule: R,
    winner: Option<Winner>,
}

#[derive(Clone, Copy)]
struct Winner {
    index: usize,
    /// How often others had asked the arms to end by then: what came later, only losers have seen.
    asked: u32,
    /// Whether the losers were told.
    told: bool,
}

impl<R: Rule> Contest<R> {
    /// A race that begins now.
    pub(crate) fn new(rule: R) -> Self {
        Self { rule, winner: None }
    }

    pub(crate) fn winner(&self) -> Option<usize> {
        self.winner.map(|winner| winner.index)
    }

    /// Polls `arms`. Ready when all that were started have ended.
    pub(crate) fn poll<C: Contestant>(
        &mut self,
        arms: &mut [C],
        context: &mut Context<'_>,
    ) -> Poll<()> {
        for (index, arm) in arms.iter_mut().enumerate() {
            let goes_on = match (arm.stage(), self.winner) {
                (Stage::New, None) | (Stage::Running, None) => true,
                // What such a one has would be lost with it; others give it back when told.
                (Stage::Running, Some(Winner { told: false, .. })) => arm.is_handle(),
                (Stage::Running, Some(_)) => true,
                (Stage::New, Some(_)) => false,
                (Stage::Succeeded | Stage::Failed | Stage::Cancelled, _) => false,
            };
            if goes_on {
                arm.poll(context);
            }
            let cancelled = arm.asked_from_outside().0 > 0;
            if self.winner.is_none() && self.rule.wins(arm.stage(), cancelled) {
                arm.win();
                self.winner = Some(Winner { index, asked: 0, told: false });
            }
        }
        self.tell_losers(arms, context);
        match arms.iter().any(|arm| arm.stage() == Stage::Running) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Once there is a winner, asks the others to end: unless they were asked from outside before,
    /// and must not be disturbed while they clean up.
    fn tell_losers<C: Contestant>(&mut self, arms: &mut [C], context: &mut Context<'_>) {
        let asked = asked_from_outside(arms);
        let Some(winner) = self.winner.as_mut().filter(|winner| !winner.told) else { return };
        (winner.told, winner.asked) = (true, asked);
        for arm in arms.iter_mut() {
            arm.note_winner();
            if arm.stage() == Stage::Running && arm.is_handle() {
                // It may have ended while those behind it were polled.
                arm.poll(context);
            }
            if arm.stage() == Stage::Running && arm.asked_from_outside().0 == 0 {
                arm.lose();
            }
        }
        if arms.iter().any(|arm| arm.stage() == Stage::Running) {
            // Those that were passed over in this turn may have been woken for it, and not be again.
            context.waker().wake_by_ref();
        }
    }

    /// The race is over: an error if it has no winner.
    pub(crate) fn conclude<C: Contestant>(&self, arms: &mut [C]) -> Result<(), Exception> {
        let cancellation = arms.iter().find_map(C::cancellation);
        let Some(winner) = self.winner else {
            return Err(cancellation.unwrap_or_else(|| CancelledError::new().into()));
        };
        arms[winner.index].pass_on();
        if asked_from_outside(arms) > winner.asked {
            let asked = arms.iter().filter_map(|arm| arm.asked_from_outside().1);
            let asked = asked.min().unwrap_or_default();
            let message = cancellation.and_then(|exception| message(&exception));
            ask_around(CancelRequest(message), asked);
        }
        Ok(())
    }
}

/// How often others than the race have asked the arms to end, all in all.
pub(crate) fn asked_from_outside<C: Contestant>(arms: &[C]) -> u32 {
    arms.iter().fold(0, |times, arm| times.saturating_add(arm.asked_from_outside().0))
}

/// The message of a cancellation.
fn message(exception: &Exception) -> CancelMessage {
    exception.cancelled()?.message().map(|message| message.to_owned().into())
}
