//! One iteration: flush, poll, collect what is due, run what is ready (L-2).
//!
//! The poll is not paid for every batch: while callbacks are ready, a bounded number of batches runs
//! between two polls. The order among callbacks does not change by that, and I/O and timers come
//! later by the bound at most.

use super::LoopCore;
use super::attention::{CALLED_OFF, FLUSH, STOP};
use super::exceptions::Turn;
use crate::driver::{Driver, ReadyEvent};
use crate::ready_queue::{Entry, Next, Other, ReadyQueue};
use crate::{Direction, IterationHook, RunError, Source, SourceKey, Taken};
use futures::{Callback, Instant, Step, StepFailure, TaskContext, catch};
use std::rc::Rc;
use std::time::Duration;

/// How many batches may run, at the most, before it is seen whether they took long enough to poll.
const MOST_BATCHES_BETWEEN_LOOKS: u32 = 8;

/// The directions of [`LoopCore::run_io_turn`], which is compiled for each, so that the one for reading
/// is a part of the loop over the events.
const READ: bool = false;
const WRITE: bool = true;

/// The first batch after a poll: what was queued before it, the turns of descriptors, then timers.
struct FirstBatch<'a> {
    /// The number of the next entry of the queue to run.
    head: u64,
    /// That of the first one which comes after the descriptors.
    place: u64,
    events: &'a [ReadyEvent],
    /// That of the first one which belongs to the next batch.
    end: u64,
}

/// When the clock is read between batches.
struct Looks {
    /// What it showed the last time.
    last: Instant,
    /// After so many batches it is read again.
    left: u32,
}

/// What stays the same to the end of a run, and is asked for once.
pub(super) struct Surroundings<'a> {
    pub(super) driver: &'a dyn Driver,
    pub(super) hook: Option<&'a dyn IterationHook>,
    /// What the driver last reported.
    pub(super) events: Vec<ReadyEvent>,
}

