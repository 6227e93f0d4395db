//! [`Subprocess`]: one child with its pipes and its protocol: the machine, and what happens because of
//! it. [`SubprocessHandle`] is what users see of it.
//!
//! Invariants: as for stream transports, the protocol is out of its slot while one of its methods
//! runs, so it is never re-entered; no borrow is held meanwhile; `connection_lost` comes in a turn of
//! its own. The registry of the loop owns the child until then; a handle that a protocol keeps of
//! itself is a circle, which ends when the protocol is dropped: at `connection_lost`, or with the loop.

mod handle;
mod watch;

use self::handle::SubprocessHandle;
use self::watch::ExitSource;
use super::child::{Child, end_now};
use super::children::{ChildWatcher, Children};
use super::machine::{Call, SubprocessMachine};
use super::options::Group;
use super::pipe::PipeLink;
use super::spawn::{Ends, Spawned, spawn};
use super::{ExitStatus, SpawnError, SubprocessOptions, SubprocessProtocol, SubprocessTransport};
use crate::pipes::{open_read_end, open_write_end};
use crate::protocol_slot::ProtocolSlot;
use crate::{Protocol, ProtocolUnavailable, Transport};
use eventloop::{AbstractEventLoop, Interest, SourceKey};
use futures::{Callback, ClosedError, Exception, ExceptionContext, Future, SchedulerExt, catch};
use rustix::process::Pid;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// The future that a creator gives its caller.
pub(super) type Opened = Future<Rc<dyn SubprocessTransport>>;

/// Makes the protocol of one of the pipes.
pub(super) type MakePipe<'a> = &'a mut dyn FnMut(PipeLink) -> Box<dyn Protocol>;

pub(super) struct Subprocess {
    children: Rc<Children>,
    child: Child,
    /// The program, for people.
    program: String,
    /// Whether its process group is its own.
    leads_group: bool,
    machine: RefCell<SubprocessMachine>,
    protocol: ProtocolSlot<dyn SubprocessProtocol>,
    turn_queued: Cell<bool>,
    closing: Cell<bool>,
    /// The watch of its descriptor.
    key: Cell<Option<SourceKey>>,
    place: Cell<u64>,
    pipes: RefCell<[Option<Rc<dyn Transport>>; 3]>,
    /// Why pipes were lost, until that is told.
    losses: RefCell<[Option<Exception>; 3]>,
    /// Why it was ended.
    reason: RefCell<Option<Exception>>,
    opened: RefCell<Option<Opened>>,
    exit_waiters: RefCell<Vec<Future<ExitStatus>>>,
    close_waiters: RefCell<Vec<Future<()>>>,
}

impl Subprocess {
    /// Starts a child. `connection_made` comes in a turn of its own, then the future is done.
    ///
    /// # Errors
    /// That it cannot be started or watched; nothing is left of it then.
    pub(super) fn start(
        event_loop: &dyn AbstractEventLoop,
        options: SubprocessOptions,
        protocol: Box<dyn SubprocessProtocol>,
        make_pipe: MakePipe<'_>,
    ) -> Result<(Rc<Self>, Opened), Exception> {
        let (program, directory) = (options.program.clone(), options.directory.clone());
        let failed = |error| -> Exception {
            io::Error::from(SpawnError::new(program.clone(), directory.clone(), error)).into()
        };
        let started = match event_loop.is_closed() {
            true => Err(ClosedError.into()),
            false => Self::start_watched(event_loop, options).map_err(failed),
        };
        let (this, ends) = match started {
            Ok(started) => started,
            Err(exception) => {
                drop_contained(event_loop, protocol, None);
                return Err(exception);
            }
        };
        this.protocol.fill(protocol);
        let opened: Opened = event_loop.create_future();
        this.opened.replace(Some(opened.clone()));
        this.queue_turn(); // before those of the pipes
        if let Err(error) = this.open_pipes(event_loop, ends, make_pipe) {
            this.opened.take();
            this.machine.borrow_mut().call_off();
            for fd in 0..3 {
                this.note_loss(fd, None); // of those that were not opened nobody else tells
            }
            this.end(None);
            return Err(failed(error));
        }
        Ok((this, opened))
    }

    /// Starts the child, without a protocol, and sees to it that its end is noticed.
    fn start_watched(
        event_loop: &dyn AbstractEventLoop,
        options: SubprocessOptions,
    ) -> io::Result<(Rc<Self>, Ends)> {
        let children = Children::of(event_loop);
        let watcher = children.watcher();
        if watcher == ChildWatcher::Signal {
            children.listen()?;
        }
        let started = Self::spawn_watched(&children, watcher, options);
        children.stop_listening_if_idle();
        started
    }

