//! What the tests share: protocols, clients, and the counts of what must be given back.

use futures::Exception;
use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tulipa_transports::{
    Accepting, Core, Cores, CoresOptions, Protocol, Transport, serve_on_cores,
};

/// Threads and descriptors are the process's: one test at a time. At its end all must be back.
pub(crate) struct Alone {
    threads: usize,
    descriptors: usize,
    _lock: MutexGuard<'static, ()>,
}

static LOCK: Mutex<()> = Mutex::new(());

impl Alone {
    pub(crate) fn begin() -> Self {
        let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        Self { threads: named_threads(), descriptors: count("/proc/self/fd"), _lock: lock }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            wait_until("threads and descriptors are back", || {
                named_threads() <= self.threads && count("/proc/self/fd") <= self.descriptors
            });
        }
    }
}

fn count(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// How many threads of ours there are: the test program's own come and go.
pub(crate) fn named_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("tulipa-")).count()
}

/// Looks again and again, for ten seconds at most.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it never came: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn on(count: usize, accepting: Accepting) -> CoresOptions {
    let count = NonZeroUsize::new(count).unwrap();
    CoresOptions::from(("127.0.0.1", 0)).cores(count).accepting(accepting)
}

/// Answers each byte with two: the number of its core, and of its connection on that core. Some bytes
/// mean something else.
pub(crate) struct Answering {
    core: usize,
    number: usize,
    cores: Cores,
}

/// Ends the loop of the core.
pub(crate) const STOP: u8 = b'S';
/// Panics.
pub(crate) const PANIC: u8 = b'P';
/// Shuts all cores down.
pub(crate) const SHUT_DOWN: u8 = b'D';
/// Does not care for the end from now on.
pub(crate) const DEAF: u8 = b'F';

impl Protocol for Answering {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        for byte in data {
            match *byte {
                STOP => eventloop::current().stop(),
                PANIC => panic!("as it was asked to"),
                SHUT_DOWN => drop(self.cores.shutdown(secs(5))),
                DEAF => self.number = usize::MAX,
                _ => {}
            }
            transport.write(&[self.core as u8, self.number as u8]);
        }
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        if self.number != usize::MAX {
            transport.close();
        }
    }
}

/// The factory of a core: its state is the core's own, without locks.
pub(crate) fn answering(core: Core) -> Result<impl FnMut() -> Answering + 'static, Exception> {
    let connections = Rc::new(Cell::new(0));
    let (core, cores) = (core.index(), core.cores());
    Ok(move || {
        let number = connections.replace(connections.get() + 1);
        Answering { core, number, cores: cores.clone() }
    })
}

pub(crate) fn start(options: CoresOptions) -> Cores {
    serve_on_cores(options, answering).take(Some(secs(20))).unwrap()
}

pub(crate) fn address(cores: &Cores) -> SocketAddr {
    cores.addresses()[0].as_ip().unwrap()
}

pub(crate) fn connect(cores: &Cores) -> TcpStream {
    let client = TcpStream::connect(address(cores)).unwrap();
    client.set_read_timeout(Some(secs(20))).unwrap();
    client
}

/// Sends a byte, and gives the answer: core and number.
pub(crate) fn ask(client: &mut (impl Read + Write), byte: u8) -> (usize, usize) {
    client.write_all(&[byte]).unwrap();
    let mut answer = [0; 2];
    client.read_exact(&mut answer).unwrap();
    (answer[0].into(), answer[1].into())
}

/// Has every client ask, and waits for the answers.
pub(crate) fn ask_all(clients: &mut [TcpStream], byte: u8) {
    for client in clients {
        ask(client, byte);
    }
}

/// Whether the peer has ended the connection, one way or the other.
pub(crate) fn is_over(client: &mut impl Read) -> bool {
    matches!(client.read(&mut [0; 16]), Ok(0) | Err(_))
}

/// Whether there is no thread of this name any more.
pub(crate) fn thread_is_gone(name: &str) -> bool {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let mut names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.all(|other| other.trim_end() != name)
}

/// Does something when a message is logged.
pub(crate) struct LogWatch;

type Reaction = (&'static str, Box<dyn FnOnce() + Send>);
static REACTION: Mutex<Option<Reaction>> = Mutex::new(None);

impl LogWatch {
    pub(crate) fn begin() -> Self {
        // A second time it is there already.
        let _ = log::set_logger(&Logger);
        log::set_max_level(log::LevelFilter::Error);
        Self
    }

    pub(crate) fn on(message: &'static str, react: impl FnOnce() + Send + 'static) {
        *REACTION.lock().unwrap() = Some((message, Box::new(react)));
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        log::set_max_level(log::LevelFilter::Off);
        drop(REACTION.lock().unwrap().take());
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut reaction = REACTION.lock().unwrap();
        if let Some((_, react)) =
            reaction.take_if(|(message, _)| record.args().to_string().contains(*message))
        {
            react();
        }
    }

    fn flush(&self) {}
}
