//! [`CoresOptions`]: where to serve, on how many cores, and what to do when one fails.

use super::Core;
use crate::factory::BoxedFactory;
use crate::server::{CommonOptions, Place};
use crate::{ServerOptions, UnixServerOptions};
use eventloop::{EventLoop, EventLoopBuilder};
use futures::Exception;
use std::fmt;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

/// Where to serve, on how many cores, and what to do when one fails.
///
/// Made from whatever [`ServerOptions`] or [`UnixServerOptions`] are made from: an address, a host and a
/// port, a listening socket. The limits that these set hold for each core, but for
/// [`max_connections`](ServerOptions::max_connections), which the cores share evenly, as they share the
/// process's descriptors; whether to serve at once does not apply.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::{Accepting, CoresOptions, OnCoreFailure, ServerOptions};
/// let options = CoresOptions::from(ServerOptions::from(("127.0.0.1", 8080)).backlog(4096))
///     .accepting(Accepting::HandedOver)
///     .on_failure(OnCoreFailure::Restart)
///     .event_loop(|builder| builder.spin(Duration::from_micros(20)));
/// ```
#[must_use = "options do nothing by themselves"]
pub struct CoresOptions {
    place: CoresPlace,
    cores: Option<NonZeroUsize>,
    accepting: Option<Accepting>,
    on_failure: OnCoreFailure,
    failure_deadline: Duration,
    pin: bool,
    configure: Configure,
}

pub(super) enum CoresPlace {
    Tcp(ServerOptions),
    Unix(UnixServerOptions),
}

type Configure = Box<dyn Fn(EventLoopBuilder) -> EventLoopBuilder + Send + Sync>;

/// How connections come to the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepting {
    /// Each core listens on a socket of its own, and the system shares the connections out among them by
    /// a hash of the addresses (SO_REUSEPORT). No thread stands between, so it takes the most connections
    /// a second; a few long ones may be shared out unevenly.
    PortShared,
    /// One more thread accepts, and hands each connection to the core that has fewest.
    HandedOver,
}

/// What happens when a core fails: its `start` does, or its loop ends by itself (a poller that fails, a
/// `stop`, a panic that its settings let out). It is logged at level error in any case. A panic in a
/// callback, a protocol or a task is not a core's failure, since it stays where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCoreFailure {
    /// The others are shut down, so that the whole is seen to have failed, and can be started anew.
    #[default]
    EndAll,
    /// The others go on without it.
    GoOn,
    /// It is started again after a second, and again if that fails; the others go on meanwhile. A core
    /// that fails before all have started ends all.
    Restart,
}

impl CoresOptions {
    fn at(place: CoresPlace) -> Self {
        Self {
            place,
            cores: None,
            accepting: None,
            on_failure: OnCoreFailure::default(),
            failure_deadline: Duration::from_secs(10),
            pin: false,
            configure: Box::new(|builder| builder),
        }
    }

    /// How many cores to use. By default as many as the process may run on
    /// ([`available_parallelism`]).
    pub fn cores(mut self, count: NonZeroUsize) -> Self {
        self.cores = Some(count);
        self
    }

    /// How connections come to the cores. By default they share the port, where that can be: on Linux,
    /// for TCP, at addresses. A listening socket that is given, and a Unix socket, are one thing, whose
    /// connections are handed over.
    pub fn accepting(mut self, accepting: Accepting) -> Self {
        self.accepting = Some(accepting);
        self
    }

    /// What happens when a core fails. By default the others are shut down.
    pub fn on_failure(mut self, policy: OnCoreFailure) -> Self {
        self.on_failure = policy;
        self
    }

    /// The deadline of the shutdown that follows a failure. 10 seconds by default.
    pub fn failure_deadline(mut self, deadline: Duration) -> Self {
        self.failure_deadline = deadline;
        self
    }

    /// Whether each thread stays on one of the processors that the process may use (Linux). Off by
    /// default: it helps where nothing else runs, and harms where something does. If the system does not
    /// allow it, that is logged, and the core runs anywhere.
    pub fn pin(mut self, enabled: bool) -> Self {
        self.pin = enabled;
        self
    }

    /// The settings of each core's loop.
    pub fn event_loop(
        mut self,
        configure: impl Fn(EventLoopBuilder) -> EventLoopBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure = Box::new(configure);
        self
    }

    pub(super) fn into_plan(self, start: StartCore) -> (Plan, CoresPlace) {
        let mut place = self.place;
        let count = self.cores.or_else(|| available_parallelism().ok());
        let count = count.map_or(1, NonZeroUsize::get);
        let common = place.common();
        common.start_serving = false;
        let mut common = common.clone();
        common.max_connections = Some(common.most_connections().div_ceil(count));
        let plan = Plan {
            count,
            accepting: self.accepting,
            on_failure: self.on_failure,
            failure_deadline: self.failure_deadline,
            pin: self.pin,
            configure: self.configure,
            common,
            start,
        };
        (plan, place)
    }
}

impl CoresPlace {
    fn common(&mut self) -> &mut CommonOptions {
        match self {
            CoresPlace::Tcp(options) => &mut options.common,
            CoresPlace::Unix(options) => &mut options.common,
        }
    }

    /// Whether several sockets can listen here.
    pub(super) fn can_be_shared(&self) -> bool {
        match self {
            CoresPlace::Tcp(options) => !matches!(options.place, Place::Listener(_)),
            CoresPlace::Unix(_) => false,
        }
    }
}

pub(super) type StartCore = Box<dyn Fn(Core) -> Result<BoxedFactory, Exception> + Send + Sync>;

/// What all threads read.
pub(super) struct Plan {
    pub(super) count: usize,
    pub(super) accepting: Option<Accepting>,
    pub(super) on_failure: OnCoreFailure,
    pub(super) failure_deadline: Duration,
    pub(super) pin: bool,
    configure: Configure,
    /// What holds for each core's server.
    pub(super) common: CommonOptions,
    pub(super) start: StartCore,
}

impl Plan {
    pub(super) fn loop_builder(&self) -> EventLoopBuilder {
        (self.configure)(EventLoop::builder())
    }
}

impl<T: Into<ServerOptions>> From<T> for CoresOptions {
    fn from(place: T) -> Self {
        Self::at(CoresPlace::Tcp(place.into()))
    }
}

impl From<UnixServerOptions> for CoresOptions {
    fn from(place: UnixServerOptions) -> Self {
        Self::at(CoresPlace::Unix(place))
    }
}

impl fmt::Debug for CoresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoresOptions")
            .field("cores", &self.cores)
            .field("accepting", &self.accepting)
            .field("on_failure", &self.on_failure)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}
