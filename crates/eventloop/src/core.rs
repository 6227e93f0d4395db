//! [`LoopCore`]: the loop itself. Each part of its work has a file in `core/`.
//!
//! Invariant, everywhere here: no `RefCell` is borrowed while user code runs, destructors of what
//! users handed over included. So each borrow sits in a small method that calls nothing foreign, and
//! what is taken out is dropped after it.

mod attention;
mod callbacks;
mod closing;
mod descriptors;
mod exceptions;
mod executor;
mod interface;
mod iteration;
mod observation;
mod running;
mod signals;
mod wait;

use crate::abstract_loop::ExceptionHandler;
use crate::builder::Settings;
use crate::cross_thread::Calls;
use crate::driver::{Driver, ReadyEvent};
use crate::ready_queue::ReadyQueue;
use crate::shuffle::Shuffle;
use crate::signals::SignalHandlers;
use crate::sources::Sources;
use crate::spin::Spin;
use crate::stats::Counters;
use crate::threadsafe::Remote;
use crate::timers::TimerQueue;
use crate::{Clock, IterationHook, SourceKey};
use attention::Attention;
use executor::DefaultExecutor;
use futures::{Callback, Exception, Instant, SchedulerId};
use indexmap::IndexMap;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// The loop: queue, timers and watched descriptors over a clock and a driver.
pub(crate) struct LoopCore {
    this: Weak<LoopCore>,
    id: SchedulerId,
    clock: Box<dyn Clock>,
    /// What the clock says of itself.
    clock_steps: bool,
    settings: Settings,

    phase: Cell<Phase>,
    /// Whether the `EventLoop` is still there. Without it the loop closes as soon as it may (L-28).
    has_owner: Cell<bool>,
    attention: Attention,
    debug: Cell<bool>,
    slow_callback_duration: Cell<Duration>,

    ready: RefCell<ReadyQueue>,
    timers: RefCell<TimerQueue<Callback>>,
    /// No timer is due before this. `NEVER`, which is not rare, saves a look at queue and clock.
    first_due: Cell<Instant>,
    sources: RefCell<Sources>,
    /// Sources to flush before the next poll.
    dirty: RefCell<VecDeque<SourceKey>>,
    /// `None` once closed.
    driver: RefCell<Option<Rc<dyn Driver>>>,
    /// What other threads gave to this loop.
    calls: Arc<Calls>,
    /// What `Scheduler::threadsafe` gives out; its count tells how many may still post.
    remote: Arc<Remote>,
    signals: RefCell<SignalHandlers>,
    executor: RefCell<DefaultExecutor>,
    /// `None` once closed: it may hold a handle of this very loop.
    hook: RefCell<Option<Rc<dyn IterationHook>>>,
    exception_handler: RefCell<Option<ExceptionHandler>>,
    /// The first panic that only the default handler saw, where a test wants to resume it.
    first_panic: RefCell<Option<Exception>>,
    /// The first failure that nobody asked for and that is to end the run.
    fatal_failure: RefCell<Option<Exception>>,
    locals: RefCell<IndexMap<TypeId, Rc<dyn Any>>>,

    counters: Counters,
    shuffle: Option<RefCell<Shuffle>>,
    spin: Spin,
    batches_between_looks: Cell<u32>,
    /// Kept between iterations for their memory.
    events: Cell<Vec<ReadyEvent>>,
}

/// Where the loop is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    Closed,
}

impl LoopCore {
    /// A loop that is not running.
    pub(crate) fn new(
        clock: Box<dyn Clock>,
        driver: Box<dyn Driver>,
        hook: Option<Box<dyn IterationHook>>,
        settings: Settings,
    ) -> Rc<Self> {
        let id = SchedulerId::unique();
        let clock_steps = clock.steps();
        let is_special =
            hook.is_some() || settings.seed.is_some() || !settings.spin.is_zero() || clock_steps;
        let calls = Arc::new(Calls::new(driver.wake()));
        let remote = Arc::new(Remote::new(calls.clone(), id));
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            id,
            clock_steps,
            clock,
            phase: Cell::new(Phase::Idle),
            has_owner: Cell::new(true),
            attention: Attention::new(is_special),
            debug: Cell::new(settings.debug),
            slow_callback_duration: Cell::new(settings.slow_callback_duration),
            ready: RefCell::new(ReadyQueue::new()),
            timers: RefCell::new(TimerQueue::new()),
            first_due: Cell::new(Instant::NEVER),
            sources: RefCell::new(Sources::default()),
            dirty: RefCell::new(VecDeque::new()),
            driver: RefCell::new(Some(driver.into())),
            calls,
            remote,
            signals: RefCell::new(SignalHandlers::default()),
            executor: RefCell::new(DefaultExecutor::default()),
            hook: RefCell::new(hook.map(Rc::from)),
            exception_handler: RefCell::new(None),
            first_panic: RefCell::new(None),
            fatal_failure: RefCell::new(None),
            locals: RefCell::new(IndexMap::new()),
            counters: Counters::default(),
            shuffle: settings.seed.map(|seed| RefCell::new(Shuffle::new(seed))),
            spin: Spin::new(settings.spin),
            batches_between_looks: Cell::new(1),
            events: Cell::new(Vec::new()),
            settings,
        })
    }

    fn rc(&self) -> Rc<LoopCore> {
        self.this.upgrade().expect("a method runs, so somebody owns the loop")
    }

    /// The driver, unless the loop is closed. Owned, because what it waits for may close the loop.
    fn driver(&self) -> Option<Rc<dyn Driver>> {
        self.driver.borrow().clone()
    }
}

impl Drop for LoopCore {
    fn drop(&mut self) {
        // The owner closes; this is for a loop whose owner was forgotten while handles lived on.
        if self.phase.get() != Phase::Closed {
            log::warn!(target: "tulipa", "event loop {} was dropped without being closed", self.id);
            self.release();
        }
    }
}
