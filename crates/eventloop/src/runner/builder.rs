//! [`RunnerBuilder`]: the settings of a runner.

use super::{OwnedLoop, Runner};
use crate::{AbstractEventLoop, EventLoop};
use std::io;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

/// Makes the loop of a runner.
pub(super) type LoopFactory = Box<dyn FnOnce() -> io::Result<OwnedLoop>>;

/// The settings of a runner, from [`Runner::builder`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_eventloop::{EventLoop, Runner};
/// let mut runner = Runner::builder()
///     .loop_factory(|| EventLoop::builder().spin(Duration::from_micros(20)).build())
///     .debug(true)
///     .shutdown_timeout(Duration::from_secs(5))
///     .build();
/// assert!(runner.get_loop()?.get_debug());
/// # Ok::<(), futures::Exception>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct RunnerBuilder {
    factory: LoopFactory,
    settings: Settings,
}

/// What a runner reads of its builder.
pub(super) struct Settings {
    pub(super) debug: Option<bool>,
    pub(super) handle_sigint: bool,
    pub(super) limits: ShutdownLimits,
}

/// How long a shutdown may take.
pub(super) struct ShutdownLimits {
    pub(super) rounds: NonZeroU32,
    pub(super) tasks: Duration,
    pub(super) executor: Duration,
}

impl RunnerBuilder {
    pub(super) fn new() -> Self {
        let limits = ShutdownLimits {
            rounds: NonZeroU32::new(16).expect("16 is not zero"),
            tasks: Duration::from_secs(30),
            executor: Duration::from_secs(300),
        };
        Self {
            factory: Box::new(|| EventLoop::new().map(OwnedLoop::from)),
            settings: Settings { debug: None, handle_sigint: true, limits },
        }
    }

    /// Makes the loop, when it is first needed. Default: [`EventLoop::new`].
    pub fn loop_factory(
        mut self,
        factory: impl FnOnce() -> io::Result<EventLoop> + 'static,
    ) -> Self {
        self.factory = Box::new(|| factory().map(OwnedLoop::from));
        self
    }

    /// As [`loop_factory`](RunnerBuilder::loop_factory), for any other implementation of the
    /// interface. The runner closes that loop too.
    pub fn any_loop_factory(
        mut self,
        factory: impl FnOnce() -> io::Result<Rc<dyn AbstractEventLoop>> + 'static,
    ) -> Self {
        self.factory = Box::new(|| factory().map(OwnedLoop::from));
        self
    }

    /// Whether the loop is in debug mode. Default: what the loop's own settings say.
    pub fn debug(mut self, enabled: bool) -> Self {
        self.settings.debug = Some(enabled);
        self
    }

    /// Whether SIGINT cancels the coroutine that is run; see [`run`](crate::run()). Default: yes, on
    /// the main thread of the process, if nobody else handles it.
    pub fn handle_sigint(mut self, enabled: bool) -> Self {
        self.settings.handle_sigint = enabled;
        self
    }

    /// How long the tasks may take to end once they are cancelled, all rounds together. What has not
    /// ended by then is aborted, and reported. Default: 30 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.tasks = timeout;
        self
    }

    /// How many times tasks are cancelled that other tasks made during the shutdown (T-87). What is
    /// left after that is aborted, and reported. Default: 16.
    pub fn shutdown_rounds(mut self, rounds: NonZeroU32) -> Self {
        self.settings.limits.rounds = rounds;
        self
    }

    /// How long the jobs of the default executor may take to end (E-7). Default: 300 s.
    pub fn executor_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.executor = timeout;
        self
    }

    /// The runner. Its loop is made later.
    pub fn build(self) -> Runner {
        Runner::with(self.factory, self.settings)
    }
}
