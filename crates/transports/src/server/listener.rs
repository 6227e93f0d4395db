//! [`Listener`]: one listening socket of a server, and how it takes connections in (N-21, N-22).

use super::ServerCore;
use super::binding::SocketFile;
use crate::Address;
use crate::backend::{SocketBackend, SocketKind, system};
use crate::burst::Burst;
use crate::loop_shared::Owner;
use eventloop::{Direction, Interest, Source, SourceKey, SourceKind, Taken};
use futures::{ExceptionContext, SchedulerExt, TimerHandle};
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use socket2::Socket;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// A listening socket. The loop owns it, from the server's creation until its close.
pub(super) struct Listener {
    socket: Socket,
    kind: SocketKind,
    pub(super) address: Address,
    pub(super) file: Option<SocketFile>,
    key: Cell<Option<SourceKey>>,
    retry: Cell<Option<TimerHandle>>,
    /// How many connections are accepted, then the others of the loop get their turn.
    burst: Cell<Burst>,
    server: Rc<ServerCore>,
    /// What the connections hold.
    owner: Rc<Owner>,
}

/// How long to wait when the system is out of descriptors or memory.
const BACK_OFF: Duration = Duration::from_secs(1);

impl Listener {
    /// Puts a bound socket into the loop.
    pub(super) fn attach(
        bound: super::binding::Bound,
        owner: &Rc<Owner>,
        server: &Rc<ServerCore>,
    ) -> io::Result<Rc<Self>> {
        let address = Address::from_sock_addr(&bound.socket.local_addr()?);
        let listener = Rc::new(Self {
            socket: bound.socket,
            kind: bound.kind,
            address: address.unwrap_or(Address::Unnamed),
            file: bound.file,
            key: Cell::new(None),
            retry: Cell::new(None),
            burst: Cell::new(Burst::new()),
            server: server.clone(),
            owner: owner.clone(),
        });
        match server.event_loop().watch(listener.clone(), Interest::NONE) {
            Ok(key) => {
                listener.key.set(Some(key));
                Ok(listener)
            }
            Err(error) => {
                if let Some(file) = &listener.file {
                    file.remove();
                }
                Err(error)
            }
        }
    }

    /// Begins to listen (N-20).
    pub(super) fn listen(&self, backlog: u32) -> io::Result<()> {
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        self.watch(Interest::READ)
    }

    /// Takes `listen` back as far as the system lets us.
    pub(super) fn unlisten(&self) {
        if let Err(error) = self.watch(Interest::NONE) {
            log::debug!(target: "tulipa", "{}: {error}", self.describe());
        }
        // Not listening any more is what some systems understand by this; the others refuse.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Ends it. The descriptor closes when the turn that runs has ended.
    pub(super) fn close(&self) {
        if let Some(timer) = self.retry.take() {
            timer.cancel(); // N-22: the retry must not outlive the server
        }
        if let Some(file) = &self.file {
            file.remove();
        }
        if let Some(key) = self.key.take() {
            drop(self.server.event_loop().unwatch(key));
        }
    }

    fn watch(&self, interest: Interest) -> io::Result<()> {
        match self.key.get() {
            Some(key) => self.server.event_loop().set_interest(key, interest),
            None => Ok(()),
        }
    }

    fn accept(self: &Rc<Self>) {
        let mut burst = self.burst.get();
        let mut accepted = 0;
        for _ in 0..burst.size() {
            if !self.server.is_accepting() {
                return;
            }
            match system::accept(&self.socket) {
                Ok((socket, peer)) => {
                    accepted += 1;
                    self.take_in(socket, peer);
                }
                Err(Errno::AGAIN) => break,
                Err(error) if system::is_about_one_connection(error) => accepted += 1,
                Err(error) => return self.back_off(error.into()),
            }
        }
        burst.ended(accepted);
        self.burst.set(burst);
    }

    fn take_in(&self, socket: OwnedFd, peer: Option<SocketAddrAny>) {
        let peer = match self.kind {
            SocketKind::Unix => Some(Address::Unnamed),
            SocketKind::Tcp => {
                peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map(Address::Ip)
            }
        };
        self.server.take_in(&self.owner, SocketBackend::new(socket, self.kind, peer));
    }

    /// Out of descriptors or memory: one report, then silence for a second. Watching on would spin,
    /// since the connections that wait make the socket readable.
    fn back_off(self: &Rc<Self>, error: io::Error) {
        let mut context =
            ExceptionContext::with_exception("socket.accept() out of system resource", error);
        context.socket = Some(self.address.to_string());
        let watched = self.watch(Interest::NONE);
        let listener = Rc::downgrade(self);
        let timer = self.server.event_loop().call_later(BACK_OFF, move || {
            if let Some(listener) = listener.upgrade() {
                listener.retry.set(None);
                listener.resume();
            }
        });
        self.retry.set(Some(timer));
        if let Err(error) = watched {
            log::debug!(target: "tulipa", "{}: {error}", self.describe());
        }
        self.server.event_loop().call_exception_handler(context);
    }

    fn resume(self: &Rc<Self>) {
        if self.server.is_accepting()
            && let Err(error) = self.watch(Interest::READ)
        {
            self.back_off(error);
        }
    }

    /// Whether connections are taken in has changed.
    pub(super) fn review(self: &Rc<Self>) {
        if self.server.is_accepting() {
            let retry = self.retry.take();
            match retry {
                Some(_) => self.retry.set(retry), // it resumes by itself
                None => self.resume(),
            }
        } else if let Err(error) = self.watch(Interest::NONE) {
            log::debug!(target: "tulipa", "{}: {error}", self.describe());
        }
    }
}

impl Source for Listener {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(self: Rc<Self>, _direction: Direction) -> Taken {
        self.accept();
        Taken::Unknown
    }

    fn loop_closed(self: Rc<Self>) {
        self.key.set(None);
        self.server.loop_closed();
        if let Some(file) = &self.file {
            file.remove();
        }
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Listener
    }

    fn describe(&self) -> String {
        format!("listener on {}", self.address)
    }
}
