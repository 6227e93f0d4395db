//! [`Children`]: all children of one loop, and how their ends are noticed.
//!
//! By default each child is a descriptor (pidfd) that the loop watches: nobody else's children are
//! touched, and nothing is shared. Where the system has none, one SIGCHLD handler a process tells each
//! loop that has children to look; it asks for the numbers of its own children only.
//!
//! Invariant: `unreaped` are the children that are watched by SIGCHLD and whose status was not taken,
//! so that their numbers are theirs. SIGCHLD is listened to while there are any.
//!
//! The registry owns the children. When the loop closes, those that run are killed, and their statuses
//! taken (C-9).

use super::child::reap_number;
use super::pidfd;
use super::running::Subprocess;
use super::system::exited_child;
use eventloop::{
    AbstractEventLoop, AbstractEventLoopExt, Direction, Interest, Source, SourceKey, SourceKind,
    Taken, signal,
};
use futures::{SchedulerExt, TimerHandle};
use indexmap::IndexMap;
use rustix::process::Pid;
use signal_hook::SigId;
use signal_hook::low_level;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How the ends of children are noticed. The results are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildWatcher {
    /// By a descriptor for each child (Linux 5.4). A signal can never reach another process, whoever
    /// else waits for children in this one.
    Pidfd,
    /// By SIGCHLD, and a look at each of the loop's own children. Code elsewhere in the process that
    /// waits for *any* child takes the status away, and with bad luck a signal meets the next owner of
    /// the number.
    Signal,
}

pub(super) struct Children {
    event_loop: Rc<dyn AbstractEventLoop>,
    watcher: Cell<ChildWatcher>,
    all: RefCell<IndexMap<u64, Rc<Subprocess>>>,
    next: Cell<u64>,
    unreaped: RefCell<HashMap<Pid, Rc<Subprocess>>>,
    listening: RefCell<Option<Listening>>,
    /// When all are asked, whatever was noticed until then.
    will_ask_all: RefCell<Option<TimerHandle>>,
}

/// What the loop keeps. Its drop is the end of the loop.
struct Keeper(Rc<Children>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.loop_closed();
    }
}

/// Set to `signal`, it makes SIGCHLD the default of all loops.
const DEFAULT_WATCHER: &str = "TULIPA_CHILD_WATCHER";

impl Children {
    /// Those of `event_loop`, made at first use.
    pub(super) fn of<L: AbstractEventLoop + ?Sized>(event_loop: &L) -> Rc<Self> {
        let keeper = event_loop.local(|| {
            Keeper(Rc::new(Self {
                event_loop: event_loop.to_event_loop(),
                watcher: Cell::new(default_watcher()),
                all: RefCell::default(),
                next: Cell::new(0),
                unreaped: RefCell::default(),
                listening: RefCell::default(),
                will_ask_all: RefCell::default(),
            }))
        });
        keeper.0.clone()
    }

    pub(super) fn event_loop(&self) -> &Rc<dyn AbstractEventLoop> {
        &self.event_loop
    }

    pub(super) fn watcher(&self) -> ChildWatcher {
        self.watcher.get()
    }

