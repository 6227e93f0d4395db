//! The `AbstractEventLoop` side of the loop: each method, or where its work is done.

use super::attention::{FLUSH, STOP};
use super::{LoopCore, Phase};
use crate::abstract_loop::ExceptionHandler;
use crate::repeating::RepeatedClosure;
use crate::{
    AbstractEventLoop, CloseError, Direction, Interest, RunError, SignalError, Source, SourceKey,
    Stats, ThreadsafeHandle,
};
use futures::concurrent::Executor;
use futures::{ExceptionContext, Future, Instant, InvalidStateError};
use std::any::{Any, TypeId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

impl AbstractEventLoop for LoopCore {
    fn run_forever(&self) -> Result<(), RunError> {
        self.run()
    }

    fn run_once(&self, timeout: Option<Duration>) -> Result<(), RunError> {
        self.run_single(timeout)
    }

    fn stop(&self) {
        self.attention.set(STOP);
    }

    fn is_running(&self) -> bool {
        self.phase.get() == Phase::Running
    }

    fn close(&self) -> Result<(), CloseError> {
        self.close_loop()
    }

    fn to_event_loop(&self) -> Rc<dyn AbstractEventLoop> {
        self.rc()
    }

    fn threadsafe_handle(&self) -> ThreadsafeHandle {
        self.remote.handle()
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.phase.get() == Phase::Closed {
            return None;
        }
        // Asked by one of several calls from other threads, those behind it are in no other queue.
        if self.is_busy() || self.calls.collected() > 0 {
            return Some(self.clock.now());
        }
        self.next_due()
    }

    fn watch(&self, source: Rc<dyn Source>, interest: Interest) -> io::Result<SourceKey> {
        self.watch_source(source, interest)
    }

    fn set_interest(&self, key: SourceKey, interest: Interest) -> io::Result<()> {
        self.change_interest(key, interest)
    }

    fn unwatch(&self, key: SourceKey) -> Option<Rc<dyn Source>> {
        self.unwatch_source(key)
    }

    fn flush_later(&self, key: SourceKey) {
        if self.phase.get() != Phase::Closed {
            self.dirty.borrow_mut().push_back(key);
            self.attention.set(FLUSH);
        }
    }

    fn add_io_callback(
        &self,
        descriptor: Box<dyn AsFd>,
        direction: Direction,
        callback: Box<dyn FnMut()>,
        location: &'static Location<'static>,
    ) -> io::Result<()> {
        self.set_io_callback(descriptor, direction, RepeatedClosure::new(callback, location))
    }

    fn remove_io_callback(
        &self,
        descriptor: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<bool> {
        self.unset_io_callback(descriptor, direction)
    }

    fn set_signal_handler(
        &self,
        signal: i32,
        handler: Box<dyn FnMut()>,
        location: &'static Location<'static>,
    ) -> Result<(), SignalError> {
        self.install_signal_handler(signal, RepeatedClosure::new(handler, location))
    }

    fn remove_signal_handler(&self, signal: i32) -> bool {
        self.uninstall_signal_handler(signal)
    }

    fn default_executor(&self) -> Result<Arc<dyn Executor>, InvalidStateError> {
        self.make_default_executor()
    }

    fn set_default_executor(&self, executor: Arc<dyn Executor>) {
        self.replace_default_executor(executor);
    }

    fn shutdown_default_executor(&self, timeout: Duration) -> Future<()> {
        self.end_default_executor(timeout)
    }

    fn set_exception_handler(&self, handler: Option<ExceptionHandler>) {
        // Without an owner nobody would ever take it away: it might keep the loop in memory.
        let handler = handler.filter(|_| self.has_owner.get());
        let previous = self.exception_handler.replace(handler);
        self.drop_contained(previous);
    }

    fn get_exception_handler(&self) -> Option<ExceptionHandler> {
        self.exception_handler.borrow().clone()
    }

    fn default_exception_handler(&self, context: &ExceptionContext) {
        self.log_report(context);
    }

    fn set_debug(&self, enabled: bool) {
        self.debug.set(enabled);
    }

    fn slow_callback_duration(&self) -> Duration {
        self.slow_callback_duration.get()
    }

    fn set_slow_callback_duration(&self, duration: Duration) {
        self.slow_callback_duration.set(duration);
    }

    fn stats(&self) -> Stats {
        self.gather_stats()
    }

    fn dump(&self) -> String {
        self.describe_all()
    }

    fn get_local(&self, key: TypeId) -> Option<Rc<dyn Any>> {
        self.locals.borrow().get(&key).cloned()
    }

    fn set_local(&self, key: TypeId, value: Rc<dyn Any>) {
        if self.phase.get() == Phase::Closed {
            return;
        }
        let previous = self.locals.borrow_mut().insert(key, value);
        self.drop_contained(previous);
    }
}
