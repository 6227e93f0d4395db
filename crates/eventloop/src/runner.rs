//! [`run`] and [`Runner`]: from a coroutine to a program, with an orderly end.
//!
//! ```text
//! run(main) ── make a loop ── run main as a task ── shut down ── close ──► main's result
//!                              ▲ SIGINT: cancel     cancel all tasks, in rounds, with a deadline
//!                                again: abort       abort what is left; end the executor
//! ```
//!
//! Invariant: however `main` ends, by a value, an error, a panic or a signal, what it left behind is
//! shut down, and whatever fails meanwhile is reported.

mod builder;
mod interrupt;
mod shutdown;

pub use builder::RunnerBuilder;

use crate::completion::{MadeHere, check_runnable};
use crate::{
    AbstractEventLoop, AbstractEventLoopExt, EventLoop, Interrupted, RunError, try_current,
};
use builder::{LoopFactory, Settings};
use futures::{Exception, InvalidStateError, Task, TaskBuilder, TaskContext};
use interrupt::SigintWatch;
use shutdown::shut_down;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;

/// Makes a loop, runs the coroutine `main` to its end, shuts everything down in order, and gives
/// `main`'s result (T-82): what asyncio calls `asyncio.run`.
///
/// The shutdown is that of [`Runner::close`], whatever came of `main` (T-86); a panic of `main` goes on
/// after it (D11).
///
/// # SIGINT
/// On the main thread of the process, if nobody else handles SIGINT, Ctrl-C cancels `main` (T-85): its
/// `.await` fails with [`CancelledError`](futures::CancelledError), and it may clean up, awaiting what
/// it needs. If it then ends cancelled, `run` gives [`Interrupted`]; if it returns something else, that
/// is the result. A second SIGINT aborts `main` and all other tasks where they stand; so does one that
/// comes during the shutdown. A third one that finds the loop stuck in somebody's callback does what
/// SIGINT does by default. Afterwards SIGINT does again what it did before.
/// [`RunnerBuilder::handle_sigint`] switches this off.
///
/// What a program makes of [`Interrupted`] is its own affair. A shell expects a program that was
/// interrupted to die of the signal, which [`Interrupted::kill_process`] does; an exit status of 130
/// looks the same to many:
///
/// ```
/// use std::process::ExitCode;
/// use tulipa_eventloop::{Interrupted, run};
///
/// fn main() -> ExitCode {
///     match run(serve()) {
///         Ok(()) => ExitCode::SUCCESS,
///         Err(error) if error.is::<Interrupted>() => ExitCode::from(130),
///         Err(error) => {
///             eprintln!("{error:?}");
///             ExitCode::FAILURE
///         }
///     }
/// }
///
/// async fn serve() -> Result<(), futures::Exception> {
///     futures::sleep(std::time::Duration::from_millis(1)).await
/// }
/// ```
///
/// # Errors
/// `main`'s exception; [`Interrupted`]; [`RunError::AnotherIsRunning`] inside of a running loop, and
/// what the system says if no loop can be made: then `main` is dropped without having run.
///
/// # Panics
/// If `main` panics, or passes on another task's panic as its own error.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let answer = tulipa_eventloop::run(async {
///     let half = futures::create_task(async {
///         futures::sleep(Duration::from_millis(2)).await?;
///         Ok(21)
///     });
///     Ok(2 * half.await?)
/// })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), futures::Exception>(())
/// ```
#[track_caller]
pub fn run<T: 'static>(
    main: impl std::future::Future<Output = Result<T, Exception>> + 'static,
) -> Result<T, Exception> {
    let location = Location::caller();
    run_and_close(|runner| {
        runner.run_at(location, |task, it, context| task.create_task(it, context.kept_by(main)))
    })
}

/// As [`run`], for a coroutine that cannot fail: its output is the value.
///
/// # Errors
/// As [`run`], but for `main`'s own.
///
/// # Panics
/// If `main` panics.
///
/// # Examples
/// ```
/// let sum = tulipa_eventloop::run_value(async { (1..=4).sum::<u32>() })?;
/// assert_eq!(sum, 10);
/// # Ok::<(), futures::Exception>(())
/// ```
#[track_caller]
pub fn run_value<T: 'static>(
    main: impl std::future::Future<Output = T> + 'static,
) -> Result<T, Exception> {
    let location = Location::caller();
    run_and_close(|runner| {
        runner.run_at(location, |task, it, context| task.spawn(it, context.kept_by(main)))
    })
}

