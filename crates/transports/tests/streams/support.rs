//! What the tests share: a protocol made of closures, and connections to play with.

#[path = "../real_time/mod.rs"]
mod real_time;
#[path = "../slot/mod.rs"]
mod slot;

pub(crate) use real_time::run_until;
pub(crate) use slot::Slot;

use eventloop::TestLoop;
use futures::{Exception, ExceptionContext, PanicError};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::testing::{LifeCycle, LifeCycleLog};
use tulipa_transports::{Bytes, Eof, NetworkLoop, Protocol, Transport, WriteBufferLimits};

type OnEvent = Option<Box<dyn FnMut(&dyn Transport)>>;
type OnData = Option<Box<dyn FnMut(&dyn Transport, &[u8])>>;
type OnLost = Option<Box<dyn FnMut(&dyn Transport, Option<Exception>)>>;
type OnEof = Option<Box<dyn FnMut(&dyn Transport) -> Eof>>;

/// A protocol made of closures.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) made: OnEvent,
    pub(crate) data: OnData,
    pub(crate) eof: OnEof,
    pub(crate) lost: OnLost,
    pub(crate) pause: OnEvent,
    pub(crate) resume: OnEvent,
    pub(crate) shutdown: OnEvent,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn made(mut self, hook: impl FnMut(&dyn Transport) + 'static) -> Self {
        self.made = Some(Box::new(hook));
        self
    }

    pub(crate) fn data(mut self, hook: impl FnMut(&dyn Transport, &[u8]) + 'static) -> Self {
        self.data = Some(Box::new(hook));
        self
    }

    pub(crate) fn eof(mut self, hook: impl FnMut(&dyn Transport) -> Eof + 'static) -> Self {
        self.eof = Some(Box::new(hook));
        self
    }

    pub(crate) fn keep_open(self) -> Self {
        self.eof(|_| Eof::KeepOpen)
    }

    pub(crate) fn lost(
        mut self,
        hook: impl FnMut(&dyn Transport, Option<Exception>) + 'static,
    ) -> Self {
        self.lost = Some(Box::new(hook));
        self
    }

    pub(crate) fn pause(mut self, hook: impl FnMut(&dyn Transport) + 'static) -> Self {
        self.pause = Some(Box::new(hook));
        self
    }

    pub(crate) fn resume(mut self, hook: impl FnMut(&dyn Transport) + 'static) -> Self {
        self.resume = Some(Box::new(hook));
        self
    }

    pub(crate) fn shutdown(mut self, hook: impl FnMut(&dyn Transport) + 'static) -> Self {
        self.shutdown = Some(Box::new(hook));
        self
    }

    /// Sends back what it receives.
    pub(crate) fn echo() -> Self {
        Self::new().data(|transport, data| {
            transport.write(data);
        })
    }

    /// Wrapped in the recorder.
    pub(crate) fn recorded(self) -> (LifeCycle<Hooks>, LifeCycleLog) {
        LifeCycle::new(self)
    }
}

impl Protocol for Hooks {
    fn connection_made(&mut self, transport: &dyn Transport) {
        if let Some(hook) = &mut self.made {
            hook(transport);
        }
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        assert!(data.len() <= 256 * 1024);
        if let Some(hook) = &mut self.data {
            hook(transport, data);
        }
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.eof.as_mut().map_or(Eof::Close, |hook| hook(transport))
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        if let Some(hook) = &mut self.lost {
            hook(transport, reason);
        }
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        if let Some(hook) = &mut self.pause {
            hook(transport);
        }
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        if let Some(hook) = &mut self.resume {
            hook(transport);
        }
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        match &mut self.shutdown {
            Some(hook) => hook(transport),
            None => transport.close(),
        }
    }
}

/// A connected pair of TCP sockets.
pub(crate) fn tcp_sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    theirs.set_nodelay(true).unwrap();
    (ours, theirs)
}

/// A transport over TCP, and its peer as a plain socket (blocking).
pub(crate) fn tcp(
    event_loop: &TestLoop,
    protocol: impl Protocol,
) -> (Rc<dyn Transport>, TcpStream) {
    let (ours, theirs) = tcp_sockets();
    let opening = event_loop.connect_accepted_socket(move || protocol, ours);
    (event_loop.run_until_complete(&opening).unwrap(), theirs)
}

/// As `tcp`, with a small send buffer, so that large writes have to wait for the peer.
pub(crate) fn narrow_tcp(
    event_loop: &TestLoop,
    protocol: impl Protocol,
) -> (Rc<dyn Transport>, TcpStream) {
    let (transport, peer) = tcp(event_loop, protocol);
    transport.extra_info().socket.unwrap().set_send_buffer_size(16 * 1024).unwrap();
    (transport, peer)
}

/// Reads all that `peer` gets until the end of file, while the loop runs.
#[track_caller]
pub(crate) fn read_to_end(event_loop: &TestLoop, peer: &mut TcpStream) -> Vec<u8> {
    read_while(event_loop, peer, |_| true)
}

/// Reads while `more`, or until the end of file or a reset.
#[track_caller]
pub(crate) fn read_while(
    event_loop: &TestLoop,
    peer: &mut (impl Read + NonBlocking),
    mut more: impl FnMut(&[u8]) -> bool,
) -> Vec<u8> {
    peer.non_blocking();
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut ended = false;
    run_until(event_loop, || {
        while !ended && more(&all) {
            match peer.read(&mut buffer) {
                Ok(0) => ended = true,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => ended = true,
            }
        }
        true
    });
    all
}

pub(crate) trait NonBlocking {
    fn non_blocking(&self);
}

impl NonBlocking for TcpStream {
    fn non_blocking(&self) {
        self.set_nonblocking(true).unwrap();
    }
}

impl NonBlocking for std::os::unix::net::UnixStream {
    fn non_blocking(&self) {
        self.set_nonblocking(true).unwrap();
    }
}

/// Ends a plain socket with a reset.
pub(crate) fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
}

/// Sends `data` on a plain socket.
pub(crate) fn send(peer: &mut TcpStream, data: &[u8]) {
    peer.write_all(data).unwrap();
}

/// Collects what the exception handler is told, panics included.
pub(crate) fn collect_errors(event_loop: &TestLoop) -> Slot<Vec<ExceptionContext>> {
    let errors: Slot<Vec<ExceptionContext>> = Slot::new();
    let seen = errors.clone();
    event_loop.set_exception_handler(Some(Rc::new(move |_, context| {
        seen.update(|all| all.push(context.clone()));
    })));
    errors
}

/// What a panic said.
pub(crate) fn panic_message(context: &ExceptionContext) -> String {
    let exception = context.exception.as_ref().expect("an exception");
    exception.downcast_ref::<PanicError>().expect("a panic").message().to_owned()
}

/// A counter that closures share.
pub(crate) fn counter() -> (Rc<Cell<usize>>, impl Fn() + Clone) {
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    (count, move || counted.set(counted.get() + 1))
}

pub(crate) fn marks(high: usize, low: usize) -> WriteBufferLimits {
    WriteBufferLimits { high: Bytes(high), low: Bytes(low) }
}

/// Bytes that are different at every place for a while.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}
