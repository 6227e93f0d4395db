//! tokio, on one thread: a task for each connection.

use super::BUFFER;
use crate::on_tokio::runtime;
use std::cell::RefCell;
use std::io::{ErrorKind, Result};
use std::net::TcpListener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tulipa::Exception;

/// Serves for ever, each connection by `echo`.
pub(crate) fn serve(
    listener: TcpListener,
    echo: impl AsyncFn(TcpStream) -> Result<()> + Copy + 'static,
) -> std::result::Result<(), Exception> {
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is over, as one that is closed.
            spawn_local(async move { drop(echo(stream).await) });
        }
    })
}

/// As it is usually written: what is read lies in the task.
pub(crate) async fn own_buffer(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// As it is written to save memory: a task that waits holds no buffer.
pub(crate) async fn shared_buffer(mut stream: TcpStream) -> Result<()> {
    loop {
        stream.readable().await?;
        let read = SHARED.with_borrow_mut(|buffer| {
            let count = stream.try_read(buffer)?;
            let sent = match stream.try_write(&buffer[..count]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                sent => sent?,
            };
            Result::Ok((count, buffer[sent..count].to_vec()))
        });
        match read {
            Ok((0, _)) => return Ok(()),
            Ok((_, unsent)) => stream.write_all(&unsent).await?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