/// Runs with a runner of its own, which is closed before anything leaves.
fn run_and_close<T>(run: impl FnOnce(&mut Runner) -> Result<T, Exception>) -> Result<T, Exception> {
    let mut runner = Runner::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut runner)));
    let closed = runner.close();
    match outcome {
        Ok(Ok(value)) => closed.map(|()| value),
        Ok(Err(exception)) => Err(exception),
        Err(panic) => resume_unwind(panic),
    }
}

/// Goes with a main coroutine, and keeps its last context for the next one.
struct KeptContext(Rc<RefCell<TaskContext>>);

impl KeptContext {
    async fn kept_by<F: std::future::Future>(self, main: F) -> F::Output {
        main.await
    }
}

impl Drop for KeptContext {
    fn drop(&mut self) {
        let before = self.0.replace(TaskContext::current());
        drop(before);
    }
}

/// Runs coroutines, one after the other, on one loop and in one context (T-83).
///
/// The loop is made when it is first needed. What one coroutine leaves behind (tasks, timers,
/// transports) goes on while the next one runs, and task-local values that it set are there for the
/// next one. [`close`](Runner::close), or the drop, ends all of it in good order.
///
/// # Examples
/// ```
/// use tulipa_eventloop::Runner;
/// let mut runner = Runner::new();
/// let task = runner.run(async { Ok(futures::spawn(async { "from afar" })) })?;
/// assert_eq!(runner.run(task)?, "from afar");
/// runner.close()?;
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct Runner {
    settings: Settings,
    stage: Stage,
    /// What the next coroutine begins with.
    context: TaskContext,
    /// Somebody was in a hurry: nothing is waited for any more.
    hasty: Rc<Cell<bool>>,
}

enum Stage {
    Unmade(LoopFactory),
    Made(OwnedLoop),
    Closed,
}

/// A loop that the runner closes.
pub(crate) struct OwnedLoop {
    event_loop: Rc<dyn AbstractEventLoop>,
    _owner: Option<EventLoop>,
}

impl From<EventLoop> for OwnedLoop {
    fn from(owner: EventLoop) -> Self {
        Self { event_loop: owner.to_event_loop(), _owner: Some(owner) }
    }
}

impl From<Rc<dyn AbstractEventLoop>> for OwnedLoop {
    fn from(event_loop: Rc<dyn AbstractEventLoop>) -> Self {
        Self { event_loop, _owner: None }
    }
}

