//! The wait of an iteration: for how long, with or without sleeping, and on a clock that steps.

use super::LoopCore;
use super::attention::{STOP, TIDY};
use super::iteration::Surroundings;
use crate::{Clock, MonotonicClock, RunError};
use futures::Instant;
use std::time::Duration;

/// The longest time that is given to a poller at once (L-5).
const LONGEST_POLL: Duration = Duration::from_secs(24 * 3600);

/// A wait of this length is time for tidying up.
const LONG_WAIT: Duration = Duration::from_millis(10);

/// After so many iterations it is time for that in any case.
const ITERATIONS_BETWEEN_TRIMS: u64 = 4096;

/// How often a loop that spins looks for news from other threads between two polls.
const LOOKS_BETWEEN_POLLS: u32 = 8;

/// How long a loop on a stepping clock waits, in real time, for what should come from outside.
const LONGEST_OUTSIDE_WAIT: Duration = Duration::from_secs(60);

impl LoopCore {
    /// Whether the iteration has only to sleep until something comes: nothing can run, no timer will
    /// come due, nothing was asked for, and nothing is to be tidied up.
    #[inline]
    pub(super) fn may_just_sleep(&self, limit: Option<Duration>) -> bool {
        let ready = self.ready.borrow();
        self.attention.is_empty()
            && limit.is_none()
            && self.first_due.get() == Instant::NEVER
            && ready.is_empty()
            && !ready.has_excess()
    }

    /// Does what is to be done before a poll, and polls.
    #[inline(never)]
    pub(super) fn prepare_and_poll(
        &self,
        around: &mut Surroundings<'_>,
        limit: Option<Duration>,
    ) -> Result<(), RunError> {
        self.trim_now_and_then();
        self.flush_dirty();
        let mut timeout = self.poll_timeout(limit);
        if let Some(hook) = around.hook {
            self.call_hook(|| hook.before_poll(timeout));
            // It may have scheduled or written something.
            self.flush_dirty();
            timeout = self.poll_timeout(limit);
        }
        self.poll(around, timeout, limit)
    }

    /// Trims now and then, though there is no time: a loop that seldom waits for long, if ever, keeps
    /// what it needs for the next burst, but not for ever.
    #[inline]
    fn trim_now_and_then(&self) {
        if self.counters.iterations.get().is_multiple_of(ITERATIONS_BETWEEN_TRIMS) {
            self.trim_though_busy();
        }
    }

    #[cold]
    fn trim_though_busy(&self) {
        self.trim();
    }

    /// Gives some memory back that a burst has left. Before nearly every sleep there is none to give.
    #[inline(always)] // the other call is rare
    fn trim(&self) {
        self.ready.borrow_mut().trim();
        let mut timers = self.timers.borrow_mut();
        timers.trim();
        if !timers.has_excess() {
            self.attention.clear(TIDY);
        }
    }

