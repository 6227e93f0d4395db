//! [`LocalSetScheduler`]: a [`Scheduler`] whose callbacks are run by another runtime's executor.
//!
//! A tokio `LocalSet` polls a task of ours, the driver, which runs a batch of callbacks whenever it is
//! polled. While there is nothing to run it waits, as any task there does, for a `Notify` or for the
//! next deadline on tokio's clock. That clock is paused: it jumps when nothing else is to do. It counts
//! milliseconds, so the time that callbacks see is kept here, and steps from deadline to deadline.

use crate::reports::{ExceptionHandler, Reports, run_callback};
use futures::{
    Callback, CallbackId, Closed, EnteredScheduler, ExceptionContext, Handle, Instant,
    PostedClosure, Scheduler, SchedulerId, TaskContext, ThreadsafeScheduler, TimerHandle,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;
use tokio::task::{LocalSet, yield_now};
use tokio::time::timeout;

/// A `LocalSet`, and the scheduler that is driven by a task in it. Dropping it drops the driver.
pub(crate) struct ScheduledLocalSet {
    scheduler: Rc<LocalSetScheduler>,
    local_set: LocalSet,
    runtime: Runtime,
}

impl ScheduledLocalSet {
    /// One with nothing to do, at [`Instant::ZERO`].
    pub(crate) fn new() -> Self {
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        let (scheduler, local_set) = (LocalSetScheduler::new(), LocalSet::new());
        local_set.spawn_local(scheduler.clone().drive());
        let runtime = runtime.expect("a runtime without I/O needs nothing from the system");
        Self { scheduler, local_set, runtime }
    }

    pub(crate) fn scheduler(&self) -> &Rc<LocalSetScheduler> {
        &self.scheduler
    }

    /// Has the `LocalSet` run until the driver has nothing left to do but to wait.
    pub(crate) fn run_until_idle(&self) {
        self.scheduler.is_idle.set(false);
        self.scheduler.news().notify_one();
        self.local_set.block_on(&self.runtime, async {
            while !self.scheduler.is_idle.get() {
                self.scheduler.idle.notified().await;
            }
        });
    }
}

/// A scheduler for a `LocalSet`.
pub struct LocalSetScheduler {
    this: Weak<LocalSetScheduler>,
    id: SchedulerId,
    now: Cell<Instant>,
    /// What is to run, in order.
    ready: RefCell<BTreeMap<u64, (CallbackId, Callback)>>,
    /// Timers by deadline and order of creation.
    timers: RefCell<BTreeMap<(Instant, u64), (CallbackId, Callback)>>,
    next: Cell<u64>,
    post: Arc<Post>,
    is_closed: Cell<bool>,
    /// Whether the driver waits, with nothing to wait for but news.
    is_idle: Cell<bool>,
    /// Told when it begins to.
    idle: Notify,
    reports: Reports,
}

impl LocalSetScheduler {
    fn new() -> Rc<Self> {
        let id = SchedulerId::unique();
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            id,
            now: Cell::new(Instant::ZERO),
            ready: RefCell::default(),
            timers: RefCell::default(),
            next: Cell::new(0),
            post: Arc::new(Post { id, news: Notify::new(), posted: Mutex::new(Some(Vec::new())) }),
            is_closed: Cell::new(false),
            is_idle: Cell::new(true),
            idle: Notify::new(),
            reports: Reports::default(),
        })
    }

    /// The driver: the task that runs everything.
    async fn drive(self: Rc<Self>) {
        loop {
            self.run_batch();
            if !self.ready.borrow().is_empty() {
                yield_now().await; // the other tasks of the set have their turn
                continue;
            }
            let news = self.news().notified();
            match self.next_due() {
                Some(due) => {
                    let delay = due - self.now.get();
                    if timeout(delay.min(LONGEST_SLEEP), news).await.is_err() {
                        self.now.set(due);
                    }
                }
                None => {
                    self.is_idle.set(true);
                    self.idle.notify_one();
                    news.await;
                    self.is_idle.set(false);
                }
            }
        }
    }

    /// One iteration: collects what came and what is due, then runs what is ready now.
    fn run_batch(&self) {
        let _entered = EnteredScheduler::new(self.to_rc());
        for closure in self.post.collect() {
            let (location, context) = (Location::caller(), TaskContext::new());
            let callback = Callback::in_context(location, context, closure);
            self.push_ready(CallbackId::Soon(self.number()), callback);
        }
        while let Some((id, callback)) = self.pop_due() {
            self.push_ready(id, callback);
        }
        let end = self.next.get();
        while let Some(callback) = self.pop_ready_below(end) {
            run_callback(self, callback);
        }
    }

    fn push_ready(&self, id: CallbackId, callback: Callback) {
        let order = match id {
            CallbackId::Soon(number) => number,
            CallbackId::Timer(_) => self.number(),
        };
        self.ready.borrow_mut().insert(order, (id, callback));
    }

    fn pop_ready_below(&self, end: u64) -> Option<Callback> {
        let mut ready = self.ready.borrow_mut();
        let entry = ready.first_entry().filter(|entry| *entry.key() < end)?;
        Some(entry.remove().1)
    }

    /// Takes out the timer that is due first, if one is due.
    fn pop_due(&self) -> Option<(CallbackId, Callback)> {
        let mut timers = self.timers.borrow_mut();
        let entry = timers.first_entry().filter(|entry| entry.key().0 <= self.now.get())?;
        Some(entry.remove())
    }

    /// The next deadline.
    fn next_due(&self) -> Option<Instant> {
        let timers = self.timers.borrow();
        timers.first_key_value().map(|(key, _)| key.0).filter(|due| *due != Instant::NEVER)
    }

    /// Takes out a callback that has yet to run.
    fn take_out(&self, id: CallbackId) -> Option<Callback> {
        let mut ready = self.ready.borrow_mut();
        let mut found = ready.extract_if(.., |_, entry| entry.0 == id);
        if let Some((_, (_, callback))) = found.next() {
            return Some(callback);
        }
        let mut timers = self.timers.borrow_mut();
        let mut found = timers.extract_if(.., |_, entry| entry.0 == id);
        found.next().map(|(_, (_, callback))| callback)
    }

    /// Tells the driver that there is something to do.
    fn news(&self) -> &Notify {
        &self.post.news
    }

    fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// Drops all that is queued, and refuses what comes.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        let posted = self.post.close();
        let (ready, timers) = (self.ready.take(), self.timers.take());
        drop((posted, ready, timers));
        self.reports.set_handler(None);
    }

    /// What was reported since the last call.
    pub(crate) fn take_reports(&self) -> Vec<ExceptionContext> {
        self.reports.take()
    }

    /// Has `handler` called with each report, which is recorded all the same.
    pub(crate) fn set_exception_handler(&self, handler: ExceptionHandler) {
        self.reports.set_handler(Some(handler));
    }
}

