//! monoio: completions by io_uring instead of readiness; a task for each connection, whose buffer the kernel has
//! while it reads.

use super::BUFFER;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};
use std::io::Result;
use tulipa::Exception;

/// Serves for ever.
pub(crate) fn serve(listener: std::net::TcpListener) -> std::result::Result<(), Exception> {
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new().with_entries(4096).build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is over, as one that is closed.
            monoio::spawn(async { drop(echo(stream).await) });
        }
    })
}

async fn echo(mut stream: TcpStream) -> Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (read, filled) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, mut emptied) = stream.write_all(filled).await;
        written?;
        emptied.clear();
        buffer = emptied;
    }
}
