//! Clients of an echo server: each of so many connections has one message under way, and sends the next as soon
//! as that one has come back whole.
//!
//! No two messages in a row are alike, and no two connections send the same, so that an answer which is late,
//! doubled or somebody else's is noticed and not counted.

use crate::load::poll::Poll;
use crate::load::{Meter, Window, connect};
use crate::record::Metrics;
use crate::server::Server;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;
use tulipa::Exception;

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// How many connections there are.
    pub connections: usize,
    /// How long each message is.
    pub size: usize,
    /// How many more connections there are that never say anything.
    pub idle: usize,
    /// When it is measured.
    pub window: Window,
}

impl Echo {
    /// Measures the server.
    ///
    /// # Errors
    /// If it does not echo what it was sent, closes a connection, is silent for too long, or ends.
    pub fn measure(&self, server: &Server) -> Result<Metrics, Exception> {
        super::generate(|| Clients::connect(self, server.address())?.run(self.window, server.pid()))
    }
}

/// How much is received at once: more than there is in most answers, so that one call tells that it was all.
const RECEIVE: usize = 256 * 1024;

struct Clients {
    poll: Poll,
    clients: Vec<Client>,
    /// They only have to stay open.
    _idle: Vec<TcpStream>,
    /// What all messages are pieces of.
    bytes: Vec<u8>,
}

impl Clients {
    fn connect(plan: &Echo, server: SocketAddr) -> Result<Self, Exception> {
        let idle = (0..plan.idle).map(|_| connect(server)).collect::<Result<_, _>>()?;
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let stream = connect(server)?;
            poll.add(&stream, index)?;
            clients.push(Client::new(stream, index, plan.size));
        }
        Ok(Self { poll, clients, _idle: idle, bytes: random_bytes(PIECES + plan.size) })
    }

    fn run(&mut self, window: Window, server: u32) -> Result<Metrics, Exception> {
        let window = Window { warm_up_answers: self.clients.len() as u64, ..window };
        let mut meter = Meter::new(server, window, Instant::now());
        let mut buffer = vec![0; RECEIVE];
        for client in &mut self.clients {
            client.send(&self.bytes)?;
        }
        loop {
            for index in self.poll.ready()? {
                let client = &mut self.clients[index];
                client.receive(&self.bytes, &mut buffer, &mut meter)?;
                client.send(&self.bytes)?;
            }
            if let Some(metrics) = meter.poll(Instant::now())? {
                return Ok(metrics);
            }
        }
    }
}

/// One connection and its message under way.
struct Client {
    stream: TcpStream,
    index: usize,
    size: usize,
    /// How many messages came back before.
    number: usize,
    sent: usize,
    received: usize,
    asked: Instant,
}

impl Client {
    fn new(stream: TcpStream, index: usize, size: usize) -> Self {
        Self { stream, index, size, number: 0, sent: 0, received: 0, asked: Instant::now() }
    }

