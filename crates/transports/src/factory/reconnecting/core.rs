//! [`Core`]: the state of a [`ReconnectingClient`], and how it goes from one attempt to the next.

use super::{ReconnectingClient, StoppedError};
use crate::Transport;
use crate::factory::active::{AtWork, Outcome, release, when_ended};
use crate::factory::reconnect_options::{Observer, Random};
use crate::factory::{Backoff, ClientEvent};
use crate::stream_transport::Opened;
use eventloop::AbstractEventLoop;
use futures::{
    CancelledError, Exception, ExceptionContext, Future, Instant, SchedulerExt, TimerHandle, catch,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub(super) type Connect = Box<dyn FnMut(&ReconnectingClient) -> Opened>;

/// What a client and what is under way for it share.
pub(super) struct Core {
    pub(super) event_loop: Rc<dyn AbstractEventLoop>,
    /// These three are out of their places while they run, and gone at the end.
    pub(super) connect: Cell<Option<Connect>>,
    pub(super) random: Cell<Option<Random>>,
    pub(super) observer: Cell<Option<Observer>>,
    pub(super) backoff: RefCell<Backoff>,
    pub(super) reset_after: Option<Duration>,
    pub(super) trying: Cell<bool>,
    /// It stopped by itself, because there were no attempts left.
    pub(super) gave_up: Cell<bool>,
    pub(super) state: RefCell<State>,
    pub(super) last: RefCell<Option<Exception>>,
    pub(super) waiting: RefCell<Vec<Waiting>>,
    pub(super) closed: RefCell<Vec<Future<()>>>,
}

/// What is under way.
pub(super) enum State {
    /// Until the next attempt begins; `None` while it does.
    Pausing(Option<TimerHandle>),
    Connecting(Opened),
    Connected(Rc<dyn Transport>),
    Ended,
}

/// Somebody who waits for the connection.
pub(super) struct Waiting {
    pub(super) future: Opened,
    /// How many attempts may fail.
    pub(super) attempts: Option<u32>,
}

impl Core {
    /// Waits, then begins an attempt.
    pub(super) fn pause(self: &Rc<Self>, delay: Duration) {
        let core = Rc::downgrade(self);
        let timer = self.event_loop.call_later(delay, move || {
            if let Some(core) = core.upgrade() {
                core.begin();
            }
        });
        if let State::Pausing(Some(before)) = self.set_state(State::Pausing(Some(timer))) {
            before.cancel();
        }
    }

    pub(super) fn begin(self: &Rc<Self>) {
        drop(self.set_state(State::Pausing(None)));
        if self.trying.get() {
            self.tell(ClientEvent::Connecting);
        }
        if !self.trying.get() {
            return self.end();
        }
        let Some(mut connect) = self.connect.take() else { return };
        let client = ReconnectingClient { core: self.clone() };
        let attempt = catch(|| connect(&client));
        self.connect.set(Some(connect));
        let attempt = match attempt {
            Ok(attempt) => attempt,
            Err(panic) => {
                self.report("the closure that connects a client panicked", panic.clone());
                return self.failed(panic);
            }
        };
        drop(self.set_state(State::Connecting(attempt.clone())));
        if !self.trying.get() {
            attempt.cancel(); // it was stopped from inside of `connect`
        }
        when_ended(&attempt, self, Self::attempt_ended);
    }

    pub(super) fn attempt_ended(self: &Rc<Self>, outcome: Outcome) {
        match outcome {
            Ok(transport) if !self.trying.get() => {
                transport.abort(); // it was stopped too late to be cancelled
                self.failed(CancelledError::new().into());
            }
            Ok(transport) => self.connected(transport),
            Err(exception) => self.failed(exception),
        }
    }

    pub(super) fn connected(self: &Rc<Self>, transport: Rc<dyn Transport>) {
        let since = self.event_loop.time();
        drop(self.set_state(State::Connected(transport.clone())));
        let core = Rc::downgrade(self);
        let watched = transport.clone();
        transport.wait_closed().add_done_callback(move |_| {
            if let Some(core) = core.upgrade() {
                core.lost(watched.lost_reason(), since);
            }
        });
        let waiting = self.waiting.take();
        for one in waiting {
            // One that was cancelled waits no more.
            let _ = one.future.set_result(transport.clone());
        }
        self.tell(ClientEvent::Connected(transport));
    }

    pub(super) fn failed(self: &Rc<Self>, reason: Exception) {
        if !reason.is_cancelled() || self.trying.get() {
            drop(self.last.replace(Some(reason.clone())));
        }
        self.fail_those_who_waited_enough(&reason);
        self.go_on(|retry_in| ClientEvent::ConnectionFailed { reason, retry_in });
    }

    pub(super) fn lost(self: &Rc<Self>, reason: Option<Exception>, since: Instant) {
        drop(self.last.replace(reason.clone()));
        let up = self.event_loop.time() - since;
        if self.reset_after.is_some_and(|enough| up >= enough) {
            self.backoff.borrow_mut().reset();
        }
        self.go_on(|retry_in| ClientEvent::ConnectionLost { reason, retry_in });
    }

    /// There is no connection: another attempt after a pause, or the end.
    pub(super) fn go_on(self: &Rc<Self>, event: impl FnOnce(Option<Duration>) -> ClientEvent) {
        drop(self.set_state(State::Pausing(None)));
        let next = self.next_delay();
        let retry_in = next.filter(|_| self.trying.get()); // chance may have ended it
        self.gave_up.set(retry_in.is_none() && self.trying.get());
        if let Some(delay) = retry_in {
            self.pause(delay);
        }
        self.tell(event(retry_in));
        if retry_in.is_none() {
            self.end();
        }
    }

    pub(super) fn next_delay(&self) -> Option<Duration> {
        if !self.trying.get() {
            return None;
        }
        let mut random = self.random.take()?;
        // The backoff is copied: chance is user code.
        let mut backoff = self.backoff.borrow().clone();
        let delay = catch(|| backoff.next_delay(&mut || random()));
        self.random.set(Some(random));
        match delay {
            Ok(delay) => {
                *self.backoff.borrow_mut() = backoff;
                delay
            }
            Err(panic) => {
                self.report("the source of chance of a client panicked", panic);
                let mut backoff = self.backoff.borrow_mut();
                backoff.next_delay(&mut || 0.5)
            }
        }
    }

    pub(super) fn stop_trying(self: &Rc<Self>) {
        if !self.trying.replace(false) {
            return;
        }
        let attempt = match &*self.state.borrow() {
            State::Connecting(attempt) => Some(attempt.clone()),
            State::Pausing(_) | State::Connected(_) | State::Ended => None,
        };
        if let Some(attempt) = attempt {
            attempt.cancel(); // its end is the client's
        } else if self.is_pausing() {
            self.pause(Duration::ZERO); // in a turn of its own
        }
        self.fail_all_who_wait();
    }

    /// There will be no connection any more.
    pub(super) fn end(self: &Rc<Self>) {
        self.trying.set(false);
        drop(self.set_state(State::Ended));
        release(&*self.event_loop, self);
        self.drop_what_users_gave();
        self.fail_all_who_wait();
        let closed = self.closed.take();
        for future in closed {
            // One that was cancelled waits no more.
            let _ = future.set_outcome(self.how_it_ended());
        }
    }

    pub(super) fn is_pausing(&self) -> bool {
        matches!(&*self.state.borrow(), State::Pausing(Some(_)))
    }

    pub(super) fn how_it_ended(&self) -> Result<(), Exception> {
        match self.gave_up.get() {
            true => Err(self.stopped()),
            false => Ok(()),
        }
    }

    pub(super) fn stopped(&self) -> Exception {
        StoppedError { last: self.last.borrow().clone() }.into()
    }

    pub(super) fn add_waiting(&self, waiting: Waiting) {
        let given_up: Vec<_> = {
            let mut all = self.waiting.borrow_mut();
            let given_up = all.extract_if(.., |one| one.future.done()).collect();
            all.push(waiting);
            given_up
        };
        drop(given_up); // what they hold is the user's
    }

    /// An attempt has failed.
    pub(super) fn fail_those_who_waited_enough(&self, reason: &Exception) {
        let enough: Vec<_> = {
            let mut all = self.waiting.borrow_mut();
            for one in all.iter_mut() {
                one.attempts = one.attempts.map(|attempts| attempts.saturating_sub(1));
            }
            all.extract_if(.., |one| one.attempts == Some(0)).collect()
        };
        for one in enough {
            // One that was cancelled waits no more.
            let _ = one.future.set_exception(reason.clone());
        }
    }

    pub(super) fn fail_all_who_wait(&self) {
        let waiting = self.waiting.take();
        for one in waiting {
            // As above.
            let _ = one.future.set_exception(self.stopped());
        }
    }

    pub(super) fn set_state(&self, state: State) -> State {
        self.state.replace(state)
    }

    pub(super) fn tell(self: &Rc<Self>, event: ClientEvent) {
        log::debug!(target: "tulipa", "a client that keeps its connection up: {event:?}");
        let Some(mut observer) = self.observer.take() else { return };
        let client = ReconnectingClient { core: self.clone() };
        let told = catch(|| observer(&client, event));
        self.observer.set(Some(observer));
        if let Err(panic) = told {
            self.report("the observer of a client panicked", panic);
        }
    }

    pub(super) fn report(&self, message: &'static str, exception: Exception) {
        let context = ExceptionContext::with_exception(message, exception);
        self.event_loop.call_exception_handler(context);
    }

    pub(super) fn drop_what_users_gave(&self) {
        let given = (self.connect.take(), self.random.take(), self.observer.take());
        if let Err(panic) = catch(move || drop(given)) {
            self.report("the destructor of what a client was given panicked", panic);
        }
    }
}

impl AtWork for Core {
    fn loop_closed(&self) {
        self.trying.set(false);
        let state = self.state.replace(State::Ended);
        let futures = (self.waiting.take(), self.closed.take());
        if let Err(panic) = catch(move || drop((state, futures))) {
            log::error!(target: "tulipa", "dropping what a client had panicked: {panic}");
        }
        self.drop_what_users_gave();
    }
}
