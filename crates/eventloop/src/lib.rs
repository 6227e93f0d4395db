//! The event loop of Tulipa, after PEP 3156: callbacks in order, timers on time, descriptors when they
//! are ready, signals, and an executor for calls that block. One thread, one loop.
//!
//! ```
//! use std::time::Duration;
//! use tulipa_eventloop::{EventLoop, prelude::*};
//!
//! let event_loop = EventLoop::new()?;
//! let handle = event_loop.handle();
//! event_loop.call_soon(|| println!("first"));
//! event_loop.call_later(Duration::from_millis(5), move || handle.stop());
//! event_loop.run_forever()?;
//! # Ok::<(), futures::Exception>(())
//! ```
//!
//! [`EventLoop`] owns everything; [`LoopHandle`] is a clonable view of it, [`ThreadsafeHandle`] the way
//! in from other threads. All speak the interface [`AbstractEventLoop`], with the generic methods of
//! [`AbstractEventLoopExt`] and [`SchedulerExt`](futures::SchedulerExt) on top: import
//! [`prelude`] for all of them. [`TestLoop`] runs a program on a clock that steps by itself.

mod abstract_loop;
mod builder;
mod clock;
mod completion;
mod core;
mod cross_thread;
mod current;
mod driver;
mod errors;
mod event_loop;
mod executor;
mod io_callbacks;
mod ready_queue;
mod repeating;
mod runner;
mod shuffle;
mod signals;
mod source;
mod sources;
mod spin;
mod stats;
mod system_events;
mod test_loop;
mod threadsafe;
mod threadsafe_tasks;
mod timers;
mod to_thread;

pub use abstract_loop::{AbstractEventLoop, AbstractEventLoopExt, ExceptionHandler};
pub use builder::{DriverKind, EventLoopBuilder, UnretrievedFailure};
pub use clock::{Clock, MonotonicClock, TestClock};
pub use completion::Completion;
pub use cross_thread::{
    CallRefused, CallState, CancelAnswer, ThreadsafeCall, ThreadsafeHandle, Wake,
};
pub use current::{EnteredLoop, current, try_current};
pub use driver::{Driver, ReadyEvent};
pub use errors::{CloseError, Interrupted, RunError, SignalError};
pub use event_loop::{EventLoop, LoopHandle};
pub use executor::{ThreadPoolExecutor, ThreadPoolOptions};
pub use runner::{Runner, RunnerBuilder, run, run_value};
pub use source::{Direction, Interest, Source, SourceKey, SourceKind, Taken, Trigger};
pub use stats::{IterationHook, Stats};
pub use system_events::{SystemEvent, SystemEventLoop, SystemEventTrigger, TriggerPhase};
pub use test_loop::{Leftover, TestLoop};
pub use threadsafe_tasks::run_coroutine_threadsafe;
pub use to_thread::to_thread;

/// The numbers of signals, for [`AbstractEventLoopExt::add_signal_handler`].
pub mod signal {
    pub use signal_hook::consts::signal::{
        SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP,
        SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH,
    };
}

/// The traits whose methods a loop has.
pub mod prelude {
    pub use crate::{AbstractEventLoop, AbstractEventLoopExt, SystemEventLoop};
    pub use futures::{Scheduler, SchedulerExt};
}