    fn spawn_watched(
        children: &Rc<Children>,
        watcher: ChildWatcher,
        options: SubprocessOptions,
    ) -> io::Result<(Rc<Self>, Ends)> {
        let program = options.program.to_string_lossy().into_owned();
        let leads_group = matches!(options.group, Group::Of(0) | Group::NewSession);
        let Spawned { pid, ends } = spawn(options)?;
        let child = match watcher {
            ChildWatcher::Signal => Child::by_number(pid),
            ChildWatcher::Pidfd => Child::by_descriptor(pid)?,
        };
        let piped = [0, 1, 2].map(|fd: usize| ends[fd].is_some());
        let this = Rc::new(Self {
            children: children.clone(),
            child,
            program,
            leads_group,
            machine: RefCell::new(SubprocessMachine::new(piped)),
            protocol: ProtocolSlot::new(None),
            turn_queued: Cell::new(false),
            closing: Cell::new(false),
            key: Cell::new(None),
            place: Cell::new(0),
            pipes: RefCell::default(),
            losses: RefCell::default(),
            reason: RefCell::default(),
            opened: RefCell::default(),
            exit_waiters: RefCell::default(),
            close_waiters: RefCell::default(),
        });
        match (this.child.pidfd(), this.child.status()) {
            (_, Some(_)) => drop(this.machine.borrow_mut().exited()),
            (None, None) => children.add_unreaped(pid, &this),
            (Some(pidfd), None) => {
                let source = Rc::new(ExitSource { pidfd, subprocess: Rc::downgrade(&this) });
                match children.event_loop().watch(source, Interest::READ) {
                    Ok(key) => this.key.set(Some(key)),
                    Err(error) => {
                        end_now(pid);
                        return Err(error);
                    }
                }
            }
        }
        this.place.set(children.add(&this));
        Ok((this, ends))
    }

    fn open_pipes(
        self: &Rc<Self>,
        event_loop: &dyn AbstractEventLoop,
        ends: Ends,
        make_pipe: MakePipe<'_>,
    ) -> io::Result<()> {
        for (fd, end) in ends.into_iter().enumerate() {
            let Some(end) = end else { continue };
            let protocol = make_pipe(PipeLink::new(self, fd));
            let pipe = match fd {
                0 => open_write_end(event_loop, end, protocol)?,
                _ => open_read_end(event_loop, end, protocol)?,
            };
            self.pipes.borrow_mut()[fd] = Some(pipe);
        }
        Ok(())
    }

    // Events

    /// The child may have ended.
    pub(super) fn look_at_child(self: &Rc<Self>) {
        if self.child.status().is_some() {
            return;
        }
        let Some(status) = self.child.reap() else { return };
        self.unwatch();
        self.children.remove_unreaped(self.child.pid());
        log::debug!(target: "tulipa", "{self:?} has ended: {status}");
        for waiter in self.exit_waiters.take() {
            // One that was cancelled waits no more.
            let _ = waiter.set_result(status);
        }
        self.machine.borrow_mut().exited();
        self.settle(false);
    }

    /// Something came out of the child.
    pub(super) fn pipe_data(self: &Rc<Self>, fd: usize, data: &[u8]) {
        self.settle(false);
        if !self.closing.get() && self.machine.borrow().may_deliver(fd) {
            self.run("pipe_data_received", |protocol, transport| {
                protocol.pipe_data_received(transport, fd as i32, data);
            });
        }
        self.settle(false);
    }

    /// A pipe has ended; that is told now.
    pub(super) fn pipe_lost(self: &Rc<Self>, fd: usize, reason: Option<Exception>) {
        self.note_loss(fd, reason);
        self.settle(false);
    }

    /// A pipe is not ours any more; that is told in a turn of its own.
    pub(super) fn pipe_gone(self: &Rc<Self>, fd: usize) {
        if self.note_loss(fd, None) {
            self.queue_turn();
        }
    }

    fn note_loss(&self, fd: usize, reason: Option<Exception>) -> bool {
        let news = self.machine.borrow_mut().pipe_lost(fd);
        if news {
            self.losses.borrow_mut()[fd] = reason;
        }
        news
    }

    /// What waits for the child's input has passed a mark.
    pub(super) fn writing_paused(self: &Rc<Self>, paused: bool) {
        self.machine.borrow_mut().writing_paused(paused);
        self.settle(false);
    }

    // Calls

