//! What a connection may cost: its calls are timed, and what it holds is summed up, if it has a
//! [`ConnectionBudget`](crate::ConnectionBudget) that says so. Without one this costs a bit to be tested
//!

use super::{MEASURED, StreamTransport, TIMED};
use crate::backend::Backend;
use crate::budget::{Overrun, Spent};
use crate::limits::OutputLimits;
use crate::stream_machine::{End, Hold};
use crate::{BudgetExceeded, BudgetPolicy, Bytes, ConnectionBudget};
use futures::{Exception, ExceptionContext, Instant, SchedulerExt, TimerHandle};
use std::rc::Rc;
use std::time::Duration;

/// What is kept for a connection whose budget is looked after.
#[derive(Default)]
pub(super) struct Watched {
    spent: Spent,
    /// It holds too much, and that was said.
    is_told: bool,
    /// When reading goes on, and what sees to it; a pause without end has nothing.
    pause: Option<(Instant, Option<TimerHandle>)>,
    /// Asks a protocol that held too much again.
    recheck: Option<TimerHandle>,
}

/// A protocol that holds too much is asked again after this, since nothing else may tell.
const RECHECK: Duration = Duration::from_millis(100);

/// What was found when the memory of a connection was summed up.
struct Sum {
    /// The connection itself and its protocol.
    fixed: usize,
    output: usize,
    /// What the protocol said, and what it gave back.
    told: usize,
}

impl<B: Backend> StreamTransport<B> {
    /// Which of a connection's costs are looked at.
    pub(super) fn budget_flags(limits: Option<&OutputLimits>) -> u32 {
        let Some(budget) = limits.and_then(|limits| limits.budget) else { return 0 };
        let timed = if budget.limits_time() { TIMED } else { 0 };
        let measured = if budget.held.is_some() { MEASURED } else { 0 };
        timed | measured
    }

    fn budget(&self) -> Option<ConnectionBudget> {
        self.machine.borrow().limits().budget
    }

    /// A method of the protocol is about to be called.
    pub(super) fn call_begins(&self) -> Option<Instant> {
        self.is(TIMED).then(|| self.event_loop().time())
    }

    /// The call of `method` is over. The protocol is back in its place.
    #[cold]
    pub(super) fn call_ended(
        self: &Rc<Self>,
        method: &'static str,
        began: Instant,
        ended: Instant,
    ) {
        let Some(budget) = self.budget() else { return };
        let overrun = self.watched(|watched| watched.spent.add(&budget, method, began, ended));
        let Some(Overrun { what, pause }) = overrun else { return };
        match budget.policy {
            BudgetPolicy::PauseReading if !self.machine.borrow().is_over() => {
                self.pause_for(pause);
                self.log_excess(what.into());
            }
            policy => self.exceed(policy, what),
        }
    }

    /// Sums up what the connection holds, and acts on it. It asks the protocol, so it is called where
    /// its methods may be.
    pub(super) fn review_memory(self: &Rc<Self>) {
        let Some(ConnectionBudget { held: Some(most), policy, .. }) = self.budget() else { return };
        if !self.machine.borrow().is_made() || self.machine.borrow().is_over() {
            return;
        }
        let Some(Sum { fixed, output, told }) = self.sum_up(most) else { return };
        let held = fixed.saturating_add(output).saturating_add(told);
        // Half of what there is above the connection itself.
        let enough = if most.0 > fixed { fixed + (most.0 - fixed) / 2 } else { 0 };
        if held > most.0 {
            if !self.watched(|watched| std::mem::replace(&mut watched.is_told, true)) {
                let what = BudgetExceeded::Held { held: Bytes(held), most };
                match policy {
                    BudgetPolicy::PauseReading => {
                        self.with_machine(|machine| machine.hold(Hold::Memory));
                        self.log_excess(what.into());
                    }
                    policy => self.exceed(policy, what),
                }
            }
        } else if held <= enough && self.if_watched(|watched| watched.is_told) == Some(true) {
            self.watched(|watched| watched.is_told = false);
            self.with_machine(|machine| machine.release(Hold::Memory));
        }
        let only_the_protocol = fixed + output <= enough;
        if only_the_protocol && self.machine.borrow().is_held_by(Hold::Memory) {
            self.recheck_later();
        }
    }

