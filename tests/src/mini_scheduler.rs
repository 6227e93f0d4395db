//! [`MiniScheduler`]: a whole [`Scheduler`] on two pages, with a clock that jumps.
//!
//! It is there to be different from the event loop: plain collections, no poller, linear searches.
//! A test that passes on both rests on the contract alone.

use crate::reports::{ExceptionHandler, Reports, run_callback};
use futures::{
    Callback, CallbackId, Closed, EnteredScheduler, ExceptionContext, Handle, Instant,
    PostedClosure, Scheduler, SchedulerId, TaskContext, ThreadsafeScheduler, TimerHandle,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A scheduler that runs what is ready and lets its clock jump to the next timer when nothing is.
pub struct MiniScheduler {
    this: Weak<MiniScheduler>,
    id: SchedulerId,
    now: Cell<Instant>,
    /// What is to run, in order; `None` where it was cancelled.
    ready: RefCell<VecDeque<(CallbackId, Option<Callback>)>>,
    /// Timers as deadline, order of creation, name, callback; in no order.
    timers: RefCell<Vec<(Instant, u64, CallbackId, Callback)>>,
    next: Cell<u64>,
    post: Arc<Post>,
    /// The closures from other threads; `None` once the scheduler is closed.
    posted: RefCell<Option<Receiver<PostedClosure>>>,
    reports: Reports,
}

impl MiniScheduler {
    /// A scheduler with nothing to do, at [`Instant::ZERO`].
    pub fn new() -> Rc<Self> {
        let (sender, posted) = channel();
        let id = SchedulerId::unique();
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            id,
            now: Cell::new(Instant::ZERO),
            ready: RefCell::default(),
            timers: RefCell::default(),
            next: Cell::new(0),
            post: Arc::new(Post { id, sender }),
            posted: RefCell::new(Some(posted)),
            reports: Reports::default(),
        })
    }

    /// Runs until neither a callback nor a timer is left, jumping over the time between.
    pub fn run_until_idle(&self) {
        loop {
            self.run_once();
            self.collect_posted();
            if self.ready.borrow().is_empty() {
                let earliest = self.timers.borrow().iter().map(|timer| timer.0).min();
                match earliest {
                    Some(when) if when != Instant::NEVER => self.now.set(when.max(self.now.get())),
                    _ => return,
                }
            }
        }
    }

    /// Queues what other threads sent.
    fn collect_posted(&self) {
        while let Some(closure) = self.posted.borrow().as_ref().and_then(|r| r.try_recv().ok()) {
            let callback = Callback::in_context(Location::caller(), TaskContext::new(), closure);
            let id = CallbackId::Soon(self.number());
            self.ready.borrow_mut().push_back((id, Some(callback)));
        }
    }

    /// One iteration: collects what came and what is due, then runs what is ready now.
    fn run_once(&self) {
        let _entered = EnteredScheduler::new(self.to_rc());
        self.collect_posted();
        let now = self.now.get();
        let mut due: Vec<_> =
            self.timers.borrow_mut().extract_if(.., |timer| timer.0 <= now).collect();
        due.sort_by_key(|timer| (timer.0, timer.1));
        self.ready.borrow_mut().extend(due.into_iter().map(|(_, _, id, run)| (id, Some(run))));
        let batch = self.ready.borrow().len();
        for _ in 0..batch {
            let next = self.ready.borrow_mut().pop_front();
            if let Some((_, Some(callback))) = next {
                run_callback(self, callback);
            }
        }
    }

    /// Drops all that is queued, and refuses what comes.
    pub fn close(&self) {
        let posted = self.posted.borrow_mut().take();
        let (ready, timers) = (self.ready.take(), self.timers.take());
        drop((posted, ready, timers));
        self.reports.set_handler(None);
    }

    /// What was reported since the last call.
    pub fn take_reports(&self) -> Vec<ExceptionContext> {
        self.reports.take()
    }

    /// Has `handler` called with each report, which is recorded all the same.
    pub fn set_exception_handler(&self, handler: ExceptionHandler) {
        self.reports.set_handler(Some(handler));
    }

    fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// Takes out a callback that has yet to run.
    fn take_out(&self, id: CallbackId) -> Option<Callback> {
        let mut ready = self.ready.borrow_mut();
        if let Some((_, callback)) = ready.iter_mut().find(|entry| entry.0 == id) {
            return callback.take();
        }
        let mut timers = self.timers.borrow_mut();
        let position = timers.iter().position(|timer| timer.2 == id)?;
        Some(timers.swap_remove(position).3)
    }
}

impl Scheduler for MiniScheduler {
    fn schedule(&self, callback: Callback) -> Result<Handle, Closed> {
        if self.is_closed() {
            return Err(Closed::new(callback));
        }
        let id = CallbackId::Soon(self.number());
        self.ready.borrow_mut().push_back((id, Some(callback)));
        Ok(Handle::new(self.this.clone(), id))
    }

    fn schedule_at(&self, when: Instant, callback: Callback) -> Result<TimerHandle, Closed> {
        if self.is_closed() {
            return Err(Closed::new(callback));
        }
        let order = self.number();
        let id = CallbackId::Timer(order);
        self.timers.borrow_mut().push((when, order, id, callback));
        Ok(TimerHandle::new(self.this.clone(), id, when))
    }

    fn time(&self) -> Instant {
        self.now.get()
    }

    fn cancel(&self, id: CallbackId) -> bool {
        self.take_out(id).is_some()
    }

    fn is_pending(&self, id: CallbackId) -> bool {
        self.ready.borrow().iter().any(|entry| entry.0 == id && entry.1.is_some())
            || self.timers.borrow().iter().any(|timer| timer.2 == id)
    }

    fn reschedule(&self, id: CallbackId, when: Instant) -> bool {
        let Some(callback) = self.take_out(id) else { return false };
        self.timers.borrow_mut().push((when, self.number(), id, callback));
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
        self.posted.borrow().is_none()
    }
}

/// The way in from other threads: it ends with the receiver.
struct Post {
    id: SchedulerId,
    sender: Sender<PostedClosure>,
}

impl ThreadsafeScheduler for Post {
    fn post(self: Arc<Self>, closure: PostedClosure) -> Result<(), PostedClosure> {
        self.sender.send(closure).map_err(|refused| refused.0)
    }

    fn id(&self) -> SchedulerId {
        self.id
    }
}