    /// Has [`settle`](Subprocess::settle) called in the next batch.
    fn queue_turn(self: &Rc<Self>) {
        if self.turn_queued.replace(true) {
            return;
        }
        let this = self.clone();
        let queued = self.children.event_loop().schedule(Callback::new(move || {
            this.turn_queued.set(false);
            this.settle(true);
        }));
        // A closed loop calls nothing: the callback is dropped, and with it this count (L-30).
        drop(queued);
    }

    /// Makes the calls that are owed. The end is told in a turn in which nothing else was.
    fn settle(self: &Rc<Self>, mut own_turn: bool) {
        loop {
            let owed = self.machine.borrow().owed_call();
            match owed {
                None => break,
                Some(_) if self.protocol.is_running() => return self.queue_turn(),
                Some(Call::ConnectionMade) if !own_turn => break, // its turn is queued
                Some(Call::ConnectionMade) if self.was_called_off() => {
                    self.machine.borrow_mut().call_off();
                    self.end(None);
                }
                Some(Call::ConnectionLost | Call::Vanished) if !own_turn => {
                    return self.queue_turn();
                }
                Some(_) => {
                    self.call_next();
                    own_turn = false;
                }
            }
        }
    }

    /// Whether whoever asked for the child does not want it any more (C-9).
    fn was_called_off(&self) -> bool {
        self.opened.borrow().as_ref().is_some_and(|opened| opened.cancelled())
    }

    fn call_next(self: &Rc<Self>) {
        let call = self.machine.borrow_mut().next_call();
        match call {
            None => {}
            Some(Call::ConnectionMade) => {
                let made = self.run("connection_made", |p, transport| p.connection_made(transport));
                self.report_opened(made.is_some());
            }
            Some(Call::PauseWriting) => {
                self.run("pause_writing", |p, transport| p.pause_writing(transport));
            }
            Some(Call::ResumeWriting) => {
                self.run("resume_writing", |p, transport| p.resume_writing(transport));
            }
            Some(Call::PipeConnectionLost(fd)) => {
                let reason = self.losses.borrow_mut()[fd].take();
                self.run("pipe_connection_lost", |p, transport| {
                    p.pipe_connection_lost(transport, fd as i32, reason);
                });
            }
            Some(Call::ProcessExited) => {
                self.run("process_exited", |p, transport| p.process_exited(transport));
            }
            Some(Call::ConnectionLost) => {
                let reason = self.reason.borrow().clone();
                self.run("connection_lost", |p, transport| p.connection_lost(transport, reason));
                self.finish();
            }
            Some(Call::Vanished) => self.finish(),
        }
    }

    fn report_opened(self: &Rc<Self>, made: bool) {
        let Some(opened) = self.opened.take() else { return };
        let delivered = if made {
            opened.set_result(self.handle())
        } else {
            let reason = self.reason.borrow().clone();
            opened.set_exception(reason.unwrap_or_else(closed_too_early))
        };
        if delivered.is_err() {
            self.end(None); // called off from inside connection_made
        }
    }

    /// Runs one method of the protocol; `None` if it panicked, or if there is no protocol.
    fn run<R>(
        self: &Rc<Self>,
        method: &'static str,
        function: impl FnOnce(&mut dyn SubprocessProtocol, &dyn SubprocessTransport) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.lend().ok()?;
        let transport = SubprocessHandle(self.clone());
        let outcome = catch(|| function(&mut *protocol, &transport));
        let name = protocol.type_name();
        self.put_back(protocol);
        match outcome {
            Ok(value) => Some(value),
            Err(exception) => {
                self.report(format!("protocol.{method}() panicked"), exception.clone(), name);
                self.end(Some(exception));
                None
            }
        }
    }

    fn put_back(&self, protocol: Box<dyn SubprocessProtocol>) {
        if let Some(before) = self.protocol.put_back(protocol) {
            self.drop_protocol(before);
        }
    }

    fn drop_protocol(&self, protocol: Box<dyn SubprocessProtocol>) {
        drop_contained(&**self.children.event_loop(), protocol, Some(format!("{self:?}")));
    }

    fn report(&self, message: String, exception: Exception, protocol: &'static str) {
        let mut context = ExceptionContext::with_exception(message, exception);
        context.protocol = Some(protocol);
        context.transport = Some(format!("{self:?}"));
        self.children.event_loop().call_exception_handler(context);
    }

