//! What asks servers and measures how they answer. Each kind of generator is in a file of its own; here is what
//! they have in common: a window, and the meter that knows when it opens and closes and what happened in it.
//!
//! A generator runs on a core of its own and never sleeps, so that its own speed is the same for all peers. It
//! checks every byte that comes back.

pub mod accept;
pub mod echo;
pub mod flood;
pub mod http;
pub mod memory;
mod poll;
pub mod tls;
pub mod udp;

use crate::cpu::CpuTime;
use crate::process::{Cores, run_in_real_time};
use crate::record::Metrics;
use hdrhistogram::Histogram;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tulipa::Exception;

/// When is measured.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// For how long requests are made before; at least.
    pub warm_up: Duration,
    /// How many requests are answered before; at least. So each connection has had its turn.
    pub warm_up_answers: u64,
    /// For how long is measured.
    pub length: Duration,
    /// After how long without any answer the server is given up.
    pub silence: Duration,
}

impl Window {
    /// A tenth of a second to warm up, two to measure, and ten seconds of patience.
    pub const fn short() -> Self {
        Self {
            warm_up: Duration::from_millis(100),
            warm_up_answers: 1,
            length: Duration::from_millis(200),
            silence: PATIENCE,
        }
    }

    /// Twice as long, for requests that take long.
    pub const fn long() -> Self {
        Self { length: Duration::from_millis(400), ..Self::short() }
    }
}

