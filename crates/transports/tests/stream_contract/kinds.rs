//! The kinds of stream transports, and how a connected pair of each is made.

use crate::support::*;
use eventloop::TestLoop;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use tulipa_transports::testing::{LifeCycleLog, MemoryLoop, MemoryOptions};
use tulipa_transports::wrappers::{
    ConnectionLimits, ProtocolWrapper, ProxyHeader, ProxyProtocol, TrafficLog, TrustedProxies, wrap,
};
use tulipa_transports::{Address, Bytes, Factory, IntoProtocol, NetworkLoop, Protocol, Transport};

/// A kind of stream transport.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether both ends read and write; else the left one writes and the right one reads.
    pub(crate) duplex: bool,
    /// Whether one direction can be ended alone. Else its end is a goodbye, which is answered.
    pub(crate) half_close: bool,
    connect: Connect,
}

/// Makes a pair of two protocols.
type Connect = fn(&TestLoop, Box<dyn Protocol>, Box<dyn Protocol>) -> Pair;

/// Two connected transports whose protocols were told so.
pub(crate) struct Pair {
    pub(crate) left: Rc<dyn Transport>,
    pub(crate) right: Rc<dyn Transport>,
}

const KINDS: &[Kind] = &[
    Kind { name: "TCP", duplex: true, half_close: true, connect: tcp },
    Kind { name: "Unix", duplex: true, half_close: true, connect: unix },
    Kind { name: "pipe", duplex: false, half_close: true, connect: pipe },
    Kind { name: "memory", duplex: true, half_close: true, connect: memory },
    Kind {
        name: "memory with trouble",
        duplex: true,
        half_close: true,
        connect: memory_with_trouble,
    },
    Kind { name: "memory, in wrappers", duplex: true, half_close: true, connect: in_wrappers },
    Kind { name: "memory with trouble, logged", duplex: true, half_close: true, connect: logged },
    Kind { name: "TCP behind a proxy", duplex: true, half_close: true, connect: behind_a_proxy },
    #[cfg(feature = "tls")]
    Kind { name: "TLS", duplex: true, half_close: false, connect: tls::in_memory },
    #[cfg(feature = "tls")]
    Kind { name: "TLS with trouble", duplex: true, half_close: false, connect: tls::with_trouble },
];

/// More than any kind holds between its ends.
pub(crate) const LARGE: usize = 400_000;

/// Runs `test` for each kind, one after the other, and looks whether descriptors are left.
pub(crate) fn each(test: impl Fn(&Kind)) {
    // Descriptors are counted for the whole process, so the tests of this program take turns.
    static TURNS: Mutex<()> = Mutex::new(());
    let _turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in KINDS {
        let _named = NameOnPanic(kind.name);
        let before = descriptors();
        test(kind);
        assert_eq!(descriptors(), before, "descriptors are left");
    }
}

/// As [`each`], for those that can do both directions.
pub(crate) fn each_duplex(test: impl Fn(&Kind)) {
    each(|kind| {
        if kind.duplex {
            test(kind);
        }
    });
}

/// As [`each_duplex`], for those that can end one direction alone.
pub(crate) fn each_with_halves(test: impl Fn(&Kind)) {
    each_duplex(|kind| {
        if kind.half_close {
            test(kind);
        }
    });
}

impl Kind {
    /// Ends what `transport` sends: alone, if that is possible.
    pub(crate) fn end_output(&self, transport: &dyn Transport) {
        assert_eq!(transport.can_write_eof() || !self.duplex, self.half_close || !self.duplex);
        match self.half_close {
            true => transport.write_eof(),
            false => transport.close(),
        }
    }

    pub(crate) fn connect(
        &self,
        event_loop: &TestLoop,
        left: impl Protocol,
        right: impl Protocol,
    ) -> Pair {
        (self.connect)(event_loop, Box::new(left), Box::new(right))
    }

    /// A pair of protocols made of hooks, and their logs.
    pub(crate) fn recorded(
        &self,
        event_loop: &TestLoop,
        left: Hooks,
        right: Hooks,
    ) -> (Pair, LifeCycleLog, LifeCycleLog) {
        let ((left, left_log), (right, right_log)) = (left.recorded(), right.recorded());
        (self.connect(event_loop, left, right), left_log, right_log)
    }
}