/// The longest time that is waited for on tokio's clock, which does not count as far as ours.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 3600);

impl Scheduler for LocalSetScheduler {
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        if self.is_closed() {
            return Err(Closed::new(callback));
        }
        let id = CallbackId::Soon(self.number());
        self.push_ready(id, callback);
        self.news().notify_one();
        Ok(Handle::new(self.this.clone(), id))
    }

    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        if self.is_closed() {
            return Err(Closed::new(callback));
        }
        let order = self.number();
        let id = CallbackId::Timer(order);
        self.timers.borrow_mut().insert((when, order), (id, callback));
        self.news().notify_one();
        Ok(TimerHandle::new(self.this.clone(), id, when))
    }

    fn time(&self) -> Instant {
        self.now.get()
    }

    fn cancel(&self, id: CallbackId) -> bool {
        self.take_out(id).is_some()
    }

    fn is_pending(&self, id: CallbackId) -> bool {
        self.ready.borrow().values().any(|entry| entry.0 == id)
            || self.timers.borrow().values().any(|entry| entry.0 == id)
    }

    fn reschedule(&self, id: CallbackId, when: Instant) -> bool {
        let Some(callback) = self.take_out(id) else { return false };
        self.timers.borrow_mut().insert((when, self.number()), (id, callback));
        self.news().notify_one();
        true
    }

    fn call_exception_handler(&self, context: ExceptionContext) {
        self.reports.record(&context);
    }

    fn id(&self) -> SchedulerId {
        self.id
    }

    fn to_rc(&self) -> Rc<dyn Scheduler> {
        self.this.upgrade().expect("a borrowed scheduler is alive")
    }

    fn threadsafe(&self) -> Arc<dyn ThreadsafeScheduler> {
        self.post.clone()
    }

    fn is_closed(&self) -> bool {
        self.is_closed.get()
    }
}