    /// All is over: everything is let go.
    fn finish(self: &Rc<Self>) {
        self.closing.set(true);
        if let Some(opened) = self.opened.take() {
            let reason = self.reason.borrow().clone();
            // If it was cancelled, nobody waits for this.
            let _ = opened.set_exception(reason.unwrap_or_else(closed_too_early));
        }
        for protocol in self.protocol.empty() {
            self.drop_protocol(protocol);
        }
        for waiter in self.close_waiters.take() {
            // One that was cancelled waits no more.
            let _ = waiter.set_result(());
        }
        self.children.remove(self.place.get());
    }

    /// Closes the pipes, and kills the child if it runs. The first reason counts.
    fn end(self: &Rc<Self>, reason: Option<Exception>) {
        if self.closing.replace(true) {
            return;
        }
        let before = self.reason.replace(reason);
        drop(before);
        if self.child.status().is_none() {
            self.kill_for_good();
        }
        let pipes = self.pipes.borrow().clone();
        for pipe in pipes.iter().flatten() {
            pipe.abort();
        }
    }

    /// Kills a child that nobody wants any more. Says whether that can be done.
    fn kill_for_good(&self) -> bool {
        let killed = self.child.send_signal(rustix::process::Signal::KILL.as_raw());
        if let Err(error) = &killed {
            log::warn!(target: "tulipa", "{self:?} cannot be killed: {error}");
        }
        killed.is_ok()
    }

    // The end of the loop

    /// Kills the child if it runs; says whether its end is to be waited for.
    pub(super) fn end_with_loop(&self) -> bool {
        self.key.set(None);
        if self.child.reap().is_some() {
            return false;
        }
        log::warn!(target: "tulipa", "{self:?} was running when its event loop closed: it is killed");
        self.kill_for_good()
    }

    /// Whether its status was taken, by now.
    pub(super) fn is_reaped(&self) -> bool {
        self.child.reap().is_some()
    }

    /// Nobody will be told anything. Circles through the protocol end here.
    pub(super) fn forget_loop(&self) {
        self.closing.set(true);
        drop(self.opened.take());
        drop(self.pipes.take());
        self.drop_waiters();
        for protocol in self.protocol.empty() {
            self.drop_protocol(protocol);
        }
    }

    /// Lets go of those who wait. What they hold is the user's, and may hold this.
    fn drop_waiters(&self) {
        let waiters = (self.exit_waiters.take(), self.close_waiters.take());
        if let Err(exception) = catch(move || drop(waiters)) {
            let message = "the destructor of what waits for a child panicked".to_owned();
            self.children
                .event_loop()
                .call_exception_handler(ExceptionContext::with_exception(message, exception));
        }
    }

    // What users ask

    pub(super) fn handle(self: &Rc<Self>) -> Rc<dyn SubprocessTransport> {
        Rc::new(SubprocessHandle(self.clone()))
    }

    pub(super) fn pid(&self) -> Pid {
        self.child.pid()
    }

    fn is_over(&self) -> bool {
        let machine = self.machine.borrow();
        machine.is_over() || self.children.event_loop().is_closed()
    }

    fn replace_protocol(&self, protocol: Box<dyn SubprocessProtocol>) {
        let before = match self.is_over() {
            true => Some(protocol), // nobody will call it any more
            false => self.protocol.replace(protocol),
        };
        if let Some(before) = before {
            self.drop_protocol(before);
        }
    }

    fn run_for_user(
        self: &Rc<Self>,
        function: &mut dyn FnMut(&mut dyn SubprocessProtocol, &dyn SubprocessTransport),
    ) -> Result<(), ProtocolUnavailable> {
        let mut protocol = self.protocol.lend()?;
        let transport = SubprocessHandle(self.clone());
        // The panic is the caller's own, and goes on to them once all is in its place again.
        let outcome = catch_unwind(AssertUnwindSafe(|| function(&mut *protocol, &transport)));
        self.put_back(protocol);
        self.settle(false);
        outcome.map_err(|payload| resume_unwind(payload))
    }
}

impl fmt::Debug for Subprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child {} ({})", self.child.number(), self.program)
    }
}

/// Drops a protocol, whose destructor is user code too.
fn drop_contained(
    event_loop: &dyn AbstractEventLoop,
    protocol: Box<dyn SubprocessProtocol>,
    child: Option<String>,
) {
    let name = protocol.type_name();
    if let Err(exception) = catch(move || drop(protocol)) {
        let message = "the protocol's destructor panicked";
        let mut context = ExceptionContext::with_exception(message, exception);
        context.protocol = Some(name);
        context.transport = child;
        event_loop.call_exception_handler(context);
    }
}

fn closed_too_early() -> Exception {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the child was closed").into()
}