impl Runner {
    /// A runner with the usual settings. It makes no loop yet.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The settings, to be changed before a runner is made.
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder::new()
    }

    fn with(factory: LoopFactory, settings: Settings) -> Self {
        let context = TaskContext::current();
        Self { settings, stage: Stage::Unmade(factory), context, hasty: Rc::default() }
    }

    /// The loop, which is made if this is the first call.
    ///
    /// # Errors
    /// What the system says if it cannot be made; [`InvalidStateError`] once the runner is closed.
    pub fn get_loop(&mut self) -> Result<Rc<dyn AbstractEventLoop>, Exception> {
        match &self.stage {
            Stage::Made(made) => Ok(made.event_loop.clone()),
            Stage::Closed => Err(InvalidStateError::new("the runner is closed").into()),
            Stage::Unmade(_) => self.make_loop(),
        }
    }

    fn make_loop(&mut self) -> Result<Rc<dyn AbstractEventLoop>, Exception> {
        // A factory that fails or panics has been used up.
        let Stage::Unmade(make) = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return self.get_loop();
        };
        let made = make()?;
        let event_loop = made.event_loop.clone();
        self.stage = Stage::Made(made);
        if let Some(debug) = self.settings.debug {
            event_loop.set_debug(debug);
        }
        Ok(event_loop)
    }

    /// Runs `main` to its end, as a task, and gives its result. See [`run`](crate::run()), also for
    /// what SIGINT does; here nothing is shut down yet.
    ///
    /// # Errors
    /// As [`run`](crate::run()), and [`InvalidStateError`] once the runner is closed;
    /// [`RunError::Stopped`] if something stopped the loop first.
    ///
    /// # Panics
    /// If `main` panics.
    #[track_caller]
    pub fn run<T: 'static>(
        &mut self,
        main: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Result<T, Exception> {
        self.run_at(Location::caller(), |task, event_loop, context| {
            task.create_task(event_loop, context.kept_by(main))
        })
    }

    /// As [`run`](Runner::run), for a coroutine that cannot fail: its output is the value.
    ///
    /// # Errors
    /// As [`run`](Runner::run), but for `main`'s own.
    ///
    /// # Panics
    /// If `main` panics.
    #[track_caller]
    pub fn run_value<T: 'static>(
        &mut self,
        main: impl std::future::Future<Output = T> + 'static,
    ) -> Result<T, Exception> {
        self.run_at(Location::caller(), |task, event_loop, context| {
            task.spawn(event_loop, context.kept_by(main))
        })
    }

    fn run_at<T: 'static>(
        &mut self,
        location: &'static Location<'static>,
        make: impl FnOnce(TaskBuilder, &dyn AbstractEventLoop, KeptContext) -> Task<T>,
    ) -> Result<T, Exception> {
        if try_current().is_some() {
            return Err(RunError::AnotherIsRunning.into());
        }
        let event_loop = self.get_loop()?;
        check_runnable(&*event_loop)?;
        let builder = TaskBuilder::new().created_at(location).context(self.context.clone());
        let context = Rc::new(RefCell::new(TaskContext::default()));
        let main = make(builder, &*event_loop, KeptContext(context.clone()));
        // It is shut down with the others, or whoever gets an error knows that it did not end.
        main.set_exempt();
        let _made_here = MadeHere(&main);
        let main_task = main.to_ref();
        let watch = self.watch_sigint(&event_loop, move |count| {
            let Some(main) = &main_task else { return };
            match count {
                1 => main.cancel_with("interrupted by SIGINT"),
                _ => main.abort(),
            };
        });
        let outcome = catch_unwind(AssertUnwindSafe(|| event_loop.run_until_complete(&main)));
        let interrupts = watch.as_ref().map_or(0, SigintWatch::count);
        drop(watch);
        self.context = context.take();
        if interrupts > 1 {
            self.hasty.set(true);
        }
        match outcome {
            Ok(Err(exception)) if exception.is_cancelled() && interrupts > 0 => {
                // Unless somebody else had asked for it as well.
                match main.uncancel() == 0 || interrupts > 1 {
                    true => Err(Interrupted::new().into()),
                    false => Err(exception),
                }
            }
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Ends everything in good order, and closes the loop (T-86). Idempotent; harmless if no loop was
    /// made.
    ///
    /// First what is [to be done before a shutdown](crate::SystemEvent::Shutdown) is done (W-37). Then all
    /// tasks are cancelled, and the loop runs until they have ended; those that are made meanwhile
    /// are cancelled in further rounds (T-87). What does not end in time is aborted. Then the default
    /// executor is shut down within its own time, and the loop is closed. What fails meanwhile goes to
    /// the exception handler: each task with an exception that is no cancellation, and each that had
    /// to be aborted. [`RunnerBuilder`] has the limits. After a second SIGINT, or one that comes during
    /// the shutdown, nothing is waited for.
    ///
    /// # Errors
    /// [`Interrupted`] by a SIGINT during the shutdown; [`RunError`] if the loop cannot run: inside of
    /// another one, or because its poller fails. The loop is closed all the same.
    ///
    /// # Panics
    /// If a failure occurs that nobody asks for, and the loop's policy is
    /// [`UnretrievedFailure::Panic`](crate::UnretrievedFailure::Panic).
    pub fn close(&mut self) -> Result<(), Exception> {
        let Stage::Made(made) = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return Ok(());
        };
        self.context = TaskContext::default();
        let event_loop = &*made.event_loop;
        if event_loop.is_closed() {
            return Ok(());
        }
        let hasty = self.hasty.clone();
        let watch = self.watch_sigint(&made.event_loop, move |_| hasty.set(true));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            shut_down(event_loop, &self.settings.limits, &self.hasty)
        }));
        let interrupted = watch.as_ref().is_some_and(|watch| watch.count() > 0);
        drop(watch);
        let closed = event_loop.close();
        match ended {
            Ok(Ok(())) if interrupted => Err(Interrupted::new().into()),
            Ok(ended) => ended.and(closed.map_err(Exception::from)),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Has `react` told of each SIGINT, if that is wanted and ours to do.
    fn watch_sigint(
        &self,
        event_loop: &Rc<dyn AbstractEventLoop>,
        react: impl FnMut(u32) + 'static,
    ) -> Option<SigintWatch> {
        self.settings.handle_sigint.then(|| SigintWatch::begin(event_loop, react)).flatten()
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let closed = catch_unwind(AssertUnwindSafe(|| self.close()));
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                log::error!(target: "tulipa", "a runner was not closed in good order: {error:?}");
            }
            // A second panic while one unwinds would end the process.
            Err(panic) if !std::thread::panicking() => resume_unwind(panic),
            Err(_) => {}
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Unmade(_) => "Runner(no loop yet)",
            Stage::Made(_) => "Runner(with a loop)",
            Stage::Closed => "Runner(closed)",
        })
    }
}