    pub(super) fn set_watcher(&self, watcher: ChildWatcher) -> io::Result<()> {
        if watcher == ChildWatcher::Pidfd && !pidfd::is_supported() {
            let message = "this system has no descriptors of processes";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        self.watcher.set(watcher);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// A child that the loop owns from now on. Gives its place.
    pub(super) fn add(&self, subprocess: &Rc<Subprocess>) -> u64 {
        let place = self.next.get();
        self.next.set(place + 1);
        self.all.borrow_mut().insert(place, subprocess.clone());
        place
    }

    pub(super) fn remove(&self, place: u64) {
        let removed = self.all.borrow_mut().swap_remove(&place);
        drop(removed);
    }

    // By SIGCHLD

    /// Listens to SIGCHLD, if it is not listened to already. To be called before a child is started,
    /// so that its end is not missed.
    pub(super) fn listen(self: &Rc<Self>) -> io::Result<()> {
        if self.listening.borrow().is_some() {
            return Ok(());
        }
        let (ours, handlers) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        handlers.set_nonblocking(true)?;
        let source = Rc::new(SignalSource { woken: ours, children: Rc::downgrade(self) });
        let key = self.event_loop.watch(source, Interest::READ)?;
        match low_level::pipe::register(signal::SIGCHLD, handlers) {
            Ok(id) => {
                self.listening.replace(Some(Listening { key, id }));
                Ok(())
            }
            Err(error) => {
                drop(self.event_loop.unwatch(key));
                Err(error)
            }
        }
    }

    /// From now on this child's end is noticed by SIGCHLD.
    pub(super) fn add_unreaped(&self, pid: Pid, subprocess: &Rc<Subprocess>) {
        let before = self.unreaped.borrow_mut().insert(pid, subprocess.clone());
        drop(before);
    }

    pub(super) fn remove_unreaped(&self, pid: Pid) {
        let removed = self.unreaped.borrow_mut().remove(&pid);
        drop(removed);
        self.stop_listening_if_idle();
    }

    pub(super) fn stop_listening_if_idle(&self) {
        if self.unreaped.borrow().is_empty() {
            let listening = self.listening.take();
            if let Some(Listening { key, id }) = listening {
                low_level::unregister(id);
                drop(self.event_loop.unwatch(key));
            }
            if let Some(timer) = self.will_ask_all.take() {
                timer.cancel();
            }
        }
    }

    /// Looks which of the children have ended. The system names them one by one (C-18). One whose
    /// status somebody else took it does not name, and behind a child of somebody else it names none of
    /// ours: so all are asked if nothing was found, and else soon.
    fn look(self: &Rc<Self>) {
        let mut found = false;
        while let Some(ended) = exited_child() {
            let pid = Pid::from_raw(ended);
            let ours = pid.and_then(|pid| self.unreaped.borrow().get(&pid).cloned());
            found = ours.is_some_and(|subprocess| {
                subprocess.look_at_child();
                subprocess.is_reaped()
            });
            if !found {
                break;
            }
        }
        if found { self.ask_all_soon() } else { self.ask_all() }
    }

    fn ask_all(&self) {
        let all: Vec<_> = self.unreaped.borrow().values().cloned().collect();
        for subprocess in all {
            subprocess.look_at_child();
        }
    }

    /// Once for all that end until then.
    fn ask_all_soon(self: &Rc<Self>) {
        if self.unreaped.borrow().is_empty() || self.will_ask_all.borrow().is_some() {
            return;
        }
        let this = Rc::downgrade(self);
        let timer = self.event_loop.call_later(ASK_ALL_AFTER, move || {
            if let Some(this) = this.upgrade() {
                this.will_ask_all.take();
                this.ask_all();
            }
        });
        self.will_ask_all.replace(Some(timer));
    }

    // The end

    /// The loop is gone. Nobody is told anything (L-30); whoever runs is killed, and nothing is left.
    fn loop_closed(&self) {
        let listening = self.listening.take();
        if let Some(Listening { id, .. }) = listening {
            low_level::unregister(id);
        }
        let all = self.all.take();
        drop(self.unreaped.take());
        let mut running: Vec<_> = all.values().filter(|one| one.end_with_loop()).cloned().collect();
        for patience in 0..LONGEST_WAIT {
            running.retain(|one| !one.is_reaped());
            if running.is_empty() {
                break;
            }
            std::thread::sleep(if patience < 10 { MOMENT / 10 } else { MOMENT });
        }
        let left = all.values().filter(|one| !one.is_reaped()).map(|one| one.pid());
        reap_in_background(left.collect());
        for subprocess in all.into_values() {
            subprocess.forget_loop();
        }
    }
}

/// Until all are asked, whatever was noticed.
const ASK_ALL_AFTER: Duration = Duration::from_millis(100);
/// A killed child is gone within a moment, unless it hangs in the system (a dead network disk).
const MOMENT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: u32 = 500;

/// Waits for those that do not end, or that we may not kill, in a thread that ends with the last of
/// them.
fn reap_in_background(mut left: Vec<Pid>) {
    if left.is_empty() {
        return;
    }
    log::warn!(target: "tulipa", "{} children have not ended yet", left.len());
    let waiting = std::thread::Builder::new().name("tulipa-reaper".into()).spawn(move || {
        loop {
            left.retain(|pid| matches!(reap_number(*pid), Ok(None)));
            if left.is_empty() {
                break;
            }
            std::thread::sleep(ASK_ALL_AFTER);
        }
    });
    if let Err(error) = waiting {
        log::error!(target: "tulipa", "nobody waits for children that have not ended: {error}");
    }
}

fn default_watcher() -> ChildWatcher {
    let asked_for = std::env::var_os(DEFAULT_WATCHER).is_some_and(|value| value == "signal");
    match !asked_for && pidfd::is_supported() {
        true => ChildWatcher::Pidfd,
        false => ChildWatcher::Signal,
    }
}

struct Listening {
    key: SourceKey,
    id: SigId,
}

/// Readable when a SIGCHLD has come.
struct SignalSource {
    woken: UnixStream,
    children: Weak<Children>,
}

impl Source for SignalSource {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    fn ready(self: Rc<Self>, _: Direction) -> Taken {
        let mut buffer = [0; 256];
        // Empty, in the end: what comes after this read is another event.
        while (&self.woken).read(&mut buffer).is_ok_and(|count| count == buffer.len()) {}
        if let Some(children) = self.children.upgrade() {
            children.look();
        }
        Taken::Unknown
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        "watch for SIGCHLD".to_owned()
    }
}
