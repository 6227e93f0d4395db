//! Errors that have no caller, and callbacks that are slow.

use super::attention::STOP;
use super::{LoopCore, Phase};
use crate::{Direction, RunError, Source, UnretrievedFailure};
use futures::{Exception, ExceptionContext, PanicError, catch, catch_silently};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

impl LoopCore {
    /// Tells the exception handler; if that fails, the default one is told of both (D-10).
    pub(super) fn report(&self, context: ExceptionContext) {
        self.counters.errors.add(1);
        if context.never_retrieved {
            self.failure_was_not_retrieved(context.exception.as_ref());
        }
        let handler = self.exception_handler.borrow().clone();
        match (handler, self.this.upgrade()) {
            (Some(handler), Some(event_loop)) => {
                if let Err(panic) = catch(|| handler(&*event_loop, &context)) {
                    let message = format!(
                        "Unhandled error in exception handler, while it handled: {context}"
                    );
                    self.report_by_default(ExceptionContext::with_exception(message, panic));
                }
                self.drop_contained(handler);
                catch_silently(|| drop(context));
            }
            _ => self.report_by_default(context),
        }
    }

    /// Has the run end for a failure that nobody asked for, if that is the policy.
    fn failure_was_not_retrieved(&self, failure: Option<&Exception>) {
        if self.settings.unretrieved_failure == UnretrievedFailure::Log
            || self.phase.get() == Phase::Closed
        {
            return;
        }
        if let Some(failure) = failure {
            self.fatal_failure.borrow_mut().get_or_insert_with(|| failure.clone());
        }
        if self.phase.get() == Phase::Running {
            self.attention.set(STOP);
        }
    }

    /// Whether a failure was found that nobody asked for and that ends the run.
    pub(super) fn has_fatal_failure(&self) -> bool {
        self.fatal_failure.borrow().is_some()
    }

    /// The outcome of a run, which is over: the failure that ended it, if there was one.
    ///
    /// # Panics
    /// With that failure, if that is the policy.
    pub(super) fn outcome_of_run(&self, outcome: Result<(), RunError>) -> Result<(), RunError> {
        let Some(failure) = self.fatal_failure.take() else { return outcome };
        match self.settings.unretrieved_failure {
            UnretrievedFailure::Panic => raise(&failure),
            UnretrievedFailure::Stop | UnretrievedFailure::Log => {
                Err(RunError::UnretrievedFailure(failure))
            }
        }
    }

    /// One record in the log; a test's loop remembers the first panic, to resume it at its end.
    fn report_by_default(&self, context: ExceptionContext) {
        self.log_report(&context);
        catch_silently(|| drop(context));
    }

    /// See [`report_by_default`](Self::report_by_default).
    pub(super) fn log_report(&self, context: &ExceptionContext) {
        if self.settings.keep_first_panic
            && let Some(exception) = &context.exception
            && exception.panicked().is_some()
        {
            self.first_panic.borrow_mut().get_or_insert_with(|| exception.clone());
        }
        if self.counters.may_log_error(self.clock.coarse_now()) {
            // A logger that panics must not take the loop with it: there is nobody left to tell.
            catch_silently(|| log::error!(target: "tulipa", "{context}"));
        }
    }

    pub(crate) fn take_first_panic(&self) -> Option<Exception> {
        self.first_panic.borrow_mut().take()
    }

    /// Reports a callback's panic (D-7).
    #[cold]
    pub(super) fn callback_failed(&self, turn: &Turn<'_>, panic: Exception) {
        self.counters.panics.add(1);
        let mut context = ExceptionContext::with_exception("Exception in callback", panic);
        // A source of somebody else's may not even be able to say what it is.
        if let Ok((handle, location)) = catch(|| (turn.to_string(), turn.location())) {
            context.handle = Some(handle);
            context.created_at = location;
        }
        self.report(context);
    }

    /// Reports the panic of a destructor.
    #[cold]
    pub(super) fn destructor_failed(&self, panic: Exception) {
        self.counters.panics.add(1);
        self.report(ExceptionContext::with_exception("Exception in a destructor", panic));
    }

    /// Drops what belongs to a user; a panic of its destructor is reported.
    #[inline]
    pub(super) fn drop_contained<T>(&self, value: T) {
        // Dropped where it lies: to move it once more costs more than most drops.
        let mut value = Some(value);
        if let Err(panic) = catch(|| value = None) {
            self.destructor_failed(panic);
        }
    }

    /// Runs one turn in debug mode: with a report if it takes long (D-3).
    #[cold]
    pub(super) fn run_timed(&self, turn: &Turn<'_>, run: impl FnOnce()) {
        let start = self.clock.now();
        let outcome = catch(run);
        let took = self.clock.now() - start;
        if took >= self.slow_callback_duration.get() {
            self.counters.slow_callbacks.add(1);
            let seconds = took.as_secs_f64();
            // As for errors: a logger that panics must not take the loop with it.
            catch_silently(|| match turn.location() {
                Some(location) => log::warn!(
                    target: "tulipa",
                    "Executing the {turn} created at {location} took {seconds:.3} s"
                ),
                None => log::warn!(target: "tulipa", "Executing the {turn} took {seconds:.3} s"),
            });
        }
        if let Err(panic) = outcome {
            self.callback_failed(turn, panic);
        }
    }
}

/// Panics with `failure`: with its own payload if it was a panic.
fn raise(failure: &Exception) -> ! {
    if let Some(panic) = failure.downcast_ref::<PanicError>()
        && let Some(payload) = panic.take_payload()
    {
        std::panic::resume_unwind(payload);
    }
    panic!("a failure was never retrieved: {failure:?}");
}

/// What a turn is, for reports.
pub(super) enum Turn<'a> {
    Callback(&'static Location<'static>),
    Step {
        /// Its name, in debug mode.
        task: Option<Rc<str>>,
        location: &'static Location<'static>,
    },
    Timer(&'static Location<'static>),
    Io {
        source: &'a dyn Source,
        direction: Direction,
    },
    Hook,
}

impl Turn<'_> {
    fn location(&self) -> Option<&'static Location<'static>> {
        match self {
            Turn::Callback(location) | Turn::Timer(location) | Turn::Step { location, .. } => {
                Some(location)
            }
            Turn::Io { source, direction } => source.created_at(*direction),
            Turn::Hook => None,
        }
    }
}

impl fmt::Display for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Turn::Callback(_) => f.write_str("callback"),
            Turn::Step { task: None, .. } => f.write_str("step of a task"),
            Turn::Step { task: Some(name), .. } => write!(f, "step of the task {name}"),
            Turn::Timer(_) => f.write_str("timer"),
            Turn::Io { source, direction: Direction::Read } => {
                write!(f, "reader of {}", source.describe())
            }
            Turn::Io { source, direction: Direction::Write } => {
                write!(f, "writer of {}", source.describe())
            }
            Turn::Hook => f.write_str("iteration hook"),
        }
    }
}