    fn sum_up(self: &Rc<Self>, most: Bytes) -> Option<Sum> {
        let protocol = self.protocol.take()?;
        let of_protocol = size_of_val(&*protocol);
        self.protocol.set(Some(protocol));
        let told = self.run("memory_held", |protocol, _| protocol.memory_held())?;
        if self.machine.borrow().wants_flush() {
            self.queue_turn(); // it was to answer, not to write
        }
        let told = told.0.saturating_add(self.unread_memory());
        let of_backend = self.backend.memory_held();
        let mut machine = self.machine.borrow_mut();
        let fixed = size_of::<Self>() + of_protocol;
        if fixed.saturating_add(machine.output_memory()).saturating_add(told) > most.0 {
            machine.trim_output();
        }
        let output = machine.output_memory().saturating_add(of_backend);
        Some(Sum { fixed, output, told })
    }

    /// What was exceeded cannot be helped by pausing, or is not to be.
    fn exceed(self: &Rc<Self>, policy: BudgetPolicy, what: BudgetExceeded) {
        match policy {
            BudgetPolicy::Abort => {
                self.log_excess(what.into());
                self.end(End::Failed, Some(what.into()));
            }
            BudgetPolicy::PauseReading => self.log_excess(what.into()),
            BudgetPolicy::Report => {
                let Some(more) = self.count_excess() else { return };
                let message = format!("a connection exceeded its budget{more}");
                let mut context = ExceptionContext::with_exception(message, what);
                context.transport = Some(self.backend.describe());
                self.event_loop().call_exception_handler(context);
            }
        }
    }

    fn log_excess(&self, what: Exception) {
        if let Some(more) = self.count_excess() {
            log::warn!(target: "tulipa", "{}: {what}{more}", self.backend.describe());
        }
    }

    /// Counts it. If it may be told, this is what is to be said of those that were not.
    fn count_excess(&self) -> Option<String> {
        if let Some(server) = &self.owner.server {
            server.budget_exceeded();
        }
        let held_back = self.shared().budget_reports().pass(self.event_loop().time())?;
        Some(match held_back {
            0 => String::new(),
            more => format!(" ({more} more were not reported)"),
        })
    }

    /// Reads nothing for so long; a longer pause that is under way stays.
    fn pause_for(self: &Rc<Self>, pause: Duration) {
        let until = match pause {
            Duration::MAX => Instant::NEVER,
            pause => self.event_loop().time() + pause,
        };
        let before = self.if_watched(|watched| watched.pause.as_ref().map(|pause| pause.0));
        if before.flatten().is_some_and(|before| before >= until) {
            return;
        }
        self.with_machine(|machine| machine.hold(Hold::Time));
        let timer = (pause < Duration::MAX).then(|| {
            let connection = Rc::downgrade(self);
            self.event_loop().call_later(pause, move || {
                if let Some(connection) = connection.upgrade() {
                    connection.with_machine(|machine| machine.release(Hold::Time));
                    connection.requested();
                }
            })
        });
        let before = self.watched(|watched| watched.pause.replace((until, timer)));
        if let Some((_, Some(timer))) = before {
            timer.cancel();
        }
    }

    fn recheck_later(self: &Rc<Self>) {
        let connection = Rc::downgrade(self);
        let timer = self.event_loop().call_later(RECHECK, move || {
            if let Some(connection) = connection.upgrade() {
                connection.queue_turn();
            }
        });
        let before = self.watched(|watched| watched.recheck.replace(timer));
        if let Some(timer) = before {
            timer.cancel();
        }
    }

    /// It is over.
    pub(super) fn stop_watching_budget(&self) {
        let watched = self.if_rare(|rare| rare.watched.take());
        let timers = watched.into_iter().flat_map(|watched| {
            let pause = watched.pause.and_then(|(_, timer)| timer);
            [pause, watched.recheck]
        });
        for timer in timers.flatten() {
            timer.cancel();
        }
    }

    fn watched<R>(&self, change: impl FnOnce(&mut Watched) -> R) -> R {
        self.rare(|rare| change(rare.watched.get_or_insert_default()))
    }

    fn if_watched<R>(&self, look: impl FnOnce(&Watched) -> R) -> Option<R> {
        self.if_rare(|rare| rare.watched.as_deref().map(look))
    }
}
