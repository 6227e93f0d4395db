//! One connection, for libraries that tell of changes (edge-triggered): it reads until there is no more, and does
//! not read while the client does not take what it is sent.

use std::io::{ErrorKind, Read, Result, Write};

/// What waits to be sent on a connection.
#[derive(Default)]
pub(crate) struct Echo {
    unsent: Vec<u8>,
}

impl Echo {
    /// Does what can be done on the connection's socket. Whether the connection goes on.
    pub(crate) fn ready(
        &mut self,
        mut socket: impl Read + Write,
        buffer: &mut [u8],
    ) -> Result<bool> {
        let sent = write(&mut socket, &self.unsent)?;
        self.unsent.drain(..sent);
        while self.unsent.is_empty() {
            let count = match socket.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let sent = write(&mut socket, &buffer[..count])?;
            self.unsent.extend_from_slice(&buffer[sent..count]);
            // What did not fill the buffer was all there is.
            if count < buffer.len() {
                break;
            }
        }
        Ok(true)
    }
}

/// Writes what the socket takes of `data`; how much that is.
fn write(socket: &mut impl Write, data: &[u8]) -> Result<usize> {
    let mut sent = 0;
    while sent < data.len() {
        match socket.write(&data[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
