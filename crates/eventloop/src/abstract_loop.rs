//! [`AbstractEventLoop`]: the interface that everything else speaks to (PEP 3156, I-1).
//!
//! It is object safe, so that a loop can be replaced as a whole; [`AbstractEventLoopExt`] adds the
//! convenient generic methods on top, for any implementation and for `dyn AbstractEventLoop`.

use crate::completion::{MadeHere, check_runnable, resume_panic, run_until_done};
use crate::{
    CloseError, Completion, Direction, Interest, RunError, SignalError, Source, SourceKey, Stats,
    ThreadsafeHandle,
};
use futures::concurrent::{Executor, ExecutorExt};
use futures::{
    ClosedError, Exception, ExceptionContext, Future, Instant, InvalidStateError, Scheduler,
    TaskBuilder, wrap_future,
};
use std::any::{Any, TypeId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What handles errors that have no caller: it is given the loop and what is known.
pub type ExceptionHandler = Rc<dyn Fn(&dyn AbstractEventLoop, &ExceptionContext)>;

/// An event loop: a [`Scheduler`] that can be run, watches descriptors and signals, and has an
/// executor for calls that block.
///
/// A category that an implementation cannot offer answers with `io::ErrorKind::Unsupported` (I-4).
/// Methods that take boxed closures are for implementers; callers use [`AbstractEventLoopExt`].
pub trait AbstractEventLoop: Scheduler {
    /// Runs until [`stop`](AbstractEventLoop::stop) (L-11).
    ///
    /// # Errors
    /// [`RunError`] if it runs already, if another loop runs on this thread, if it is closed (L-12),
    /// or if the poller fails.
    fn run_forever(&self) -> Result<(), RunError>;

    /// One iteration: polls for at most `timeout` (`None`: as long as it takes), then runs what is
    /// ready (L-2, L-23).
    ///
    /// # Errors
    /// As [`run_forever`](AbstractEventLoop::run_forever).
    fn run_once(&self, timeout: Option<Duration>) -> Result<(), RunError>;

    /// Ends the run after the current batch; what is scheduled stays for the next run. Before a run:
    /// that run does exactly one iteration (L-18, L-19).
    fn stop(&self);

    /// Whether a run is going on (L-22).
    fn is_running(&self) -> bool;

    /// Drops all callbacks and timers without running them, forgets descriptors and signal handlers,
    /// shuts the default executor down without waiting, closes the poller (L-25). Idempotent.
    ///
    /// # Errors
    /// [`CloseError`] if the loop is running (L-24).
    fn close(&self) -> Result<(), CloseError>;

    /// The same loop, owned.
    fn to_event_loop(&self) -> Rc<dyn AbstractEventLoop>;

    /// The way in from other threads (L-31).
    fn threadsafe_handle(&self) -> ThreadsafeHandle;

    /// When the loop next has something to do of its own: now if callbacks are ready, else the
    /// earliest timer's deadline, to the point, else `None` (I-6). A host that is woken later, so as
    /// to be woken less often, does what the loop does for itself by
    /// [`timer_slack`](crate::EventLoopBuilder::timer_slack).
    fn next_deadline(&self) -> Option<Instant>;

    // Descriptors

    /// Watches `source`, which the loop then owns until [`unwatch`](AbstractEventLoop::unwatch).
    /// With [`Interest::NONE`] the loop owns it and watches nothing.
    ///
    /// # Errors
    /// What the poller says (`EPERM` for a regular file), `AlreadyExists` if the descriptor is
    /// watched already, or that the loop is closed; the source is dropped.
    fn watch(&self, source: Rc<dyn Source>, interest: Interest) -> io::Result<SourceKey>;

    /// Changes what is watched. It reaches the kernel at once. A key whose source is gone is ignored.
    ///
    /// # Errors
    /// What the poller says; the interest is then what it was.
    fn set_interest(&self, key: SourceKey, interest: Interest) -> io::Result<()>;

    /// Ends the watch and gives the source back; an event that was collected for it reaches nobody
    /// (L-39, L-43). `None` if it was gone already.
    fn unwatch(&self, key: SourceKey) -> Option<Rc<dyn Source>>;

    /// Has [`Source::flush`] called before the next poll.
    fn flush_later(&self, key: SourceKey);

    /// Sets the callback of a descriptor for one direction (L-37, L-38), made at `location`; see
    /// [`AbstractEventLoopExt::add_reader`].
    ///
    /// # Errors
    /// As there.
    fn add_io_callback(
        &self,
        descriptor: Box<dyn AsFd>,
        direction: Direction,
        callback: Box<dyn FnMut()>,
        location: &'static Location<'static>,
    ) -> io::Result<()>;

    /// Removes the callback of a descriptor for one direction, and says whether there was one
    /// (L-39, L-40).
    ///
    /// # Errors
    /// If the descriptor belongs to a transport (L-41).
    fn remove_io_callback(
        &self,
        descriptor: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<bool>;

    // Signals

    /// Sets the handler of a signal, made at `location`; see
    /// [`AbstractEventLoopExt::add_signal_handler`].
    ///
    /// # Errors
    /// As there.
    fn set_signal_handler(
        &self,
        signal: i32,
        handler: Box<dyn FnMut()>,
        location: &'static Location<'static>,
    ) -> Result<(), SignalError>;

    /// Removes the handler of a signal, and says whether there was one. With the last one of the
    /// process the signal does again what it did before (G-3).
    fn remove_signal_handler(&self, signal: i32) -> bool;

    // Executor

    /// The executor for calls that block, made at first use (E-1).
    ///
    /// # Errors
    /// After [`shutdown_default_executor`](AbstractEventLoop::shutdown_default_executor) (E-7), or if
    /// the loop is closed.
    fn default_executor(&self) -> Result<Arc<dyn Executor>, InvalidStateError>;

    /// Replaces the default executor; the old one is not shut down by this (E-6).
    fn set_default_executor(&self, executor: Arc<dyn Executor>);

    /// Takes no more jobs, and gives a future that is done when those that run have ended, or after
    /// `timeout` with a warning (E-7). Without a default executor it is done at once.
    fn shutdown_default_executor(&self, timeout: Duration) -> Future<()>;

    // Errors and debugging

    /// Sets who is told of errors that have no caller; `None` restores the default, which logs them
    /// (D-8).
    fn set_exception_handler(&self, handler: Option<ExceptionHandler>);

    /// The handler that was set, `None` for the default (D-8).
    fn get_exception_handler(&self) -> Option<ExceptionHandler>;

    /// What is done by default: one record in the log, at level error (D-9).
    fn default_exception_handler(&self, context: &ExceptionContext);

    /// Switches the extra checks and reports of debug mode (D-1). May be called at any time.
    fn set_debug(&self, enabled: bool);

    /// From which duration on a callback is reported as slow in debug mode (D-3).
    fn slow_callback_duration(&self) -> Duration;

    /// Sets the duration from which on a callback is reported as slow.
    fn set_slow_callback_duration(&self, duration: Duration);

    /// What the loop did so far, and what it holds now.
    fn stats(&self) -> Stats;

    /// What the loop holds now, item by item, for people.
    fn dump(&self) -> String;

    // Storage

    /// The value that is kept for `key` on this loop; see [`AbstractEventLoopExt::local`].
    fn get_local(&self, key: TypeId) -> Option<Rc<dyn Any>>;

    /// Keeps `value` on this loop until it is closed.
    fn set_local(&self, key: TypeId, value: Rc<dyn Any>);
}

/// The convenient generic methods of every [`AbstractEventLoop`].
pub trait AbstractEventLoopExt: AbstractEventLoop {
    /// Runs until a future or a task is done, and gives its result or its exception (L-11). Of a
    /// future it gives a copy; out of a task the value is moved, as by awaiting it.
    ///
    /// A panic that it ended by is resumed here.
    ///
    /// # Errors
    /// The future's exception; [`RunError`] as for `run_forever`; [`RunError::OtherLoop`] for a
    /// future of another loop (L-13); [`RunError::Stopped`] if `stop` ended the run first: the future
    /// stays pending, and a later run may complete it (L-14).
    ///
    /// # Examples
    /// ```
    /// use tulipa_eventloop::{EventLoop, prelude::*};
    /// let event_loop = EventLoop::new()?;
    /// let future = event_loop.create_future();
    /// let producer = future.clone();
    /// event_loop.call_soon(move || producer.set_result("tulip").unwrap());
    /// assert_eq!(event_loop.run_until_complete(&future)?, "tulip");
    /// let task = event_loop.spawn(async move { future.await.map(str::len) });
    /// assert_eq!(event_loop.run_until_complete(&task)??, 5);
    /// # Ok::<(), futures::Exception>(())
    /// ```
    fn run_until_complete<A: Completion>(&self, awaited: &A) -> Result<A::Output, Exception> {
        run_until_done(self, awaited.as_future())?;
        let outcome = awaited.take_outcome();
        if let Err(exception) = &outcome {
            resume_panic(exception);
        }
        outcome
    }

    /// Runs `coroutine` to its end, as a task, and gives its value:
    /// [`run_until_complete`](AbstractEventLoopExt::run_until_complete) of a coroutine.
    ///
    /// Other callbacks and tasks run meanwhile; at the end they are left as they stand, for another
    /// run. [`run`](crate::run) makes a loop, and ends all of them in good order.
    ///
    /// # Errors
    /// As there. A loop that cannot run drops the coroutine at once, without polling it (L-12).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use tulipa_eventloop::{EventLoop, prelude::*};
    /// let event_loop = EventLoop::new()?;
    /// let rested = event_loop.run_coroutine(async {
    ///     futures::sleep(Duration::from_millis(2)).await?;
    ///     Ok("rested")
    /// })?;
    /// assert_eq!(rested, "rested");
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[doc(alias = "run_until_complete")]
    #[track_caller]
    fn run_coroutine<T: 'static>(
        &self,
        coroutine: impl std::future::Future<Output = Result<T, Exception>> + 'static,
    ) -> Result<T, Exception> {
        check_runnable(self)?;
        let task = TaskBuilder::new().create_task(self, coroutine);
        // Whoever gets an error from here knows that it did not end.
        task.set_exempt();
        let _made_here = MadeHere(&task);
        self.run_until_complete(&task)
    }

    /// Calls `callback` in each iteration in which `descriptor` can be read without blocking, or has
    /// ended or failed (L-37, L-44), until [`remove_reader`](AbstractEventLoopExt::remove_reader).
    ///
    /// The loop owns what it watches: hand over the socket, or a clone of an `Rc` of it (L-45). A
    /// second call for the same descriptor replaces the first; its callback does not run any more,
    /// also if it is queued already (L-38).
    ///
    /// # Errors
    /// What the poller says (a regular file cannot be watched), or `InvalidInput` if the descriptor
    /// belongs to a transport or to the loop itself (L-41, L-42), or that the loop is closed.
    ///
    /// # Examples
    /// ```
    /// use std::{io::Read, io::Write, os::unix::net::UnixStream, rc::Rc};
    /// use tulipa_eventloop::{EventLoop, prelude::*};
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let ours = Rc::new(ours);
    /// let (reader, handle) = (ours.clone(), event_loop.handle());
    /// event_loop.add_reader(ours, move || {
    ///     let mut buffer = [0; 8];
    ///     assert_eq!((&*reader).read(&mut buffer).unwrap(), 5);
    ///     handle.stop();
    /// })?;
    /// theirs.write_all(b"hello")?;
    /// event_loop.run_forever()?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn add_reader(
        &self,
        descriptor: impl AsFd + 'static,
        callback: impl FnMut() + 'static,
    ) -> io::Result<()> {
        let (descriptor, callback) = (Box::new(descriptor), Box::new(callback));
        self.add_io_callback(descriptor, Direction::Read, callback, Location::caller())
    }

    /// As [`add_reader`](AbstractEventLoopExt::add_reader), when `descriptor` can be written.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    fn add_writer(
        &self,
        descriptor: impl AsFd + 'static,
        callback: impl FnMut() + 'static,
    ) -> io::Result<()> {
        let (descriptor, callback) = (Box::new(descriptor), Box::new(callback));
        self.add_io_callback(descriptor, Direction::Write, callback, Location::caller())
    }

    /// Ends [`add_reader`](AbstractEventLoopExt::add_reader), and says whether there was one. A
    /// callback that is queued already does not run (L-39). False on a closed loop (L-26).
    ///
    /// # Errors
    /// If the descriptor belongs to a transport (L-41).
    fn remove_reader(&self, descriptor: &impl AsFd) -> io::Result<bool> {
        self.remove_io_callback(descriptor.as_fd(), Direction::Read)
    }

    /// Ends [`add_writer`](AbstractEventLoopExt::add_writer), as
    /// [`remove_reader`](AbstractEventLoopExt::remove_reader) does.
    ///
    /// # Errors
    /// As there.
    fn remove_writer(&self, descriptor: &impl AsFd) -> io::Result<bool> {
        self.remove_io_callback(descriptor.as_fd(), Direction::Write)
    }

    /// Calls `handler` in the loop, as an ordinary callback, when the process receives `signal`
    /// (G-1). One handler a loop and signal: a new one replaces the old. Several loops may handle the
    /// same signal; a handler that the host program had installed still runs too.
    ///
    /// Arrivals between two iterations may be merged (G-4).
    ///
    /// # Errors
    /// [`SignalError`] for numbers that are no signal, or cannot be caught (G-2), or on a closed loop.
    #[track_caller]
    fn add_signal_handler(
        &self,
        signal: i32,
        handler: impl FnMut() + 'static,
    ) -> Result<(), SignalError> {
        self.set_signal_handler(signal, Box::new(handler), Location::caller())
    }

    /// Logs all tasks, which of them awaits which, where they were spawned, and what else the loop holds,
    /// whenever the process receives `signal`, which usually is SIGUSR1. The record is at level
    /// warning, so that it is seen. [`remove_signal_handler`](AbstractEventLoop::remove_signal_handler)
    /// ends it.
    ///
    /// # Errors
    /// As [`add_signal_handler`](AbstractEventLoopExt::add_signal_handler).
    ///
    /// # Examples
    /// ```
    /// use tulipa_eventloop::{EventLoop, prelude::*, signal};
    /// let event_loop = EventLoop::new()?;
    /// event_loop.dump_tasks_on(signal::SIGUSR1)?;
    /// # Ok::<(), futures::Exception>(())
    /// ```
    #[track_caller]
    fn dump_tasks_on(&self, signal: i32) -> Result<(), SignalError> {
        self.add_signal_handler(signal, move || {
            // Not through a handle of the loop, which would then own itself.
            if let Some(event_loop) = crate::try_current() {
                let (tree, dump) = (futures::format_task_tree(&*event_loop), event_loop.dump());
                log::warn!(target: "tulipa", "on signal {signal}: who awaits whom:\n{tree}\n{dump}");
            }
        })
    }

    /// Runs `function` in a thread of `executor` (`None`: the default one), and gives a future of its
    /// value (E-1). A panic becomes the future's exception (E-11).
    ///
    /// Cancelling the future removes a job that has not started; one that runs is not interrupted,
    /// and its outcome is dropped (E-4). Refusals (queue full, executor shut down) are exceptions of
    /// the future.
    ///
    /// # Examples
    /// ```
    /// use tulipa_eventloop::{EventLoop, prelude::*};
    /// let event_loop = EventLoop::new()?;
    /// let sum = event_loop.run_in_executor(None, || (1..=10).sum::<u32>());
    /// assert_eq!(event_loop.run_until_complete(&sum)?, 55);
    /// # Ok::<(), futures::Exception>(())
    /// ```
    ///
    /// A job cannot get hold of the loop, whose thread it does not run on (E-3):
    /// ```compile_fail,E0277
    /// use tulipa_eventloop::{EventLoop, prelude::*};
    /// let event_loop = EventLoop::new().unwrap();
    /// let handle = event_loop.handle();
    /// event_loop.run_in_executor(None, move || handle.stop());
    /// ```
    #[track_caller]
    fn run_in_executor<T: Send + 'static>(
        &self,
        executor: Option<&dyn Executor>,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Future<T> {
        let scheduler = self.to_rc();
        let submitted = match executor {
            _ if self.is_closed() => Err(ClosedError.into()),
            Some(executor) => executor.submit(function).map_err(Exception::from),
            None => self
                .default_executor()
                .map_err(Exception::from)
                .and_then(|executor| executor.submit(function).map_err(Exception::from)),
        };
        match submitted {
            Ok(job) => wrap_future(&job, &*scheduler),
            Err(refused) => {
                let future = Future::new(scheduler);
                future.set_exception(refused).expect("a new future is pending");
                future
            }
        }
    }

    /// The one `T` of this loop, made by `make` when it is first asked for. It lives until the loop
    /// closes: a place for what a library shares among all its objects on one loop.
    fn local<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let key = TypeId::of::<T>();
        let known = self.get_local(key).and_then(|value| value.downcast::<T>().ok());
        known.unwrap_or_else(|| {
            let value = Rc::new(make());
            self.set_local(key, value.clone());
            value
        })
    }
}

impl<L: AbstractEventLoop + ?Sized> AbstractEventLoopExt for L {}
