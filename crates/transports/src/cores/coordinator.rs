//! The coordinator: a thread that binds, starts the cores, accepts for them if need be, and ends them.

use super::options::{CoresPlace, OnCoreFailure, Plan};
use super::report::{Command, CoreError, CoreReport, News};
use super::worker::work;
use super::{Accepting, CoreEnd, Cores, CoresReport};
use crate::server::{Bound, bind_again, bind_server, create_acceptor, create_unix_acceptor};
use crate::{Address, Server, ServerOptions, ShutdownReport};
use eventloop::{AbstractEventLoop, AbstractEventLoopExt, Runner};
use futures::channels::mailbox;
use futures::{
    Exception, Instant, InvalidStateError, SchedulerExt, TimeoutError, catch, concurrent, timeout,
    timeout_at,
};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How much longer than its deadline a shutdown may take, before a core counts as stuck.
const GRACE: Duration = Duration::from_millis(500);
/// A core that failed is started again after this.
const REST: Duration = Duration::from_secs(1);
/// A thread that has told its end is given so long to be gone: that of a thread's own values.
const LAST_STEPS: Duration = Duration::from_millis(100);

/// What the coordinator's thread does.
pub(super) fn coordinate(mut plan: Plan, place: CoresPlace, starting: concurrent::Future<Cores>) {
    let (news, inbox) = mailbox::unbounded();
    let cores = Cores::new(plan.count, news);
    plan.common.shed = Some(cores.shared.shed.clone());
    let (answer, ended) = (starting.clone(), cores.shared.ended.clone());
    let called_off = cores.shared.news.clone();
    starting.add_done_callback(move |starting| {
        if starting.cancelled() {
            // If nobody receives it, all is over.
            let _ = called_off.send(News::ShutDown(Duration::ZERO));
        }
    });
    let mut runner =
        Runner::builder().handle_sigint(false).executor_shutdown_timeout(LAST_STEPS).build();
    let outcome = catch(|| {
        runner.run(async move { Coordinator::new(plan, cores, inbox, starting).run(place).await })
    });
    if let Err(exception) = outcome.flatten().and_then(|()| runner.close()) {
        // Mostly one of them is told already.
        let _ = answer.set_exception(exception.clone());
        let _ = ended.set_exception(exception);
    }
}

struct Coordinator {
    plan: Arc<Plan>,
    event_loop: Rc<dyn AbstractEventLoop>,
    cores: Cores,
    states: Vec<CoreState>,
    phase: Phase,
    inbox: mailbox::Receiver<News>,
    starting: concurrent::Future<Cores>,
    /// Why it could not be started, if that is so.
    failure: Option<Exception>,
    acceptor: Option<Server>,
    /// Where another socket may listen, and how, if the cores share the port.
    shared_port: Option<(Vec<SocketAddr>, ServerOptions)>,
}

/// How far the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not all cores have answered yet.
    Starting,
    /// They were told to serve.
    Opening,
    Serving,
    /// They were told to end; who has not by then is stuck.
    Ending {
        until: Instant,
    },
}

/// What is known of a core.
struct CoreState {
    stage: Stage,
    thread: Option<JoinHandle<()>>,
}

enum Stage {
    Starting,
    Ready(mailbox::Sender<Command>),
    Serving(mailbox::Sender<Command>),
    /// It failed, and will be started again.
    Resting(Exception),
    Ended(Result<ShutdownReport, Exception>),
}

impl Coordinator {
    fn new(
        plan: Plan,
        cores: Cores,
        inbox: mailbox::Receiver<News>,
        starting: concurrent::Future<Cores>,
    ) -> Self {
        Self {
            plan: Arc::new(plan),
            event_loop: eventloop::current(),
            cores,
            states: Vec::new(),
            phase: Phase::Starting,
            inbox,
            starting,
            failure: None,
            acceptor: None,
            shared_port: None,
        }
    }

