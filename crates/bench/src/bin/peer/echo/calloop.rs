//! calloop: a source for each connection, with a callback.

use super::BUFFER;
use super::edge::Echo;
use calloop::generic::Generic;
use calloop::{EventLoop, Interest, LoopHandle, Mode, PostAction};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use tulipa::Exception;

struct Server {
    event_loop: LoopHandle<'static, Server>,
    buffer: Vec<u8>,
}

/// Serves for ever.
pub(crate) fn serve(listener: TcpListener) -> Result<(), Exception> {
    let mut event_loop = EventLoop::try_new()?;
    let mut server = Server { event_loop: event_loop.handle(), buffer: vec![0; BUFFER] };
    let listening = Generic::new(listener, Interest::READ, Mode::Level);
    event_loop
        .handle()
        .insert_source(listening, |_, listener, server: &mut Server| server.accept(listener))
        .map_err(|error| error.error)?;
    event_loop.run(None, &mut server, |_| {})?;
    Ok(())
}

impl Server {
    fn accept(&self, listener: &TcpListener) -> std::io::Result<PostAction> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.add(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(PostAction::Continue);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut echo = Echo::default();
        let connection = Generic::new(stream, Interest::BOTH, Mode::Edge);
        let added = self.event_loop.insert_source(connection, move |_, stream, server| match echo
            .ready(&**stream, &mut server.buffer)
        {
            Ok(true) => Ok(PostAction::Continue),
            Ok(false) | Err(_) => Ok(PostAction::Remove),
        });
        added.map(drop).map_err(|error| std::io::Error::other(error.error))
    }
}
