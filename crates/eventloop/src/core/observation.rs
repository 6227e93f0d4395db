//! What can be seen of a loop from outside: counts, lists, its descriptor.

use super::LoopCore;
use super::attention::FLUSH;
use super::exceptions::Turn;
use super::executor::DefaultExecutor;
use crate::Stats;
use futures::{Callback, Instant, TaskRef};
use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;

/// How many entries of each kind a dump lists.
const LISTED: usize = 100;

impl LoopCore {
    pub(super) fn gather_stats(&self) -> Stats {
        let counters = &self.counters;
        let (executor_threads, executor_queue) = match &*self.executor.borrow() {
            DefaultExecutor::Pool(pool) | DefaultExecutor::Ending(pool) => {
                (pool.threads(), pool.queue_len())
            }
            DefaultExecutor::NotMade | DefaultExecutor::Foreign(_) | DefaultExecutor::ShutDown => {
                (0, 0)
            }
        };
        let driver = self.driver().map_or("closed", |driver| driver.name());
        let sources = self.sources.borrow();
        Stats {
            iterations: counters.iterations.get(),
            polls: counters.polls.get(),
            sleeps: counters.sleeps.get(),
            callbacks: counters.callbacks.get(),
            timers_fired: counters.timers_fired.get(),
            io_events: counters.io_events.get(),
            stale_events: counters.stale_events.get(),
            posted: counters.posted.get(),
            cancelled: counters.cancelled.get(),
            panics: counters.panics.get(),
            tasks: futures::all_tasks(self).len(),
            errors: counters.errors.get(),
            errors_not_logged: counters.errors_not_logged.get(),
            slow_callbacks: counters.slow_callbacks.get(),
            longest_busy: counters.longest_busy(),
            ready: self.ready.borrow().locations().count() + self.calls.collected(),
            timers: self.timers.borrow().len(),
            sources: sources.len(),
            transports: sources.transports(),
            signals: self.signals.borrow().len(),
            executor_threads,
            executor_queue,
            driver,
        }
    }

    /// Everything that the loop holds, a line each; at most a hundred lines of each kind.
    pub(super) fn describe_all(&self) -> String {
        let stats = self.gather_stats();
        let mut text = String::new();
        let now = self.clock.now();
        let mut section = |title: &str, count: usize, lines: &[String]| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{title}: {count}");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
            if count > lines.len() {
                let _ = writeln!(text, "  and {} more", count - lines.len());
            }
        };
        section("tasks", stats.tasks, &self.list_tasks(LISTED));
        section("callbacks", stats.ready, &self.list_callbacks(LISTED));
        section("timers", stats.timers, &self.list_timers(LISTED, now));
        section("descriptors", stats.sources, &self.list_sources(LISTED));
        section("signals", stats.signals, &[]);
        let _ = write!(text, "{stats:#?}");
        text
    }

    /// The tasks that have not ended, by age.
    pub(crate) fn list_tasks(&self, most: usize) -> Vec<String> {
        let line = |task: &TaskRef| {
            format!("{}, {}, spawned at {}", task.name(), task.state(), task.created_at())
        };
        futures::all_tasks(self).iter().take(most).map(line).collect()
    }

    pub(crate) fn list_callbacks(&self, most: usize) -> Vec<String> {
        let ready = self.ready.borrow();
        let own = ready.locations().map(|location| format!("created at {location}"));
        let posted = self.calls.locations(most).into_iter();
        own.chain(posted.map(|location| format!("posted at {location}"))).take(most).collect()
    }

    pub(crate) fn list_timers(&self, most: usize, now: Instant) -> Vec<String> {
        let timers = self.timers.borrow();
        timers
            .iter()
            .take(most)
            .map(|(_, due, callback)| describe_timer(due, callback, now))
            .collect()
    }

    /// Those that have a deadline at all.
    pub(crate) fn list_timers_that_fire(&self) -> Vec<String> {
        let timers = self.timers.borrow();
        let fire = timers.iter().filter(|(_, due, _)| *due < Instant::NEVER.as_nanos());
        fire.map(|(_, due, callback)| describe_timer(due, callback, Instant::ZERO)).collect()
    }

    pub(crate) fn list_sources(&self, most: usize) -> Vec<String> {
        let listed: Vec<_> = {
            let sources = self.sources.borrow();
            sources.iter().take(most).map(|(source, interest)| (source.clone(), interest)).collect()
        };
        let line = |(source, interest): (std::rc::Rc<dyn crate::Source>, crate::Interest)| {
            let watched = match (interest.readable, interest.writable) {
                (true, true) => "reading and writing",
                (true, false) => "reading",
                (false, true) => "writing",
                (false, false) => "nothing",
            };
            format!("{}, watched for {watched}", source.describe())
        };
        listed.into_iter().map(line).collect()
    }

    /// Calls a method of the iteration hook.
    pub(super) fn call_hook(&self, call: impl FnOnce()) {
        if let Err(panic) = futures::catch(call) {
            self.callback_failed(&Turn::Hook, panic);
        }
    }

    /// How many turns were run so far.
    pub(crate) fn turns(&self) -> u64 {
        self.counters.callbacks.get()
    }

    /// The earliest deadline, for a test's clock.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.next_due()
    }

    /// Whether something can run without waiting for it.
    pub(crate) fn is_busy(&self) -> bool {
        self.has_work() || self.attention.has(FLUSH)
    }

    pub(crate) fn outside_source_count(&self) -> usize {
        self.outside_sources()
    }

    pub(crate) fn clone_poll_descriptor(&self) -> io::Result<OwnedFd> {
        let driver = self.driver().ok_or(futures::ClosedError)?;
        match driver.poll_descriptor() {
            Some(descriptor) => descriptor.try_clone_to_owned(),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("a loop that waits with {} has no descriptor to watch", driver.name()),
            )),
        }
    }
}

fn describe_timer(due: u64, callback: &Callback, now: Instant) -> String {
    let due = Instant::from_nanos(due);
    format!("due {due}, in {:?}, created at {}", due - now, callback.location())
}