    async fn run(mut self, place: CoresPlace) -> Result<(), Exception> {
        let mut sockets = self.bind(place).await?;
        for core in 0..self.plan.count {
            let bound = sockets.pop().unwrap_or_default();
            let state = self.start_thread(core, bound);
            self.states.push(state);
        }
        while !self.advance() {
            let next = match self.phase {
                Phase::Ending { until } => timeout_at(until, self.inbox.recv()).await,
                Phase::Starting | Phase::Opening | Phase::Serving => self.inbox.recv().await,
            };
            match next {
                Ok(Some(news)) => self.hear(news),
                Ok(None) => break, // it holds a sender itself
                Err(exception) if exception.is::<TimeoutError>() => break, // some are stuck
                Err(exception) => return Err(exception),
            }
        }
        self.finish().await
    }

    /// Takes the addresses: one socket for each core, or one that this thread accepts from.
    async fn bind(&mut self, place: CoresPlace) -> Result<Vec<Vec<Bound>>, Exception> {
        let accepting = match self.plan.accepting {
            Some(Accepting::PortShared) if !place.can_be_shared() => {
                let message = "several cores cannot listen on one given socket, or a Unix socket: \
                               its connections are to be handed over";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message).into());
            }
            Some(accepting) => accepting,
            None if place.can_be_shared() && cfg!(target_os = "linux") => Accepting::PortShared,
            None => Accepting::HandedOver,
        };
        let cores = self.cores.clone();
        let sink = Box::new(move |socket| cores.hand_over(socket));
        match (accepting, place) {
            (Accepting::PortShared, CoresPlace::Tcp(options)) => self.bind_each(options).await,
            (_, CoresPlace::Tcp(options)) => {
                let acceptor = create_acceptor(&*self.event_loop, sink, options).await?;
                self.accept_with(acceptor);
                Ok(Vec::new())
            }
            (_, CoresPlace::Unix(options)) => {
                let acceptor = create_unix_acceptor(&*self.event_loop, sink, options)?;
                self.accept_with(acceptor);
                Ok(Vec::new())
            }
        }
    }

    fn accept_with(&mut self, acceptor: Server) {
        self.set_addresses(acceptor.addresses());
        self.acceptor = Some(acceptor);
    }

    async fn bind_each(&mut self, options: ServerOptions) -> Result<Vec<Vec<Bound>>, Exception> {
        let options = options.reuse_port(true);
        let template = options.without_place();
        let first = bind_server(&*self.event_loop, options).await?.take();
        let addresses: Vec<Address> = first.iter().filter_map(Bound::address).collect();
        let where_to: Vec<SocketAddr> = addresses.iter().filter_map(Address::as_ip).collect();
        let mut sockets = vec![first];
        while sockets.len() < self.plan.count {
            sockets.push(bind_again(&where_to, &template).map_err(io::Error::from)?);
        }
        self.set_addresses(addresses);
        self.shared_port = Some((where_to, template));
        Ok(sockets)
    }

    fn set_addresses(&self, addresses: Vec<Address>) {
        // It is bound once.
        let _ = self.cores.shared.addresses.set(addresses);
    }

    fn start_thread(&self, core: usize, bound: Vec<Bound>) -> CoreState {
        let (plan, cores) = (self.plan.clone(), self.cores.clone());
        let thread = thread::Builder::new().name(format!("tulipa-core-{core}"));
        match thread.spawn(move || work(plan, cores, core, bound)) {
            Ok(thread) => CoreState { stage: Stage::Starting, thread: Some(thread) },
            Err(error) => {
                let outcome = Err(error.into());
                // We receive it ourselves.
                let _ = self.cores.shared.news.send(News::Ended { core, outcome });
                CoreState { stage: Stage::Starting, thread: None }
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Started { core, intake, commands } => {
                self.cores.set_intake(core, Some(intake));
                match self.phase {
                    Phase::Starting => {}
                    Phase::Opening | Phase::Serving => command(&commands, Command::Serve),
                    Phase::Ending { until } => {
                        let left = until - self.event_loop.time();
                        let left = left.saturating_sub(GRACE);
                        command(&commands, Command::ShutDown(left));
                    }
                }
                self.states[core].stage = Stage::Ready(commands);
            }
            News::Serving { core } => {
                let stage = &mut self.states[core].stage;
                if let Stage::Ready(commands) = stage {
                    *stage = Stage::Serving(commands.clone());
                }
            }
            News::Ended { core, outcome } => self.core_ended(core, outcome),
            News::Restart { core } => self.restart(core),
            News::ShutDown(deadline) => self.end_all(deadline),
        }
    }

    fn core_ended(&mut self, core: usize, outcome: Result<ShutdownReport, Exception>) {
        self.cores.set_intake(core, None);
        let rests = match (&outcome, self.phase) {
            (Ok(_), _) | (Err(_), Phase::Ending { .. }) => false,
            (Err(exception), phase) => {
                log::error!(target: "tulipa", "core {core} has failed: {exception:?}");
                phase == Phase::Serving && self.plan.on_failure == OnCoreFailure::Restart
            }
        };
        match outcome {
            Err(exception) if rests => {
                self.states[core].stage = Stage::Resting(exception);
                let news = self.cores.shared.news.clone();
                self.event_loop.call_later(REST, move || {
                    // If nobody receives it, all is over.
                    let _ = news.send(News::Restart { core });
                });
            }
            outcome => self.states[core].stage = Stage::Ended(outcome),
        }
    }

    fn restart(&mut self, core: usize) {
        if self.phase != Phase::Serving || !matches!(self.states[core].stage, Stage::Resting(_)) {
            return;
        }
        let bound = match &self.shared_port {
            Some((addresses, template)) => bind_again(addresses, template).map_err(io::Error::from),
            None => Ok(Vec::new()),
        };
        match bound {
            Ok(bound) => self.states[core] = self.start_thread(core, bound),
            Err(error) => self.core_ended(core, Err(error.into())),
        }
    }

    /// Tells all to end; the first deadline that is over counts.
    fn end_all(&mut self, deadline: Duration) {
        let until = self.event_loop.time() + deadline + GRACE;
        let until = match self.phase {
            Phase::Ending { until: before } if before <= until => return,
            _ => until,
        };
        self.phase = Phase::Ending { until };
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.close();
        }
        for state in &mut self.states {
            match &state.stage {
                // It is told when it has started.
                Stage::Starting | Stage::Ended(_) => {}
                Stage::Ready(commands) | Stage::Serving(commands) => {
                    command(commands, Command::ShutDown(deadline));
                }
                Stage::Resting(exception) => {
                    let exception = exception.clone();
                    state.stage = Stage::Ended(Err(exception));
                }
            }
        }
    }

    /// Goes on to the next phase where it is time. Says whether all is over.
    fn advance(&mut self) -> bool {
        match self.phase {
            Phase::Starting => {
                if !self.any(|stage| matches!(stage, Stage::Starting)) && self.go_by_policy() {
                    self.phase = Phase::Opening;
                    for state in &self.states {
                        if let Stage::Ready(commands) = &state.stage {
                            command(commands, Command::Serve);
                        }
                    }
                }
            }
            Phase::Opening => {
                let undecided = |stage: &Stage| matches!(stage, Stage::Starting | Stage::Ready(_));
                if !self.any(undecided) && self.go_by_policy() {
                    self.open();
                }
            }
            Phase::Serving => {
                let ended = self.any(|stage| matches!(stage, Stage::Ended(_)));
                let all_ended = !self.any(|stage| !matches!(stage, Stage::Ended(_)));
                if all_ended || (ended && self.plan.on_failure == OnCoreFailure::EndAll) {
                    self.end_all(self.plan.failure_deadline);
                }
            }
            Phase::Ending { .. } => {}
        }
        let is_ending = matches!(self.phase, Phase::Ending { .. });
        is_ending && !self.any(|stage| !matches!(stage, Stage::Ended(_)))
    }

    /// Whether it may go on although cores may have failed to start. If not, all end.
    fn go_by_policy(&mut self) -> bool {
        let failed = self.states.iter().enumerate().find_map(|(core, state)| match &state.stage {
            Stage::Ended(Err(exception)) => Some((core, exception.clone())),
            Stage::Ended(Ok(_)) => Some((core, Exception::msg("it ended by itself"))),
            _ => None,
        });
        let Some((core, exception)) = failed else { return true };
        let none_left = !self.any(|stage| !matches!(stage, Stage::Ended(_)));
        if self.plan.on_failure == OnCoreFailure::GoOn && !none_left {
            return true;
        }
        self.failure.get_or_insert(CoreError::new(core, exception).into());
        self.end_all(Duration::ZERO);
        false
    }

    /// All cores that can be had are there: those who wait for that are told.
    fn open(&mut self) {
        if let Some(acceptor) = &self.acceptor
            && let Err(error) = acceptor.start_serving()
        {
            self.failure = Some(error.into());
            return self.end_all(Duration::ZERO);
        }
        self.phase = Phase::Serving;
        if self.starting.set_result(self.cores.clone()).is_err() {
            self.end_all(Duration::ZERO); // it was called off
        }
    }

    fn any(&self, is_so: impl Fn(&Stage) -> bool) -> bool {
        self.states.iter().any(|state| is_so(&state.stage))
    }

    /// All have ended, or will not.
    async fn finish(mut self) -> Result<(), Exception> {
        let mut report = CoresReport { shed: self.cores.shed(), ..CoresReport::default() };
        for (core, state) in self.states.iter_mut().enumerate() {
            let stage = std::mem::replace(&mut state.stage, Stage::Starting);
            let one = match stage {
                Stage::Ended(Ok(ShutdownReport { drained, aborted })) => {
                    CoreReport { drained, aborted, end: CoreEnd::InOrder }
                }
                Stage::Ended(Err(exception)) | Stage::Resting(exception) => {
                    CoreReport { drained: 0, aborted: 0, end: CoreEnd::Failed(exception) }
                }
                Stage::Starting | Stage::Ready(_) | Stage::Serving(_) => {
                    log::error!(target: "tulipa", "core {core} is stuck, and left to itself");
                    state.thread = None;
                    let aborted = self.cores.intake(core).map_or(0, |intake| intake.load());
                    self.cores.set_intake(core, None);
                    CoreReport { drained: 0, aborted, end: CoreEnd::Stuck }
                }
            };
            report.drained += one.drained;
            report.aborted += one.aborted;
            report.cores.push(one);
        }
        self.join_threads().await;
        let shut_down = || InvalidStateError::new("the cores were shut down while they started");
        let failure = self.failure.take().unwrap_or_else(|| shut_down().into());
        // If it was done, or called off, nobody waits for this.
        let _ = self.starting.set_exception(failure);
        // It ends once.
        let _ = self.cores.shared.ended.set_result(report);
        // A core that comes out of its start too late is told here, or sees by `ended` that it is.
        while let Some(news) = self.inbox.try_recv() {
            if let News::Started { commands, .. } = news {
                command(&commands, Command::ShutDown(Duration::ZERO));
            }
        }
        Ok(())
    }

    /// Those that have told their end are as good as gone: only their thread's own values may take long,
    /// whose destructors `is_finished` does not wait for.
    async fn join_threads(&mut self) {
        let threads: Vec<_> = self.states.iter_mut().filter_map(|it| it.thread.take()).collect();
        let joining = self.event_loop.run_in_executor(None, move || {
            for thread in threads {
                // What it panicked with, if it did, was told already.
                let _ = thread.join();
            }
        });
        if let Err(exception) = timeout(LAST_STEPS, joining).await {
            log::warn!(target: "tulipa", "the thread of a core is left to itself: {exception}");
        }
    }
}

fn command(commands: &mailbox::Sender<Command>, command: Command) {
    // One that is not there any more tells its end by itself.
    let _ = commands.send(command);
}
