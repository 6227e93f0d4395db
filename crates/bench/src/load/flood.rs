//! One quiet client beside many that flood: these send as fast as the server takes it and read whatever comes back,
//! while the quiet one asks, waits for its answer, pauses, and asks again. How long it waits tells whether a server
//! lets the loud ones starve the others.

use crate::load::echo::{PIECES, random_bytes};
use crate::load::{Meter, Window, connect, generate};
use crate::record::Metrics;
use crate::server::Server;
use rustix::event::{Timespec, epoll};
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tulipa::Exception;

/// How long the quiet client pauses after an answer.
const PAUSE: Duration = Duration::from_millis(1);

/// How much a flooding client sends or receives in one turn. Short, as the quiet client is looked after in between,
/// and its waits are to be the server's and not ours.
const TURN: usize = 16 * 1024;

/// Measures the server: the figures are those of the quiet client, and `flood_bytes_per_second`, so that fairness
/// is not bought with idleness unnoticed.
///
/// # Errors
/// If the server sends other bytes than it received, closes a connection, is silent for too long, or ends.
pub fn measure(server: &Server, flooding: usize, window: Window) -> Result<Metrics, Exception> {
    generate(|| Clients::connect(server.address(), flooding)?.run(window, server.pid()))
}

struct Clients {
    epoll: OwnedFd,
    flooding: Vec<Flooding>,
    quiet: Quiet,
    /// The stream of all; its period is `PIECES`.
    bytes: Vec<u8>,
}

impl Clients {
    fn connect(server: SocketAddr, flooding: usize) -> Result<Self, Exception> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let quiet = Quiet { stream: connect(server)?, asked: None, again: Instant::now() };
        let mut clients = Vec::with_capacity(flooding);
        for index in 0..flooding {
            let stream = connect(server)?;
            let data = epoll::EventData::new_u64(index as u64);
            // Level-triggered: a client takes short turns and is told again.
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
            clients.push(Flooding { stream, sent: index, received: index });
        }
        Ok(Self {
            epoll,
            flooding: clients,
            quiet,
            bytes: random_bytes(PIECES).repeat(1 + TURN / PIECES),
        })
    }

    fn run(&mut self, window: Window, server: u32) -> Result<Metrics, Exception> {
        let mut meter = Meter::new(server, window, Instant::now());
        // When the window opened, and what had come back by then.
        let mut opened = None;
        let mut buffer = vec![0; TURN];
        let mut events = Vec::with_capacity(512);
        loop {
            events.clear();
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&at_once))?;
            for event in &events {
                let client = &mut self.flooding[event.data.u64() as usize];
                client.turn(event.flags, &self.bytes, &mut buffer)?;
                self.quiet.turn(&mut meter)?;
            }
            self.quiet.turn(&mut meter)?;
            let now = Instant::now();
            let metrics = meter.poll(now)?;
            if meter.is_open() {
                opened.get_or_insert_with(|| (Instant::now(), self.echoed()));
            }
            if let (Some(mut metrics), Some((since, before))) = (metrics, opened) {
                let each_second = (self.echoed() - before) as f64 / (now - since).as_secs_f64();
                metrics.insert("flood_bytes_per_second".to_owned(), each_second);
                // Per answer of the quiet client that would be a figure about the others.
                metrics.remove("cpu_ns");
                return Ok(metrics);
            }
        }
    }

    fn echoed(&self) -> usize {
        self.flooding.iter().map(|client| client.received).sum()
    }
}

/// A client that sends one endless stream, the same bytes again and again. No two begin at the same place.
struct Flooding {
    stream: TcpStream,
    sent: usize,
    received: usize,
}

impl Flooding {
    fn turn(
        &mut self,
        flags: epoll::EventFlags,
        bytes: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), Exception> {
        if flags != epoll::EventFlags::OUT
            && let Some(count) = without_blocking(self.stream.read(buffer))?
        {
            let expected = &bytes[self.received % PIECES..][..count];
            if count == 0 || buffer[..count] != *expected || self.received + count > self.sent {
                return Err(wrong(count));
            }
            self.received += count;
        }
        if flags.contains(epoll::EventFlags::OUT) {
            let message = &bytes[self.sent % PIECES..][..TURN];
            self.sent += without_blocking(self.stream.write(message))?.unwrap_or(0);
        }
        Ok(())
    }
}

/// The client whose waits are measured.
struct Quiet {
    stream: TcpStream,
    /// When it asked what has not been answered.
    asked: Option<Instant>,
    /// When it asks again.
    again: Instant,
}

impl Quiet {
    fn turn(&mut self, meter: &mut Meter) -> Result<(), Exception> {
        const MESSAGE: [u8; 64] = [0x5a; 64];
        let now = Instant::now();
        match self.asked {
            None if now >= self.again => {
                // A socket takes so little whole.
                self.stream.write_all(&MESSAGE)?;
                self.asked = Some(now);
            }
            None => {}
            Some(asked) => {
                let mut answer = [0; MESSAGE.len() + 1];
                if let Some(count) = without_blocking(self.stream.read(&mut answer))? {
                    if answer[..count] != MESSAGE {
                        return Err(wrong(count));
                    }
                    let now = Instant::now();
                    meter.answered(asked, now);
                    (self.asked, self.again) = (None, now + PAUSE);
                }
            }
        }
        Ok(())
    }
}

/// `None` if it would have blocked.
fn without_blocking(result: std::io::Result<usize>) -> std::io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn wrong(count: usize) -> Exception {
    match count {
        0 => Error::new(ErrorKind::UnexpectedEof, "a connection was closed").into(),
        _ => Error::new(ErrorKind::InvalidData, "other bytes came back than were sent").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Runs two flooding clients and a quiet one against a server that passes each piece through `answer`.
    fn against(answer: impl Fn(&mut [u8]) + Copy + Send + 'static) -> Result<Metrics, Exception> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let streams: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
            let serve = move |mut stream: TcpStream| {
                let mut buffer = [0; 5000];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    answer(&mut buffer[..count]);
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            };
            let threads =
                streams.into_iter().map(|stream| std::thread::spawn(move || serve(stream)));
            for thread in threads.collect::<Vec<_>>() {
                thread.join().unwrap();
            }
        });
        let length = Duration::from_millis(20);
        let window = Window { warm_up: Duration::ZERO, length, ..Window::short() };
        let mut clients = Clients::connect(address, 2).unwrap();
        let result = clients.run(window, std::process::id());
        drop(clients);
        server.join().unwrap();
        result
    }

    #[test]
    fn the_quiet_client_is_measured_and_the_flood_counted() {
        let metrics = against(|_| ()).unwrap();
        assert!(metrics["answers"] >= 1.0 && metrics["longest_ns"] > 0.0, "{metrics:?}");
        assert!(metrics["flood_bytes_per_second"] > 0.0, "{metrics:?}");
    }

    #[test]
    fn one_wrong_bit_in_the_flood_is_noticed() {
        let error = against(|data| data[data.len() / 2] ^= 1).expect_err("it was not noticed");
        assert_eq!(error.downcast_ref::<Error>().unwrap().kind(), ErrorKind::InvalidData);
    }
}
