//! Where a [`LoopingCall`] stands, and how it goes on.
//!
//! It is stopped, waits for a timer, or makes a call; what is to come after the call is noted meanwhile. So
//! there is never a second call at a time, whatever the function does from inside. The function runs, and
//! is dropped, while nothing is borrowed.

use super::grid::Grid;
use super::{Chance, FirstCall, LateCalls, LoopingCall, OnFailure};
use crate::call_result::{Outcome, ended_how};
use crate::future::WeakFuture;
use crate::{
    Callback, Exception, ExceptionContext, Future, Instant, InvalidStateError, Scheduler,
    TimerHandle, catch,
};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

type Function = Box<dyn FnMut(&LoopingCall, u64) -> Outcome>;

pub(super) struct Inner {
    pub(super) scheduler: Rc<dyn Scheduler>,
    pub(super) location: &'static Location<'static>,
    pub(super) late: Cell<LateCalls>,
    on_failure: OnFailure,
    /// Taken out while it runs.
    function: Cell<Option<Function>>,
    jitter: Cell<Option<Jitter>>,
    state: RefCell<State>,
}

struct Jitter {
    fraction: f64,
    chance: Chance,
}

enum State {
    Stopped,
    /// The timer is for the call for `line`.
    Waiting {
        run: Run,
        line: u64,
        timer: TimerHandle,
    },
    /// The function runs, or its future is pending. That keeps this, to tell it of its end; so this does
    /// not keep it.
    Calling {
        run: Run,
        future: Option<WeakFuture<()>>,
        shift: f64,
        then: Then,
    },
}

/// What comes after a call.
enum Then {
    GoOn,
    Stop,
    /// It was stopped, and started again.
    Begin(Run, FirstCall, f64),
}

/// From a start to its stop.
struct Run {
    grid: Grid,
    completion: Future<()>,
}

impl Inner {
    pub(super) fn new(
        scheduler: Rc<dyn Scheduler>,
        location: &'static Location<'static>,
        on_failure: OnFailure,
        function: Function,
    ) -> Self {
        Self {
            scheduler,
            location,
            late: Cell::default(),
            on_failure,
            function: Cell::new(Some(function)),
            jitter: Cell::new(None),
            state: RefCell::new(State::Stopped),
        }
    }

    pub(super) fn set_jitter(&self, fraction: f64, chance: Chance) -> impl Sized {
        self.jitter.replace(Some(Jitter { fraction, chance }))
    }

    #[track_caller]
    pub(super) fn start(
        self: &Rc<Self>,
        interval: Duration,
        first: FirstCall,
    ) -> Result<Future<()>, InvalidStateError> {
        let shift = self.draw();
        if self.scheduler.is_closed() {
            return Err(InvalidStateError::new("LoopingCall::start: the event loop is closed"));
        }
        if self.running() {
            return Err(InvalidStateError::new("LoopingCall::start: it is running already"));
        }
        let completion = Future::new(self.scheduler.clone());
        let grid = Grid::new(self.scheduler.time(), interval);
        let run = Run { grid, completion: completion.clone() };
        let this = Rc::downgrade(self);
        completion.add_done_callback(move |_| {
            if let Some(this) = this.upgrade() {
                this.notice_end();
            }
        });
        let run = match &mut *self.state.borrow_mut() {
            State::Calling { then, .. } => {
                *then = Then::Begin(run, first, shift);
                None
            }
            _ => Some(run),
        };
        match (run, first) {
            (None, _) => {}
            (Some(run), FirstCall::Now) => self.call(run, 0),
            (Some(run), FirstCall::AfterInterval) => self.wait(run, 1, shift),
        }
        Ok(completion)
    }

