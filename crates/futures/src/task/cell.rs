//! [`TaskCell`]: a task in one allocation, its coroutine, its state and its result together.
//!
//! Invariant: the coroutine is polled and dropped on the loop's thread only, by [`step`](AnyTask::step)
//! and [`destroy`](AnyTask::destroy), never from inside a call that a user made on a handle.
#![allow(unsafe_code)]

use super::drive::{Driven, drive};
use super::header::TaskHeader;
use super::owner::Owner;
use super::running;
use super::wait_set::CancelRequest;
use super::{CancelMessage, Step, StepFailure, TaskState, passing_on};
use crate::context::{self, TaskContext};
use crate::future::{AnyFuture, AnyShared, FutureObject, Shared, State};
use crate::scope::ENDED;
use crate::{ClosedError, Exception, ExceptionContext, InvalidStateError, Scheduler, catch};
use std::any::type_name;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

/// A task, whatever the types of its coroutine and result.
pub(crate) trait AnyTask: AnyFuture {
    fn header(&self) -> &TaskHeader;

    fn scheduler(&self) -> &Rc<dyn Scheduler>;

    /// Where it was spawned.
    fn created_at(&self) -> &'static Location<'static>;

    /// How it stands.
    fn state(&self) -> TaskState;

    /// As [`Future::exception`](crate::Future::exception).
    fn exception(&self) -> Result<Option<Exception>, Exception>;

    /// Queues a step, unless one is queued or it is done.
    fn schedule_step(self: Rc<Self>);

    /// As [`schedule_step`](Self::schedule_step). `alive` may be any scheduler that the caller keeps alive:
    /// if it is the task's, which is likely, it need not be counted. It cannot be borrowed from the task, as
    /// that goes into the queue.
    fn schedule_step_by(self: Rc<Self>, alive: &dyn Scheduler);

    /// Runs the coroutine until it waits for something.
    fn step(self: Rc<Self>) -> Result<(), Box<StepFailure>>;

    /// Has the coroutine dropped by a callback of its own, wherever it stands.
    fn abort(self: Rc<Self>);

    /// The scheduler has closed: drops the coroutine, and reports that it did not end (T-23).
    fn destroy(self: Rc<Self>);
}

/// How a coroutine's output becomes an outcome.
pub(super) trait Finish<O, T>: 'static {
    fn finish(output: O) -> Result<T, Exception>;
}

/// Of a coroutine that may fail: the output is the outcome.
pub(super) struct Fallible;

/// Of a coroutine that cannot fail: the output is the value.
pub(super) struct Plain;

impl<T> Finish<Result<T, Exception>, T> for Fallible {
    #[inline]
    fn finish(output: Result<T, Exception>) -> Result<T, Exception> {
        output
    }
}

impl<T> Finish<T, T> for Plain {
    #[inline]
    fn finish(output: T) -> Result<T, Exception> {
        Ok(output)
    }
}

/// A coroutine's output, and the request to end that it has not noticed. Boxed, for mostly there is none.
type Unnoticed<O> = Box<(O, CancelRequest)>;

#[repr(C)] // see `FutureObject`
pub(super) struct TaskCell<F: std::future::Future, T: 'static, K> {
    shared: Shared<T>,
    header: TaskHeader,
    finish: PhantomData<K>,
    /// `None` once it has ended.
    coroutine: RefCell<Option<F>>,
}