    /// How long this iteration may sleep: `Some(ZERO)` if there is something to do (L-5).
    #[inline(always)] // it is called a second time only where there is a hook
    fn poll_timeout(&self, limit: Option<Duration>) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        if self.clock_steps {
            // Timers do not pass by sleeping; `poll` steps to them when nothing else comes.
            return Some(Duration::ZERO);
        }
        if self.first_due.get() == Instant::NEVER {
            return limit.map(|limit| limit.min(LONGEST_POLL));
        }
        self.timeout_with_timers(limit)
    }

    /// As [`poll_timeout`](Self::poll_timeout), with timers that may come due, and nothing else to do.
    fn timeout_with_timers(&self, limit: Option<Duration>) -> Option<Duration> {
        self.find_first_due();
        let until_due = match self.first_due.get() {
            Instant::NEVER => None,
            due => Some(self.until_wake_up(due)),
        };
        match (until_due, limit) {
            (None, None) => None,
            (due, limit) => Some(due.into_iter().chain(limit).fold(LONGEST_POLL, Duration::min)),
        }
    }

    /// How long to wait for a timer: up to the next multiple of the slack, so that all that come due
    /// by then share a wake-up (H-9). A loop that is about to spin that long sees it come anyway.
    fn until_wake_up(&self, due: Instant) -> Duration {
        let now = self.clock.now();
        if due - now <= self.spin.next_allowance() {
            return due - now;
        }
        let slack = (Instant::ZERO + self.settings.timer_slack).as_nanos();
        // `None` if the slack is zero, or beyond the end of the clock.
        let rounded = due.as_nanos().checked_next_multiple_of(slack);
        rounded.map_or(due, Instant::from_nanos) - now
    }

    /// Whether something can run without polling for it.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        self.attention.has(STOP) || !self.ready.borrow().is_empty() || self.calls.inbox().has_news()
    }

    /// The bound below the timers' deadlines is the earliest of these again.
    pub(super) fn find_first_due(&self) {
        let due = self.next_due();
        self.first_due.set(due.unwrap_or(Instant::NEVER));
        if due.is_none() {
            self.attention.set(TIDY);
        }
    }

    /// The deadline of the earliest timer.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.timers.borrow_mut().next_due().map(Instant::from_nanos);
        due.filter(|due| *due < Instant::NEVER)
    }

    /// Polls, after spinning where that was asked for; sleeps for at most `timeout`.
    fn poll(
        &self,
        around: &mut Surroundings<'_>,
        timeout: Option<Duration>,
        limit: Option<Duration>,
    ) -> Result<(), RunError> {
        if timeout == Some(Duration::ZERO) {
            self.wait(around, timeout)?;
            if self.clock_steps && around.events.is_empty() && !self.has_work() {
                self.step(around, limit)?;
            }
            return Ok(());
        }
        let Some(spent) = self.spin(around, timeout)? else { return Ok(()) };
        let timeout = timeout.map(|timeout| timeout.saturating_sub(spent));
        if timeout.is_none_or(|timeout| timeout >= LONG_WAIT) {
            self.trim();
        }
        self.sleep(around, timeout)
    }

    /// Waits for what comes from outside, asleep unless other threads have sent something.
    #[inline]
    pub(super) fn sleep(
        &self,
        around: &mut Surroundings<'_>,
        timeout: Option<Duration>,
    ) -> Result<(), RunError> {
        if !self.calls.inbox().prepare_to_sleep() {
            // If news comes each time, descriptors must not wait for ever.
            return self.look(around);
        }
        self.counters.sleeps.add(1);
        let slept = self.wait(around, timeout);
        self.calls.inbox().woke_up();
        slept
    }

    /// Polls without sleeping.
    #[cold]
    fn look(&self, around: &mut Surroundings<'_>) -> Result<(), RunError> {
        self.wait(around, Some(Duration::ZERO))
    }

    #[inline]
    fn wait(
        &self,
        around: &mut Surroundings<'_>,
        timeout: Option<Duration>,
    ) -> Result<(), RunError> {
        self.counters.polls.add(1);
        around.driver.wait(timeout, &mut around.events).map_err(RunError::Poll)
    }

    /// Polls without sleeping, for as long as the builder allowed and as it pays. Answers how long
    /// it did so in vain, `None` if it found something or the time is over.
    fn spin(
        &self,
        around: &mut Surroundings<'_>,
        timeout: Option<Duration>,
    ) -> Result<Option<Duration>, RunError> {
        let allowance = self.spin.allowance();
        if allowance.is_zero() {
            return Ok(Some(Duration::ZERO));
        }
        let longest = timeout.map_or(allowance, |timeout| timeout.min(allowance));
        let start = self.clock.now();
        loop {
            self.wait(around, Some(Duration::ZERO))?;
            let elapsed = self.clock.now() - start;
            let is_over = timeout.is_some_and(|timeout| elapsed >= timeout);
            if is_over || !around.events.is_empty() || self.has_news_soon() {
                self.spin.has_paid();
                return Ok(None);
            }
            if elapsed >= longest {
                self.spin.was_in_vain();
                return Ok(Some(elapsed));
            }
        }
    }

    /// Looks for news from other threads for about as long as a poll takes: that costs no system
    /// call, and they are seen at once.
    fn has_news_soon(&self) -> bool {
        (0..LOOKS_BETWEEN_POLLS).any(|_| {
            std::hint::spin_loop();
            self.calls.inbox().has_news()
        })
    }

    /// Nothing is ready and the clock stands still: waits for what may come from outside, or else
    /// steps to the next deadline.
    fn step(&self, around: &mut Surroundings<'_>, limit: Option<Duration>) -> Result<(), RunError> {
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
            let slept = self.wait(around, Some(longest));
            self.calls.inbox().woke_up();
            slept?;
            // A signal that is not for this loop ends the wait early, and means nothing.
            let in_full = outside.now() - Instant::ZERO >= longest / 2;
            let nothing_came =
                in_full && around.events.is_empty() && !self.calls.inbox().has_news();
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
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::TIDY;
    use crate::{EventLoop, prelude::*};
    use futures::SchedulerExt;
    use std::cell::Cell;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::time::Duration;

    /// A loop that has run many callbacks and timers, and still has the memory for them.
    fn after_a_burst() -> EventLoop {
        let event_loop = EventLoop::new().unwrap();
        for _ in 0..100_000 {
            event_loop.call_soon(|| {});
            event_loop.call_later(Duration::ZERO, || {});
        }
        event_loop.run_ready().unwrap();
        let kept = capacity(&event_loop);
        assert!(kept.0 >= 100_000 && kept.1 >= 100_000, "a burst may come again");
        event_loop
    }

    /// For how many callbacks and timers there is memory.
    fn capacity(event_loop: &EventLoop) -> (usize, usize) {
        let core = event_loop.core();
        (core.ready.borrow().capacity(), core.timers.borrow().capacity())
    }

    #[test]
    fn r6_h12_a_loop_that_never_waits_for_long_gives_back_what_a_burst_took() {
        let event_loop = after_a_burst();
        for _ in 0..40_000 {
            event_loop.run_ready().unwrap();
        }
        let kept = capacity(&event_loop);
        assert!(kept.0 < 10_000 && kept.1 < 10_000, "{kept:?}");
    }

    #[test]
    fn r6_h12_a_loop_that_only_waits_for_descriptors_gives_some_back_each_time() {
        let event_loop = after_a_burst();
        // A descriptor that is always ready.
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (handle, rounds) = (event_loop.handle(), Cell::new(0));
        let again = move || {
            rounds.set(rounds.get() + 1);
            if rounds.get() == 60 {
                handle.stop();
            }
        };
        event_loop.add_writer(Rc::new(ours), again).unwrap();
        event_loop.run_forever().unwrap();
        let kept = capacity(&event_loop);
        assert!(kept.0 < 10_000 && kept.1 < 10_000, "{kept:?}");
        assert!(!event_loop.core().attention.has(TIDY));
    }
}