    pub(super) fn stop(&self) -> Result<(), InvalidStateError> {
        self.notice_end();
        let ended = {
            let mut state = self.state.borrow_mut();
            match &mut *state {
                State::Waiting { .. } => std::mem::replace(&mut *state, State::Stopped),
                State::Calling { then: then @ Then::GoOn, .. } => {
                    *then = Then::Stop;
                    return Ok(());
                }
                State::Calling { then: then @ Then::Begin(..), .. } => {
                    let begin = std::mem::replace(then, Then::Stop);
                    drop(state);
                    if let Then::Begin(run, ..) = begin {
                        self.finish(run, Ok(()));
                    }
                    return Ok(());
                }
                State::Stopped | State::Calling { then: Then::Stop, .. } => {
                    return Err(not_running("stop"));
                }
            }
        };
        if let State::Waiting { run, timer, .. } = ended {
            timer.cancel();
            self.finish(run, Ok(()));
        }
        Ok(())
    }

    pub(super) fn reset(&self) -> Result<(), InvalidStateError> {
        let shift = self.draw();
        self.notice_end();
        let now = self.scheduler.time();
        match &mut *self.state.borrow_mut() {
            State::Waiting { run, line, timer } => {
                run.grid = Grid::new(now, run.grid.interval());
                *line = 1;
                timer.reschedule(run.grid.due(1, now, shift));
            }
            State::Calling { run, then: Then::GoOn, .. } => {
                run.grid = Grid::new(now, run.grid.interval());
            }
            State::Calling { then: Then::Begin(run, first, _), .. } => {
                run.grid = Grid::new(now, run.grid.interval());
                *first = FirstCall::AfterInterval;
            }
            State::Stopped | State::Calling { then: Then::Stop, .. } => {
                return Err(not_running("reset"));
            }
        }
        Ok(())
    }

    pub(super) fn running(&self) -> bool {
        self.notice_end();
        self.interval().is_some()
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        match &*self.state.borrow() {
            State::Waiting { run, .. }
            | State::Calling { run, then: Then::GoOn, .. }
            | State::Calling { then: Then::Begin(run, ..), .. } => {
                (!run.completion.done()).then(|| run.grid.interval())
            }
            State::Stopped | State::Calling { then: Then::Stop, .. } => None,
        }
    }

    /// Makes the call for `line`.
    fn call(self: &Rc<Self>, mut run: Run, line: u64) {
        let count = run.grid.pass(line, self.scheduler.time());
        let calling = State::Calling { run, future: None, shift: 0.0, then: Then::GoOn };
        self.state.replace(calling);
        // Before the call, so that nothing of the user's runs between its end and the next wait.
        let drawn = self.draw();
        let mut function = self.function.take().expect("there is one call at a time");
        let outcome = function(&LoopingCall(self.clone()), count);
        self.function.set(Some(function));
        match outcome {
            Outcome::Done(result) => {
                self.note_shift(drawn, None);
                self.call_ended(result);
            }
            Outcome::Pending(future) => {
                self.note_shift(drawn, Some(future.downgrade()));
                let this = self.clone();
                future.add_done_callback(move |future| this.call_ended(ended_how(future)));
            }
        }
    }

    fn note_shift(&self, drawn: f64, pending: Option<WeakFuture<()>>) {
        if let State::Calling { shift, future, .. } = &mut *self.state.borrow_mut() {
            (*shift, *future) = (drawn, pending);
        }
    }

    fn call_ended(self: &Rc<Self>, result: Result<(), Exception>) {
        let State::Calling { run, shift, then, .. } = self.state.replace(State::Stopped) else {
            return;
        };
        let result = match (result, self.on_failure) {
            (Err(exception), OnFailure::GoOn) if !run.completion.done() => {
                // Whoever is told may look at this, so it is not stopped yet.
                self.state.replace(State::Calling { run, future: None, shift, then });
                self.report(exception);
                return self.call_ended(Ok(()));
            }
            (result, _) => result,
        };
        match then {
            Then::GoOn if result.is_ok() && !run.completion.done() => self.go_on(run, shift),
            Then::GoOn | Then::Stop => self.finish(run, result),
            Then::Begin(next, first, shift) => {
                // In a turn of its own: a function that begins anew each time must not recurse.
                match first {
                    FirstCall::Now => self.wait_until(next, 0, self.scheduler.time()),
                    FirstCall::AfterInterval => {
                        let line = next.grid.next(self.scheduler.time());
                        self.wait(next, line, shift);
                    }
                }
                // Last: whoever is woken by that finds it running.
                self.finish(run, result);
            }
        }
    }

