//! mio: epoll as a library, edge-triggered.

use super::BUFFER;
use super::edge::Echo;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use tulipa::Exception;

const LISTENER: Token = Token(usize::MAX);

/// Serves for ever.
pub(crate) fn serve(listener: std::net::TcpListener) -> Result<(), Exception> {
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections = Connections::default();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; BUFFER];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut connections)?;
                continue;
            }
            let Some((stream, echo)) = connections.get(event.token()) else { continue };
            if !echo.ready(&*stream, &mut buffer).unwrap_or(false) {
                poll.registry().deregister(stream)?;
                connections.remove(event.token());
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    connections: &mut Connections,
) -> Result<(), Exception> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let token = connections.free_place();
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, token, both)?;
                connections.insert(token, stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The connections, by small numbers that are used again.
#[derive(Default)]
struct Connections {
    places: Vec<Option<(TcpStream, Echo)>>,
    free: Vec<usize>,
}

impl Connections {
    fn get(&mut self, token: Token) -> Option<&mut (TcpStream, Echo)> {
        self.places.get_mut(token.0)?.as_mut()
    }

    fn free_place(&mut self) -> Token {
        Token(self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        }))
    }

    fn insert(&mut self, place: Token, stream: TcpStream) {
        self.places[place.0] = Some((stream, Echo::default()));
    }

    fn remove(&mut self, token: Token) {
        self.places[token.0] = None;
        self.free.push(token.0);
    }
}
