//! [`SystemEventLoop`]: what is to be done when the loop starts, and when it shuts down.
//!
//! Triggers are kept by the loop, and each is run once. They run while nothing is borrowed: so one may add
//! and remove others, and what it adds for the phase that runs still runs in it.

use crate::{AbstractEventLoop, AbstractEventLoopExt};
use futures::__private::Outcome;
use futures::{
    CallResult, ClosedError, Exception, ExceptionContext, Future, SchedulerExt, TaskBuilder, catch,
};
use indexmap::IndexMap;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// A moment in a loop's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemEvent {
    /// The loop begins to run for the first time. A trigger that is added later runs in the next turn.
    Startup,
    /// The loop is being shut down: by [`run`](crate::run) or a [`Runner`](crate::Runner) at its end, or by
    /// [`fire_system_event`](SystemEventLoop::fire_system_event). A loop that is just closed or dropped runs
    /// nothing any more, so neither triggers.
    Shutdown,
}

/// When, of a [`SystemEvent`], a trigger runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TriggerPhase {
    /// First, while everything is as it was: to say goodbye, to take no more work. At a shutdown all tasks
    /// still run.
    Before,
    /// Then: at a shutdown by a runner right before the tasks are cancelled.
    During,
    /// Last: at a shutdown by a runner when the tasks have ended. The loop still runs.
    After,
}

impl TriggerPhase {
    const ALL: [TriggerPhase; 3] =
        [TriggerPhase::Before, TriggerPhase::During, TriggerPhase::After];
}

/// Names a trigger of a loop, to [remove](SystemEventLoop::remove_system_event_trigger) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SystemEventTrigger(u64);

/// Twisted's system events (W-37), on every event loop.
///
/// # Examples
/// ```
/// use tulipa_eventloop::{TriggerPhase, Runner, SystemEvent, SystemEventLoop};
/// let mut runner = Runner::new();
/// let event_loop = runner.get_loop()?;
/// event_loop.call_when_running(|| println!("it runs"));
/// event_loop.add_system_event_trigger(TriggerPhase::Before, SystemEvent::Shutdown, || async {
///     println!("saying goodbye to everybody"); // which may take a while, and is waited for
/// });
/// runner.run(async { Ok(()) })?;
/// runner.close()?;
/// # Ok::<(), futures::Exception>(())
/// ```
pub trait SystemEventLoop: AbstractEventLoop {
    /// Calls `function` when the loop runs: at once, if it is running; else at its start, in the order of
    /// the calls.
    #[doc(alias = "callWhenRunning")]
    #[track_caller]
    fn call_when_running(&self, function: impl FnOnce() + 'static) {
        match self.is_running() {
            true => function(),
            false => {
                self.add_system_event_trigger(TriggerPhase::After, SystemEvent::Startup, function);
            }
        }
    }

    /// Has `function` called at a phase of an event, once, after the triggers that were added for that phase
    /// before. It may give a future or coroutine: the next phase begins when those of all are done.
    ///
    /// One that fails or panics is reported, and keeps none of the others from running. On a closed loop it
    /// is dropped and that is reported.
    #[doc(alias = "addSystemEventTrigger")]
    #[track_caller]
    fn add_system_event_trigger<Kind, R: CallResult<Kind>>(
        &self,
        phase: TriggerPhase,
        event: SystemEvent,
        function: impl FnOnce() -> R + 'static,
    ) -> SystemEventTrigger {
        let location = Location::caller();
        let function: Function = Box::new(move |event_loop| {
            let event_loop = event_loop.to_rc();
            Outcome::of(&*event_loop, location, function)
        });
        let triggers = Triggers::of(self);
        let id = triggers.add(Trigger { event, phase, function, location });
        if self.is_closed() {
            let message =
                "add_system_event_trigger on a closed event loop: the trigger was dropped";
            let mut context = ExceptionContext::with_exception(message, ClosedError);
            context.created_at = Some(location);
            drop(triggers); // nobody keeps it
            self.call_exception_handler(context);
        } else if event == SystemEvent::Startup {
            schedule_startup(&triggers, self.to_event_loop());
        }
        id
    }

    /// Removes a trigger, and says whether it was there: false once it has been run.
    #[doc(alias = "removeSystemEventTrigger")]
    fn remove_system_event_trigger(&self, trigger: SystemEventTrigger) -> bool {
        let removed = Triggers::of(self).waiting.borrow_mut().shift_remove(&trigger.0);
        removed.is_some() // dropped here, after the borrow: its captures are user values
    }

    /// Runs the triggers of an event, phase by phase, and gives a future that is done when all have ended:
    /// for a loop that no [`Runner`](crate::Runner) shuts down. What has been run is not run again. Cancelling
    /// it cancels what the triggers gave, and no further phase begins.
    #[doc(alias = "fireSystemEvent")]
    #[track_caller]
    fn fire_system_event(&self, event: SystemEvent) -> Future<()> {
        let name = format!("{event:?}");
        let task = TaskBuilder::new().name(name).created_at(Location::caller());
        task.create_task(self, run_phases(self.to_event_loop(), event)).into()
    }
}