/// The way in from other threads.
struct Post {
    id: SchedulerId,
    news: Notify,
    /// `None` once the scheduler is closed.
    posted: Mutex<Option<Vec<PostedClosure>>>,
}

impl Post {
    /// Takes out what was posted.
    fn collect(&self) -> Vec<PostedClosure> {
        let mut posted = self.posted.lock().expect("nobody panics with the lock");
        posted.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Refuses what comes from now on; what was posted comes back.
    fn close(&self) -> Option<Vec<PostedClosure>> {
        self.posted.lock().expect("nobody panics with the lock").take()
    }
}

impl ThreadsafeScheduler for Post {
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure> {
        match &mut *self.posted.lock().expect("nobody panics with the lock") {
            Some(posted) => posted.push(closure),
            None => return Err(closure),
        }
        self.news.notify_one();
        Ok(())
    }

    fn id(&self) -> SchedulerId {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LocalSetHost, Trace, check};
    use futures::SchedulerExt;
    use tokio::task::{spawn_local, try_id};
    use tokio::time::sleep;

    #[test]
    fn i1_callbacks_and_timers_run_in_one_task_of_the_local_set() {
        check(LocalSetHost::new, |host| {
            let (scheduler, seen) = (host.scheduler(), Rc::new(RefCell::new(Vec::new())));
            let look = || {
                let seen = seen.clone();
                move || seen.borrow_mut().push(try_id().expect("a task runs"))
            };
            assert!(try_id().is_none());
            scheduler.call_soon(look());
            scheduler.call_later(Duration::from_secs(1), look());
            let posted = Box::new(|| assert!(try_id().is_some()));
            assert!(scheduler.threadsafe().post(posted).is_ok());
            host.run_until_idle();
            let seen = seen.take();
            assert!(seen.len() == 2 && seen[0] == seen[1]);
        });
    }

    #[test]
    fn i1_the_other_tasks_of_the_set_run_between_the_batches() {
        check(LocalSetHost::new, |host| {
            let (scheduler, trace) = (host.scheduler(), Trace::new());
            let (inner, noted) = (scheduler.clone(), trace.clone());
            scheduler.call_soon(move || {
                let future = inner.create_future::<u32>();
                let (awaited, seen, late) = (future.clone(), noted.clone(), inner.clone());
                spawn_local(async move {
                    seen.note("task");
                    seen.note(format!("task {:?}", awaited.await));
                    sleep(Duration::from_secs(5)).await;
                    late.call_soon(seen.mark("callback of the task"));
                });
                inner.call_soon(noted.mark("second batch"));
                inner.call_later(Duration::from_secs(1), move || future.set_result(7).unwrap());
                inner.call_later(Duration::from_secs(9), noted.mark("last"));
            });
            host.run_until_idle();
            assert_eq!(
                trace.take(),
                ["task", "second batch", "task Ok(7)", "callback of the task", "last"]
            );
            assert_eq!(scheduler.time(), Instant::ZERO + Duration::from_secs(9));
        });
    }
}