    fn message<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[piece(self.index, self.number)..][..self.size]
    }

    /// Sends what the socket takes of what is left to send.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Exception> {
        while self.sent < self.size {
            if self.sent == 0 {
                self.asked = Instant::now();
            }
            match self.stream.write(&self.message(bytes)[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives what there is; begins the next message when this one is back.
    fn receive(
        &mut self,
        bytes: &[u8],
        buffer: &mut [u8],
        meter: &mut Meter,
    ) -> Result<(), Exception> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(self.fault("was closed", ErrorKind::UnexpectedEof)),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let expected = &self.message(bytes)[..self.sent][self.received..];
            if !expected.starts_with(&buffer[..count]) {
                return Err(self.fault("was sent other bytes than its own", ErrorKind::InvalidData));
            }
            self.received += count;
            if self.received == self.size {
                meter.answered(self.asked, Instant::now());
                (self.sent, self.received) = (0, 0);
                self.number += 1;
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    fn fault(&self, what: &str, kind: ErrorKind) -> Exception {
        let (index, number, received) = (self.index, self.number, self.received);
        let place = format!("connection {index}, after {received} bytes of message {number}");
        Error::new(kind, format!("{place}: it {what}")).into()
    }
}

/// How many places there are for a message to begin at.
pub(super) const PIECES: usize = 4096;

/// Where a message begins. Steps that have no divisor in common with the number of places, and so come round only
/// after all of them.
fn piece(connection: usize, number: usize) -> usize {
    (connection * 37 + number * 1021) % PIECES
}

/// Bytes without a pattern, the same in every run.
pub(super) fn random_bytes(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(42);
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    /// Runs three clients against a server that answers each piece as `answer` does; it closes when that says so.
    fn against(
        answer: impl Fn(&mut Vec<u8>) -> bool + Clone + Send + 'static,
    ) -> Result<Metrics, Exception> {
        against_patiently(Duration::from_secs(60), answer)
    }

    /// The same; after so much silence the clients give up.
    fn against_patiently(
        silence: Duration,
        answer: impl Fn(&mut Vec<u8>) -> bool + Clone + Send + 'static,
    ) -> Result<Metrics, Exception> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let serve = |mut stream: TcpStream, answer: &dyn Fn(&mut Vec<u8>) -> bool| {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let mut data = buffer[..count].to_vec();
                    if !answer(&mut data) || stream.write_all(&data).is_err() {
                        return;
                    }
                }
            };
            let streams: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
            let threads = streams.into_iter().map(|stream| {
                let answer = answer.clone();
                std::thread::spawn(move || serve(stream, &answer))
            });
            for thread in threads.collect::<Vec<_>>() {
                thread.join().unwrap();
            }
        });
        let window = Window {
            warm_up: Duration::ZERO,
            length: Duration::from_millis(5),
            silence,
            ..Window::short()
        };
        let plan = Echo { connections: 3, size: 10_000, idle: 0, window };
        let mut clients = Clients::connect(&plan, address).unwrap();
        let result = clients.run(window, std::process::id());
        drop(clients);
        server.join().unwrap();
        result
    }

    fn fault(answer: impl Fn(&mut Vec<u8>) -> bool + Clone + Send + 'static) -> ErrorKind {
        kind(against(answer))
    }

    fn kind(result: Result<Metrics, Exception>) -> ErrorKind {
        let error = result.expect_err("it was not noticed");
        error.downcast_ref::<Error>().expect("it is the generator's own").kind()
    }

    #[test]
    fn a_server_that_echoes_is_measured() {
        let metrics = against(|_| true).unwrap();
        assert!(metrics["answers"] >= 1.0, "{metrics:?}");
        assert!(metrics["p50_ns"] <= metrics["p99_ns"], "{metrics:?}");
    }

    #[test]
    fn one_wrong_bit_is_noticed() {
        let spoil = |data: &mut Vec<u8>| {
            *data.last_mut().unwrap() ^= 1;
            true
        };
        assert_eq!(fault(spoil), ErrorKind::InvalidData);
    }

    #[test]
    fn bytes_too_many_are_noticed() {
        let double = |data: &mut Vec<u8>| {
            data.extend_from_within(..);
            true
        };
        assert_eq!(fault(double), ErrorKind::InvalidData);
    }

    #[test]
    fn a_connection_that_is_closed_is_noticed() {
        // It is a reset if the server had not read everything.
        let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
        assert!(closed.contains(&fault(|_| false)));
    }

    #[test]
    fn silence_is_noticed() {
        let swallow = |data: &mut Vec<u8>| {
            data.clear();
            true
        };
        let impatient = against_patiently(Duration::from_millis(20), swallow);
        assert_eq!(kind(impatient), ErrorKind::TimedOut);
    }

    #[test]
    fn no_message_is_like_the_one_before_or_that_of_the_next_connection() {
        let bytes = random_bytes(PIECES + 64);
        let message = |connection, number| &bytes[piece(connection, number)..][..64];
        for number in 0..PIECES {
            assert_ne!(message(0, number), message(0, number + 1));
            assert_ne!(message(0, number), message(1, number));
        }
        assert_eq!(piece(5, 0), piece(5, PIECES), "it comes round after all places");
    }
}
