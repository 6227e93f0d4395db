//! What the tests share: a protocol made of closures inside a recorder, and sockets to play with.

#[path = "../real_time/mod.rs"]
mod real_time;
#[path = "../slot/mod.rs"]
mod slot;

pub(crate) use real_time::run_until;
pub(crate) use slot::Slot;

use eventloop::TestLoop;
use futures::{Exception, ExceptionContext, PanicError};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;
use tulipa_transports::{
    Address, Bytes, DatagramError, DatagramOptions, DatagramProtocol, DatagramTransport,
    NetworkLoop, WriteBufferLimits,
};

type Lent<'a> = &'a dyn DatagramTransport;
type OnEvent = Option<Box<dyn FnMut(Lent<'_>)>>;
type OnData = Option<Box<dyn FnMut(Lent<'_>, &[u8], &Address)>>;
type OnError = Option<Box<dyn FnMut(Lent<'_>, DatagramError)>>;
type OnLost = Option<Box<dyn FnMut(Lent<'_>, Option<Exception>)>>;

/// A protocol made of closures. It checks the life that a transport gives it (P-3, P-6, P-7).
#[derive(Default)]
pub(crate) struct Hooks {
    made: OnEvent,
    data: OnData,
    error: OnError,
    lost: OnLost,
    pause: OnEvent,
    resume: OnEvent,
    log: Log,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn made(mut self, hook: impl FnMut(Lent<'_>) + 'static) -> Self {
        self.made = Some(Box::new(hook));
        self
    }

    pub(crate) fn data(mut self, hook: impl FnMut(Lent<'_>, &[u8], &Address) + 'static) -> Self {
        self.data = Some(Box::new(hook));
        self
    }

    pub(crate) fn error(mut self, hook: impl FnMut(Lent<'_>, DatagramError) + 'static) -> Self {
        self.error = Some(Box::new(hook));
        self
    }

    pub(crate) fn lost(mut self, hook: impl FnMut(Lent<'_>, Option<Exception>) + 'static) -> Self {
        self.lost = Some(Box::new(hook));
        self
    }

    pub(crate) fn pause(mut self, hook: impl FnMut(Lent<'_>) + 'static) -> Self {
        self.pause = Some(Box::new(hook));
        self
    }

    pub(crate) fn resume(mut self, hook: impl FnMut(Lent<'_>) + 'static) -> Self {
        self.resume = Some(Box::new(hook));
        self
    }

    /// Sends back what it receives.
    pub(crate) fn echo() -> Self {
        Self::new().data(|transport, data, sender| {
            transport.sendto(data, Some(sender));
        })
    }

    /// What happened to it so far, to be asked for later.
    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    /// For a protocol that takes over in mid-life.
    pub(crate) fn taking_over(self) -> Self {
        self.log.event("made");
        self
    }
}

impl DatagramProtocol for Hooks {
    fn connection_made(&mut self, transport: Lent<'_>) {
        self.log.event("made");
        if let Some(hook) = &mut self.made {
            hook(transport);
        }
    }

    fn datagram_received(&mut self, transport: Lent<'_>, data: &[u8], sender: &Address) {
        self.log.event("data");
        self.log.0.data.borrow_mut().push(data.to_vec());
        if let Some(hook) = &mut self.data {
            hook(transport, data, sender);
        }
    }

    fn error_received(&mut self, transport: Lent<'_>, error: DatagramError) {
        self.log.event("error");
        self.log.0.errors.borrow_mut().push((error.kind(), error.address().cloned()));
        if let Some(hook) = &mut self.error {
            hook(transport, error);
        }
    }

    fn connection_lost(&mut self, transport: Lent<'_>, reason: Option<Exception>) {
        self.log.event("lost");
        *self.log.0.reason.borrow_mut() = reason.as_ref().map(Exception::to_string);
        if let Some(hook) = &mut self.lost {
            hook(transport, reason);
        }
    }

    fn pause_writing(&mut self, transport: Lent<'_>) {
        self.log.event("pause");
        if let Some(hook) = &mut self.pause {
            hook(transport);
        }
    }

    fn resume_writing(&mut self, transport: Lent<'_>) {
        self.log.event("resume");
        if let Some(hook) = &mut self.resume {
            hook(transport);
        }
    }
}

/// What happened to a protocol. It fails at once on a call that its life does not allow.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<LogInner>);

#[derive(Default)]
struct LogInner {
    events: RefCell<Vec<&'static str>>,
    data: RefCell<Vec<Vec<u8>>>,
    errors: RefCell<Vec<(io::ErrorKind, Option<Address>)>>,
    reason: RefCell<Option<String>>,
    paused: Cell<bool>,
}

impl Log {
    fn event(&self, name: &'static str) {
        let events = self.events();
        let (made, lost) = (events.contains(&"made"), events.contains(&"lost"));
        assert!(!lost, "{name} after the end: {events:?}");
        assert_eq!(made, name != "made", "{name} after {events:?}");
        match name {
            "pause" => assert!(!self.0.paused.replace(true), "paused twice: {events:?}"),
            "resume" => assert!(self.0.paused.replace(false), "resumed unpaused: {events:?}"),
            _ => {}
        }
        self.0.events.borrow_mut().push(name);
    }

    pub(crate) fn events(&self) -> Vec<&'static str> {
        self.0.events.borrow().clone()
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.events().iter().filter(|event| **event == name).count()
    }

    pub(crate) fn data(&self) -> Vec<Vec<u8>> {
        self.0.data.borrow().clone()
    }

    pub(crate) fn errors(&self) -> Vec<(io::ErrorKind, Option<Address>)> {
        self.0.errors.borrow().clone()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.count("lost") == 1
    }

    pub(crate) fn reason(&self) -> Option<String> {
        self.0.reason.borrow().clone()
    }
}

/// Opens an endpoint.
#[track_caller]
pub(crate) fn open(
    event_loop: &TestLoop,
    protocol: Hooks,
    options: impl Into<DatagramOptions>,
) -> (Rc<dyn DatagramTransport>, Log) {
    let log = protocol.log();
    let opening = event_loop.create_datagram_endpoint(move || protocol, options);
    (event_loop.run_until_complete(&opening).unwrap(), log)
}

/// A UDP endpoint of 127.0.0.1, and its address.
#[track_caller]
pub(crate) fn udp(
    event_loop: &TestLoop,
    protocol: Hooks,
) -> (Rc<dyn DatagramTransport>, SocketAddr, Log) {
    let (transport, log) = open(event_loop, protocol, ("127.0.0.1", 0));
    let address = transport.extra_info().sockname.unwrap().as_ip().unwrap();
    (transport, address, log)
}

/// A plain UDP socket (blocking, but not for ever).
pub(crate) fn plain() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An address of this machine at which nobody listens; no other test binds to that host.
pub(crate) fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.77.1:0").unwrap().local_addr().unwrap()
}

pub(crate) fn ip(address: SocketAddr) -> Address {
    Address::Ip(address)
}

/// Closes the endpoint and sees it end in good order.
#[track_caller]
pub(crate) fn close(event_loop: &TestLoop, transport: &Rc<dyn DatagramTransport>, log: &Log) {
    transport.close();
    event_loop.run_ready_now();
    assert!(log.is_lost());
    assert_eq!(log.reason(), None);
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

pub(crate) fn marks(high: usize, low: usize) -> WriteBufferLimits {
    WriteBufferLimits { high: Bytes(high), low: Bytes(low) }
}
