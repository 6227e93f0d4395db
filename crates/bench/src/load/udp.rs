//! Datagrams: many peers of one server, each with a socket of its own, a fixed number of datagrams under
//! way. Each answer is compared with what this peer sent. What is lost is sent again, and counted.

use super::poll::Poll;
use super::{Meter, Window};
use crate::record::Metrics;
use crate::server::Server;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tulipa::Exception;

/// Bytes of each datagram.
const SIZE: usize = 64;
/// As nothing takes so long here, a datagram without an answer is lost.
const LOST_AFTER: Duration = Duration::from_millis(20);

/// What the peers do. They take turns.
#[derive(Clone, Copy, Debug)]
pub struct Udp {
    /// How many there are.
    pub peers: usize,
    /// How many datagrams are under way at a time.
    pub under_way: usize,
    /// When it is measured.
    pub window: Window,
}

impl Udp {
    /// Measures the server.
    ///
    /// # Errors
    /// If an answer is not what was to come, or there is none for too long, or the system says no.
    pub fn measure(&self, server: &Server) -> Result<Metrics, Exception> {
        super::generate(|| run(self, server.address(), server.pid()))
    }
}

struct Peer {
    socket: UdpSocket,
    datagram: [u8; SIZE],
    /// When it was sent; `None` if the answer is there.
    sent: Option<Instant>,
}

fn run(plan: &Udp, server: SocketAddr, pid: u32) -> Result<Metrics, Exception> {
    let mut poll = Poll::new()?;
    let mut all = Vec::new();
    for key in 0..plan.peers {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        poll.add(&socket, key)?;
        all.push(Peer { socket, datagram: [key as u8; SIZE], sent: None });
    }
    let mut resting: VecDeque<usize> = (0..plan.peers).collect();
    let (mut number, mut lost) = (0_u64, 0_u64);
    let mut ready = Vec::new();
    let mut meter = Meter::new(pid, plan.window, Instant::now());
    let mut checked = Instant::now();
    let mut busy = 0;
    loop {
        while busy < plan.under_way.min(plan.peers)
            && let Some(key) = resting.pop_front()
        {
            number += 1;
            all[key].send(number)?;
            busy += 1;
        }
        ready.clear();
        ready.extend(poll.ready()?);
        for &key in &ready {
            if let Some(sent) = all[key].answered()? {
                meter.answered(sent, Instant::now());
                resting.push_back(key);
                busy -= 1;
            }
        }
        let now = Instant::now();
        if now.duration_since(checked) > LOST_AFTER {
            checked = now;
            for peer in &mut all {
                if peer.sent.is_some_and(|sent| now.duration_since(sent) > LOST_AFTER) {
                    lost += 1;
                    number += 1;
                    peer.send(number)?;
                }
            }
        }
        if let Some(mut metrics) = meter.poll(Instant::now())? {
            metrics.insert("lost".into(), lost as f64);
            return Ok(metrics);
        }
    }
}

impl Peer {
    fn send(&mut self, number: u64) -> Result<(), Exception> {
        self.datagram[..8].copy_from_slice(&number.to_le_bytes());
        self.sent = Some(Instant::now());
        self.socket.send(&self.datagram)?;
        Ok(())
    }

    /// When that was sent whose answer has come.
    fn answered(&mut self) -> Result<Option<Instant>, Exception> {
        let mut answer = [0; SIZE + 1];
        loop {
            let count = match self.socket.recv(&mut answer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if answer[..count] == self.datagram {
                return Ok(self.sent.take());
            }
            // One that was given up for lost may come after all; its number is another.
            if count != SIZE || answer[8..SIZE] != self.datagram[8..] {
                return Err(Exception::msg("what came back is not what was sent"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs against a server that answers the datagrams, which it numbers, as `answer` says.
    fn against(answer: fn(u32, &mut Vec<u8>) -> bool) -> Result<Metrics, Exception> {
        against_patiently(Duration::from_secs(60), answer)
    }

    /// The same; after so much silence the peers give up.
    fn against_patiently(
        silence: Duration,
        answer: fn(u32, &mut Vec<u8>) -> bool,
    ) -> Result<Metrics, Exception> {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        // It ends with the process.
        std::thread::spawn(move || {
            let mut buffer = [0; 100];
            for number in 0.. {
                let Ok((count, sender)) = server.recv_from(&mut buffer) else { continue };
                let mut data = buffer[..count].to_vec();
                if answer(number, &mut data) {
                    let _ = server.send_to(&data, sender);
                }
            }
        });
        let window = Window {
            warm_up: Duration::ZERO,
            warm_up_answers: 2,
            length: Duration::from_millis(5),
            silence,
        };
        run(&Udp { peers: 3, under_way: 2, window }, address, std::process::id())
    }

    #[test]
    fn datagrams_that_come_back_are_counted() {
        against(|_, _| true).unwrap();
    }

    #[test]
    fn what_is_lost_is_sent_again() {
        // All that are under way at first.
        against(|number, _| number >= 2).unwrap();
    }

    #[test]
    fn a_wrong_answer_is_noticed() {
        assert!(
            against(|_, data| {
                data[63] ^= 1;
                true
            })
            .is_err()
        );
        assert!(
            against(|_, data| {
                data.push(0);
                true
            })
            .is_err()
        );
    }

    #[test]
    fn silence_is_noticed() {
        assert!(against_patiently(Duration::from_millis(50), |_, _| false).is_err());
    }
}
