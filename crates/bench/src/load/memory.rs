//! What a connection costs in memory: many are made, and what the server has grown by is divided by their number.
//! Only what the program itself holds is counted; the kernel's part is the same for all.

use crate::load::{connect_blocking, generate};
use crate::record::Metrics;
use crate::server::Server;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use tulipa::Exception;

/// How many connections there are before the first look, so that what a server makes once, for its first
/// client, is not counted.
const BEFORE: usize = 100;

/// Measures a fresh server with so many connections: first those that have only been accepted, then after each has
/// had one echo.
///
/// # Errors
/// If the server does not echo, or ends.
pub fn measure(server: &Server, connections: usize) -> Result<Metrics, Exception> {
    let address = server.address();
    let mut first = generate(|| connect(address, BEFORE))?;
    generate(|| first.iter_mut().try_for_each(echo))?;
    server.settle()?;
    let before = server.memory()?;

    // They are accepted in order: when the last one is answered, all are there.
    let mut many = generate(|| connect(address, connections))?;
    generate(|| connect(address, 1)?.iter_mut().try_for_each(echo))?;
    server.settle()?;
    let idle = server.memory()?;

    generate(|| many.iter_mut().try_for_each(echo))?;
    server.settle()?;
    let after_echo = server.memory()?;

    let each = |now: u64| (now as f64 - before as f64) / connections as f64;
    let metrics = [
        ("idle_bytes", each(idle)),
        ("echo_bytes", each(after_echo)),
        ("without_connections_bytes", before as f64),
    ];
    Ok(metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn connect(server: SocketAddr, count: usize) -> Result<Vec<TcpStream>, Exception> {
    (0..count).map(|_| connect_blocking(server)).collect()
}

fn echo(connection: &mut TcpStream) -> Result<(), Exception> {
    const MESSAGE: [u8; 1024] = [0x5a; 1024];
    let mut answer = [0; MESSAGE.len()];
    connection.write_all(&MESSAGE)?;
    connection.read_exact(&mut answer)?;
    if answer != MESSAGE {
        return Err(Error::new(ErrorKind::InvalidData, "other bytes came back").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    #[test]
    fn a_server_that_never_answers_is_not_waited_for_without_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connections = connect(listener.local_addr().unwrap(), 1).unwrap();
        assert!(connections[0].read_timeout().unwrap().is_some());
        assert!(connections[0].write_timeout().unwrap().is_some());
        connections[0].set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        assert!(echo(&mut connections[0]).is_err());
    }
}