impl Pair {
    /// Ends both sides, and looks whether their lives are complete.
    pub(crate) fn end(&self, event_loop: &TestLoop, logs: [&LifeCycleLog; 2]) {
        self.left.abort();
        self.right.abort();
        run_until(event_loop, || logs.iter().all(|log| log.is_lost()));
        finish(event_loop, logs);
    }
}

/// Both lives are complete, and the loop holds nothing any more.
pub(crate) fn finish(event_loop: &TestLoop, logs: [&LifeCycleLog; 2]) {
    run_until(event_loop, || event_loop.open_connections() == 0);
    logs.iter().for_each(|log| log.check_ended());
    assert_eq!(event_loop.output_total(), Bytes(0));
    assert_eq!((event_loop.stats().sources, event_loop.stats().transports), (0, 0));
}

fn tcp(event_loop: &TestLoop, left: Box<dyn Protocol>, right: Box<dyn Protocol>) -> Pair {
    let (client, server) = small_tcp_sockets();
    let left = event_loop.create_connection(move || left, client);
    let right = event_loop.connect_accepted_socket(move || right, server);
    opened(event_loop, left, right)
}

/// Connected sockets that hold little.
fn small_tcp_sockets() -> (TcpStream, TcpStream) {
    use socket2::{Domain, SockRef, Socket, Type};
    const SMALL: usize = 32 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(SMALL).unwrap();
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.set_send_buffer_size(SMALL).unwrap();
    client.set_recv_buffer_size(SMALL).unwrap();
    client.connect(&listener.local_addr().unwrap().into()).unwrap();
    let (server, _) = listener.accept().unwrap();
    SockRef::from(&server).set_send_buffer_size(SMALL).unwrap();
    (client.into(), server)
}

fn unix(event_loop: &TestLoop, left: Box<dyn Protocol>, right: Box<dyn Protocol>) -> Pair {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let left = event_loop.create_unix_connection(move || left, ours);
    let right = event_loop.connect_accepted_socket(move || right, theirs);
    opened(event_loop, left, right)
}

fn pipe(event_loop: &TestLoop, left: Box<dyn Protocol>, right: Box<dyn Protocol>) -> Pair {
    let (reader, writer) = std::io::pipe().unwrap();
    let left = event_loop.connect_write_pipe(move || left, writer);
    let right = event_loop.connect_read_pipe(move || right, reader);
    opened(event_loop, left, right)
}

fn memory(event_loop: &TestLoop, left: Box<dyn Protocol>, right: Box<dyn Protocol>) -> Pair {
    in_memory(event_loop, left, right, MemoryOptions::default())
}

fn memory_with_trouble(
    event_loop: &TestLoop,
    left: Box<dyn Protocol>,
    right: Box<dyn Protocol>,
) -> Pair {
    in_memory(event_loop, left, right, MemoryOptions::default().trouble(1000))
}

/// Each protocol inside of several wrappers.
fn in_wrappers(event_loop: &TestLoop, left: Box<dyn Protocol>, right: Box<dyn Protocol>) -> Pair {
    struct Around;
    impl ProtocolWrapper for Around {}
    let limits = ConnectionLimits::new().total(2);
    let inside = |protocol: Box<dyn Protocol>| {
        let factory = wrap(|| Around, limits.wrap(wrap(|| Around, once(protocol))));
        made_by(factory)
    };
    let pair = in_memory(event_loop, inside(left), inside(right), MemoryOptions::default());
    assert_eq!(limits.refused(), 0);
    pair
}

/// Each protocol inside of a log, for which the bytes of buffered ones are copied.
fn logged(event_loop: &TestLoop, left: Box<dyn Protocol>, right: Box<dyn Protocol>) -> Pair {
    let log = TrafficLog::new().to(|line| assert!(line.starts_with('#')));
    let inside = |protocol: Box<dyn Protocol>| made_by(log.wrap(once(protocol)));
    let options = MemoryOptions::default().trouble(2000);
    in_memory(event_loop, inside(left), inside(right), options)
}