    /// Waits for the next call of a run.
    fn go_on(self: &Rc<Self>, mut run: Run, shift: f64) {
        let now = self.scheduler.time();
        if self.late.get() == LateCalls::MoveGrid && run.grid.is_late(now) {
            run.grid = Grid::new(now, run.grid.interval());
        }
        let line = run.grid.next(now);
        self.wait(run, line, shift);
    }

    fn wait(self: &Rc<Self>, run: Run, line: u64, shift: f64) {
        let due = run.grid.due(line, self.scheduler.time(), shift);
        self.wait_until(run, line, due);
    }

    fn wait_until(self: &Rc<Self>, run: Run, line: u64, due: Instant) {
        let this = self.clone();
        let callback = Callback::at(self.location, move || this.timer_fired());
        match self.scheduler.schedule_at(due, callback) {
            Ok(timer) => {
                self.state.replace(State::Waiting { run, line, timer });
            }
            Err(closed) => {
                self.state.replace(State::Stopped);
                drop(closed);
                run.completion.cancel_with("the event loop is closed");
            }
        }
    }

    fn timer_fired(self: &Rc<Self>) {
        let State::Waiting { run, line, .. } = self.state.replace(State::Stopped) else { return };
        // Cancelled, and not told yet.
        if !run.completion.done() {
            self.call(run, line);
        }
    }

    /// Stops if whoever started it has cancelled the future of that, or has completed it by hand. It is
    /// told of that in a turn of its own, and asks wherever it would matter before.
    fn notice_end(&self) {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Waiting { run, .. } if run.completion.done() => {
                let ended = std::mem::replace(&mut *state, State::Stopped);
                drop(state);
                if let State::Waiting { timer, .. } = ended {
                    timer.cancel();
                }
            }
            State::Calling { run, future, then: then @ Then::GoOn, .. }
                if run.completion.done() =>
            {
                *then = Then::Stop;
                let pending = future.take().and_then(|future| future.upgrade());
                drop(state);
                if let Some(pending) = pending {
                    pending.cancel();
                }
            }
            State::Calling { run, future, then, .. } => {
                // Who waits for the end of the last call may lose patience too.
                let pending = if run.completion.cancelled() { future.take() } else { None };
                let pending = pending.and_then(|future| future.upgrade());
                let replaced = match then {
                    Then::Begin(next, ..) if next.completion.done() => {
                        Some(std::mem::replace(then, Then::Stop))
                    }
                    _ => None,
                };
                drop(state);
                drop(replaced);
                if let Some(pending) = pending {
                    pending.cancel();
                }
            }
            State::Stopped | State::Waiting { .. } => {}
        }
    }

    /// Tells whoever started it; or everybody of a failure, if they have cancelled meanwhile.
    fn finish(&self, run: Run, result: Result<(), Exception>) {
        match result {
            Err(exception) if run.completion.done() => {
                self.report_as("a call of a looping call failed after its end", exception);
            }
            // It may be done: then there is nothing to tell.
            result => drop(run.completion.set_outcome(result)),
        }
    }

    /// How far, in intervals, chance moves the next call.
    fn draw(&self) -> f64 {
        let Some(mut jitter) = self.jitter.take() else { return 0.0 };
        let drawn = catch(&mut jitter.chance);
        let fraction = jitter.fraction;
        self.jitter.set(Some(jitter));
        match drawn {
            // What is no number counts as none.
            Ok(drawn) if drawn.is_finite() => (drawn.clamp(0.0, 1.0) - 0.5) * fraction,
            Ok(_) => 0.0,
            Err(panic) => {
                self.report(panic);
                0.0
            }
        }
    }

    fn report(&self, exception: Exception) {
        self.report_as("a call of a looping call failed; it goes on", exception);
    }

    fn report_as(&self, message: &'static str, exception: Exception) {
        if exception.is_cancelled() {
            return;
        }
        let mut context = ExceptionContext::with_exception(message, exception);
        context.created_at = Some(self.location);
        self.scheduler.call_exception_handler(context);
    }
}

fn not_running(operation: &str) -> InvalidStateError {
    InvalidStateError::new(format!("LoopingCall::{operation}: it is not running"))
}