impl<F, T, K> TaskCell<F, T, K>
where
    F: std::future::Future + 'static,
    T: 'static,
    K: Finish<F::Output, T>,
{
    #[inline(always)]
    pub(super) fn new(
        scheduler: Rc<dyn Scheduler>,
        location: &'static Location<'static>,
        owner: Rc<Owner>,
        context: TaskContext,
        coroutine: F,
    ) -> Rc<Self> {
        const { assert!(offset_of!(Self, shared) == 0, "see `FutureObject`") };
        let mut cell = Rc::<Self>::new_uninit();
        let place = Rc::get_mut(&mut cell).expect("it is new").as_mut_ptr();
        // Part by part, where it will lie: making it elsewhere and moving it costs as much again.
        // SAFETY: `place` is that of a cell, all parts of which are written, and none is read before.
        unsafe {
            (&raw mut (*place).shared).write(Shared::of_task(scheduler, location));
            (&raw mut (*place).header).write(TaskHeader::new(owner, context));
            (&raw mut (*place).coroutine).write(RefCell::new(Some(coroutine)));
            (&raw mut (*place).finish).write(PhantomData);
            cell.assume_init()
        }
    }

    /// Runs `action` with the coroutine in place; `None` if it is at work already.
    fn with_coroutine<R>(&self, action: impl FnOnce(Pin<&mut Option<F>>) -> R) -> Option<R> {
        let mut coroutine = self.coroutine.try_borrow_mut().ok()?;
        // SAFETY: the coroutine lies in an `Rc` that is never unwrapped, this is the only place that
        // gives out access to it, and `Pin` lets nobody move it: it is dropped where it lies.
        Some(action(unsafe { Pin::new_unchecked(&mut *coroutine) }))
    }

    /// Drops the coroutine where it stands, with the task as the running one. A panic of its
    /// destructors is reported.
    fn drop_coroutine(self: &Rc<Self>) {
        let dropped = running::as_task(self, || {
            catch(|| self.with_coroutine(|mut coroutine| coroutine.set(None)))
        });
        if let Err(panic) = dropped {
            self.report("a destructor in a task's coroutine panicked", Some(panic));
        }
    }

    /// The task is done: tells everybody who waits for it.
    #[inline(always)]
    fn complete(self: &Rc<Self>) {
        let kept = self.header.owner().release(self.header.waker().place());
        self.shared.tell_all(|| self.clone());
        drop(kept);
    }

    /// Ends the pending state. Nothing of users' may be called from here on until
    /// [`complete`](Self::complete).
    #[cold]
    fn finish(&self, state: State<T>) {
        // Only the coroutine itself completes its task, and it has just ended.
        let _ = self.shared.finish(state, |state| state);
    }

    /// For a task whose loop or scope has ended.
    #[cold]
    fn complete_cancelled(self: &Rc<Self>, reason: &'static str) {
        self.finish(State::cancelled(Some(reason.into())));
        self.complete();
    }

    /// One turn of the coroutine.
    #[inline(always)]
    fn take_turn(self: Rc<Self>) {
        self.header.dequeue();
        if self.shared.done() {
            return;
        }
        let outside = self.header.enter_context();
        let has_ended = match self.header.aborted() {
            true => {
                self.end_aborted();
                true
            }
            false => self.poll_coroutine(),
        };
        if !has_ended {
            return self.header.leave_context(outside);
        }
        self.complete();
        self.leave_context(outside);
    }

    /// Polls the coroutine. If that was its end, the outcome is in its place afterwards, and this is true:
    /// everybody who waits is to be told.
    ///
    /// The outcome goes there from where the coroutine has ended, and the rest is known by single words: to
    /// hand on what has several, which were just written, is to wait for them.
    #[inline(always)]
    fn poll_coroutine(self: &Rc<Self>) -> bool {
        let mut has_ended = false;
        let mut unnoticed = None;
        let polled = running::as_task(self, || {
            let waker = self.header.waker().lend();
            let mut context = Context::from_waker(&waker);
            catch(|| {
                self.with_coroutine(|coroutine| {
                    match drive(
                        self.header.wait_set(),
                        coroutine,
                        &mut context,
                        |output, request| self.keep(output, request),
                    ) {
                        Driven::Pending => {}
                        Driven::Ready(asked) => {
                            has_ended = true;
                            unnoticed = asked;
                        }
                        Driven::Dropped(CancelRequest(message)) => {
                            has_ended = true;
                            self.finish(State::cancelled(message));
                        }
                    }
                });
            })
        });
        if let Err(panic) = polled {
            self.drop_coroutine();
            self.finish(State::Finished(Err(panic)));
            return true;
        }
        if let Some(unnoticed) = unnoticed {
            let (output, request) = *unnoticed;
            self.finish(Self::state_of_cancelled(output, request));
        }
        if !has_ended && self.header.aborted() {
            self.end_aborted();
            return true;
        }
        has_ended
    }

    /// Puts the outcome of a coroutine that has ended in its place, unless it was asked to end: then it
    /// hands out what the outcome is still to be made of, as that may run user code.
    #[inline(always)]
    fn keep(
        &self,
        output: F::Output,
        request: Option<CancelRequest>,
    ) -> Option<Unnoticed<F::Output>> {
        if let Some(request) = request {
            return Some(Box::new((output, request)));
        }
        match K::finish(output) {
            // Nobody else completes a task.
            Ok(value) => drop(self.shared.finish(value, |value| State::Finished(Ok(value)))),
            Err(exception) => self.finish(State::from(Err(exception))),
        }
        None
    }

    /// It was asked to end in its last step, and has not noticed (T-14).
    #[cold]
    fn state_of_cancelled(output: F::Output, request: CancelRequest) -> State<T> {
        // The value is wanted by nobody, and dropping it is user code.
        match catch(|| K::finish(output).map(drop)) {
            Ok(Ok(())) => State::cancelled(request.0),
            Ok(Err(exception)) | Err(exception) => State::from(Err(exception)),
        }
    }

    /// Ends a task that was aborted.
    #[cold]
    fn end_aborted(self: &Rc<Self>) {
        self.drop_coroutine();
        self.finish(State::cancelled(None));
    }

    /// The scheduler is closed, or the scope has ended: drops the coroutine, which is reported, and
    /// ends the task (L-26).
    #[cold]
    pub(super) fn refuse(self: Rc<Self>, by_scope: bool) {
        let outside = self.header.enter_context();
        self.drop_coroutine();
        let (message, exception, reason) = match by_scope {
            false => (
                "create_task on a closed event loop: the coroutine was dropped",
                ClosedError.into(),
                "the event loop is closed",
            ),
            true => (
                "create_task on a scope that has ended: the coroutine was dropped",
                InvalidStateError::new(ENDED).into(),
                ENDED,
            ),
        };
        self.report(message, Some(exception));
        self.complete_cancelled(reason);
        self.leave_context(outside);
    }

    /// Goes back to the context outside, and lets go of its own: it has ended, and a value there may
    /// know the task.
    #[inline]
    fn leave_context(&self, outside: Option<TaskContext>) {
        if outside.is_some() || context::is_any_set() {
            self.leave_values(outside);
        }
    }

    fn leave_values(&self, outside: Option<TaskContext>) {
        let own = context::replace(outside.unwrap_or_default());
        if !own.is_empty()
            && let Err(panic) = catch(|| drop(own))
        {
            self.report("a destructor in a task's context panicked", Some(panic));
        }
    }

    /// Reports something that has no caller.
    fn report(&self, message: &'static str, exception: Option<Exception>) {
        let mut context = ExceptionContext::new(message);
        context.exception = exception;
        context.task = Some(self.description());
        context.created_at = Some(self.shared.created_at());
        self.shared.scheduler().call_exception_handler(context);
    }
}

