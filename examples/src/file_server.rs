//! Files by HTTP: [`talk`] is one client's connection, as a coroutine over its streams. The files go from
//! the disk to the socket by `sendfile`; no more than a block of one is ever in memory.

mod request;
#[cfg(test)]
mod tests;

use request::{Refusal, Request};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::{IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter};
use tulipa::{SendFile, TimeoutError, current, timeout, to_thread};

/// How many bytes the head of a request may have.
pub const LONGEST_HEAD: usize = 16 * 1024;
/// How long a client may take for a request, and between two.
const WHOLE_REQUEST: Duration = Duration::from_secs(30);

/// A folder whose files are served.
#[derive(Clone)]
pub struct Site {
    root: PathBuf,
    patience: Duration,
}

impl Site {
    /// The files below `root`. A client may take so long for one, and for other answers.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn new(root: &Path, patience: Duration) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot serve {}: {error}", root.display()))
        };
        Ok(Self { root: root.canonicalize().map_err(named)?, patience })
    }

    /// Opens a file; `None` if there is none to be served at `path`. It blocks: for a worker.
    fn open(&self, path: &Path) -> Option<(File, Metadata)> {
        // Links may lead anywhere, but not out of the folder.
        let path = self.root.join(path).canonicalize().ok()?;
        if !path.starts_with(&self.root) || !path.metadata().ok()?.is_file() {
            return None; // opening something else might block for ever
        }
        let file = File::open(path).ok()?;
        let found = file.metadata().ok()?;
        found.is_file().then_some((file, found))
    }
}

/// The connection of a client: answers its requests, one after the other.
///
/// # Errors
/// Why the connection was lost, if that was no orderly end; or the cancellation.
pub async fn talk(
    site: &Site,
    mut reader: StreamReader,
    writer: StreamWriter,
) -> Result<(), Exception> {
    loop {
        let head = match timeout(WHOLE_REQUEST, reader.readuntil(b"\r\n\r\n")).await {
            Ok(head) => head,
            Err(error) if error.is::<IncompleteReadError>() || error.is::<TimeoutError>() => break,
            Err(error) if error.is::<LimitOverrunError>() => {
                refuse(&writer, Refusal::TOO_LONG);
                break;
            }
            Err(error) => return Err(error),
        };
        let persists = match Request::parse(&head) {
            Ok(request) => answer(site, &request, &writer).await?,
            Err(refusal) => {
                refuse(&writer, refusal);
                false
            }
        };
        if !persists {
            break;
        }
        // Who asks on and on without taking the answers would have them pile up here.
        if let Err(error) = timeout(site.patience, writer.drain()).await {
            writer.transport().abort();
            return Err(error);
        }
    }
    writer.close();
    writer.wait_closed().await
}

/// Answers one request, and says whether another may follow.
async fn answer(site: &Site, request: &Request, writer: &StreamWriter) -> Result<bool, Exception> {
    let (folder, path) = (site.clone(), request.path.clone());
    let Some((file, found)) = to_thread(move || folder.open(&path)).await? else {
        refuse_and_go_on(writer, Refusal::NOT_FOUND, request);
        return Ok(request.persists);
    };
    let size = found.len();
    let connection = if request.persists { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nContent-Type: application/octet-stream\r\n\
         Connection: {connection}\r\n\r\n"
    );
    writer.write(head.as_bytes());
    if request.head_only || size == 0 {
        return Ok(request.persists);
    }
    let transport = writer.transport();
    let sending = current().sendfile(&**transport, SendFile::from(file).count(size));
    let sent = timeout(site.patience, sending).await;
    if !sent.as_ref().is_ok_and(|sent| *sent == size) {
        // The client was promised more: only a cut tells it that this is not all.
        transport.abort();
    }
    sent.map(|sent| request.persists && sent == size)
}

fn refuse(writer: &StreamWriter, refusal: Refusal) {
    writer.write(refusal.reply("close", false).as_bytes());
}

fn refuse_and_go_on(writer: &StreamWriter, refusal: Refusal, request: &Request) {
    let connection = if request.persists { "keep-alive" } else { "close" };
    writer.write(refusal.reply(connection, request.head_only).as_bytes());
}
