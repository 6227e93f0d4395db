//! One iteration: flush, poll, collect what is due, run what is ready (L-2).
//!
//! The poll is not paid for every batch: while callbacks are ready, a bounded number of batches runs
//! between two polls. The order among callbacks does not change by that, and I/O and timers come
//! later by the bound at most.

use super::exceptions::Turn;
use super::{LoopCore, Phase};
use crate::driver::ReadyEvent;
use crate::ready_queue::{Entry, Other};
use crate::{Clock, Direction, MonotonicClock, RunError, Source, SourceKey};
use futures::{Instant, TaskContext, catch};
use std::rc::Rc;
use std::time::Duration;

/// The longest time that is given to a poller at once (L-5).
const LONGEST_POLL: Duration = Duration::from_secs(24 * 3600);

/// A wait of this length is time for tidying up.
const LONG_WAIT: Duration = Duration::from_millis(10);

/// How many batches may run, at the most, before it is seen whether they took long enough to poll.
const MOST_BATCHES_BETWEEN_LOOKS: u32 = 8;

/// How long a loop on a stepping clock waits, in real time, for what should come from outside.
const LONGEST_OUTSIDE_WAIT: Duration = Duration::from_secs(60);

impl LoopCore {
    /// One pass. It polls for at most `limit`, and not at all longer than there is time until the
    /// next callback or timer.
    pub(super) fn iteration(&self, limit: Option<Duration>) -> Result<(), RunError> {
        self.flush_dirty();
        let mut timeout = self.poll_timeout(limit);
        if self.hook.borrow().is_some() {
            self.call_hook(|hook| hook.before_poll(timeout));
            // It may have scheduled or written something.
            self.flush_dirty();
            timeout = self.poll_timeout(limit);
        }
        let mut events = self.events.take();
        let polled = self.poll(timeout, limit, &mut events);
        let reported = events.len();
        self.counters.iterations.add(1);
        self.counters.io_events.add(reported as u64);
        // No user code runs before the events are queued: their keys are still those of the poll.
        self.collect_inbox();
        self.queue_io(&mut events);
        self.events.set(events);
        self.call_hook(|hook| hook.after_poll(reported));
        polled?;
        self.queue_due_timers();
        self.run_batches();
        Ok(())
    }

    pub(super) fn flush_dirty(&self) {
        while let Some(key) = self.pop_dirty() {
            let source = self.sources.borrow().source(key).cloned();
            let Some(source) = source else { continue };
            let context = TaskContext::new();
            if let Err(panic) = catch(|| context.run(|| source.clone().flush())) {
                let turn = Turn::Io { source: &*source, direction: Direction::Write };
                self.callback_failed(&turn, panic);
            }
        }
    }

    fn pop_dirty(&self) -> Option<SourceKey> {
        self.dirty.borrow_mut().pop_front()
    }

