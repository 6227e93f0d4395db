//! Connections that come and go: each is made, asks once, checks the answer, and is closed by the
//! client, a fixed number of them at a time.

use super::poll::Poll;
use super::{Meter, Window};
use crate::record::Metrics;
use crate::server::Server;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tulipa::Exception;

/// How many bytes are sent on each connection, and come back.
const MESSAGE: usize = 64;

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Accept {
    /// How many connections there are at a time.
    pub at_a_time: usize,
    /// When it is measured.
    pub window: Window,
}

impl Accept {
    /// Measures the server.
    ///
    /// # Errors
    /// If an answer is not what was to come, or there is none for too long, or the system says no.
    pub fn measure(&self, server: &Server) -> Result<Metrics, Exception> {
        super::generate(|| run(self, server.address(), server.pid()))
    }
}

struct Client {
    socket: OwnedFd,
    message: [u8; MESSAGE],
    received: usize,
    began: Instant,
}

fn run(plan: &Accept, address: SocketAddr, server: u32) -> Result<Metrics, Exception> {
    let mut meter = Meter::new(server, plan.window, Instant::now());
    let mut poll = Poll::new()?;
    let mut number = 0;
    let mut clients = Vec::new();
    for key in 0..plan.at_a_time {
        clients.push(Client::connect(address, &poll, key, &mut number)?);
    }
    let mut ready = Vec::new();
    loop {
        ready.clear();
        ready.extend(poll.ready()?);
        for &key in &ready {
            if clients[key].is_answered()? {
                meter.answered(clients[key].began, Instant::now());
                // The one before is closed by this.
                clients[key] = Client::connect(address, &poll, key, &mut number)?;
            }
        }
        if let Some(metrics) = meter.poll(Instant::now())? {
            return Ok(metrics);
        }
    }
}

impl Client {
    /// Connects, which over loopback takes no waiting, and sends at once.
    fn connect(
        address: SocketAddr,
        poll: &Poll,
        key: usize,
        number: &mut u64,
    ) -> Result<Self, Exception> {
        let began = Instant::now();
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &address)?;
        *number += 1;
        let mut message = [key as u8; MESSAGE];
        message[..8].copy_from_slice(&number.to_le_bytes());
        let sent = rustix::net::send(&socket, &message, SendFlags::NOSIGNAL)?;
        assert_eq!(sent, MESSAGE, "a new connection takes a small message whole");
        poll.add(&socket, key)?;
        Ok(Self { socket, message, received: 0, began })
    }

    fn is_answered(&mut self) -> Result<bool, Exception> {
        let mut answer = [0; MESSAGE + 1];
        let count = match rustix::net::recv(&self.socket, &mut answer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(Exception::msg("the server closed a connection")),
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let expected = self.message.get(self.received..self.received + count);
        if expected != Some(&answer[..count]) {
            return Err(Exception::msg("what came back is not what was sent"));
        }
        self.received += count;
        Ok(self.received == MESSAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    /// Runs against a server that answers each message as `answer` says.
    fn against(answer: fn(&mut Vec<u8>)) -> Result<Metrics, Exception> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the process.
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut data = vec![0; MESSAGE];
                if stream.read_exact(&mut data).is_ok() {
                    answer(&mut data);
                    let _ = stream.write_all(&data);
                }
            }
        });
        let length = Duration::from_millis(5);
        let warm_up = Duration::ZERO;
        let window = Window { warm_up, warm_up_answers: 2, length, ..Window::short() };
        run(&Accept { at_a_time: 3, window }, address, std::process::id())
    }

    #[test]
    fn connections_that_are_answered_are_counted() {
        against(|_| {}).unwrap();
    }

    #[test]
    fn a_wrong_answer_is_noticed() {
        assert!(against(|data| data[40] ^= 1).is_err());
    }

    #[test]
    fn an_answer_that_is_too_long_is_noticed() {
        assert!(against(|data| data.push(0)).is_err());
    }

    #[test]
    fn a_connection_that_is_closed_is_noticed() {
        assert!(against(|data| data.truncate(63)).is_err());
    }
}
