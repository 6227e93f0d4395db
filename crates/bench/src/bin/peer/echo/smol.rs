//! smol: a task for each connection, on one thread. (The thread that async-io has for itself is there too.)

use super::BUFFER;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};
use std::io::Result;
use std::net::{TcpListener, TcpStream};
use tulipa::Exception;

/// Serves for ever.
pub(crate) fn serve(listener: TcpListener) -> std::result::Result<(), Exception> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = Async::new(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            // A connection that breaks is over, as one that is closed.
            executor.spawn(async { drop(echo(stream).await) }).detach();
        }
    }))
}

async fn echo(mut stream: Async<TcpStream>) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