impl<F, T, K> AnyTask for TaskCell<F, T, K>
where
    F: std::future::Future + 'static,
    T: 'static,
    K: Finish<F::Output, T>,
{
    #[inline]
    fn header(&self) -> &TaskHeader {
        &self.header
    }

    fn scheduler(&self) -> &Rc<dyn Scheduler> {
        self.shared.scheduler()
    }

    fn created_at(&self) -> &'static Location<'static> {
        self.shared.created_at()
    }

    fn state(&self) -> TaskState {
        match self.shared.done() {
            true if self.shared.cancelled() => TaskState::Cancelled,
            true => TaskState::Finished,
            false if self.coroutine.try_borrow().is_err() => TaskState::Running,
            false if self.header.is_queued() => TaskState::Queued,
            false => TaskState::Waiting,
        }
    }

    fn exception(&self) -> Result<Option<Exception>, Exception> {
        self.shared.exception()
    }

    fn schedule_step(self: Rc<Self>) {
        let scheduler = self.shared.scheduler().clone();
        self.schedule_step_by(&*scheduler);
    }

    fn schedule_step_by(self: Rc<Self>, alive: &dyn Scheduler) {
        if self.shared.done() || !self.header.queue() {
            return;
        }
        if std::ptr::addr_eq(alive, Rc::as_ptr(self.shared.scheduler())) {
            return alive.schedule_step(Step::new(self));
        }
        let scheduler = self.shared.scheduler().clone();
        scheduler.schedule_step(Step::new(self));
    }

    fn step(self: Rc<Self>) -> Result<(), Box<StepFailure>> {
        let location = self.shared.created_at();
        catch(|| self.take_turn()).map_err(|panic| StepFailure::boxed(location, panic))
    }

    fn abort(self: Rc<Self>) {
        self.shared.set_retrieved();
        self.header.set_aborted();
        self.schedule_step();
    }

    fn destroy(self: Rc<Self>) {
        if self.shared.done() {
            return;
        }
        let report = || {
            if !self.header.is_exempt() {
                self.report("task was destroyed but it is pending", None);
            }
        };
        if self.coroutine.try_borrow().is_err() {
            // It is closing its own loop: the coroutine goes when this step is over.
            self.header.set_aborted();
            return report();
        }
        let outside = self.header.enter_context();
        report();
        self.drop_coroutine();
        self.complete_cancelled("the event loop was closed");
        self.leave_context(outside);
    }
}