impl<L: AbstractEventLoop + ?Sized> SystemEventLoop for L {}

type Function = Box<dyn FnOnce(&dyn AbstractEventLoop) -> Outcome>;

struct Trigger {
    event: SystemEvent,
    phase: TriggerPhase,
    function: Function,
    location: &'static Location<'static>,
}

/// The triggers of a loop that have yet to run, in the order of their additions.
#[derive(Default)]
struct Triggers {
    waiting: RefCell<IndexMap<u64, Trigger>>,
    next: Cell<u64>,
    /// The startup is to come, or going on.
    starting: Cell<bool>,
}

impl Triggers {
    fn of(event_loop: &(impl AbstractEventLoop + ?Sized)) -> Rc<Self> {
        event_loop.local(Self::default)
    }

    fn add(&self, trigger: Trigger) -> SystemEventTrigger {
        let id = self.next.replace(self.next.get() + 1);
        self.waiting.borrow_mut().insert(id, trigger);
        SystemEventTrigger(id)
    }

    fn take(&self, event: SystemEvent, phase: TriggerPhase) -> Option<Trigger> {
        let mut waiting = self.waiting.borrow_mut();
        let is_next = |trigger: &Trigger| trigger.event == event && trigger.phase == phase;
        let index = waiting.values().position(is_next)?;
        waiting.shift_remove_index(index).map(|(_, trigger)| trigger)
    }

    fn has_any(&self, event: SystemEvent, phase: Option<TriggerPhase>) -> bool {
        let waiting = self.waiting.borrow();
        waiting.values().any(|it| it.event == event && phase.is_none_or(|phase| it.phase == phase))
    }
}

/// Whether something is to be done.
pub(crate) fn has_triggers(
    event_loop: &dyn AbstractEventLoop,
    event: SystemEvent,
    phase: TriggerPhase,
) -> bool {
    Triggers::of(event_loop).has_any(event, Some(phase))
}

async fn run_phases(
    event_loop: Rc<dyn AbstractEventLoop>,
    event: SystemEvent,
) -> Result<(), Exception> {
    for phase in TriggerPhase::ALL {
        run_phase(&event_loop, event, phase).await?;
    }
    Ok(())
}

/// Runs the triggers of one phase, then waits for what they gave.
pub(crate) async fn run_phase(
    event_loop: &Rc<dyn AbstractEventLoop>,
    event: SystemEvent,
    phase: TriggerPhase,
) -> Result<(), Exception> {
    let triggers = Triggers::of(&**event_loop);
    let report = |exception: Exception, location| {
        let message = format!("a trigger of {phase:?} {event:?} failed");
        let mut context = ExceptionContext::with_exception(message, exception);
        context.created_at = Some(location);
        event_loop.call_exception_handler(context);
    };
    let mut pending = Vec::new();
    while let Some(Trigger { function, location, .. }) = triggers.take(event, phase) {
        // What it captured may panic when it is dropped.
        match catch(|| function(&**event_loop)) {
            Ok(Outcome::Done(Ok(()))) => {}
            Ok(Outcome::Done(Err(exception))) | Err(exception) => report(exception, location),
            Ok(Outcome::Pending(future)) => pending.push((future, location)),
        }
    }
    let mut pending = pending.into_iter();
    while let Some((future, location)) = pending.next() {
        match future.await {
            // Whoever cancels this cancels what it waits for: that one, and the others.
            Err(exception) if is_being_cancelled() => {
                for (future, _) in pending {
                    future.cancel();
                }
                return Err(exception);
            }
            Err(exception) if !exception.is_cancelled() => report(exception, location),
            _ => {}
        }
    }
    Ok(())
}

fn is_being_cancelled() -> bool {
    futures::current_task().is_some_and(|task| task.cancelling() > 0)
}

/// Sees to it that the triggers of the startup run in a turn of the loop.
fn schedule_startup(triggers: &Rc<Triggers>, event_loop: Rc<dyn AbstractEventLoop>) {
    if triggers.starting.replace(true) {
        return;
    }
    let triggers = triggers.clone();
    event_loop.clone().call_soon(move || {
        let phases = run_phases(event_loop.clone(), SystemEvent::Startup);
        let fired = TaskBuilder::new().name("Startup").eager().create_task(&*event_loop, phases);
        fired.set_exempt(); // of a loop that is closed meanwhile, nobody waits for it
        fired.add_done_callback(move |_| {
            triggers.starting.set(false);
            // Added for a phase that was over.
            if triggers.has_any(SystemEvent::Startup, None) {
                schedule_startup(&triggers, event_loop);
            }
        });
    });
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Triggers({} waiting)", self.waiting.borrow().len())
    }
}
