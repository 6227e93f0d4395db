//! HTTP: connections that stay, one request each under way, every reply checked, head and body.

use super::poll::Poll;
use super::{Meter, Window, connect};
use crate::record::Metrics;
use crate::server::Server;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;
use tulipa::Exception;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

/// What every server answers with: `size` bytes.
pub fn body(size: usize) -> Vec<u8> {
    b"Hello, world!\n".iter().copied().cycle().take(size).collect()
}

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// How many connections there are.
    pub connections: usize,
    /// Bytes of each body.
    pub size: usize,
    /// When it is measured.
    pub window: Window,
}

impl Http {
    /// Measures the server.
    ///
    /// # Errors
    /// If an answer is not what was to come, or there is none for too long, or the system says no.
    pub fn measure(&self, server: &Server) -> Result<Metrics, Exception> {
        super::generate(|| run(self, server.address(), server.pid()))
    }
}

struct Client {
    stream: TcpStream,
    /// What has come of the reply.
    reply: Vec<u8>,
    /// A reply that was found right. Most others are the same, byte by byte.
    right: Vec<u8>,
    sent: Instant,
}

fn run(plan: &Http, address: SocketAddr, server: u32) -> Result<Metrics, Exception> {
    let body = body(plan.size);
    let mut poll = Poll::new()?;
    let mut clients = Vec::new();
    for key in 0..plan.connections {
        let stream = connect(address)?;
        poll.add(&stream, key)?;
        let now = Instant::now();
        clients.push(Client { stream, reply: Vec::new(), right: Vec::new(), sent: now });
    }
    let mut meter = Meter::new(server, plan.window, Instant::now());
    for client in &mut clients {
        client.ask()?;
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        for key in poll.ready()? {
            let client = &mut clients[key];
            if client.is_answered(&mut buffer, &body)? {
                let now = Instant::now();
                meter.answered(client.sent, now);
                client.sent = now;
                client.ask()?;
            }
        }
        if let Some(metrics) = meter.poll(Instant::now())? {
            return Ok(metrics);
        }
    }
}

impl Client {
    fn ask(&mut self) -> Result<(), Exception> {
        // The last one was answered, so there is room for this one.
        Ok(self.stream.write_all(REQUEST)?)
    }

    fn is_answered(&mut self, buffer: &mut [u8], body: &[u8]) -> Result<bool, Exception> {
        match self.stream.read(buffer) {
            Ok(0) => return Err(Exception::msg("the server closed a connection")),
            Ok(count) => self.reply.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if self.reply == self.right || is_right(&self.reply, body)? {
            self.right.clone_from(&self.reply);
            self.reply.clear();
            return Ok(true);
        }
        Ok(false)
    }
}

/// Whether this is the whole reply, and the right one.
fn is_right(reply: &[u8], body: &[u8]) -> Result<bool, Exception> {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(reply)? else { return Ok(false) };
    let is_length =
        |field: &httparse::Header<'_>| field.name.eq_ignore_ascii_case("content-length");
    let declared = head.headers.iter().find(|field| is_length(field)).map(|field| field.value);
    if head.code != Some(200) || declared != Some(body.len().to_string().as_bytes()) {
        return Err(Exception::msg(format!("not the reply that was to come: {head:?}")));
    }
    let came = &reply[length..];
    match body.starts_with(came) {
        true => Ok(came.len() == body.len()),
        false => Err(Exception::msg("not the body that was to come")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    /// Runs against a server that gives these replies, the last of them for ever.
    fn against(replies: &[&[u8]]) -> Result<Metrics, Exception> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let replies: Vec<_> = replies.iter().map(|reply| reply.to_vec()).collect();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for number in 0.. {
                let mut request = vec![0; REQUEST.len()];
                let reply = replies.get(number).unwrap_or(&replies[replies.len() - 1]);
                let answered =
                    stream.read_exact(&mut request).and_then(|()| stream.write_all(reply));
                if answered.is_err() {
                    return;
                }
                assert_eq!(request, REQUEST);
            }
        });
        let length = Duration::from_millis(5);
        let warm_up = Duration::ZERO;
        let window = Window { warm_up, warm_up_answers: 2, length, ..Window::short() };
        let plan = Http { connections: 1, size: 20, window };
        let result = run(&plan, address, std::process::id());
        server.join().unwrap();
        result
    }

    const RIGHT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nHello, world!\nHello,";

    #[test]
    fn right_replies_are_counted_also_if_their_heads_differ() {
        let other =
            b"HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 20\r\n\r\nHello, world!\nHello,";
        against(&[RIGHT, other, RIGHT]).unwrap();
    }

    #[test]
    fn a_wrong_reply_is_noticed() {
        let failure = b"HTTP/1.1 500 Oops\r\nContent-Length: 20\r\n\r\nHello, world!\nHello,";
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHello, world!\nHello";
        let body = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nHello, world!\nHallo,";
        for wrong in [&failure[..], length, body] {
            assert!(against(&[wrong]).is_err());
            assert!(against(&[RIGHT, wrong]).is_err(), "after a right one");
        }
        assert!(against(&[RIGHT, &[RIGHT, b"x"].concat()]).is_err(), "one byte too many");
    }

    #[test]
    fn a_body_repeats_its_text() {
        assert_eq!(body(20), b"Hello, world!\nHello,");
    }
}