/// Runs a generator: in a thread of its own, on its core and in real time, as far as that is allowed.
///
/// # Errors
/// What the generator fails with; or if there is no second core.
///
/// # Panics
/// If the generator does.
pub fn generate<T: Send>(
    generator: impl FnOnce() -> Result<T, Exception> + Send,
) -> Result<T, Exception> {
    let cores = Cores::of_this_process()?;
    let on_its_core = || {
        crate::pin(&[cores.generator]);
        run_in_real_time();
        generator()
    };
    std::thread::scope(|scope| scope.spawn(on_its_core).join())
        .unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// How long a call of a generator that may block waits for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that never blocks.
fn connect(server: SocketAddr) -> Result<TcpStream, Exception> {
    let stream = connect_blocking(server)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// A connection that blocks, but not for ever.
fn connect_blocking(server: SocketAddr) -> Result<TcpStream, Exception> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Counts answers while a window is open, and what they cost the server.
///
/// It reads no clock: whoever uses it reads one for each answer in any case.
#[derive(Debug)]
pub struct Meter {
    server: u32,
    window: Window,
    phase: Phase,
    started: Instant,
    /// When the last answer came.
    heard: Instant,
    answers: u64,
    waits: Histogram<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    WarmUp,
    Open { since: Instant, server: CpuTime, generator: CpuTime },
}

impl Meter {
    /// A meter for the server with this process number; the warming up begins.
    pub fn new(server: u32, window: Window, now: Instant) -> Self {
        let longest = Duration::from_secs(100).as_nanos() as u64;
        let waits = Histogram::new_with_bounds(1, longest, 3).expect("the bounds are in order");
        Self { server, window, phase: Phase::WarmUp, started: now, heard: now, answers: 0, waits }
    }

    /// A request that was made at `asked` has been answered.
    pub fn answered(&mut self, asked: Instant, now: Instant) {
        self.answers += 1;
        self.heard = now;
        if self.is_open() {
            self.waits.saturating_record((now - asked).as_nanos() as u64);
        }
    }

    /// Whether what happens now counts.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// To be called often: opens the window, and gives what was measured when it is over.
    ///
    /// # Errors
    /// If the server is gone, or no answer has come for too long.
    pub fn poll(&mut self, now: Instant) -> Result<Option<Metrics>, Exception> {
        if now.saturating_duration_since(self.heard) > self.window.silence {
            let message = format!("no answer for {:?}", self.window.silence);
            return Err(Error::new(ErrorKind::TimedOut, message).into());
        }
        match self.phase {
            Phase::WarmUp => {
                if now - self.started >= self.window.warm_up
                    && self.answers >= self.window.warm_up_answers
                {
                    let generator = CpuTime::of_this_thread()?;
                    let server = CpuTime::of(self.server)?;
                    self.answers = 0;
                    self.phase = Phase::Open { since: Instant::now(), server, generator };
                }
                Ok(None)
            }
            // Without any answer there is nothing to divide by.
            Phase::Open { since, server, generator }
                if now - since >= self.window.length && self.answers > 0 =>
            {
                let server = CpuTime::of(self.server)?.since(server);
                let generator = CpuTime::of_this_thread()?.since(generator);
                Ok(Some(self.metrics(now - since, server, generator)))
            }
            Phase::Open { .. } => Ok(None),
        }
    }

    fn metrics(&self, length: Duration, server: CpuTime, generator: CpuTime) -> Metrics {
        let (answers, seconds) = (self.answers as f64, length.as_secs_f64());
        let quantile = |of: f64| self.waits.value_at_quantile(of) as f64;
        let metrics = [
            ("answers", answers),
            ("cpu_ns", server.ran.as_nanos() as f64 / answers),
            ("per_second", answers / seconds),
            ("p50_ns", quantile(0.5)),
            ("p99_ns", quantile(0.99)),
            ("longest_ns", self.waits.max() as f64),
            // How much of its core the server used, and for how much of the window others had the cores.
            ("server_busy", server.ran.as_secs_f64() / seconds),
            ("server_waited", server.waited.as_secs_f64() / seconds),
            ("generator_waited", generator.waited.as_secs_f64() / seconds),
        ];
        metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(now: Instant) -> Meter {
        let window = Window { warm_up_answers: 2, ..Window::short() };
        Meter::new(std::process::id(), window, now)
    }

    #[test]
    fn the_window_opens_after_its_time_and_its_answers() {
        let start = Instant::now();
        let later = start + Duration::from_millis(101);
        let mut meter = meter(start);
        meter.answered(start, start);
        meter.answered(start, start);
        meter.poll(start + Duration::from_millis(99)).unwrap();
        assert!(matches!(meter.phase, Phase::WarmUp), "too early");
        meter.poll(later).unwrap();
        assert!(matches!(meter.phase, Phase::Open { .. }));

        let mut meter = self::meter(start);
        meter.answered(start, start);
        meter.poll(later).unwrap();
        assert!(matches!(meter.phase, Phase::WarmUp), "not everybody was answered");
    }

    #[test]
    fn only_what_was_answered_in_the_window_counts() {
        let start = Instant::now();
        let mut meter = meter(start);
        for _ in 0..5 {
            meter.answered(start, start + Duration::from_secs(5));
        }
        assert!(meter.poll(start + Duration::from_secs(5)).unwrap().is_none());
        let Phase::Open { since, .. } = meter.phase else { panic!("it is open") };
        let at = |milliseconds| since + Duration::from_millis(milliseconds);
        for wait in [1, 2, 3, 90] {
            meter.answered(at(1), at(1 + wait));
        }
        assert!(meter.poll(at(199)).unwrap().is_none());
        let metrics = meter.poll(at(200)).unwrap().unwrap();
        assert_eq!(metrics["answers"], 4.0);
        assert_eq!(metrics["per_second"], 20.0);
        assert_eq!((metrics["p50_ns"] / 1e6).round(), 2.0);
        assert_eq!((metrics["longest_ns"] / 1e6).round(), 90.0);
        assert!(metrics["cpu_ns"] > 0.0 || metrics["server_busy"] == 0.0);
    }

    #[test]
    fn a_window_without_any_answer_stays_open() {
        let start = Instant::now();
        let mut meter = meter(start);
        meter.answered(start, start);
        meter.answered(start, start);
        meter.poll(start + Duration::from_secs(1)).unwrap();
        let much_later = Instant::now() + Duration::from_secs(5);
        assert!(meter.poll(much_later).unwrap().is_none());
        meter.answered(start, much_later);
        let metrics = meter.poll(much_later).unwrap().expect("it is over");
        assert!(metrics.values().all(|figure| figure.is_finite()), "{metrics:?}");
    }

    #[test]
    fn a_silent_server_is_an_error() {
        let start = Instant::now();
        let mut meter = meter(start);
        meter.answered(start, start + Duration::from_secs(1));
        assert!(meter.poll(start + Duration::from_secs(11)).is_ok());
        assert!(meter.poll(start + Duration::from_millis(11_001)).is_err());
    }
}