/// The right protocol begins when the header is there.
fn behind_a_proxy(
    event_loop: &TestLoop,
    left: Box<dyn Protocol>,
    right: Box<dyn Protocol>,
) -> Pair {
    let (client, server) = small_tcp_sockets();
    let header = ProxyHeader::new(Address::Unnamed, Address::Unnamed).to_v2().unwrap();
    (&client).write_all(&header).unwrap();
    let mut proxied = ProxyProtocol::new(TrustedProxies::everybody()).wrap_factory(once(right));
    let left = event_loop.create_connection(move || left, client);
    let right = event_loop
        .connect_accepted_socket(move || proxied.build_protocol(&Address::Unnamed), server);
    let pair = opened(event_loop, left, right);
    // The header is read, and the protocol told.
    for _ in 0..3 {
        event_loop.run_ready_now();
    }
    pair
}

/// A factory of one protocol.
fn once(protocol: Box<dyn Protocol>) -> impl FnMut() -> Option<Box<dyn Protocol>> + 'static {
    let mut protocol = Some(protocol);
    move || protocol.take()
}

fn made_by(mut factory: impl Factory) -> Box<dyn Protocol> {
    factory.build_protocol(&Address::Unnamed).into_protocol().unwrap().unwrap()
}

fn in_memory(
    event_loop: &TestLoop,
    left: Box<dyn Protocol>,
    right: Box<dyn Protocol>,
    options: MemoryOptions,
) -> Pair {
    let pair = event_loop.memory_pair(Boxed(left), Boxed(right), options.capacity(Bytes::kib(16)));
    event_loop.run_ready_now();
    Pair { left: pair.left, right: pair.right }
}

type Opening = futures::Future<Rc<dyn Transport>>;

fn opened(event_loop: &TestLoop, left: Opening, right: Opening) -> Pair {
    let left = event_loop.run_until_complete(&left).unwrap();
    let right = event_loop.run_until_complete(&right).unwrap();
    event_loop.run_ready_now();
    Pair { left, right }
}

/// Encrypted ones.
#[cfg(feature = "tls")]
mod tls {
    use super::{Boxed, Pair, opened};
    use eventloop::TestLoop;
    use std::sync::OnceLock;
    use tulipa_transports::testing::{MemoryOptions, MemoryTlsLoop};
    use tulipa_transports::tls::{CertifiedKey, Roots, TlsClientConfig, TlsServerConfig};
    use tulipa_transports::{Bytes, Protocol};

    const NAME: &str = "tulip.example";

    fn configs() -> (TlsClientConfig, TlsServerConfig) {
        static CONFIGS: OnceLock<(TlsClientConfig, TlsServerConfig)> = OnceLock::new();
        let made = CONFIGS.get_or_init(|| {
            let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
            let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            let roots = Roots::none().pem(&chain).unwrap();
            let client = TlsClientConfig::builder().roots(roots).build().unwrap();
            (client, TlsServerConfig::new(CertifiedKey::from_pem(chain, key).unwrap()).unwrap())
        });
        made.clone()
    }

    pub(super) fn in_memory(
        event_loop: &TestLoop,
        left: Box<dyn Protocol>,
        right: Box<dyn Protocol>,
    ) -> Pair {
        connect(event_loop, left, right, MemoryOptions::default())
    }

    pub(super) fn with_trouble(
        event_loop: &TestLoop,
        left: Box<dyn Protocol>,
        right: Box<dyn Protocol>,
    ) -> Pair {
        connect(event_loop, left, right, MemoryOptions::default().trouble(1000))
    }

    fn connect(
        event_loop: &TestLoop,
        left: Box<dyn Protocol>,
        right: Box<dyn Protocol>,
        options: MemoryOptions,
    ) -> Pair {
        let (client, server) = configs();
        let options = options.capacity(Bytes::kib(16));
        let (left, right) = (Boxed(left), Boxed(right));
        let pair = event_loop.memory_tls_pair(left, (client, NAME), right, server, options);
        opened(event_loop, pair.left, pair.right)
    }
}

/// A protocol in a box, as a protocol.
struct Boxed(Box<dyn Protocol>);

impl Protocol for Boxed {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.0.connection_made(transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.0.data_received(transport, data);
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> tulipa_transports::Eof {
        self.0.eof_received(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<futures::Exception>) {
        self.0.connection_lost(transport, reason);
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.0.pause_writing(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.0.resume_writing(transport);
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        self.0.shutdown_requested(transport);
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        self.0.handshake_completed(transport);
    }

    fn as_buffered(&mut self) -> Option<&mut dyn tulipa_transports::BufferedProtocol> {
        self.0.as_buffered()
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Says which kind it was that failed.
struct NameOnPanic(&'static str);

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the kind of transport was: {}", self.0);
        }
    }
}