impl<F, T, K> AnyFuture for TaskCell<F, T, K>
where
    F: std::future::Future + 'static,
    T: 'static,
    K: Finish<F::Output, T>,
{
    fn common(&self) -> &dyn AnyShared {
        &self.shared
    }

    fn request_cancel(self: Rc<Self>, message: CancelMessage) -> bool {
        self.shared.set_retrieved();
        if self.shared.done() {
            return false;
        }
        if self.header.is_passing_on() {
            return false; // it waits for whoever asks this: that one is to end first
        }
        self.header.count_request();
        let request = CancelRequest(message);
        if self.coroutine.try_borrow().is_err() {
            // It runs: it cancels itself, or somebody whom it has called does (T-15).
            self.header.wait_set().set_request(request);
        } else {
            passing_on::pass_on(self, request);
        }
        true
    }

    fn task(&self) -> Option<&TaskHeader> {
        Some(&self.header)
    }

    fn describe(&self) -> String {
        self.description()
    }
}

// SAFETY: it begins with that, and `repr(C)` leaves it there.
unsafe impl<F, T, K> FutureObject<T> for TaskCell<F, T, K>
where
    F: std::future::Future + 'static,
    T: 'static,
    K: Finish<F::Output, T>,
{
}

impl<F: std::future::Future, T: 'static, K> Drop for TaskCell<F, T, K> {
    /// Nobody can ask any more: a failure is reported (F-18).
    #[inline]
    fn drop(&mut self) {
        if self.shared.is_unretrieved() {
            self.report_unretrieved();
        }
    }
}

impl<F: std::future::Future, T: 'static, K> TaskCell<F, T, K> {
    #[cold]
    fn report_unretrieved(&self) {
        let Some(exception) = self.shared.take_unretrieved() else { return };
        let message = "task exception was never retrieved";
        let mut context = ExceptionContext::with_exception(message, exception);
        context.task = Some(self.description());
        context.created_at = Some(self.shared.created_at());
        context.never_retrieved = true;
        self.shared.scheduler().call_exception_handler(context);
    }

    /// For people: what it is, its state and where it was spawned.
    fn description(&self) -> String {
        let (state, location) = (self.shared.state_name(), self.shared.created_at());
        let name = self.header.name();
        format!("Task<{}>({name}, {state}, spawned at {location})", type_name::<T>())
    }
}