    /// How long this iteration may sleep: `Some(ZERO)` if there is something to do (L-5).
    fn poll_timeout(&self, limit: Option<Duration>) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        if self.clock.steps() {
            // Timers do not pass by sleeping; `poll` steps to them when nothing else comes.
            return Some(Duration::ZERO);
        }
        let until_due = self.next_due().map(|due| self.until_wake_up(due));
        match (until_due, limit) {
            (None, None) => None,
            (due, limit) => Some(due.into_iter().chain(limit).fold(LONGEST_POLL, Duration::min)),
        }
    }

    /// How long to wait for a timer: up to the next multiple of the slack, so that all that come due
    /// by then share a wake-up (H-9). Whoever spins that long sees it come anyway.
    fn until_wake_up(&self, due: Instant) -> Duration {
        let now = self.clock.now();
        if due - now <= self.settings.spin {
            return due - now;
        }
        let slack = (Instant::ZERO + self.settings.timer_slack).as_nanos();
        // `None` if the slack is zero, or beyond the end of the clock.
        let rounded = due.as_nanos().checked_next_multiple_of(slack);
        rounded.map_or(due, Instant::from_nanos) - now
    }

    /// Whether something can run without polling for it.
    pub(super) fn has_work(&self) -> bool {
        self.stop_requested.get()
            || !self.ready.borrow().is_empty()
            || self.calls.inbox().has_news()
    }

    /// The deadline of the earliest timer.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.timers.borrow_mut().next_due().map(Instant::from_nanos);
        due.filter(|due| *due < Instant::NEVER)
    }

    fn poll(
        &self,
        timeout: Option<Duration>,
        limit: Option<Duration>,
        events: &mut Vec<ReadyEvent>,
    ) -> Result<(), RunError> {
        let Some(driver) = self.driver() else { return Err(RunError::Closed) };
        let wait = |timeout, events: &mut Vec<ReadyEvent>| {
            self.counters.polls.add(1);
            driver.wait(timeout, events).map_err(RunError::Poll)
        };
        if timeout == Some(Duration::ZERO) {
            wait(timeout, events)?;
            if self.clock.steps() && events.is_empty() && !self.has_work() {
                self.step(limit, &wait, events)?;
            }
            return Ok(());
        }
        let Some(spent) = self.spin(timeout, &wait, events)? else { return Ok(()) };
        let timeout = timeout.map(|timeout| timeout.saturating_sub(spent));
        if timeout.is_none_or(|timeout| timeout >= LONG_WAIT) {
            self.timers.borrow_mut().trim();
        }
        if !self.calls.inbox().prepare_to_sleep() {
            return Ok(());
        }
        self.counters.sleeps.add(1);
        let slept = wait(timeout, events);
        self.calls.inbox().woke_up();
        slept
    }

    /// Polls without sleeping for as long as the builder allowed. Answers how long it did so in
    /// vain, `None` if it found something or the time is over.
    fn spin(
        &self,
        timeout: Option<Duration>,
        wait: &impl Fn(Option<Duration>, &mut Vec<ReadyEvent>) -> Result<(), RunError>,
        events: &mut Vec<ReadyEvent>,
    ) -> Result<Option<Duration>, RunError> {
        let longest = timeout.map_or(self.settings.spin, |timeout| timeout.min(self.settings.spin));
        if longest.is_zero() {
            return Ok(Some(Duration::ZERO));
        }
        let start = self.clock.now();
        loop {
            wait(Some(Duration::ZERO), events)?;
            let elapsed = self.clock.now() - start;
            if !events.is_empty() || self.calls.inbox().has_news() {
                return Ok(None);
            }
            if timeout.is_some_and(|timeout| elapsed >= timeout) {
                return Ok(None);
            }
            if elapsed >= longest {
                return Ok(Some(elapsed));
            }
        }
    }

    /// Nothing is ready and the clock stands still: waits for what may come from outside, or else
    /// steps to the next deadline.
    fn step(
        &self,
        limit: Option<Duration>,
        wait: &impl Fn(Option<Duration>, &mut Vec<ReadyEvent>) -> Result<(), RunError>,
        events: &mut Vec<ReadyEvent>,
    ) -> Result<(), RunError> {
        let is_due = self.next_due().is_some_and(|due| due <= self.clock.now());
        if limit == Some(Duration::ZERO) || is_due {
            return Ok(());
        }
        if self.outside_sources() > 0 {
            if !self.calls.inbox().prepare_to_sleep() {
                return Ok(());
            }
            let longest = limit.unwrap_or(LONGEST_OUTSIDE_WAIT).min(LONGEST_OUTSIDE_WAIT);
            let outside = MonotonicClock::new();
            let slept = wait(Some(longest), events);
            self.calls.inbox().woke_up();
            slept?;
            // A signal that is not for this loop ends the wait early, and means nothing.
            let in_full = outside.now() - Instant::ZERO >= longest / 2;
            let nothing_came = in_full && events.is_empty() && !self.calls.inbox().has_news();
            return match limit {
                None if nothing_came => Err(RunError::WouldSleepForEver),
                _ => Ok(()),
            };
        }
        match (self.next_due(), limit) {
            (Some(due), None) => {
                self.clock.step_to(due);
                Ok(())
            }
            (due, Some(limit)) => {
                let end = self.clock.now() + limit;
                self.clock.step_to(due.map_or(end, |due| due.min(end)));
                Ok(())
            }
            (None, None) => Err(RunError::WouldSleepForEver),
        }
    }

    /// How many things outside of this thread may have news at any time.
    pub(super) fn outside_sources(&self) -> usize {
        let posters = std::sync::Arc::strong_count(&self.remote) - 1;
        self.sources.borrow().watched() + posters + self.signals.borrow().len()
    }

    /// Queues what other threads and signal handlers sent.
    #[inline]
    pub(super) fn collect_inbox(&self) {
        if self.calls.inbox().has_news() {
            self.collect_news();
        }
    }

    #[cold]
    fn collect_news(&self) {
        let (count, news) = self.calls.collect();
        if news.signal {
            self.queue_signal_handlers();
        }
        if news.stop {
            self.stop_requested.set(true);
        }
        self.counters.posted.add(count as u64);
        let mut ready = self.ready.borrow_mut();
        for _ in 0..count {
            ready.push(Entry::Other(Other::Posted));
        }
    }

    /// Queues the turns of ready descriptors, in the order in which the poller reported them (L-4).
    fn queue_io(&self, events: &mut Vec<ReadyEvent>) {
        if let Some(shuffle) = &self.shuffle {
            shuffle.borrow_mut().shuffle(events);
        }
        let (mut sources, mut ready) = (self.sources.borrow_mut(), self.ready.borrow_mut());
        for event in events.drain(..) {
            let key = SourceKey::from_usize(event.key);
            if sources.source(key).is_none() {
                self.counters.stale_events.add(1);
                continue;
            }
            if event.readable && sources.queue_turn(key, Direction::Read) {
                ready.push(Entry::Other(Other::Readable(key)));
            }
            if event.writable && sources.queue_turn(key, Direction::Write) {
                ready.push(Entry::Other(Other::Writable(key)));
            }
        }
    }

    /// Queues the timers that are due, earliest first (L-2).
    fn queue_due_timers(&self) {
        if self.timers.borrow_mut().next_due().is_none() {
            return;
        }
        // A timer for `NEVER` is not due, even at the clock's end (H-7).
        let now = self.clock.now().as_nanos().min(Instant::NEVER.as_nanos() - 1);
        let (mut timers, mut ready) = (self.timers.borrow_mut(), self.ready.borrow_mut());
        timers.pop_all_due(now, |key| {
            ready.push(Entry::Other(Other::Timer(key)));
        });
    }

    /// Runs batches until nothing is ready, a stop is asked for, or it is time to poll.
    fn run_batches(&self) {
        let start = self.clock.coarse_now();
        let (mut looked, mut look_after) = (start, self.batches_between_looks.get());
        let mut ran = 0;
        for batch in 1.. {
            ran += self.run_batch();
            if self.stop_requested.get() || self.phase.get() == Phase::Closed {
                break;
            }
            self.collect_inbox();
            if self.stop_requested.get() {
                continue; // from another thread, whose calls before it come first
            }
            if batch >= self.settings.batches_between_polls.get() || self.ready.borrow().is_empty()
            {
                break;
            }
            look_after -= 1;
            if look_after == 0 {
                let now = self.clock.coarse_now();
                look_after = self.adapt_looks(now - looked);
                looked = now;
                if now - start >= self.settings.time_between_polls {
                    break;
                }
            }
        }
        self.counters.callbacks.add(ran);
        self.counters.note_busy(self.clock.coarse_now() - start);
        self.call_hook(|hook| hook.after_batches(ran));
    }

    /// Reading the clock costs as much as a short batch: while batches are short, it is read after
    /// several of them, and after each as soon as one was seen to take its time.
    fn adapt_looks(&self, elapsed: Duration) -> u32 {
        let batches = match elapsed.is_zero() {
            true => (self.batches_between_looks.get() * 2).min(MOST_BATCHES_BETWEEN_LOOKS),
            false => 1,
        };
        self.batches_between_looks.set(batches);
        batches
    }

    /// Runs what was ready when the batch began; what that schedules waits for the next (L-2, L-3).
    fn run_batch(&self) -> u64 {
        let end = self.ready.borrow().tail();
        let mut ran = 0;
        while let Some(entry) = self.pop_below(end) {
            let has_run = match entry {
                Entry::Callback(mut callback) => {
                    let turn = Turn::Callback(callback.location());
                    self.run_turn(&turn, || callback.run_in_place());
                    true
                }
                Entry::Other(other) => self.run_other(other),
            };
            ran += u64::from(has_run);
        }
        ran
    }

    /// Runs a turn whose callback is kept elsewhere; false if it was called off.
    fn run_other(&self, other: Other) -> bool {
        match other {
            Other::Gone => return false,
            Other::Step(step) => {
                let task = self.debug.get().then(|| step.task_name());
                let turn = Turn::Step { task, location: step.location() };
                self.run_turn(&turn, || step.run());
            }
            Other::Posted => {
                let Some(call) = self.calls.begin_next() else { return false };
                self.run_turn(&Turn::Callback(call.location()), || call.run());
            }
            Other::Timer(key) => {
                let due = self.timers.borrow_mut().take(key);
                let Some(mut callback) = due else { return false };
                self.counters.timers_fired.add(1);
                self.run_turn(&Turn::Timer(callback.location()), || callback.run_in_place());
            }
            Other::Readable(key) => {
                let Some(source) = self.take_turn(key, Direction::Read) else { return false };
                self.run_io(source, Direction::Read);
            }
            Other::Writable(key) => {
                let Some(source) = self.take_turn(key, Direction::Write) else { return false };
                self.run_io(source, Direction::Write);
            }
        }
        true
    }

    #[inline]
    fn pop_below(&self, end: u64) -> Option<Entry> {
        self.ready.borrow_mut().pop_below(end)
    }

    /// Whose turn it is. Nobody's if the descriptor is gone, or not watched for that any more.
    fn take_turn(&self, key: SourceKey, direction: Direction) -> Option<Rc<dyn Source>> {
        self.sources.borrow_mut().take_turn(key, direction)
    }

    /// One turn. Its panic is reported, and the next one runs (L-9).
    #[inline]
    fn run_turn(&self, turn: &Turn<'_>, run: impl FnOnce()) {
        if self.debug.get() {
            return self.run_timed(turn, run);
        }
        if let Err(panic) = catch(run) {
            self.callback_failed(turn, panic);
        }
    }

    /// One turn: a descriptor is ready.
    fn run_io(&self, source: Rc<dyn Source>, direction: Direction) {
        let turn = Turn::Io { source: &*source, direction };
        // What it sets is gone afterwards, as with any callback (L-53).
        let context = TaskContext::new();
        self.run_turn(&turn, || context.run(|| source.clone().ready(direction)));
        // It may have been the last one to hold what it watches.
        self.drop_contained(source);
    }
}
