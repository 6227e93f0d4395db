//! [`Cooperator`]: long work in small steps, between which everything else has its turn.
//!
//! Invariant: a task is in the queue at most once, and its iterator is in its place but while a step of it
//! runs. Steps run, and iterators are dropped, while nothing is borrowed.

use crate::call_result::{CallResult, Outcome, ended_how};
use crate::future::WeakFuture;
use crate::{
    Callback, Exception, ExceptionContext, Future, InvalidStateError, Scheduler, TaskContext, catch,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// How long the steps of one turn may take together, by default.
const SLICE: Duration = Duration::from_millis(10);
/// And how many there are at most: a clock may stand still.
const MOST_STEPS: u32 = 10_000;

/// Does long work on the loop, without keeping the loop from anything else: Twisted's `Cooperator` (W-27).
///
/// The work is an iterator: each `next` is a step, which should be short. In each turn of the loop steps are
/// made for some ten milliseconds, of all tasks of a cooperator by turns; then everything else that is ready
/// has its turn. In a coroutine, [`yield_now`](crate::yield_now()) now and then does the same; work that
/// cannot be cut belongs into a thread.
///
/// A step may give `()`, or a `Result<(), Exception>`, of which an error ends the task; or a coroutine or
/// future of either, for which the task then waits.
///
/// # Examples
/// ```
/// # fn example(event_loop: &dyn tulipa_futures::Scheduler) {
/// use tulipa_futures::Cooperator;
/// let cooperator = Cooperator::new(event_loop);
/// let numbers: Vec<u64> = (0..1_000_000).collect();
/// let mut total = 0;
/// let sum = cooperator.cooperate((0..1000).map(move |piece| {
///     total += numbers[piece * 1000..][..1000].iter().sum::<u64>();
///     if piece == 999 { println!("{total}"); }
/// }));
/// sum.when_done().add_done_callback(|_| println!("done"));
/// # }
/// ```
#[derive(Clone)]
pub struct Cooperator(Rc<Inner>);

struct Inner {
    scheduler: Rc<dyn Scheduler>,
    location: &'static Location<'static>,
    slice: Cell<Duration>,
    /// Those that can make a step.
    queue: RefCell<VecDeque<Rc<Work>>>,
    /// A turn is scheduled, or runs.
    busy: Cell<bool>,
}

/// Work that a [`Cooperator`] does. It is a handle; dropping it changes nothing.
#[derive(Clone)]
pub struct CooperativeTask(Rc<Work>);

struct Work {
    cooperator: Rc<Inner>,
    /// Taken out while a step runs, and for good when the task is done.
    steps: Cell<Option<Steps>>,
    pauses: Cell<u32>,
    queued: Cell<bool>,
    /// What the last step gave to wait for. That keeps this, to tell it of its end; so this does not keep
    /// it.
    pending: RefCell<Option<WeakFuture<()>>>,
    completion: Future<()>,
    /// What its steps run in.
    context: TaskContext,
}

type Steps = Box<dyn FnMut() -> Option<Outcome>>;

impl Cooperator {
    /// One that works on `scheduler`, ten milliseconds at a time.
    #[track_caller]
    pub fn new(scheduler: &(impl Scheduler + ?Sized)) -> Self {
        Self(Rc::new(Inner {
            scheduler: scheduler.to_rc(),
            location: Location::caller(),
            slice: Cell::new(SLICE),
            queue: RefCell::default(),
            busy: Cell::new(false),
        }))
    }

    /// How long the steps of one turn may take together. One is made in any case.
    #[must_use]
    pub fn slice(self, slice: Duration) -> Self {
        self.0.slice.set(slice);
        self
    }

    /// Begins to make the steps of `work`, from the next turn on.
    #[track_caller]
    pub fn cooperate<Kind, R: CallResult<Kind>>(
        &self,
        work: impl IntoIterator<Item = R, IntoIter: 'static>,
    ) -> CooperativeTask {
        let location = Location::caller();
        let (scheduler, mut work) = (self.0.scheduler.clone(), work.into_iter());
        let completion = Future::new(scheduler.clone());
        let steps = move || match catch(|| work.next()) {
            Ok(Some(step)) => Some(Outcome::of(&*scheduler, location, || step)),
            Ok(None) => None,
            Err(panic) => Some(Outcome::Done(Err(panic))),
        };
        let work = Rc::new(Work {
            cooperator: self.0.clone(),
            steps: Cell::new(Some(Box::new(steps))),
            pauses: Cell::new(0),
            queued: Cell::new(false),
            pending: RefCell::default(),
            completion: completion.clone(),
            context: TaskContext::current(),
        });
        let weak = Rc::downgrade(&work);
        completion.add_done_callback(move |_| {
            if let Some(work) = weak.upgrade() {
                work.let_go();
            }
        });
        work.enqueue();
        CooperativeTask(work)
    }
}

impl CooperativeTask {
    /// A future that is done when the work is: with a value when there are no more steps, with the error
    /// when one failed, cancelled when it was stopped. Cancelling it stops the work.
    pub fn when_done(&self) -> Future<()> {
        self.0.completion.clone()
    }

    /// Makes no more steps until as many [`resume`](CooperativeTask::resume)s as pauses.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done.
    pub fn pause(&self) -> Result<(), InvalidStateError> {
        self.check_open("pause")?;
        self.0.pauses.set(self.0.pauses.get() + 1);
        Ok(())
    }

    /// Takes one [`pause`](CooperativeTask::pause) back.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is not paused, or done.
    pub fn resume(&self) -> Result<(), InvalidStateError> {
        self.check_open("resume")?;
        match self.0.pauses.get().checked_sub(1) {
            None => Err(InvalidStateError::new("CooperativeTask::resume: it is not paused")),
            Some(left) => {
                self.0.pauses.set(left);
                self.0.enqueue();
                Ok(())
            }
        }
    }

    /// Ends it: no more steps, and what the last one gave to wait for is cancelled.
    ///
    /// # Errors
    /// [`InvalidStateError`] if it is done.
    pub fn stop(&self) -> Result<(), InvalidStateError> {
        self.check_open("stop")?;
        self.0.completion.cancel_with("the work was stopped");
        self.0.let_go();
        Ok(())
    }

    fn check_open(&self, operation: &str) -> Result<(), InvalidStateError> {
        match self.0.completion.done() {
            true => {
                Err(InvalidStateError::new(format!("CooperativeTask::{operation}: it is done")))
            }
            false => Ok(()),
        }
    }
}

impl Work {
    fn is_ready(&self) -> bool {
        self.pauses.get() == 0 && !self.completion.done() && self.pending.borrow().is_none()
    }

    /// Puts it at the end of the queue, if it can make a step and is not there yet.
    fn enqueue(self: &Rc<Self>) {
        if self.is_ready() && !self.queued.replace(true) {
            self.cooperator.queue.borrow_mut().push_back(self.clone());
            self.cooperator.clone().schedule();
        }
    }

    fn step(self: &Rc<Self>) {
        // Not there: this very step runs a loop, or its destructor does.
        let Some(mut steps) = self.steps.take() else { return };
        match self.context.run(&mut steps) {
            None => self.end(Ok(())),
            Some(Outcome::Done(Err(exception))) => self.end(Err(exception)),
            Some(Outcome::Done(Ok(()))) => {}
            Some(Outcome::Pending(future)) => self.wait_for(future),
        }
        if !self.completion.done() {
            self.steps.set(Some(steps));
            self.enqueue();
        }
    }

    fn wait_for(self: &Rc<Self>, future: Future<()>) {
        if self.completion.done() {
            future.cancel(); // stopped by the step that gave it
            return;
        }
        self.pending.replace(Some(future.downgrade()));
        let work = self.clone();
        future.add_done_callback(move |future| {
            work.pending.take();
            match ended_how(future) {
                Ok(()) => work.enqueue(),
                Err(exception) => {
                    work.end(Err(exception));
                    work.let_go();
                }
            }
        });
    }

    fn end(&self, result: Result<(), Exception>) {
        match result {
            Err(exception) if self.completion.done() => {
                if !exception.is_cancelled() {
                    let message = "a step of a cooperative task failed after its end";
                    self.cooperator.report(message, exception);
                }
            }
            // It may have been stopped meanwhile.
            result => drop(self.completion.set_outcome(result)),
        }
    }

    /// Drops what a task that is done does not need any more.
    fn let_go(&self) {
        let (pending, steps) = (self.pending.take(), self.steps.take());
        if let Some(pending) = pending.and_then(|pending| pending.upgrade()) {
            pending.cancel();
        }
        drop(steps);
    }
}

impl Inner {
    fn schedule(self: Rc<Self>) {
        if self.busy.replace(true) {
            return;
        }
        let turn = Turn(Some(self.clone()));
        let callback = Callback::at(self.location, move || turn.run());
        // A closed scheduler drops the turn.
        let _ = self.scheduler.schedule_detached(callback);
    }

    /// Makes steps, by turns, for a slice of time.
    fn turn(self: Rc<Self>) {
        let end = self.scheduler.time() + self.slice.get();
        for _ in 0..MOST_STEPS {
            if !self.contain(|| self.next_step()).unwrap_or(true) || self.scheduler.time() >= end {
                break;
            }
        }
        self.busy.set(false);
        if !self.queue.borrow().is_empty() {
            self.schedule();
        }
    }

    /// Has the next in the queue make a step, if it still can; false if there is none.
    fn next_step(&self) -> bool {
        let Some(work) = self.queue.borrow_mut().pop_front() else { return false };
        work.queued.set(false);
        if work.is_ready() {
            work.step();
        }
        true // this may be the last that held the work, which is dropped here
    }

    /// Where only a destructor can panic: that of an iterator that nobody needs any more.
    fn contain<R>(&self, function: impl FnOnce() -> R) -> Option<R> {
        match catch(function) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.report("a destructor of a cooperative task's panicked", panic);
                None
            }
        }
    }

    fn report(&self, message: &'static str, exception: Exception) {
        let mut context = ExceptionContext::with_exception(message, exception);
        context.created_at = Some(self.location);
        self.scheduler.call_exception_handler(context);
    }

    /// The loop is closed: nothing will be done any more.
    fn give_up(&self) {
        self.busy.set(false);
        let works = self.queue.take();
        for work in works {
            self.contain(move || {
                work.completion.cancel_with("the event loop is closed");
                work.let_go();
            });
        }
    }
}

/// A turn to come. If it is dropped unrun, because the loop closed, the tasks go with it.
struct Turn(Option<Rc<Inner>>);

impl Turn {
    fn run(mut self) {
        if let Some(cooperator) = self.0.take() {
            cooperator.turn();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(cooperator) = self.0.take() {
            cooperator.give_up();
        }
    }
}

impl fmt::Debug for Cooperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = self.0.queue.borrow().len();
        write!(f, "Cooperator({ready} ready, created at {})", self.0.location)
    }
}

impl fmt::Debug for CooperativeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.0.completion.done(), self.0.pauses.get()) {
            (true, _) => "done",
            (false, 0) => "working",
            (false, _) => "paused",
        };
        write!(f, "CooperativeTask({state})")
    }
}
