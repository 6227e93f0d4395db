//! What the tests share: a protocol that records its life, and a look at processes from outside.

use eventloop::TestLoop;
use futures::{Exception, ExceptionContext};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tulipa_transports::subprocess::*;

/// A loop whose children are watched in the way that this binary tests.
pub(crate) fn new_loop() -> TestLoop {
    let event_loop = TestLoop::new();
    event_loop.set_child_watcher(crate::WATCHER).unwrap();
    event_loop
}

/// What a protocol was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Made,
    Data(i32, Vec<u8>),
    Lost(i32, Option<String>),
    Exited(i32),
    Paused,
    Resumed,
    Closed(Option<String>),
}

type Hook = Box<dyn FnMut(&Seen, &dyn SubprocessTransport)>;

/// Records what it is told, and checks the grammar (P-4) at its end.
pub(crate) struct Recorder {
    seen: Log,
    hook: Option<Hook>,
}

#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<Seen>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.borrow().clone()
    }

    /// All data of one descriptor.
    pub(crate) fn data(&self, wanted: i32) -> Vec<u8> {
        let all = self.all();
        let pieces = all.into_iter().filter_map(|seen| match seen {
            Seen::Data(fd, data) if fd == wanted => Some(data),
            _ => None,
        });
        pieces.flatten().collect()
    }

    /// All but data.
    pub(crate) fn events(&self) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| !matches!(seen, Seen::Data(..))).collect()
    }

    /// How many hold the log: the test, and the protocol while it lives.
    pub(crate) fn holders(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    pub(crate) fn has(&self, wanted: &Seen) -> bool {
        self.0.borrow().contains(wanted)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.0.borrow().last(), Some(Seen::Closed(_)))
    }
}

impl Recorder {
    pub(crate) fn new() -> (Self, Log) {
        let seen = Log::default();
        (Self { seen: seen.clone(), hook: None }, seen)
    }

    /// One that calls `hook` in each method.
    pub(crate) fn with(hook: impl FnMut(&Seen, &dyn SubprocessTransport) + 'static) -> (Self, Log) {
        let (mut recorder, log) = Self::new();
        recorder.hook = Some(Box::new(hook));
        (recorder, log)
    }

    fn see(&mut self, transport: &dyn SubprocessTransport, seen: Seen) {
        assert!(!self.seen.is_closed(), "{seen:?} after connection_lost");
        assert_eq!(self.seen.0.borrow().is_empty(), seen == Seen::Made, "{seen:?}");
        if let Seen::Data(fd, data) = &seen {
            assert!(!data.is_empty());
            let ended =
                self.seen.all().iter().any(|one| matches!(one, Seen::Lost(lost, _) if lost == fd));
            assert!(!ended, "data after the end of {fd}");
        }
        self.seen.0.borrow_mut().push(seen.clone());
        if let Seen::Closed(_) = seen {
            self.check_end(transport);
        }
        if let Some(hook) = &mut self.hook {
            hook(&seen, transport);
        }
    }

    fn check_end(&self, transport: &dyn SubprocessTransport) {
        let all = self.seen.all();
        assert_eq!(all.iter().filter(|seen| matches!(seen, Seen::Exited(_))).count(), 1);
        for fd in 0..3 {
            let ends = all.iter().filter(|seen| matches!(seen, Seen::Lost(lost, _) if *lost == fd));
            let piped = transport.get_pipe_transport(fd).is_some();
            assert_eq!(ends.count(), usize::from(piped), "ends of {fd} in {all:?}");
        }
        assert!(transport.get_returncode().is_some());
    }
}

fn text(reason: Option<Exception>) -> Option<String> {
    reason.map(|reason| reason.to_string())
}

impl SubprocessProtocol for Recorder {
    fn connection_made(&mut self, transport: &dyn SubprocessTransport) {
        self.see(transport, Seen::Made);
    }

    fn pipe_data_received(&mut self, transport: &dyn SubprocessTransport, fd: i32, data: &[u8]) {
        self.see(transport, Seen::Data(fd, data.to_vec()));
    }

    fn pipe_connection_lost(
        &mut self,
        transport: &dyn SubprocessTransport,
        fd: i32,
        reason: Option<Exception>,
    ) {
        self.see(transport, Seen::Lost(fd, text(reason)));
    }

    fn process_exited(&mut self, transport: &dyn SubprocessTransport) {
        let code = transport.get_returncode().expect("the status is known by now");
        self.see(transport, Seen::Exited(code));
    }

    fn pause_writing(&mut self, transport: &dyn SubprocessTransport) {
        self.see(transport, Seen::Paused);
    }

    fn resume_writing(&mut self, transport: &dyn SubprocessTransport) {
        self.see(transport, Seen::Resumed);
    }

    fn connection_lost(&mut self, transport: &dyn SubprocessTransport, reason: Option<Exception>) {
        self.see(transport, Seen::Closed(text(reason)));
    }
}

/// Starts a child with a recorder.
pub(crate) fn start(
    event_loop: &TestLoop,
    options: impl Into<SubprocessOptions>,
) -> (Rc<dyn SubprocessTransport>, Log) {
    let (recorder, log) = Recorder::new();
    (start_with(event_loop, options, recorder), log)
}

pub(crate) fn start_with(
    event_loop: &TestLoop,
    options: impl Into<SubprocessOptions>,
    protocol: impl SubprocessProtocol,
) -> Rc<dyn SubprocessTransport> {
    let starting = event_loop.subprocess_exec(move || protocol, options);
    event_loop.run_until_complete(&starting).unwrap()
}

/// Runs until the child and its pipes are gone.
pub(crate) fn run_to_end(event_loop: &TestLoop, child: &Rc<dyn SubprocessTransport>) {
    event_loop.run_until_complete(&child.wait_closed()).unwrap();
}

/// A shell command without pipes.
pub(crate) fn quiet(command: &str) -> SubprocessOptions {
    SubprocessOptions::shell(command).stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null)
}

/// Whether there is no such process any more, not even a zombie.
pub(crate) fn is_gone(pid: u32) -> bool {
    !PathBuf::from(format!("/proc/{pid}")).exists()
}

/// Waits, without the loop, until a child has ended and waits for its status to be taken.
pub(crate) fn until_zombie(pid: u32) {
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.starts_with('Z')
    });
}

/// Asks the system again and again, for ten seconds at most.
#[track_caller]
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::yield_now();
    }
}

/// Runs the loop until `done`, in real time; fails after ten seconds.
#[track_caller]
pub(crate) fn run_until(event_loop: &TestLoop, mut done: impl FnMut() -> bool) {
    until(|| {
        // One iteration: a child may write without end.
        event_loop.run_ready().unwrap();
        done()
    });
}

/// Collects what the exception handler is told, panics included.
pub(crate) fn collect_errors(event_loop: &TestLoop) -> Rc<RefCell<Vec<ExceptionContext>>> {
    let errors = Rc::new(RefCell::new(Vec::new()));
    let seen = errors.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        seen.borrow_mut().push(context.clone());
    })));
    errors
}
