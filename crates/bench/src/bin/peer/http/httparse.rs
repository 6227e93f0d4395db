//! Requests parsed by httparse, directly on epoll: what one would write by hand. One buffer to read into
//! and one to write from serve all connections; a connection keeps only what is left over.

use crate::readiness::wait;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use tulipa::Exception;

const LISTENER: u64 = u64::MAX;
/// A request that is longer is refused.
const LONGEST: usize = 64 * 1024;

struct Client {
    socket: OwnedFd,
    /// The beginning of a request.
    unread: Vec<u8>,
    /// What there was no room for.
    unsent: Vec<u8>,
}

/// Whether a connection goes on.
enum Next {
    Stay,
    Close,
}

pub(crate) fn serve(listener: &TcpListener, body: &[u8]) -> Result<(), Exception> {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ".to_vec();
    answer.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
    answer.extend_from_slice(body);
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut input = vec![0; LONGEST];
    let mut output = Vec::with_capacity(LONGEST);
    loop {
        wait(&poll, &mut events, None)?;
        for event in &events {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == LISTENER {
                accept(listener, &poll, &mut clients)?;
                continue;
            }
            let place = &mut clients[key as usize];
            let Some(client) = place else { continue };
            let next = if client.unsent.is_empty() {
                client.read(&mut input, &mut output, &answer)
            } else {
                client.send_rest()
            };
            match next {
                Ok(Next::Stay) => {
                    let blocked = !client.unsent.is_empty();
                    if blocked || flags.contains(EventFlags::OUT) {
                        let wanted = if blocked { EventFlags::OUT } else { EventFlags::IN };
                        epoll::modify(&poll, &client.socket, EventData::new_u64(key), wanted)?;
                    }
                }
                // Closing ends the watch, too.
                Ok(Next::Close) | Err(_) => *place = None,
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &OwnedFd,
    clients: &mut Vec<Option<Client>>,
) -> Result<(), Exception> {
    loop {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = match rustix::net::accept_with(listener, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        let free = clients.iter().position(Option::is_none);
        let key = free.unwrap_or(clients.len());
        epoll::add(poll, &socket, EventData::new_u64(key as u64), EventFlags::IN)?;
        let client = Some(Client { socket, unread: Vec::new(), unsent: Vec::new() });
        match free {
            Some(key) => clients[key] = client,
            None => clients.push(client),
        }
    }
}

impl Client {
    fn read(&mut self, input: &mut [u8], output: &mut Vec<u8>, answer: &[u8]) -> io::Result<Next> {
        let count = match rustix::net::recv(&self.socket, &mut *input, RecvFlags::empty()) {
            Ok((0, _)) => return Ok(Next::Close),
            Ok((count, _)) => count,
            Err(Errno::AGAIN) => return Ok(Next::Stay),
            Err(error) => return Err(error.into()),
        };
        let mut data = &input[..count];
        let mut joined = std::mem::take(&mut self.unread);
        if !joined.is_empty() {
            joined.extend_from_slice(data);
            data = &joined;
        }
        output.clear();
        while !data.is_empty() {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut fields);
            match request.parse(data) {
                Ok(httparse::Status::Complete(length)) if request.method == Some("GET") => {
                    output.extend_from_slice(answer);
                    data = &data[length..];
                }
                Ok(httparse::Status::Partial) if data.len() < LONGEST => break,
                _ => return Ok(Next::Close),
            }
        }
        self.unread = data.to_vec();
        let sent = match rustix::net::send(&self.socket, output, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        if sent < output.len() {
            self.unsent = output.split_off(sent);
        }
        Ok(Next::Stay)
    }

    fn send_rest(&mut self) -> io::Result<Next> {
        match rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Next::Stay)
    }
}