impl LoopCore {
    /// Has `iterate` make the iterations of a run.
    pub(super) fn with_surroundings(
        &self,
        iterate: impl FnOnce(&mut Surroundings<'_>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let driver = self.driver().ok_or(RunError::Closed)?;
        let hook = self.hook.borrow().clone();
        let events = self.events.take();
        let mut around = Surroundings { driver: &*driver, hook: hook.as_deref(), events };
        let outcome = iterate(&mut around);
        self.events.set(around.events);
        outcome
    }

    /// One pass. It polls for at most `limit`, and not at all longer than there is time until the
    /// next callback or timer.
    #[inline(always)] // into the loop of a run
    pub(super) fn iteration(
        &self,
        around: &mut Surroundings<'_>,
        limit: Option<Duration>,
    ) -> Result<(), RunError> {
        around.events.clear();
        let polled = match self.may_just_sleep(limit) {
            true => self.sleep(around, None),
            false => self.prepare_and_poll(around, limit),
        };
        self.counters.iterations.add(1);
        self.counters.io_events.add(around.events.len() as u64);
        self.collect_inbox();
        let (head, place) = self.ready.borrow().range();
        let mut end = place;
        if !self.attention.is_empty() {
            end = self.prepare_turns(around);
        }
        polled?;
        if self.first_due.get() != Instant::NEVER {
            end = self.queue_due_timers();
        }
        let before = self.counters.callbacks.get();
        self.run_batches(&FirstBatch { head, place, events: &around.events, end });
        if let Some(hook) = around.hook {
            self.call_hook(|| hook.after_batches(self.counters.callbacks.get() - before));
        }
        Ok(())
    }

    /// The turns of the descriptors that are ready come next, in the order in which the poller
    /// reported them (L-4). What was called off so far is no concern of theirs. Answers where the queue ends
    /// now, as a hook may have added to it.
    #[cold]
    fn prepare_turns(&self, around: &mut Surroundings<'_>) -> u64 {
        if let Some(shuffle) = &self.shuffle {
            shuffle.borrow_mut().shuffle(&mut around.events);
        }
        if self.attention.has(CALLED_OFF) {
            self.attention.clear(CALLED_OFF);
            self.sources.borrow_mut().forget_called_off();
        }
        if let Some(hook) = around.hook {
            self.call_hook(|| hook.after_poll(around.events.len()));
        }
        self.ready.borrow().tail()
    }

    #[inline]
    pub(super) fn flush_dirty(&self) {
        if self.attention.has(FLUSH) {
            self.flush_all_dirty();
        }
    }

    #[inline(never)]
    fn flush_all_dirty(&self) {
        while let Some(key) = self.pop_dirty() {
            let source = self.sources.borrow().source(key).cloned();
            let Some(source) = source else { continue };
            let context = TaskContext::new();
            if let Err(panic) = catch(|| context.run(|| source.clone().flush())) {
                let turn = Turn::Io { source: &*source, direction: Direction::Write };
                self.callback_failed(&turn, panic);
            }
            self.let_go(source);
        }
        self.attention.clear(FLUSH);
    }

    fn pop_dirty(&self) -> Option<SourceKey> {
        self.dirty.borrow_mut().pop_front()
    }

    /// Queues what other threads and signal handlers sent. Answers whether a stop was among it.
    #[inline]
    fn collect_inbox(&self) -> bool {
        self.calls.inbox().has_news() && self.collect_news()
    }

    #[cold]
    fn collect_news(&self) -> bool {
        let (count, news) = self.calls.collect();
        if news.signal {
            self.queue_signal_handlers();
        }
        if news.stop {
            self.attention.set(STOP);
        }
        self.counters.posted.add(count as u64);
        if count > 0 {
            self.ready.borrow_mut().push(Entry::Other(Other::Posted(count)));
        }
        news.stop
    }

    /// Queues the timers that are due (L-2). Answers where the queue ends now.
    #[inline(never)]
    fn queue_due_timers(&self) -> u64 {
        // A timer for `NEVER` is not due, even at the clock's end (H-7).
        let now = self.clock.now().as_nanos().min(Instant::NEVER.as_nanos() - 1);
        if now >= self.first_due.get().as_nanos() {
            // The timer that this was the deadline of may be gone.
            self.find_first_due();
        }
        let mut ready = self.ready.borrow_mut();
        if now >= self.first_due.get().as_nanos() {
            self.timers.borrow_mut().begin_firing(now);
            ready.push(Entry::Other(Other::Timers));
        }
        ready.tail()
    }

    /// Runs batches until nothing is ready, a stop is asked for, or it is time to poll.
    #[inline(always)] // as the iteration
    fn run_batches(&self, first: &FirstBatch<'_>) {
        let start = self.clock.coarse_now();
        self.run_first_batch(first);
        if !self.ready.borrow().is_empty() {
            self.run_more_batches(start);
        }
        self.counters.note_busy(start, self.clock.coarse_now());
    }

    /// Runs the batches after the first one, which began at `start`.
    #[inline(never)]
    fn run_more_batches(&self, start: Instant) {
        let mut looks = Looks { last: start, left: self.batches_between_looks.get() };
        for batch in 1.. {
            let Some(end) = self.next_batch(|| {
                batch >= self.settings.batches_between_polls.get()
                    || self.is_time_to_poll(start, &mut looks)
            }) else {
                break;
            };
            self.run_entries(end);
        }
    }

    /// Up to which number the entries of the next batch go: those that are ready now. What they schedule
    /// waits for the batch after it (L-2, L-3). `None` if there is none before the next poll.
    #[inline]
    fn next_batch(&self, is_time_to_poll: impl FnOnce() -> bool) -> Option<u64> {
        // With nothing left to run it polls next, and looks then what other threads sent: meanwhile
        // they are not disturbed, and what they send piles up.
        if self.attention.has(STOP) || self.ready.borrow().is_empty() {
            return None;
        }
        let is_stopped = self.collect_inbox();
        // If that brought a stop, that thread's calls before it come first.
        let is_over = !is_stopped && is_time_to_poll();
        (!is_over).then(|| self.ready.borrow().tail())
    }

    /// Whether the batches since `start` took long enough.
    ///
    /// Reading the clock costs as much as a short batch: while batches are short, it is read after
    /// several of them, and after each as soon as one was seen to take its time.
    #[inline]
    fn is_time_to_poll(&self, start: Instant, looks: &mut Looks) -> bool {
        looks.left -= 1;
        if looks.left > 0 {
            return false;
        }
        let now = self.clock.coarse_now();
        looks.left = match now == looks.last {
            true => (self.batches_between_looks.get() * 2).min(MOST_BATCHES_BETWEEN_LOOKS),
            false => 1,
        };
        looks.last = now;
        self.batches_between_looks.set(looks.left);
        now - start >= self.settings.time_between_polls
    }

    /// Runs what was ready when the batch began: what was queued before the poll, then descriptors,
    /// then timers.
    #[inline]
    fn run_first_batch(&self, first: &FirstBatch<'_>) {
        if first.place > first.head {
            self.run_below(first.place);
        }
        if !first.events.is_empty() {
            self.run_io_turns(first.events);
        }
        if first.end > first.place {
            self.run_below(first.end);
        }
    }

    /// As [`run_entries`](Self::run_entries), where it is not the inner loop.
    #[inline(never)]
    fn run_below(&self, end: u64) {
        self.run_entries(end);
    }

    /// Runs the entries with numbers below `end`, and counts those that were not called off.
    #[inline(always)]
    fn run_entries(&self, end: u64) {
        loop {
            if self.debug.get() {
                return self.run_timed_below(end);
            }
            match ReadyQueue::run_next(&self.ready, end) {
                None => return,
                Some(Next::Ran) => self.counters.callbacks.add(1),
                Some(Next::Failed(location, panic)) => {
                    self.callback_failed(&Turn::Callback(location), panic);
                    self.counters.callbacks.add(1);
                }
                Some(Next::Other(Other::Step(step))) => {
                    // As `run_step` does, without asking again whether this is debug mode: it is not,
                    // and that is a tenth of a yield.
                    if let Err(failure) = step.try_run() {
                        self.step_failed(*failure);
                    }
                    self.counters.callbacks.add(1);
                }
                Some(Next::Other(other)) => self.run_other(other),
            }
        }
    }

    /// As [`run_entries`](Self::run_entries), in debug mode.
    #[cold]
    fn run_timed_below(&self, end: u64) {
        while let Some(entry) = self.pop_below(end) {
            match entry {
                Entry::Callback(callback) => {
                    let location = callback.location();
                    self.run_turn(|| Turn::Callback(location), || callback.run());
                    self.counters.callbacks.add(1);
                }
                Entry::Other(other) => self.run_other(other),
            }
        }
    }

    /// Runs the turns of descriptors that are ready, straight from what the poller reported.
    #[inline(never)] // with registers of its own
    fn run_io_turns(&self, events: &[ReadyEvent]) {
        for event in events {
            let key = SourceKey::from_usize(event.key);
            let (mut turns, mut taken) = (0, Taken::Unknown);
            if event.readable
                && let Some(of_turn) = self.run_io_turn::<READ>(key)
            {
                turns += 1;
                taken = of_turn;
            }
            if event.writable && self.run_io_turn::<WRITE>(key).is_some() {
                turns += 1;
            }
            if taken == Taken::Unknown || event.special {
                self.look_again(key);
            }
            match turns {
                0 => self.note_vain_event(key),
                _ => self.counters.callbacks.add(turns),
            }
        }
    }

    /// Runs one of these turns; `None` if it was called off, or is not wanted any more.
    #[inline]
    fn run_io_turn<const DIRECTION: bool>(&self, key: SourceKey) -> Option<Taken> {
        let direction = if DIRECTION == READ { Direction::Read } else { Direction::Write };
        let source = self.source_for_turn(key, direction)?;
        let taken = if self.debug.get() {
            self.run_io_timed(&source, direction)
        } else {
            // What it sets is gone afterwards, as with any callback (L-53).
            let ran = catch(|| TaskContext::new().run(|| source.clone().ready(direction)));
            ran.unwrap_or_else(|panic| {
                self.callback_failed(&Turn::Io { source: &*source, direction }, panic);
                Taken::Unknown
            })
        };
        self.let_go(source);
        Some(taken)
    }

    /// One turn of a source, in debug mode.
    #[cold]
    fn run_io_timed(&self, source: &Rc<dyn Source>, direction: Direction) -> Taken {
        let mut taken = Taken::Unknown;
        let run = || taken = TaskContext::new().run(|| source.clone().ready(direction));
        self.run_timed(&Turn::Io { source: &**source, direction }, run);
        taken
    }

    /// An event led to no turn: it was called off, or is for a descriptor that is gone.
    #[cold]
    fn note_vain_event(&self, key: SourceKey) {
        if self.sources.borrow().source(key).is_none() {
            self.counters.stale_events.add(1);
        }
    }

    /// Runs turns of which what runs is kept elsewhere, and counts those that were not called off.
    #[inline(never)]
    fn run_other(&self, other: Other) {
        let ran = match other {
            Other::Gone => 0,
            Other::Step(step) => {
                self.run_step(step);
                1
            }
            Other::Posted(count) => self.run_posted(count),
            Other::Timers => self.fire_timers(),
        };
        self.counters.callbacks.add(ran);
    }

    #[cold]
    fn step_failed(&self, failure: StepFailure) {
        let turn = Turn::Step { task: None, location: failure.location };
        self.callback_failed(&turn, failure.panic);
    }

    fn run_step(&self, step: Step) {
        let task = self.debug.get().then(|| step.task_name());
        let location = step.location();
        self.run_turn(|| Turn::Step { task, location }, || step.run());
    }

    /// Runs the next calls from other threads, so many; answers how many were not called off.
    fn run_posted(&self, count: usize) -> u64 {
        let mut ran = 0;
        for _ in 0..count {
            if let Some(call) = self.calls.begin_next() {
                let location = call.location();
                self.run_turn(|| Turn::Callback(location), || call.run());
                ran += 1;
            }
        }
        ran
    }

    /// Runs the timers that were due when the batch was put together, earliest first; answers how many.
    fn fire_timers(&self) -> u64 {
        let mut fired = 0;
        while let Some(mut callback) = self.next_to_fire() {
            fired += 1;
            self.counters.timers_fired.add(1);
            let location = callback.location();
            self.run_turn(|| Turn::Timer(location), || callback.run_in_place());
        }
        fired
    }

    #[inline]
    fn next_to_fire(&self) -> Option<Callback> {
        self.timers.borrow_mut().fire()
    }

    #[inline]
    fn pop_below(&self, end: u64) -> Option<Entry> {
        self.ready.borrow_mut().pop_below(end)
    }

    /// Whose turn it is. Nobody's if the descriptor is gone, or not watched for that any more.
    #[inline]
    fn source_for_turn(&self, key: SourceKey, direction: Direction) -> Option<Rc<dyn Source>> {
        self.sources.borrow().source_for_turn(key, direction).cloned()
    }

    /// One turn. Its panic is reported, and the next one runs (L-9). What it is called is asked for only
    /// where somebody is told.
    #[inline]
    fn run_turn<'a>(&self, turn: impl FnOnce() -> Turn<'a>, run: impl FnOnce()) {
        if self.debug.get() {
            self.run_timed(&turn(), run);
        } else if let Err(panic) = catch(run) {
            self.callback_failed(&turn(), panic);
        }
    }

    /// Drops a source that had its turn. It may have been the last one to hold what it watches: then
    /// its destructor runs.
    #[inline]
    pub(super) fn let_go(&self, source: Rc<dyn Source>) {
        match Rc::strong_count(&source) {
            1 => self.drop_contained(source),
            _ => drop(source),
        }
    }
}
